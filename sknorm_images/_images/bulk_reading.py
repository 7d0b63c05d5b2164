"""Read many images in parallel: one by one, into one array, or reduced to one value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sknorm_images._common.cancellation import check_cancelled
from sknorm_images._common.exceptions import ImageDecodeError
from sknorm_images._common.failures import READ_ERRORS, Failures, forget_frames
from sknorm_images._common.parallel import Reach, map_chunks
from sknorm_images._common.shared_array import SharedArray
from sknorm_images._common.wording import show_name
from sknorm_images._files.reading import name_of
from sknorm_images._images.decoding import ContentError, Picture, Pixels
from sknorm_images._images.recipes import Made, Recipe, as_pixels
from sknorm_images._images.stacks import Stack

if TYPE_CHECKING:
    from sknorm_images._images.fast_lane import FastLane

Task: TypeAlias = Callable[..., tuple[Failures, Any]]


def _ignore_progress(n_images: int) -> None:
    pass


def _no_summary(*_: Any) -> None:
    pass


def reduce_images(
    recipe: Recipe,
    sources: Sequence[Any],
    task: Task,
    columns: tuple[NDArray[Any], ...] = (),
    *,
    n_jobs: int | None = None,
    verbose: int = 0,
    reach: Reach = "cluster",
    chunk_size: int | None = None,
    description: str = "",
    advance: Callable[[int], None] = _ignore_progress,
) -> tuple[Any, Failures]:
    """Run `task` on chunks of images in parallel, and add up what it returns.

    `task(recipe, sources, rows, *columns)` is called with some of the sources, their slice
    among all sources, and the same slice of each column, an array with one entry per image.
    It returns the failures in the chunk, as `read_stacks` does, and a value or None. `reach`
    is that of `map_chunks`. None as `chunk_size` picks one that suits many workers.
    `advance(n)` is called when n more images are done. Returns the sum of the values, in order
    (None if there were none), and the failures. With ``on_error="raise"``, the first of these,
    an ImageDecodeError or OSError, is raised.
    """
    total = None
    failures = Failures()
    results = map_chunks(
        task,
        len(sources),
        lambda rows: (recipe, sources[rows], rows, *(column[rows] for column in columns)),
        chunk_size=chunk_size,
        n_jobs=n_jobs,
        reach=reach,
        verbose=verbose,
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
    sources: Sequence[Any],
    dtype: DTypeLike,
    write: Callable[[NDArray[Any], Pixels], None] = np.copyto,
    summarise: Callable[..., Any] = _no_summary,
    columns: tuple[NDArray[Any], ...] = (),
    **options: Any,
) -> tuple[NDArray[Any], Any, Failures]:
    """Read all images into one array, in threads of this process or in loky's processes.

    `write(part, pixels)` is called with some images and the part of the array that they fill,
    both of shape (n_images, height, width, n_channels); images that cannot be read are zeros
    there. `summarise(part, failures, *columns)` is called when a chunk is complete, with the
    part of each column that belongs to it. Both can be pickled. `options` are those of
    `reduce_images`. Returns the array, of shape (n_samples, height, width, n_channels), the
    sum of what `summarise` returned, and the failures. Raises ValueError if images differ in
    size, and what `reduce_images` raises.
    """
    found = Failures()
    if len(sources) and not recipe.resizings:  # the first one sets the size, and is kept
        sources = [Made(read_one(recipe, sources, 0, found)), *sources[1:]]
    out = SharedArray(common_shape(recipe, sources), dtype)
    with closing(out):
        total, failures = reduce_images(
            recipe,
            sources,
            partial(_fill, out, write, summarise),
            columns,
            reach="machine",
            description="decode",
            **options,
        )
        found.add(failures, 0)
        return out.finish(), total, found


def _fill(
    out: SharedArray,
    write: Callable[[NDArray[Any], Pixels], None],
    summarise: Callable[..., Any],
    recipe: Recipe,
    sources: Sequence[Any],
    rows: slice,
    *columns: NDArray[Any],
) -> tuple[Failures, Any]:
    target = out.array[rows]

    def receive(rows: slice, pixels: Pixels) -> None:
        write(target[rows], pixels)

    failures = read_alike(recipe, sources, rows.start, target.shape[1:], receive)
    return failures, summarise(failures.zeroed(target), failures, *columns)


def common_shape(recipe: Recipe, sources: Sequence[Any]) -> tuple[int, ...]:
    """Shape of the array of all images; without a Resizer, the first image sets it."""
    if recipe.resizings:
        return len(sources), *recipe.shape
    if not len(sources):
        return 0, 0, 0, recipe.n_channels
    first = read_one(recipe, sources, 0, Failures())  # raises if it would be blank
    return len(sources), *first.shape


def read_alike(
    recipe: Recipe,
    sources: Sequence[Any],
    start: int,
    shape: tuple[int, ...],
    receive: Callable[[slice, Pixels], None],
) -> Failures:
    """Decode images as `read_stacks` does, and check that all have the same shape.

    ``receive(rows, pixels)`` is called with a slice of `sources`, and an array of their images
    of shape (n_images, height, width, n_channels). `shape` is the shape of one image, and
    `start` is the position of the first image among all images, for messages. Raises
    ValueError if an image has another shape, or if one has to be left blank and its size is
    unknown for lack of a Resizer.
    """

    def check(i: int, images: Picture | Stack) -> None:
        if isinstance(images, Stack):
            pixels = images.pixels()
        else:
            pixels = as_pixels(images)[np.newaxis]
        if pixels.shape[1:] != shape:
            raise ValueError(
                f"Image {start + i}, {show_name(name_of(sources[i]))}, is of shape "
                f"{pixels.shape[1:]}, others are of shape {shape}, and one array takes one "
                "shape. Add a Resizer after the JpegLoader."
            )
        receive(slice(i, i + len(pixels)), pixels)

    failures = read_stacks(recipe, sources, check)
    if failures and recipe.on_error == "blank":
        recipe.make_blank(next(iter(failures.values())))  # raises where its size is unknown
    return failures


def read_stacks(
    recipe: Recipe, sources: Sequence[Any], receive: Callable[[int, Picture | Stack], None]
) -> Failures:
    """Decode images in this thread, and pass them on in order, one or several at a time.

    ``receive(position, images)`` is called with the position of the first image and a stack,
    which is used again afterwards, or with one image as it was made: from a file, as Pillow
    holds it. The failures are returned, not raised; with ``on_error="raise"``, reading stops
    at the first one. In a chunk of `map_chunks` that is cancelled, it stops between two
    images.
    """
    failures = Failures()
    contents = recipe.contents_of(sources)
    with recipe.fast_lane() as lane:

        def pass_stack_on(end: int) -> None:
            if lane is not None and (n_images := lane.stack.n_images):
                receive(end - n_images, lane.stack)
                lane.stack.n_images = 0

        for i, source in enumerate(sources):
            check_cancelled()
            try:
                picture = _make(recipe, lane, source, i, next(contents), failures)
            except READ_ERRORS as error:
                failures[i] = error
                pass_stack_on(i)
                if recipe.on_error == "raise":
                    return failures
                forget_frames(error)
                continue
            if picture is not None:
                pass_stack_on(i)
                receive(i, picture)
            elif lane is not None and lane.stack.n_images == lane.stack.capacity:
                pass_stack_on(i + 1)
        pass_stack_on(len(sources))
    return failures


def read_one(recipe: Recipe, sources: Sequence[Any], i: int, failures: Failures) -> Pixels:
    """Decode one image; with ``on_error="blank"``, note a bad one and return it black."""
    try:
        source = sources[i]
        with recipe.fast_lane() as lane:
            content = recipe.content_of(source)
            picture = _make(recipe, lane, source, i, content, failures)
            if picture is not None:
                pixels = as_pixels(picture)
            else:
                assert lane is not None
                pixels = lane.stack.pixels()[0].copy()
        return pixels if pixels.flags.writeable else pixels.copy()
    except READ_ERRORS as error:
        if isinstance(error, ImageDecodeError):
            error.position = i
        if recipe.on_error == "raise":
            raise
        failures[i] = forget_frames(error)
        return recipe.make_blank(error)


def _make(
    recipe: Recipe,
    lane: FastLane | None,
    source: Any,
    i: int,
    content: Any,
    failures: Failures,
) -> Picture | None:
    """Make one image of its content, or raise the error that came in place of that.

    Here it is chosen what decodes and resizes: an image that the lane takes is in its stack,
    and None is returned. An error about the content gets the name of the source; its position
    is added with the failures. Lost transparency is noted in `failures`.
    """
    if lane is not None and isinstance(content, bytes) and lane.take(content):
        return None
    if isinstance(content, Exception):
        raise content
    try:
        picture, lost_transparency = recipe.make(content)
    except ContentError as error:
        raise ImageDecodeError(name_of(source), str(error)) from error.__cause__
    if lost_transparency:
        failures.note_transparency(i, name_of(source))
    return picture
