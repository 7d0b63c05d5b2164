"""The commands of ``sknorm-images``."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import joblib
import numpy as np
import typer
from numpy.typing import NDArray
from sklearn.utils import Bunch

from sknorm_images import (
    ChannelMinMaxScaler,
    __version__,
    check_images,
    load_image_folder,
    make_image_pipeline,
)
from sknorm_images.cli._batches import SCALERS, apply, read_batches, split
from sknorm_images.cli._files import (
    check_output,
    image_files,
    load_pipeline,
    saved_version,
    whole_file,
    write_npz,
)
from sknorm_images.cli._terminal import (
    channel_names,
    complain,
    readable_warnings,
    show_table,
)

_RUNS_CODE = (
    "A pipeline file is a pickle, and loading one runs whatever code it holds: take none "
    "from people whom you would not let run programs on your machine."
)

app = typer.Typer(
    help="Folders of JPEG photos to normalised arrays.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="DIR", help="Folder of JPEG files, or of one sub-folder of them a class."
    ),
]
AnyFolder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder of JPEG files, at any depth.")
]
SavedPipeline = Annotated[
    Path,
    typer.Option(
        "--pipeline",
        "-p",
        metavar="FILE",
        help="What `fit` wrote. It is a pickle, which runs code: take none from strangers.",
    ),
]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="FILE", help="Written whole or not at all."),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the output if it exists.")]
Jobs = Annotated[
    int,
    typer.Option("--jobs", "-j", metavar="N", help="Images decoded at once; -1: all cores."),
]


def run() -> int:
    """Run the command that ``sys.argv`` names; return the exit status."""
    is_module = Path(sys.argv[0]).name == "__main__.py"
    program = "python -m sknorm_images" if is_module else "sknorm-images"
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may be any bytes
    try:
        with readable_warnings():
            app(prog_name=program)
    except (OSError, ValueError, TypeError, ImportError, MemoryError) as error:
        complain(error, f"{program} {sys.argv[1]}")
        return 2
    return 0


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


@app.command(epilog="Example: sknorm-images fit photos -o pipeline.joblib --size 224x224")
def fit(
    directory: Folder,
    output: Output,
    size: Annotated[
        str,
        typer.Option(metavar="HEIGHTxWIDTH", help="Of all images, in pixels; or one number."),
    ] = "224x224",
    scaler: Annotated[
        str,
        typer.Option(
            metavar="standard|minmax", help="Zero mean and unit variance, or a range."
        ),
    ] = "standard",
    color_mode: Annotated[
        str, typer.Option(metavar="rgb|grayscale", help="What every image becomes.")
    ] = "rgb",
    interpolation: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="nearest, box, bilinear, hamming, bicubic, lanczos."
        ),
    ] = "bilinear",
    aspect_ratio: Annotated[
        str,
        typer.Option(
            metavar="ignore|crop|pad",
            help="Stretch, fill and cut the rest off, or fit and fill up.",
        ),
    ] = "ignore",
    engine: Annotated[
        str, typer.Option(metavar="pillow|simd", help="The library that resizes.")
    ] = "pillow",
    on_error: Annotated[
        str,
        typer.Option(
            metavar="raise|blank",
            help="Stop at a file that cannot be read, or leave it out and name it.",
        ),
    ] = "raise",
    quantile_range: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LOW HIGH", help="minmax: percentiles for minimum and maximum."),
    ] = None,
    feature_range: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LOW HIGH", help="minmax: the range of the output."),
    ] = None,
    clip: Annotated[
        bool, typer.Option("--clip", help="minmax: cut off what is outside.")
    ] = False,
    jobs: Jobs = -1,
    force: Force = False,
) -> None:
    """Learn the statistics of a folder, and save a pipeline that scales by them."""
    check_output(output, force)
    of_range = {"quantile_range": quantile_range, "feature_range": feature_range}
    given: dict[str, Any] = {name: value for name, value in of_range.items() if value}
    given |= {"clip": True} if clip else {}
    if given and scaler != "minmax":
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ValueError(f"--scaler {scaler} takes no {names}. Pass --scaler minmax.")
    pipeline = make_image_pipeline(
        _parse_size(size),
        ChannelMinMaxScaler(**given) if given else scaler,
        color_mode=color_mode,
        interpolation=interpolation,
        aspect_ratio=aspect_ratio,
        engine=engine,
        on_error=on_error,
    )
    images, [step] = split(pipeline, load_image_folder(directory).filenames, jobs)
    # Statistics are the same to the last bit for every split, so batches move the bar; the
    # output is written when all is learned.
    for _, pixels, failed in read_batches(images, "fit"):
        if len(failed) < len(pixels):
            step.partial_fit(np.delete(pixels, failed, axis=0) if failed else pixels)
    with whole_file(output) as file:
        joblib.dump(pipeline, file)
    _show_statistics(step)


@app.command(
    epilog="Example: sknorm-images transform photos -p pipeline.joblib -o train.npz",
)
def transform(
    directory: Folder,
    pipeline: SavedPipeline,
    output: Output,
    dtype: Annotated[
        str | None,
        typer.Option(
            metavar="float16|float32|float64",
            help="Of the images in the file; what the pipeline gives unless said.",
        ),
    ] = None,
    jobs: Jobs = -1,
    force: Force = False,
) -> None:
    """Write normalised images to an .npz file, for numpy.load.

    It holds images, filenames, sample_weight (0 for images that a pipeline with
    on_error="blank" left blank, else 1) and, for a folder of classes, labels and class_names.
    """
    check_output(output, force)
    if dtype not in (None, "float16", "float32", "float64"):
        raise ValueError(
            f"--dtype {dtype} cannot hold scaled values. Pass float16, float32 or float64."
        )
    loaded = load_pipeline(pipeline)
    photos = load_image_folder(directory)
    images, steps = split(loaded, photos.filenames, jobs)
    weights = np.ones(len(images), np.float32)

    def blocks() -> Iterator[NDArray[Any]]:
        for rows, pixels, failed in read_batches(images, "transform"):
            weights[rows][failed] = 0
            yield _cast(apply(steps, pixels, failed), dtype)

    others = {"filenames": photos.filenames.astype(np.str_), "sample_weight": weights}
    if photos.target is not None:
        others |= {"labels": photos.target, "class_names": np.array(photos.target_names)}
    with whole_file(output) as file:
        write_npz(file, blocks(), len(images), others)


@app.command(epilog="Example: sknorm-images check photos/train photos/test")
def check(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Folders, searched at any depth.")
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Everything about every file, as a JSON list.")
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Everything about every file, as CSV.")
    ] = False,
    jobs: Jobs = -1,
) -> None:
    """Look for broken files, and for files that are there twice, in one folder or in two.

    Takes every .jpg and .jpeg file. Exit status 1 if there is one of either kind.
    """
    if as_json and as_csv:
        raise ValueError("--json and --csv are two formats. Pass one of them.")
    found = check_images(image_files(directories), n_jobs=jobs, verbose=sys.stderr.isatty())
    rows = list(zip(*(column.tolist() for column in found.values()), strict=True))
    if as_json:
        typer.echo(json.dumps([dict(zip(found, row, strict=True)) for row in rows], indent=1))
    elif as_csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows([tuple(found), *rows])
    else:
        _show_findings(found)
    if not found.readable.all() or (found.duplicate_of >= 0).any():
        raise typer.Exit(1)


@app.command(
    epilog="Example: sknorm-images show pipeline.joblib",
    help=(f"Show the steps of a saved pipeline, and what it learned. {_RUNS_CODE}"),
)
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `fit` wrote.")],
) -> None:
    pipeline = load_pipeline(file)
    version = saved_version(file)
    show_table(
        f"{file}, saved by sknorm_images {version}",
        ("step", "parameters"),
        [(name, " ".join(repr(step).split())) for name, step in pipeline.steps],
    )
    for _, step in pipeline.steps:
        if isinstance(step, SCALERS):
            _show_statistics(step)


@app.command(epilog="Example: sknorm-images report photos -p pipeline.joblib -o report.html")
def report(
    directory: AnyFolder,
    pipeline: SavedPipeline,
    output: Output,
    jobs: Jobs = -1,
    force: Force = False,
) -> None:
    """Write one HTML page: statistics, histograms, samples, outliers and broken files."""
    check_output(output, force)
    loaded = load_pipeline(pipeline)
    files = image_files([directory])
    from sknorm_images.cli._report import make_report  # matplotlib takes a while to import

    page = make_report(directory, loaded, files, n_jobs=jobs, verbose=sys.stderr.isatty())
    with whole_file(output) as file:
        file.write(page.encode())


@app.command(epilog="Example: sknorm-images demo --data photos")
def demo(
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="A folder with one sub-folder of JPEG files a class; without it, files are "
            "cut out of the two photographs that scikit-learn ships.",
        ),
    ] = None,
) -> None:
    """Fit a pipeline, train a small Keras model with it, save and load both."""
    from sknorm_images.demo import run_demo

    raise typer.Exit(run_demo(data))


def _parse_size(text: str) -> int | tuple[int, int]:
    if not (match := re.fullmatch(r"(\d+)(?:x(\d+))?", text)):
        raise ValueError(f"--size {text} is no size. Pass HEIGHTxWIDTH, as in 224x224.")
    height, width = match.groups()
    return (int(height), int(width)) if width else int(height)


def _cast(block: Any, dtype: str | None) -> NDArray[Any]:
    array = np.asarray(block)
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


def _show_findings(found: Bunch) -> None:
    names = found.filename
    broken, twice = np.flatnonzero(~found.readable), np.flatnonzero(found.duplicate_of >= 0)
    rows = [(names[i], found.reason[i]) for i in broken]
    rows += [(names[i], f"same content as {names[found.duplicate_of[i]]}") for i in twice]
    if rows:
        show_table("Problems", ("file", "what is wrong"), rows)
    typer.echo(f"{len(names)} files: {len(broken)} broken, {len(twice)} there twice")


def _show_statistics(scaler: Any) -> None:
    """Show what a scaler learned, or was told; the mean and the like in grey levels."""
    attributes = ("mean_", "var_", "scale_", "data_min_", "data_max_", "data_range_", "min_")
    known = {name: getattr(scaler, name, None) for name in attributes}
    columns = {name: values for name, values in known.items() if values is not None}
    if not columns:
        typer.echo(f"{type(scaler).__name__} learns nothing")
        return
    n_images = getattr(scaler, "n_samples_seen_", 0)
    channels = channel_names(scaler.n_features_in_)
    rows = zip(channels, *(values.tolist() for values in columns.values()), strict=True)
    show_table(
        f"{type(scaler).__name__}, fitted on {n_images} images (grey levels 0 to 255)",
        ("channel", *columns),
        rows,
    )
