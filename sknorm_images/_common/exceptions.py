"""The package's exceptions and warnings, except the one about versions."""

from __future__ import annotations

from collections.abc import Mapping

from sknorm_images._common.published import published
from sknorm_images._common.wording import shorten, show_name, show_some


@published("sknorm_images")
class ImageDecodeError(ValueError):
    """Raised when a source cannot be turned into an image.

    Parameters
    ----------
    source : str
        The path, or a description of bytes that have none.
    reason : str, default=""
        Why it cannot be decoded, and what to do if there is a special remedy. Without a
        reason, `source` is the whole message: PyTorch's DataLoader recreates errors from their
        text.
    position : int or None, default=None
        The position of the source in the X that was handed in.

    Attributes
    ----------
    source : str
        As above.
    reason : str
        As above.
    position : int or None
        As above.

    Examples
    --------
    >>> from sknorm_images import JpegLoader
    >>> JpegLoader().transform([b"not a photo"])[0]
    Traceback (most recent call last):
        ...
    sknorm_images.ImageDecodeError: Cannot decode image 0, '<11 bytes>': no known image \
format. Repair or remove it, or pass on_error='blank' to JpegLoader.
    """

    def __init__(self, source: str, reason: str = "", position: int | None = None) -> None:
        super().__init__(source, reason, position)
        self.source = source
        self.reason = reason
        self.position = position

    def __str__(self) -> str:
        if not self.reason:
            return self.source
        number = "" if self.position is None else f" {self.position}"
        return (
            f"Cannot decode image{number}, {show_name(self.source)}: {shorten(self.reason)}. "
            "Repair or remove it, or pass on_error='blank' to JpegLoader."
        )


def brief(error: Exception) -> str:
    """Say which image cannot be read and why, without a remedy."""
    if isinstance(error, ImageDecodeError):
        return f"{show_name(error.source)}: {shorten(error.reason)}"
    return shorten(error)


@published("sknorm_images")
class ImageDecodeWarning(UserWarning):
    """Warns of the images that ``on_error="blank"`` left out of one call.

    The message names the first 20, and `failures` has them all.

    Parameters
    ----------
    failures : mapping of int to Exception
        The images that cannot be read, by position.
    n_images : int
        How many there were in all.

    Attributes
    ----------
    failures : dict of int to Exception
        As above.
    n_images : int
        As above.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from sknorm_images import ImageDecodeWarning, make_image_pipeline
    >>> pipeline = make_image_pipeline((32, 48), on_error="blank")
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", ImageDecodeWarning)
    ...     _ = pipeline.fit([np.zeros((64, 96, 3), np.uint8), "missing.jpg"])
    >>> caught[0].message.failures
    {1: FileNotFoundError(2, 'No such file or directory')}
    """

    def __init__(self, failures: Mapping[int, Exception], n_images: int) -> None:
        self.failures: dict[int, Exception] = dict(sorted(failures.items()))
        self.n_images = n_images
        reasons = show_some(self.failures.values(), brief, "; ", "; `failures` has them all")
        super().__init__(
            f"{len(failures)} of {n_images} images cannot be read. They are left blank, "
            f"and out of the statistics of this call: {reasons}"
        )

    def __reduce__(self) -> tuple[type[ImageDecodeWarning], tuple[dict[int, Exception], int]]:
        return type(self), (self.failures, self.n_images)


@published("sknorm_images")
class ImageTransparencyWarning(UserWarning):
    """Warns that transparency was dropped from images in which it hid something.

    `JpegLoader` then takes the hidden colours, as Pillow's ``convert`` does. These are often
    black, so a black drawing on a transparent background becomes black all over. Its parameter
    `background` puts a colour behind them instead.

    Parameters
    ----------
    source : str
        The path of the first such image, or a description of what has none.
    position : int
        Its position in the X that was handed in.
    n_images : int, default=1
        How many such images there are in what was read.

    Attributes
    ----------
    source : str
        As above.
    position : int
        As above.
    n_images : int
        As above.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from PIL import Image
    >>> from sknorm_images import ImageTransparencyWarning, JpegLoader
    >>> drawing = Image.new("LA", (64, 64))  # clear all over, and black below
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", ImageTransparencyWarning)
    ...     below = np.asarray(JpegLoader().transform([drawing]))
    >>> print(caught[0].message)
    Image 0, '<Image>', has pixels that are not opaque. Their hidden colours show, and are \
often black. Pass background=255 to JpegLoader for white behind them, or another grey level \
or (red, green, blue).
    >>> below.max(), np.asarray(JpegLoader(background=255).transform([drawing])).min()
    (np.uint8(0), np.uint8(255))

    Where it is right as it is, say so with
    ``warnings.simplefilter("ignore", ImageTransparencyWarning)``.
    """

    def __init__(self, source: str, position: int, n_images: int = 1) -> None:
        super().__init__(source, position, n_images)
        self.source = source
        self.position = position
        self.n_images = n_images

    def __str__(self) -> str:
        n_others = self.n_images - 1
        others = f" and {n_others:,} more have" if n_others else " has"
        return (
            f"Image {self.position}, {show_name(self.source)},{others} pixels that are not "
            "opaque. Their hidden colours show, and are often black. Pass background=255 to "
            "JpegLoader for white behind them, or another grey level or (red, green, blue)."
        )


@published("sknorm_images")
class ImageUnitsWarning(UserWarning):
    """Warns that images probably have another unit or layout than a step expects.

    Examples are constants for images from 0 to 1 used on grey levels from 0 to 255, images
    whose channels come first, and flattened images passed to a channel scaler. The output is
    what the code asks for; the message says what to write instead.

    Examples
    --------
    The constants of ImageNet as they are published, and a photo in grey levels:

    >>> import warnings
    >>> import numpy as np
    >>> from sknorm_images import ChannelStandardScaler, ImageUnitsWarning
    >>> scaler = ChannelStandardScaler(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", ImageUnitsWarning)
    ...     _ = scaler.transform(np.full((1, 8, 8, 3), 200, np.uint8))
    >>> print(caught[0].message)
    X holds grey levels above 1, and the constants of this ChannelStandardScaler are for \
images that end at 1. Multiply them by 255: mean=[123.675, 116.28, 103.53], \
std=[58.395, 57.12, 57.375].

    Where it is right as it is, say so with
    ``warnings.simplefilter("ignore", ImageUnitsWarning)``.
    """


@published("sknorm_images")
class WorkerVersionWarning(UserWarning):
    """Warns that workers of a cluster have other versions than the process that asks them.

    Another version of this package, of Pillow or of libjpeg may decode some pixels to other
    grey levels. The result is then a mix, and not the same to the last bit as on one machine.

    Parameters
    ----------
    workers : mapping of str to mapping of str to str
        The versions that those workers have, by the worker's name: of ``"sknorm_images"``,
        ``"Pillow"`` and ``"libjpeg"``.
    here : mapping of str to str
        The versions that this process has.

    Attributes
    ----------
    workers : dict of str to dict of str to str
        As above.
    here : dict of str to str
        As above.

    Examples
    --------
    >>> from sknorm_images import WorkerVersionWarning
    >>> here = {"sknorm_images": "0.1.0", "Pillow": "13.0.0", "libjpeg": "turbo 3.1.2"}
    >>> print(WorkerVersionWarning({"tcp://10.0.0.7:4321": here | {"Pillow": "11.3.0"}}, here))
    1 of the workers has other versions than this process, which has sknorm_images 0.1.0, \
Pillow 13.0.0, libjpeg turbo 3.1.2, so some pixels may differ: tcp://10.0.0.7:4321 has \
Pillow 11.3.0. Install the same versions everywhere.

    ``warnings.simplefilter("error", WorkerVersionWarning)`` refuses to compute with a mix.
    """

    def __init__(
        self, workers: Mapping[str, Mapping[str, str]], here: Mapping[str, str]
    ) -> None:
        super().__init__(workers, here)
        self.workers = {worker: dict(versions) for worker, versions in workers.items()}
        self.here = dict(here)

    def __str__(self) -> str:
        def show(worker: str) -> str:
            found = self.workers[worker]
            differing = (name for name in self.here if found.get(name) != self.here[name])
            return (
                f"{worker} has {_versions({name: found.get(name, '?') for name in differing})}"
            )

        verb = "has" if len(self.workers) == 1 else "have"
        return (
            f"{len(self.workers)} of the workers {verb} other versions than this process, "
            f"which has {_versions(self.here)}, so some pixels may differ: "
            f"{show_some(self.workers, show, '; ', '; `workers` has them all')}. "
            "Install the same versions everywhere."
        )


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {shorten(version, 40)}" for name, version in versions.items())
