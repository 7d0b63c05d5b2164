"""Whether the loader treats a damaged file as it must: as Pillow does, or by a refusal."""

from __future__ import annotations

import io
import itertools
import os
import pickle
import re
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from PIL import Image, ImageOps

from sknorm_images import ImageDecodeError, JpegLoader, Resizer
from tests.fuzzing.cases import Options
from tests.fuzzing.corpus import ORIENTATION

Load: TypeAlias = Callable[[bytes | str, Options], np.ndarray]

DECODED, REFUSED, FAILED = "decoded", "refused", "failed"
SECONDS = 5.0  # a file of a million pixels takes 10 ms; this is for noisy machines
REDUCING_GAP = 3.0

# Both need a system that lists the open files of a process; elsewhere none are counted.
_OPEN_FILES = next((path for path in ("/proc/self/fd", "/dev/fd") if Path(path).is_dir()), "")


class Verdict(NamedTuple):
    """How a case ended."""

    outcome: str
    reason: str = ""  # of a refusal: a word for the summary; of a failure: a sentence
    milliseconds: float = 0.0


@dataclass(frozen=True)
class Answer:
    """What Pillow makes of the same bytes."""

    pixels: np.ndarray | None = None
    error: str = ""  # class of its exception, or the guard that has to refuse
    tolerance: int = 0  # grey levels
    warned: frozenset[tuple[type[Warning], str]] = frozenset()


def load(source: bytes | str, options: Options) -> np.ndarray:
    """Load one image with the package."""
    loader = JpegLoader(
        color_mode=options.color_mode,
        exif_orientation=options.exif_orientation,
        max_pixels=options.max_pixels,
        max_scans=options.max_scans,
    )
    images = loader.transform([source])
    if options.size is not None:
        images = Resizer(options.size, reducing_gap=REDUCING_GAP).transform(images)
    return images[0]


def judge(
    data: bytes, options: Options, load: Load = load, seconds: float = SECONDS
) -> Verdict:
    """Load a damaged file, ask Pillow, and say what is wrong with the difference."""
    observed = _observe(data, options, load)
    answer = ask_pillow(data, options)
    milliseconds = observed.seconds * 1000
    complaint = _complaint(observed, answer)
    if not complaint and observed.n_left_open > 0:  # threads of other tests close files
        complaint = f"it leaves {observed.n_left_open} files open"
    if not complaint and observed.seconds > seconds:
        complaint = f"it takes {observed.seconds:.1f} s"
    if complaint:
        return Verdict(FAILED, complaint, milliseconds)
    if observed.error is None:
        return Verdict(DECODED, "", milliseconds)
    return Verdict(REFUSED, answer.error, milliseconds)


def n_open_files() -> int:
    """Count the files that this process has open."""
    return len(os.listdir(_OPEN_FILES)) if _OPEN_FILES else 0  # noqa: PTH208 (faster)


def ask_pillow(data: bytes, options: Options) -> Answer:
    """Decode by Pillow alone, in the way that the documentation of the package promises."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        answer = _ask_pillow(data, options)
    return replace(answer, warned=_classes(caught))


def _ask_pillow(data: bytes, options: Options) -> Answer:
    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG",))
        if image.width * image.height > options.max_pixels:
            return Answer(error="max_pixels")
        orientation = _orientation(image) if options.exif_orientation else 1
        # Lossless files are scaled by no decoder, and Pillow before 13 crashes when it tries.
        box = None if _is_lossless(data) else _draft(image, options, orientation)
        image.load()
    except Exception as error:  # noqa: BLE001 (Pillow raises many classes on damaged files)
        return Answer(error=type(error).__name__)
    if reads_more_scans(data, options.max_scans):
        return Answer(error="max_scans")
    mode = "L" if options.color_mode == "grayscale" else "RGB"
    if options.size is None:
        if options.exif_orientation:
            # In place, it turns the pixels before it mends the EXIF, which may fail.
            with suppress(Exception):
                ImageOps.exif_transpose(image, in_place=True)
        return Answer(np.atleast_3d(np.asarray(image.convert(mode))))
    target = _stored(options.size, orientation)
    resized = image.convert(mode).resize(target, Image.Resampling.BILINEAR, box)
    # The loader may turn before it resizes: filters round between their two directions.
    tolerance = 0 if orientation == 1 else 1
    return Answer(np.atleast_3d(_turned(resized, orientation)), tolerance=tolerance)


def _draft(
    image: Image.Image, options: Options, orientation: int
) -> tuple[float, float, float, float] | None:
    """Let Pillow decode at a smaller scale, and say where the picture is then."""
    if options.size is None:
        return None
    width, height = _stored(options.size, orientation)
    drafted = image.draft(None, (ceil(width * REDUCING_GAP), ceil(height * REDUCING_GAP)))
    return drafted[1] if drafted else None


def _stored(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """(width, height) in the file of an image that is to be (height, width) upright."""
    return size if orientation >= 5 else size[::-1]


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # noqa: BLE001 (as above; damaged EXIF turns nothing)
        return 1
    return next((i for i in range(1, 9) if i == orientation), 1)


def _turned(image: Image.Image, orientation: int) -> np.ndarray:
    turned = Image.fromarray(np.asarray(image))  # without the EXIF, which may be damaged
    turned.getexif()[ORIENTATION] = orientation
    return np.asarray(ImageOps.exif_transpose(turned))


def reads_more_scans(data: bytes, n: int) -> bool:
    """Say whether a decoder goes through more than `n` scans of a file that it can decode.

    Cut off in front of the next scan, the file is truncated to a decoder that wants more.
    """
    scans = _scans(data)
    if len(scans) <= n:
        return False
    try:
        Image.open(io.BytesIO(data[: scans[n]]), formats=("JPEG",)).load()
    except Exception:  # noqa: BLE001 (as above)
        return True
    return False


def _scans(data: bytes) -> list[int]:
    """Positions behind the markers of all scans, jumping over segments (T.81, B.1.1)."""
    return [position for marker, position in _segments(data) if marker == 0xDA]


def _is_lossless(data: bytes) -> bool:
    """Whether the last frame before the first scan is one of SOF3, 7, 11 and 15."""
    before = itertools.takewhile(lambda segment: segment[0] != 0xDA, _segments(data))
    frames = [m for m, _ in before if 0xC0 <= m < 0xD0 and m not in (0xC4, 0xC8, 0xCC)]
    return bool(frames) and frames[-1] % 4 == 3


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield each marker and the position behind it."""
    position = 2
    while (position := data.find(b"\xff", position)) >= 0 and position + 1 < len(data):
        marker = data[position + 1]
        position += 1 if marker == 0xFF else 2
        yield marker, position
        if 0xC0 <= marker < 0xD0 or 0xDA <= marker < 0xFF:
            position += max(2, int.from_bytes(data[position : position + 2]))


class _Observed(NamedTuple):
    """What the loader did."""

    pixels: np.ndarray | None
    error: Exception | None
    warned: frozenset[tuple[type[Warning], str]]
    seconds: float
    n_left_open: int
    source: str


def _observe(data: bytes, options: Options, load: Load) -> _Observed:
    pixels, error = None, None
    with tempfile.TemporaryDirectory() if options.as_path else nullcontext("") as folder:
        source: bytes | str = data
        if options.as_path:
            source = str(Path(folder) / "photo.jpg")
            Path(source).write_bytes(data)
        n_open = n_open_files()
        start = time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                pixels = load(source, options)
            except Exception as raised:  # noqa: BLE001 (which class is to be judged)
                error = raised
        seconds = time.perf_counter() - start
        n_left_open = n_open_files() - n_open
    described = source if isinstance(source, str) else f"<{len(source)} bytes>"
    return _Observed(pixels, error, _classes(caught), seconds, n_left_open, described)


def _classes(
    caught: list[warnings.WarningMessage],
) -> frozenset[tuple[type[Warning], str]]:
    return frozenset((warning.category, str(warning.message)) for warning in caught)


def _complaint(observed: _Observed, answer: Answer) -> str:
    """Say what is wrong with what the loader did, or nothing."""
    pixels, error = observed.pixels, observed.error
    if extra := observed.warned - answer.warned:
        return f"it warns where Pillow does not: {sorted(map(str, extra))}"
    if error is None:
        if answer.pixels is None:
            return f"it decodes what is to be refused: {answer.error}"
        return _difference(pixels, answer)
    if not isinstance(error, ImageDecodeError):
        return f"it raises {type(error).__name__}: {error}"
    if answer.pixels is not None:
        return f"it refuses what Pillow decodes: {error.reason}"
    guard = re.search(r"max_pixels|max_scans", error.reason)
    if guard and guard[0] != answer.error and answer.error in ("max_pixels", "max_scans"):
        return f"it names {guard[0]}, and {answer.error} is exceeded"
    return _defect(error, observed.source)


def _difference(pixels: object, answer: Answer) -> str:
    expected = answer.pixels
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
        return f"it gives {getattr(pixels, 'dtype', type(pixels).__name__)}, not uint8"
    if pixels.shape != expected.shape:
        return f"its shape is {pixels.shape}, and Pillow's {expected.shape}"
    difference = np.abs(pixels.astype(int) - expected).max()
    if difference > answer.tolerance:
        return f"it is up to {difference} grey levels from what Pillow decodes"
    return ""


def _defect(error: ImageDecodeError, source: str) -> str:
    """What every error must do: name its source, in one line, and survive a pickle."""
    if (error.source, error.position) != (source, 0):
        return f"its error names {error.source!r} at {error.position}"
    if not error.reason or len(str(error).splitlines()) != 1:
        return f"its error is not one line: {str(error)!r}"
    if str(pickle.loads(pickle.dumps(error))) != str(error):
        return "its error changes when it is pickled"
    return ""
