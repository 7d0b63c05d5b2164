"""The output of a fitted pipeline as a Dask array, which is computed block by block."""

from __future__ import annotations

import warnings
from copy import deepcopy
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

try:
    import dask.array as da
    from dask import config
    from dask.delayed import delayed
except ImportError as error:
    raise ImportError(
        f"sknorm_images.distributed needs Dask, and importing it fails: {error}. "
        'Run: python -m pip install "sknorm-images[distributed]"'
    ) from error

import numpy as np
from joblib import parallel_config
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from sknorm_images import ImageDecodeWarning, LazyImages, Resizer
from sknorm_images._common.parameters import check_number
from sknorm_images._common.wording import show_value
from sknorm_images._common.workers import check_dask_workers, current_dask_client
from sknorm_images._steps import describe_files, describe_images, flat_steps, transform_images

__all__ = ["to_dask_array"]


def to_dask_array(
    pipeline: Pipeline, X: Any, *, chunks: int | tuple[int, ...] | list[int] = 256
) -> da.Array:
    """Describe ``pipeline.transform(X)`` as a Dask array, which reads files when computed.

    So ``.to_zarr(...)``, ``.mean(axis=0)`` or a slice work on more images than fit into
    memory, in threads on this machine or on a cluster (with Dask's current scheduler). Shape
    and dtype are known at once, and no file is opened.

    Parameters
    ----------
    pipeline : Pipeline
        A fitted pipeline that begins with a `JpegLoader`, such as one from
        `make_image_pipeline`. ``pipeline[:-1]`` gives uint8 pixels. It is copied, so a later
        `fit` changes nothing.
    X : array-like of shape (n_samples,) or (n_samples, 1)
        What the loader takes: paths, URLs, bytes, binary files or images. On a cluster, its
        workers have to find the paths.
    chunks : int, or tuple or list of ints, default=256
        Number of images in each block; or one number per block, adding up to the length of X.

    Returns
    -------
    dask.array.Array
        Of the shape and dtype that ``pipeline.transform(X)`` has, blocked along the first
        axis.

    Raises
    ------
    TypeError
        If `pipeline` does not begin with a `JpegLoader`, or does not transform; if X is of a
        kind that the loader does not take; or if `chunks` are not integers.
    ValueError
        If X is empty, images of differing sizes have no common shape, since there is no
        `Resizer`, or `chunks` are below 1 or do not add up.
    ImportError
        If fsspec, or the library that it reads a URL with, is not installed; or if a worker
        or the scheduler of the current Dask client cannot import this package.
    sklearn.exceptions.NotFittedError
        If the pipeline is not fitted.

    See Also
    --------
    save_images : Writes what the first steps make to this machine's disk.

    Notes
    -----
    One thread computes a block, whatever the `n_jobs` of the loader, and Dask computes several
    at once. A block takes the memory of the pipeline's output; with ``on_error="blank"``, also
    that of its uint8 pixels.

    An image that cannot be read raises the same error as in `transform`, with its position in
    X, when its block is computed. With ``on_error="blank"`` it becomes zeros, and the warning
    appears where its block is computed: on a cluster, in the log of a worker. `check_images`
    finds such images beforehand.

    A `WorkerVersionWarning` names workers of the current Dask client that have another version
    of this package, of Pillow or of libjpeg. Workers that join later are not asked.

    Examples
    --------
    >>> import io
    >>> from PIL import Image
    >>> from sklearn.datasets import load_sample_image
    >>> from sknorm_images import make_image_pipeline
    >>> from sknorm_images.distributed import to_dask_array
    >>> file = io.BytesIO()
    >>> Image.fromarray(load_sample_image("china.jpg")).save(file, "JPEG")
    >>> X = [file.getvalue()] * 1000
    >>> pipeline = make_image_pipeline((32, 48)).fit(X[:1])
    >>> array = to_dask_array(pipeline, X)
    >>> array.shape, array.dtype, array.chunksize
    ((1000, 32, 48, 3), dtype('float32'), (256, 32, 48, 3))
    >>> array[500:502].compute().shape  # decodes one block
    (2, 32, 48, 3)
    """
    images, steps = describe_files(pipeline, X)
    if not len(images):
        raise ValueError("X is empty, so there is nothing to transform. Check X.")
    sizes = _sizes(chunks, len(images))
    example = _example(pipeline)
    _check_workers()
    images = images.configured()
    blocks = np.empty(len(sizes), object)
    for i, (stop, size) in enumerate(zip(accumulate(sizes), sizes, strict=True)):
        rows = range(stop - size, stop)
        blocks[i] = _Block(rows, images[rows.start : rows.stop])
    # One block of images is one element, and Dask cuts up an array at once, so each task
    # carries only its own paths. The steps are a task of their own.
    array: da.Array = da.map_blocks(
        _transform,
        da.from_array(blocks, chunks=1, name=False),
        delayed(deepcopy(steps), traverse=False),
        chunks=(sizes, *((length,) for length in example.shape[1:])),
        new_axis=list(range(1, example.ndim)),
        meta=example[:0],
    )
    return array


@dataclass(frozen=True)
class _Block:
    rows: range  # the positions of the images in X
    images: LazyImages


def _transform(blocks: NDArray[np.object_], steps: list[Any]) -> NDArray[Any]:
    """Compute one block, in this thread; `blocks` holds just that."""
    block: _Block = blocks[0]
    with parallel_config(backend="sequential"):
        X, failures = transform_images(steps, block.images, block.rows)
    if failures:
        by_position = {block.rows[i]: error for i, error in failures.items()}
        warnings.warn(ImageDecodeWarning(by_position, len(block.rows)), stacklevel=1)
    return np.asarray(X)


def _example(pipeline: Pipeline) -> NDArray[Any]:
    """Transform two small images of differing sizes, to learn shape and dtype."""
    shapes = (8, 12, 3), (12, 8, 3)
    images, steps = describe_images(pipeline, [np.zeros(shape, np.uint8) for shape in shapes])
    try:
        return _transform(np.array([_Block(range(2), images.configured())], object), steps)
    except ValueError as error:
        if not any(isinstance(step, Resizer) for step in flat_steps(pipeline)):
            raise ValueError(
                "pipeline has no Resizer after its JpegLoader, so images of differing sizes "
                "have no common shape. Add one, as make_image_pipeline does."
            ) from error
        error.add_note("Images 0 and 1 stand for those of X here, to learn their shape.")
        raise


def _check_workers() -> None:
    """Check the workers of the cluster that would compute an array now, if there is one."""
    if config.get("scheduler", None) in (None, "distributed", "dask.distributed"):
        client = current_dask_client()
        if client is not None:
            check_dask_workers(client)


def _sizes(chunks: int | tuple[int, ...] | list[int], n_images: int) -> tuple[int, ...]:
    if not isinstance(chunks, tuple | list):
        check_number("chunks", chunks, low=1, integral=True)
        size = int(chunks)
        return tuple(min(size, n_images - start) for start in range(0, n_images, size))
    for size in chunks:
        check_number("chunks", size, low=1, integral=True)
    if sum(chunks) != n_images:
        raise ValueError(
            f"chunks={show_value(chunks)} add up to {show_value(sum(chunks))} images, and X "
            f"has {n_images}. Pass numbers that add up, or one number for all blocks."
        )
    return tuple(map(int, chunks))
