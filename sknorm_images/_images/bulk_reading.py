"""Many images read in parallel: one by one, into one array, or reduced to one value."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sknorm_images._common.cancellation import check_cancelled
from sknorm_images._common.failures import READ_ERRORS, Failures, forget_frames
from sknorm_images._common.parallel import map_chunks
from sknorm_images._common.wording import show_name
from sknorm_images._images.decoding import Picture, Pixels
from sknorm_images._images.recipes import Made, Recipe, as_pixels

Task: TypeAlias = Callable[..., tuple[Failures, Any]]


def _tell_nobody(n_images: int) -> None:
    pass


def reduce_images(
    recipe: Recipe,
    task: Task,
    columns: tuple[NDArray[Any], ...] = (),
    *,
    local: bool = False,
    chunk_size: int | None = None,
    description: str = "",
    advance: Callable[[int], None] = _tell_nobody,
) -> tuple[Any, Failures]:
    """Run `task` on chunks of images in parallel, and add up what it returns.

    Parameters
    ----------
    recipe : Recipe
        The images.
    task : callable
        Called as ``task(chunk, rows, *columns)`` with some of the images, the slice of all
        that they are, and the same slice of each column. Returns the failures in the
        chunk, as `read_each` does, and a value or None.
    columns : tuple of ndarray, default=()
        Arrays of one entry an image.
    local : bool, default=False
        Run in threads of this process, whatever joblib backend is configured.
    chunk_size : int or None, default=None
        Number of images in each chunk but the last; None takes what suits many workers.
    description : str, default=""
        What the progress bar is called.
    advance : callable, optional
        Called as ``advance(n)`` when n more images are done.

    Returns
    -------
    total : object
        The sum of the values, in order; None where there was none.
    failures : dict of int to Exception
        The images that cannot be read.

    Raises
    ------
    ImageDecodeError, OSError
        If an image cannot be read and `on_error` is ``"raise"``: the first one.
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
    advance: Callable[[int], None] = _tell_nobody,
) -> tuple[NDArray[Any], Any, Failures]:
    """Make one array of all images, in local threads.

    Parameters
    ----------
    recipe : Recipe
        The images.
    dtype : dtype
        Of the array.
    write : callable, default=numpy.copyto
        Called as ``write(row, pixels)`` for every image; fills its row of the array.
    summarise : callable, by default one that gives None
        Called as ``summarise(out[rows], rows, failures)`` when a chunk is complete.
    advance : callable, optional
        Called as ``advance(n)`` when n more images are done.

    Returns
    -------
    out : ndarray of shape (n_samples, height, width, n_channels)
        The array. Rows of images that cannot be read are zeros.
    total : object
        The sum of what `summarise` returned.
    failures : dict of int to Exception
        The images that cannot be read.

    Raises
    ------
    ValueError
        If images differ in size.
    ImageDecodeError, OSError
        As `reduce_images` raises them.
    """
    found = Failures()
    if len(recipe) and not recipe.resizings:  # the first one tells the size, and is kept
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
    """Shape of the array of all images; without a Resizer, the first one tells."""
    if recipe.resizings:
        return recipe.shape
    if not len(recipe):
        return 0, 0, 0, recipe.n_channels
    return len(recipe), *read_one(recipe, 0, Failures()).shape  # a blank one has none


def read_alike(
    recipe: Recipe,
    start: int,
    shape: tuple[int, ...],
    receive: Callable[[int, Pixels], None],
) -> Failures:
    """Decode images as `read_each` does, and see that they are of one shape.

    Parameters
    ----------
    recipe : Recipe
        Some of the images.
    start : int
        Which one of all the first of them is.
    shape : tuple of int
        ``(height, width, n_channels)`` of them all.
    receive : callable
        Called as ``receive(position, pixels)`` for every image that can be read.

    Returns
    -------
    dict of int to Exception
        The images that cannot be read.

    Raises
    ------
    ValueError
        If an image is of another shape, or one that is to be left blank is of none.
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
    """Decode images in this thread, and hand each to ``receive(position, picture)``.

    Under ``on_error="raise"`` it stops at the first image that cannot be read, and in a
    chunk of `map_chunks` that is cancelled, between two images.

    Parameters
    ----------
    recipe : Recipe
        The images.
    receive : callable
        Called for every image that can be read: one from a file is still Pillow's.

    Returns
    -------
    dict of int to Exception
        The images that cannot be read.
    """
    failures = Failures()
    contents = recipe.read_ahead()
    for i in range(len(recipe)):
        check_cancelled()
        content = next(contents)
        try:
            if isinstance(content, Exception):
                raise content
            picture = recipe.make(i, content, failures)
        except READ_ERRORS as error:
            failures[i] = error
            if recipe.on_error == "raise":
                break
            forget_frames(error)
        else:
            receive(i, picture)
    return failures


def read_one(recipe: Recipe, i: int, failures: Failures) -> Pixels:
    """Decode one image; under ``on_error="blank"`` a bad one is noted and black."""
    try:
        pixels = as_pixels(recipe.make(i, found=failures))
        return pixels if pixels.flags.writeable else pixels.copy()
    except READ_ERRORS as error:
        if recipe.on_error == "raise":
            raise
        failures[i] = forget_frames(error)
        return recipe.make_blank(error)
