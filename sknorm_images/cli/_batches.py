"""Images of a pipeline, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from joblib import cpu_count
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from tqdm import tqdm

from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    ImageDecodeError,
    JpegLoader,
    LazyImages,
    Resizer,
)
from sknorm_images.cli._terminal import complain_of

SCALERS = (ChannelStandardScaler, ChannelMinMaxScaler)
_IMAGES_PER_BATCH = 256  # so that the progress bar moves a few times a second
_BYTES_PER_BATCH = 2**24  # of uint8: 111 images of 224 x 224 in color, 64 MiB as float32


def split(
    pipeline: Pipeline, files: Sequence[str], n_jobs: int
) -> tuple[LazyImages, list[Any]]:
    """Take a pipeline apart where images are read.

    Parameters
    ----------
    pipeline : Pipeline
        A JpegLoader, a Resizer, and any other steps.
    files : sequence of str
        The files.
    n_jobs : int
        Number of images that are decoded at once.

    Returns
    -------
    images : LazyImages
        Of one size.
    steps : list of transformers
        What comes after.

    Raises
    ------
    ValueError
        If the pipeline is of another kind.
    """
    steps = [step for _, step in pipeline.steps if step not in (None, "passthrough")]
    if not steps or not isinstance(steps[0], JpegLoader):
        raise ValueError(
            f"the pipeline begins with {type(steps[0]).__name__ if steps else 'nothing'}, and "
            "files need a JpegLoader. Make it with `sknorm-images fit` or make_image_pipeline."
        )
    if not hasattr(steps[-1], "transform"):
        raise ValueError(
            f"the pipeline ends with {type(steps[-1]).__name__}, which does not transform. "
            "Save the part before it, pipeline[:-1]."
        )
    images = steps.pop(0).transform(files).configured(n_jobs=n_jobs)
    while steps and isinstance(steps[0], Resizer):
        images = steps.pop(0).transform(images)
    if images.ndim == 1:
        raise ValueError(
            "the pipeline has no Resizer after its JpegLoader, and one array takes images of "
            "one size. Make it with `sknorm-images fit` or make_image_pipeline."
        )
    return images, steps


def read_batches(
    images: LazyImages, description: str
) -> Iterator[tuple[slice, NDArray[np.uint8], list[int]]]:
    """Decode images in bounded memory, with a progress bar.

    Under ``on_error="blank"``, each that cannot be read is named on stderr.

    Parameters
    ----------
    images : LazyImages
        Of one size.
    description : str
        What the progress bar is called.

    Yields
    ------
    rows : slice
        Which images the batch holds.
    pixels : ndarray of shape (n, height, width, n_channels), dtype uint8
        The images.
    failed : list of int
        Which rows of `pixels` are black because the image cannot be read.

    Raises
    ------
    ValueError
        In the end, if no image could be read.
    ImageDecodeError, OSError
        If an image cannot be read, and the loader has ``on_error="raise"``.
    """
    n_images, *shape = images.shape
    fitting = _BYTES_PER_BATCH // int(np.prod(shape))
    step = max(4 * cpu_count(), min(fitting, _IMAGES_PER_BATCH))
    n_failed = 0
    bar = tqdm(total=n_images, desc=description, unit="image", disable=None)  # on terminals
    with bar:
        for start in range(0, n_images, step):
            rows = slice(start, min(start + step, n_images))
            try:
                pixels, failures = images[rows].read()
            except ImageDecodeError as error:
                error.position = start + (error.position or 0)  # it was that in the batch
                raise
            for failure in failures.values():
                complain_of(failure)
            n_failed += len(failures)
            yield rows, pixels, list(failures)
            bar.update(len(pixels))
    if n_failed == n_images:
        raise ValueError(f"none of the {n_images} images can be read. Check the folder.")


def apply(steps: Sequence[Any], pixels: NDArray[np.uint8], failed: list[int]) -> Any:
    """Do what a pipeline does with images that were read.

    Parameters
    ----------
    steps : sequence of transformers
        As `split` returns them.
    pixels : ndarray
        As `read_batches` yields it.
    failed : list of int
        As `read_batches` yields it.

    Returns
    -------
    array-like
        What the pipeline would give.
    """
    out: Any = pixels
    for i, step in enumerate(steps):
        out = step.transform(out)
        if i == 0 and failed and isinstance(step, SCALERS):
            out[failed] = 0  # what a scaler makes of an image that cannot be read
    return out
