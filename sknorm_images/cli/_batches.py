"""Images of a pipeline, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from joblib import cpu_count
from sklearn.pipeline import Pipeline
from tqdm import tqdm

from sknorm_images import JpegLoader, LazyImages
from sknorm_images._files.protocols import protocols_of
from sknorm_images._steps import describe_files, flat_steps, transform_images
from sknorm_images.cli._terminal import complain_of, complain_of_others


class _ProgressBar(tqdm):
    """A progress bar that a signal may end at any moment, without an error message."""

    disable = True  # until it is made: a signal may end its __init__, and __del__ asks
    monitor_interval = 0  # no thread, which cannot be ended while it starts


_IMAGES_PER_BATCH = 256  # so that the progress bar moves a few times a second
_BYTES_PER_BATCH = 2**24  # of uint8: 111 images of 224 x 224 in colour, 64 MiB as float32


def images_of(
    pipeline: Pipeline, directory: str, files: Sequence[str], n_jobs: int
) -> tuple[LazyImages, list[Any]]:
    """Describe the images of files as a pipeline reads them, and list its other steps.

    The loader may read what `directory`, a path or a URL, leads to, and nothing else. The
    images are all of one size. Raises TypeError, ValueError or NotFittedError if the pipeline
    does not begin with a JpegLoader and a Resizer, or is not fitted.
    """
    for step in flat_steps(pipeline)[:1]:
        if isinstance(step, JpegLoader):
            step.set_params(protocols=protocols_of(directory))
    images, steps = describe_files(pipeline, files)
    if images.ndim == 1:
        raise ValueError(
            "the pipeline has no Resizer after its JpegLoader, and one array takes images of "
            "one size. Make it with `sknorm-images fit` or make_image_pipeline."
        )
    return images.configured(n_jobs=n_jobs), steps


def transform_batches(
    images: LazyImages, steps: Sequence[Any], description: str
) -> Iterator[tuple[slice, Any, list[int]]]:
    """Transform images in bounded memory, with a progress bar called `description`.

    Yields for each batch the rows of `images` that it holds, what the steps make of them
    (their pixels if there are none), and which rows of that are blank, since an image cannot
    be read. With ``on_error="blank"``, the first 20 of these are named on stderr and the
    others counted at the end, where ValueError is raised if no image could be read. With
    ``on_error="raise"``, ImageDecodeError or OSError is raised at once.
    """
    n_images, *shape = images.shape
    fitting = _BYTES_PER_BATCH // int(np.prod(shape))
    n_at_once = max(4 * cpu_count(), min(fitting, _IMAGES_PER_BATCH))
    n_failed = 0
    told: dict[str, object] = {}
    bar = _ProgressBar(
        total=n_images, desc=description, unit="image", disable=None
    )  # on terminals
    with bar:
        for start in range(0, n_images, n_at_once):
            rows = slice(start, min(start + n_at_once, n_images))
            positions = range(rows.start, rows.stop)
            X, failures = transform_images(steps, images[rows], positions, told)
            complain_of(failures.values(), n_failed)
            n_failed += len(failures)
            yield rows, X, list(failures)
            bar.update(rows.stop - rows.start)
    complain_of_others(n_failed)
    if n_failed == n_images:
        raise ValueError(
            f"none of the {n_images} images can be read, so there is nothing to write. Check "
            "the folder."
        )
