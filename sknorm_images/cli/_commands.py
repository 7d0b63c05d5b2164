"""The commands of ``sknorm-images``."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import joblib
import numpy as np
import typer
from numpy.typing import NDArray

from sknorm_images import (
    ChannelMinMaxScaler,
    JpegLoader,
    __version__,
    check_images,
    make_image_pipeline,
)
from sknorm_images._common.failures import ON_ERROR_CHOICES
from sknorm_images._common.parameters import check_choice
from sknorm_images._common.whole_files import whole_file
from sknorm_images._common.wording import shorten, show_name
from sknorm_images._files.listing import EXTENSIONS
from sknorm_images._files.protocols import protocols_of
from sknorm_images._images.checking import as_objects
from sknorm_images._images.class_table import tables_of, training_of
from sknorm_images._images.color_modes import COLOR_MODES
from sknorm_images._images.color_profiles import COLOR_PROFILES
from sknorm_images._images.findings import find_all, findings_in
from sknorm_images._images.resizing import ASPECT_RATIOS, ENGINES, INTERPOLATIONS
from sknorm_images._pipeline import SCALERS
from sknorm_images._scaling.base import ChannelScaler
from sknorm_images._steps import color_mode_of, flat_steps
from sknorm_images.cli._batches import images_of, transform_batches
from sknorm_images.cli._exports import write_csv, write_json
from sknorm_images.cli._files import (
    allow_pixels,
    image_files,
    labelled_files,
    load_pipeline,
    parse_extensions,
    parse_names,
    saved_class_names,
    write_npz,
)
from sknorm_images.cli._tables import (
    numbered,
    show_classes,
    show_findings,
    show_statistics,
    show_steps,
    show_summary,
)
from sknorm_images.cli._terminal import (
    MOST_FILES,
    complain,
    complain_of,
    complain_of_others,
    count,
    tell_passed_over,
    tell_written,
)
from sknorm_images.cli._wording import in_options

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _option(metavar: str, text: str, *names: str) -> Any:
    return typer.Option(*names, metavar=metavar, help=text)


def _flag(text: str, name: str) -> Any:
    return typer.Option(name, help=text, metavar="")


def _choice(names: Collection[str], text: str) -> Any:
    return _option("|".join(names), text)


# Of files that no command, or only another one, writes.
_SUFFIXES = frozenset(
    {".joblib", ".pkl", ".pickle", ".skops", ".keras", ".h5", ".hdf5", ".onnx", ".pt", ".pth"}
    | {".npz", ".npy", ".zarr", ".csv", ".tsv", ".parquet", ".json", ".jsonl", ".yaml", ".yml"}
    | {".html", ".htm", ".pdf", ".txt", ".md", ".ipynb", ".py", ".xlsx", ".zip", ".gz", ".tar"}
    | {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
    | {".svg", ".avif", ".heic"}
)


def _expanded(given: Any) -> Any:
    """Expand ``~`` in a path, or in each of several: no shell does in ``--output=~/x``."""
    if isinstance(given, str | Path):
        # Unlike Path.expanduser, this leaves a ~name alone that no user has.
        return type(given)(os.path.expanduser(given))  # noqa: PTH111
    return given and [_expanded(path) for path in given]


def _folder(text: str) -> Any:
    return typer.Argument(metavar="DIR", help=text, callback=_expanded)


def _file(text: str, *names: str) -> Any:
    return typer.Option(*names, metavar="FILE", help=text, callback=_expanded)


def _output(kind: str, *suffixes: str) -> Any:
    """Make the option for an output of this `kind`, whose name may end in one of `suffixes`.

    What names no other kind of file, such as ``.v2``, is part of the name.
    """

    def checked(given: Path) -> Path:
        path: Path = _expanded(given)
        if path.suffix.lower() in _SUFFIXES.difference(suffixes):
            other = path.with_suffix(suffixes[0])
            raise ValueError(
                f"--output {show_name(str(path))} ends in {shorten(path.suffix)}, and this "
                f"command writes {kind}. Pass --output {show_name(str(other))}."
            )
        return path

    text = f"{kind[0].upper()}{kind[1:]}, written whole or not at all."
    return typer.Option("--output", "-o", metavar="FILE", help=text, callback=checked)


# str, since a Path drops a slash from a URL
Folder = Annotated[
    str,
    _folder(
        "Folder of JPEG files, or with one sub-folder of them per class. A path or a URL."
    ),
]
AnyFolder = Annotated[str, _folder("Folder of JPEG files, at any depth. A path or a URL.")]
_WHAT = "Pipeline that `fit` wrote. It is a pickle, which runs code: use only your own."
SavedPipeline = Annotated[Path, _file(_WHAT, "--pipeline", "-p")]
Force = Annotated[bool, _flag("Overwrite the output if it exists.", "--force")]
ClassNames = Annotated[
    str | None,
    _option(
        "A,B,C", "All classes, in the order of their numbers. Default: those that `fit` saved."
    ),
]
Extensions = Annotated[
    str | None,
    _option("A,B", f"Extensions of the files to read. Default: {','.join(EXTENSIONS)}."),
]
Formats = Annotated[
    str | None,
    _option("A,B", "Formats to decode, such as JPEG,PNG. Default: JPEG, or as in --pipeline."),
]
MaxPixels = Annotated[int | None, _option("N", "Refuse images with more pixels.")]
MaxScans = Annotated[int | None, _option("N", "Refuse JPEG files with more scans.")]
ColorProfile = Annotated[
    str | None,
    _choice(
        COLOR_PROFILES,
        "Convert colour profiles to sRGB, or ignore them. Default: as in the pipeline, or "
        "ignore.",
    ),
]
Background = Annotated[
    str | None,
    _option("GREY or R,G,B", "Colour behind transparent pixels, such as 255."),
]
Jobs = Annotated[
    int, _option("N", "Number of images to decode at once; -1: all cores.", "--jobs", "-j")
]
Pair = tuple[float, float]
_DTYPES = ("float16", "float32", "float64")


def _command(example: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command, with its docstring as its help.

    Typer would keep the line breaks of all paragraphs but the first, whatever the terminal's
    width.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        paragraphs = (inspect.getdoc(function) or "").split("\n\n")
        text = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
        return app.command(help=text, epilog=f"Example: {example}")(function)

    return register


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Turn folders of JPEG photos into normalised arrays."""


@_command("sknorm-images fit photos -o pipeline.joblib --size 224x224")
def fit(
    directory: Folder,
    output: Annotated[
        Path, _output("a pipeline as a .joblib file", ".joblib", ".pkl", ".pickle")
    ],
    size: Annotated[
        str, _option("HEIGHTxWIDTH", "Size of all images, in pixels; or one number.")
    ] = "224x224",
    scaler: Annotated[
        str, _choice(SCALERS, "Zero mean and unit variance, or a range.")
    ] = "standard",
    color_mode: Annotated[str, _choice(COLOR_MODES, "Mode of all images.")] = "rgb",
    interpolation: Annotated[
        str, _option("NAME", f"One of {', '.join(INTERPOLATIONS)}.")
    ] = "bilinear",
    aspect_ratio: Annotated[
        str,
        _choice(ASPECT_RATIOS, "ignore: stretch; crop: cut off the excess; pad: add borders."),
    ] = "ignore",
    engine: Annotated[str, _choice(ENGINES, "The library that resizes.")] = "pillow",
    on_error: Annotated[
        str,
        _choice(
            ON_ERROR_CHOICES, "Stop at a broken file, or leave it out, also in `transform`."
        ),
    ] = "raise",
    quantile_range: Annotated[
        Pair | None, _option("LOW HIGH", "minmax: percentiles to use as minimum and maximum.")
    ] = None,
    feature_range: Annotated[
        Pair | None, _option("LOW HIGH", "minmax: the range of the output.")
    ] = None,
    clip: Annotated[bool, _flag("minmax: clip values outside the range.", "--clip")] = False,
    class_names: Annotated[
        str | None,
        _option(
            "A,B,C", "All classes, in the order of their numbers. Default: the sub-folders."
        ),
    ] = None,
    extensions: Extensions = None,
    formats: Formats = None,
    max_pixels: MaxPixels = None,
    max_scans: MaxScans = None,
    color_profile: ColorProfile = None,
    background: Background = None,
    jobs: Jobs = -1,
    force: Force = False,
) -> None:
    """Learn the statistics of a folder, and save a pipeline that applies them.

    The class names are saved with it, so that `transform` gives each class the same number.
    """
    check_choice("scaler", scaler, SCALERS)
    of_range = {"quantile_range": quantile_range, "feature_range": feature_range}
    given: dict[str, Any] = {name: value for name, value in of_range.items() if value}
    given |= {"clip": True} if clip else {}
    if given and scaler != "minmax":
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ValueError(f"--scaler {shorten(scaler)} takes no {names}. Pass --scaler minmax.")
    pipeline = make_image_pipeline(
        _parse_size(size),
        ChannelMinMaxScaler(**given) if given else scaler,
        color_mode=color_mode,
        interpolation=interpolation,
        aspect_ratio=aspect_ratio,
        engine=engine,
        protocols=protocols_of(directory),
        on_error=on_error,
        n_jobs=jobs,
        verbose=sys.stderr.isatty(),
    )
    pipeline["load"].set_params(
        **_loading(formats, max_pixels, max_scans, color_profile, background)
    )
    allow_pixels(pipeline["load"])
    taken = parse_extensions(extensions)
    with whole_file(output, force, "--force") as file:
        photos = labelled_files(directory, taken, parse_names("--class-names", class_names))
        tell_passed_over(photos.passed_over, taken)
        pipeline.fit(photos.filenames)
        if photos.target_names is not None:
            pipeline.class_names_ = photos.target_names
        pipeline.set_params(load__n_jobs=None, load__verbose=0)  # settings for this machine
        joblib.dump(pipeline, file)
    show_statistics(pipeline[-1], color_mode)
    tell_written("the pipeline", output)


@_command("sknorm-images transform photos -p pipeline.joblib -o train.npz")
def transform(
    directory: Folder,
    pipeline: SavedPipeline,
    output: Annotated[Path, _output("arrays as an .npz file", ".npz")],
    dtype: Annotated[
        str | None,
        _choice(_DTYPES, "dtype of the images. Default: as in the pipeline."),
    ] = None,
    class_names: ClassNames = None,
    on_error: Annotated[
        str | None,
        _choice(
            ON_ERROR_CHOICES, "Stop at a broken file, or leave it blank. Default: as in `fit`."
        ),
    ] = None,
    extensions: Extensions = None,
    formats: Formats = None,
    max_pixels: MaxPixels = None,
    max_scans: MaxScans = None,
    color_profile: ColorProfile = None,
    background: Background = None,
    jobs: Jobs = -1,
    force: Force = False,
) -> None:
    """Write normalised images to an .npz file, for numpy.load.

    It contains images, filenames, sample_weight (0 for images that a pipeline with
    on_error="blank" left blank, else 1) and, for a folder of classes, labels and class_names.
    """
    if dtype not in (None, *_DTYPES):
        raise ValueError(
            f"--dtype {shorten(dtype)} cannot hold scaled values. Pass float16, float32 or "
            "float64."
        )
    loading = _loading(formats, max_pixels, max_scans, color_profile, background, on_error)
    loaded = load_pipeline(pipeline, loading)
    saved, taken = saved_class_names(loaded), parse_extensions(extensions)
    names = parse_names("--class-names", class_names)
    photos = labelled_files(directory, taken, names, saved)
    tell_passed_over(photos.passed_over, taken)
    images, steps = images_of(loaded, directory, photos.filenames, jobs)
    weights = np.ones(len(images), np.float32)

    def blocks() -> Iterator[NDArray[Any]]:
        for rows, X, blank in transform_batches(images, steps, "transform"):
            weights[rows][blank] = 0
            yield _cast(X, dtype)

    others = {"filenames": photos.filenames.astype(np.str_), "sample_weight": weights}
    if photos.target is not None:
        others |= {"labels": photos.target, "class_names": np.array(photos.target_names)}
    with whole_file(output, force, "--force") as file:
        what = write_npz(file, blocks(), len(images), others)
    if names and saved and not _number_alike(names, saved):
        complain(
            f"warning: --class-names numbers {shorten(numbered(names))}, and the pipeline "
            f"was fitted with {shorten(numbered(saved))}. Leave --class-names out to number "
            "as the pipeline does."
        )
    if photos.target is not None and class_names is None and not saved:
        complain(
            "warning: the pipeline has no class names, so this folder numbers its classes: "
            f"{shorten(numbered(photos.target_names))}. Pass --class-names to number them as "
            "another folder does."
        )
    if n_blank := int((weights == 0).sum()):
        what += f" ({n_blank:,} of them blank)"
    tell_written(what, output)


def _number_alike(names: Sequence[str], others: Sequence[str]) -> bool:
    """Whether two lists of classes give each class that is in both the same number."""
    number_of = {name: number for number, name in enumerate(others)}
    return all(number_of.get(name, number) == number for number, name in enumerate(names))


@_command("sknorm-images check photos/train photos/test")
def check(
    directories: Annotated[
        list[str],
        _folder("Folders, searched at any depth, the training folder first. Paths or URLs."),
    ],
    details: Annotated[
        bool, _flag("Measure the images, too: near duplicates, light, blur.", "--details")
    ] = False,
    as_json: Annotated[
        bool, _flag("Write everything about every file as JSON.", "--json")
    ] = False,
    as_csv: Annotated[
        bool, _flag("Write everything about every file as CSV.", "--csv")
    ] = False,
    extensions: Extensions = None,
    formats: Formats = None,
    max_pixels: MaxPixels = None,
    max_scans: MaxScans = None,
    color_profile: ColorProfile = None,
    background: Background = None,
    jobs: Jobs = -1,
) -> None:
    """Find leaks and broken, damaged and duplicate files, and count the files per class.

    A leak is a file that is in two folders, such as a test photo among the training photos, or
    in two parts of one folder, such as train and test. A damaged file can be read, but part of
    its picture is lost. The exit status is 1 if any of these is found, or a class without
    files. Near duplicates are only hints, also between folders, and don't change it. This
    command reads the same files as `fit` and `transform`.

    With --details, it also finds copies with the same pixels, which count as duplicates, and
    lists hints with what to do about them: near duplicates, images that are too dark, too
    bright, blurry or have little information, odd sizes and aspect ratios, grey images among
    colour images, colour profiles, and files whose name doesn't match their format.
    """
    if as_json and as_csv:
        raise ValueError("--json and --csv are two formats. Pass one of them.")
    protocols = {name for directory in directories for name in protocols_of(directory)}
    loading = _loading(formats, max_pixels, max_scans, color_profile, background)
    loader = JpegLoader(protocols=tuple(sorted(protocols)), **loading)
    allow_pixels(loader)
    taken = parse_extensions(extensions)
    photos = image_files(directories, taken)
    tell_passed_over(photos.passed_over, taken)
    is_split = any(photos.splits)
    found = check_images(
        photos.files,
        target=as_objects(photos.classes),
        split=as_objects(photos.splits) if is_split else None,
        loader=loader,
        details=details,
        n_jobs=jobs,
        verbose=sys.stderr.isatty(),
    )
    del found["classes"]  # those without files are not among them
    found.reason = as_objects([in_options(reason) for reason in found.reason])
    decoding = loader._decoding()
    if details and (as_json or as_csv):  # with the reasons as they are now
        found.findings[:] = find_all(found, decoding)
    if as_json:
        write_json(sys.stdout, found)
    elif as_csv:
        write_csv(sys.stdout, found)
    for message in islice(photos.empty, MOST_FILES):
        complain(f"warning: {in_options(message)} `fit` would stop there.")
    is_bad = ~found.readable | (found.damage != "") | (found.duplicate_of >= 0)
    if details:
        is_bad |= found.same_pixels_as >= 0
    status = int(is_bad.any() or bool(photos.empty))
    if not (as_json or as_csv):
        told = show_findings(found, partial(findings_in, found, decoding))
        tables = tables_of(found.target, found.get("split"), photos.empty_in)
        show_classes(tables)
        show_summary(found, told, len(photos.empty))
        place = directories[0]
        if len(directories) == 1 and (part := training_of(tables)):
            place = f"{place.rstrip('/')}/{part}"  # which `fit` should take by itself
        has_options = bool(loading or extensions)
        typer.echo(_next_step(place, status, bool(told.numbers), details, has_options))
    if status:
        raise typer.Exit(status)


def _next_step(
    directory: str, status: int, has_hints: bool, has_details: bool, has_options: bool
) -> str:
    """Say what a user should do after a check."""
    if status:
        return "Next: follow the advice above, and check again."
    if has_hints:
        return (
            "Next: look at the files above. These are hints: near duplicates may be different "
            "photos, and `fit` takes all of the files."
        )
    options = " with the same options" if has_options else ""
    fit = f"`sknorm-images fit {shlex.quote(shorten(directory))} -o pipeline.joblib`{options}"
    if has_details:
        return f"Next: learn the statistics with {fit}."
    return (
        "Next: look for near duplicates and poor photos, too, with `check --details`; or "
        f"learn the statistics with {fit}."
    )


@_command("sknorm-images show pipeline.joblib")
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=_WHAT, callback=_expanded)],
) -> None:
    """Show the steps of a saved pipeline, and what it learned.

    Loading a pipeline runs any code in its file. Use only your own, or those of people whom
    you would let run programs on your machine.
    """
    pipeline = load_pipeline(file)
    show_steps(str(file), pipeline)
    if names := saved_class_names(pipeline):
        typer.echo(f"classes: {numbered(names)}")
    for step in flat_steps(pipeline):
        if isinstance(step, ChannelScaler):
            show_statistics(step, color_mode_of(pipeline))


@_command("sknorm-images report photos -p pipeline.joblib -o report.html")
def report(
    context: typer.Context,
    directory: AnyFolder,
    pipeline: SavedPipeline,
    output: Annotated[Path, _output("a page as an .html file", ".html", ".htm")],
    extensions: Extensions = None,
    formats: Formats = None,
    max_pixels: MaxPixels = None,
    max_scans: MaxScans = None,
    color_profile: ColorProfile = None,
    background: Background = None,
    jobs: Jobs = -1,
    force: Force = False,
) -> None:
    """Write one HTML page about a folder, compared with the images of a pipeline's fit.

    First come broken files, duplicates and everything else that `check --details` finds, with
    thumbnails; then classes with samples, drift, statistics, histograms and outliers.
    """
    # Matplotlib takes a while to import; the first line says what to install without it.
    import sknorm_images.plotting  # noqa: F401 (for its ImportError)
    from sknorm_images.cli._report import make_report

    loaded = load_pipeline(
        pipeline, _loading(formats, max_pixels, max_scans, color_profile, background)
    )
    taken = parse_extensions(extensions)
    photos = image_files([directory], taken)
    tell_passed_over(photos.passed_over, taken)
    with whole_file(output, force, "--force") as file:
        page = make_report(
            directory,
            loaded,
            photos,
            command=_typed_command(context),
            n_jobs=jobs,
            verbose=sys.stderr.isatty(),
        )
        file.write(page.encode())
    tell_written(f"a report on {count(len(photos.files), 'file')}", output)


@_command("sknorm-images demo --data photos")
def demo(
    context: typer.Context,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Folder with one sub-folder per class. Default: photos of the demo's own.",
            callback=_expanded,
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="New or empty folder for photos, pipeline, model and report.",
            callback=_expanded,
        ),
    ] = Path("sknorm-demo"),
    class_names: Annotated[
        str | None,
        _option(
            "A,B,C", "All classes, in the order of their numbers. Default: the sub-folders."
        ),
    ] = None,
    extensions: Extensions = None,
    formats: Formats = None,
    max_pixels: MaxPixels = None,
    max_scans: MaxScans = None,
    color_profile: ColorProfile = None,
    background: Background = None,
) -> None:
    """Fit a pipeline, train a small Keras model with it, and keep both with a report.

    Files that cannot be read are left out. The exit status is 1 if the saved pipeline and
    model make other predictions in a fresh process.
    """
    import sknorm_images.plotting  # noqa: F401 (for its ImportError, before the work)
    from sknorm_images import demo
    from sknorm_images.cli._demo import (
        PHOTOS,
        REPORT,
        as_photos,
        new_folder,
        tell_what_next,
    )
    from sknorm_images.cli._report import make_report

    taken, names = parse_extensions(extensions), parse_names("--class-names", class_names)
    loading = _loading(formats, max_pixels, max_scans, color_profile, background)
    directory = str(output / PHOTOS) if data is None else data
    loading |= {"protocols": protocols_of(directory)}
    loader = JpegLoader(**loading)
    allow_pixels(loader)
    demo.choose_backend()
    with new_folder(output, makes_photos=data is None):
        if data is None:
            demo.make_photo_folder(output / PHOTOS)
        photos = labelled_files(directory, taken, names)
        tell_passed_over(photos.passed_over, taken)
        readable, broken = demo.leave_out_broken(photos, directory, loader)
        complain_of(broken)
        complain_of_others(len(broken))
        pipeline, is_same = demo.run_demo(readable, output, loading)
        page = make_report(
            directory,
            pipeline,
            as_photos(photos),
            command=_typed_command(context),
            n_jobs=-1,
            verbose=sys.stderr.isatty(),
        )
        (output / REPORT).write_bytes(page.encode())
    given = {
        "--extensions": extensions,
        "--formats": formats,
        "--max-pixels": max_pixels,
        "--max-scans": max_scans,
        "--color-profile": color_profile,
        "--background": background,
    }
    reading = [str(part) for item in given.items() if item[1] is not None for part in item]
    tell_what_next(output, data, len(photos.filenames), reading, _program(context))
    raise typer.Exit(0 if is_same else 1)


def _program(context: typer.Context) -> str:
    return context.find_root().info_name or "sknorm-images"


def _typed_command(context: typer.Context) -> str:
    return f"{_program(context)} {shlex.join(sys.argv[1:])}"


def _loading(
    formats: str | None,
    max_pixels: int | None,
    max_scans: int | None,
    color_profile: str | None,
    background: str | None,
    on_error: str | None = None,
) -> dict[str, Any]:
    """Gather the parameters of the loader that the options set."""
    names = parse_names("--formats", formats)
    given = {
        "formats": None if names is None else tuple(names),
        "max_pixels": max_pixels,
        "max_scans": max_scans,
        "color_profile": color_profile,
        "background": None if background is None else _parse_color(background),
        "on_error": on_error,
    }
    return {name: value for name, value in given.items() if value is not None}


def _parse_color(text: str) -> int | tuple[int, ...]:
    if not re.fullmatch(r"\d+(,\d+)*", text, re.ASCII):
        raise ValueError(
            f"--background {shorten(text)} is not a colour. Pass a grey level from 0 to 255, "
            "as in 255, or red, green and blue, as in 255,255,255."
        )
    levels = tuple(int(level[:9]) for level in text.split(","))
    return levels if len(levels) > 1 else levels[0]


def _parse_size(text: str) -> int | tuple[int, int]:
    if not (match := re.fullmatch(r"(\d+)(?:x(\d+))?", text)):
        raise ValueError(
            f"--size {shorten(text)} is not a valid size. Pass HEIGHTxWIDTH, as in 224x224."
        )
    height, width = match.groups()
    return (int(height), int(width)) if width else int(height)


def _cast(block: Any, dtype: str | None) -> NDArray[Any]:
    array = np.asarray(block)
    if array.dtype.kind not in "fiu":
        raise ValueError(
            f"the pipeline gives values of dtype {array.dtype}, and an .npz file takes "
            "numbers. Save the part of it that ends in a scaler, such as pipeline[:3]."
        )
    if dtype is None:
        return array
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    if not np.isfinite(cast).all():
        raise ValueError(
            f"a scaled value of {np.abs(array).max():g} is too large for {dtype}. Pass "
            "--dtype float32 or float64."
        )
    return cast
