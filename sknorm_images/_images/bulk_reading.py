"""Read many images in parallel: one by one, into one array, or reduced to one value."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sknorm_images._common.cancellation import check_cancelled
from sknorm_images._common.exceptions import ImageDecodeError
from sknorm_images._common.failures import READ_ERRORS, Failures, forget_frames
from sknorm_images._common.parallel import map_chunks
from sknorm_images._common.wording import show_name
from sknorm_images._images.decoding import ContentError, Picture, Pixels
from sknorm_images._images.recipes import Made, Recipe, as_pixels

Task: TypeAlias = Callable[..., tuple[Failures, Any]]


def _ignore_progress(n_images: int) -> None:
    pass


def reduce_images(
    recipe: Recipe,
    task: Task,
    columns: tuple[NDArray[Any], ...] = (),
    *,
    local: bool = False,
    chunk_size: int | None = None,
    description: str = "",
    advance: Callable[[int], None] = _ignore_progress,
) -> tuple[Any, Failures]:
    """Run `task` on chunks of images in parallel, and add up what it returns.

    `task(chunk, rows, *columns)` is called with some of the images, their slice among all
    images, and the same slice of each column, an array with one entry per image. It returns
    the failures in the chunk, as `read_each` does, and a value or None. With `local`, the work
    stays in threads of this process, whatever joblib backend is configured. None as
    `chunk_size` picks one that suits many workers. `advance(n)` is called when n more images
    are done. Returns the sum of the values, in order (None if there were none),
    and the failures. With ``on_error="raise"``, the ImageDecodeError or OSError of the first
    failure is raised.
    """
    total = None
    failures = Failures()
    results = map_chunks(
        task,
        len(recipe),
        lambda rows: (recipe.take(rows), rows, *(column[rows] for column in columns)),
        chunk_size=chunk_size,
        n_jobs=recipe.n_jobs,
        local=local,
        verbose=recipe.verbose,
        description=description,
    )
    with closing(results):
        for rows, (found, value) in results:
            failures.add(found, rows.start)
            if failures and recipe.on_error == "raise":
                raise next(iter(failures.values()))
            if value is not None:
                total = value if total is None else total + value
            advance(rows.stop - rows.start)
    return total, failures


def read_array(
    recipe: Recipe,
    dtype: DTypeLike,
    write: Callable[[NDArray[Any], Pixels], None] = np.copyto,
    summarise: Callable[[NDArray[Any], slice, Failures], Any] = lambda *_: None,
    advance: Callable[[int], None] = _ignore_progress,
) -> tuple[NDArray[Any], Any, Failures]:
    """Read all images into one array, in threads of this process.

    `write(row, pixels)` is called for every image and fills its row of the array; the rows of
    images that cannot be read are zeros. `summarise(out[rows], rows, failures)` is called when
    a chunk is complete, and `advance(n)` when n more images are done. Returns the array, of
    shape (n_samples, height, width, n_channels), the sum of what `summarise` returned, and the
    failures. Raises ValueError if images differ in size, and what `reduce_images` raises.
    """
    found = Failures()
    if len(recipe) and not recipe.resizings:  # the first one sets the size, and is kept
        first = Made(read_one(recipe, 0, found))
        recipe = replace(recipe, sources=[first, *recipe.sources[1:]])
    shape = common_shape(recipe)
    out = np.empty(shape, dtype)

    def fill_chunk(chunk: Recipe, rows: slice) -> tuple[Failures, Any]:
        target = out[rows]

        def receive(i: int, pixels: Pixels) -> None:
            write(target[i], pixels)

        failures = read_alike(chunk, rows.start, shape[1:], receive)
        target[list(failures)] = 0
        return failures, summarise(target, rows, failures)

    total, failures = reduce_images(
        recipe, fill_chunk, local=True, description="decode", advance=advance
    )
    found.add(failures, 0)
    return out, total, found


def common_shape(recipe: Recipe) -> tuple[int, ...]:
    """Shape of the array of all images; without a Resizer, the first image sets it."""
    if recipe.resizings:
        return recipe.shape
    if not len(recipe):
        return 0, 0, 0, recipe.n_channels
    return len(recipe), *read_one(recipe, 0, Failures()).shape  # raises if it would be blank


def read_alike(
    recipe: Recipe,
    start: int,
    shape: tuple[int, ...],
    receive: Callable[[int, Pixels], None],
) -> Failures:
    """Decode images as `read_each` does, and check that all have the same shape.

    `shape` is ``(height, width, n_channels)``, and `start` is the position of the first image
    among all images, for messages. Raises ValueError if an image has another shape, or if one
    has to be left blank and its size is unknown for lack of a Resizer.
    """

    def check(i: int, picture: Picture) -> None:
        pixels = as_pixels(picture)
        if pixels.shape != shape:
            raise ValueError(
                f"Image {start + i}, {show_name(recipe.name(i))}, is of shape {pixels.shape}, "
                f"others are of shape {shape}, and one array takes one shape. Add a Resizer "
                "after the JpegLoader."
            )
        receive(i, pixels)

    failures = read_each(recipe, check)
    if failures and recipe.on_error == "blank":
        recipe.make_blank(next(iter(failures.values())))  # raises where its size is unknown
    return failures


def read_each(recipe: Recipe, receive: Callable[[int, Picture], None]) -> Failures:
    """Decode images in this thread, and pass each to ``receive(position, picture)``.

    Images from files are passed on as Pillow holds them. The failures are returned, not
    raised; with ``on_error="raise"``, reading stops at the first one. In a chunk of
    `map_chunks` that is cancelled, it stops between two images.
    """
    failures = Failures()
    contents = recipe.contents()
    for i in range(len(recipe)):
        check_cancelled()
        try:
            picture = _make(recipe, i, next(contents), failures)
        except READ_ERRORS as error:
            failures[i] = error
            if recipe.on_error == "raise":
                break
            forget_frames(error)
        else:
            receive(i, picture)
    return failures


def read_one(recipe: Recipe, i: int, failures: Failures) -> Pixels:
    """Decode one image; with ``on_error="blank"``, note a bad one and return it black."""
    try:
        pixels = as_pixels(_make(recipe, i, recipe.content(i), failures))
        return pixels if pixels.flags.writeable else pixels.copy()
    except READ_ERRORS as error:
        if isinstance(error, ImageDecodeError):
            error.position = i
        if recipe.on_error == "raise":
            raise
        failures[i] = forget_frames(error)
        return recipe.make_blank(error)


def _make(recipe: Recipe, i: int, content: Any, failures: Failures) -> Picture:
    """Make one image, or raise the error that came in place of its content.

    An error about the content gets the name of the image; its position is added with the
    failures. Lost transparency is noted in `failures`.
    """
    if isinstance(content, Exception):
        raise content
    try:
        picture, lost_transparency = recipe.make(content)
    except ContentError as error:
        raise ImageDecodeError(recipe.name(i), str(error)) from error.__cause__
    if lost_transparency:
        failures.note_transparency(i, recipe.name(i))
    return picture
