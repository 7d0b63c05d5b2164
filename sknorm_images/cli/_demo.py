"""The folder that ``sknorm-images demo`` leaves behind."""

from __future__ import annotations

import shlex
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from sklearn.utils import Bunch

from sknorm_images._common.whole_files import free_target
from sknorm_images._common.wording import printable, show_name
from sknorm_images.cli._files import Photos
from sknorm_images.cli._terminal import count, show_size, tell_last
from sknorm_images.demo import MODEL, PIPELINE

PHOTOS, REPORT = "photos", "report.html"


@contextmanager
def new_folder(path: Path, *, makes_photos: bool) -> Iterator[None]:
    """Make the folder of a demo, or take an empty one; it stays only if the block succeeds.

    Otherwise what the demo writes is removed, and the folder, if it was made here and holds
    nothing else. Raises OSError if it cannot be made, is not a folder or is not empty.
    """
    free_target(path, overwrite=True, how_to_overwrite="")  # says if its parent is missing
    is_there = path.exists() or path.is_symlink()
    if is_there and not path.is_dir():
        raise FileExistsError(
            f"{show_name(str(path))} is not a folder, and the demo fills one. Pass another "
            "--output."
        )
    try:
        if is_there and any(path.iterdir()):
            raise FileExistsError
        path.mkdir(exist_ok=is_there)
        (path / PIPELINE).touch(exist_ok=False)  # of two demos at once, one takes the folder
    except FileExistsError:
        raise FileExistsError(
            f"{show_name(str(path))} is not empty, and the demo overwrites nothing. Pass "
            "another folder as --output."
        ) from None
    try:
        yield
    except BaseException:
        if makes_photos:
            shutil.rmtree(path / PHOTOS, ignore_errors=True)
        for written in (path / name for name in (PIPELINE, MODEL, REPORT)):
            with suppress(OSError):  # the error that ended the demo says more
                written.unlink(missing_ok=True)
        if not is_there:
            with suppress(OSError):  # someone else put something there
                path.rmdir()
        raise


def as_photos(listed: Bunch) -> Photos:
    """Return what `load_image_folder` lists as the report takes it."""
    classes = [listed.target_names[number] for number in listed.target]
    return Photos(list(listed.filenames), classes, Counter(listed.passed_over))


def tell_what_next(
    folder: Path,
    data: str | None,
    n_photos: int,
    reading: Sequence[str],
    program: str,
) -> None:
    """Say what the demo wrote, and three commands to try next.

    `data` is the user's own folder, if there is one, `n_photos` the number of photos made
    otherwise. `reading` holds options that the commands need to find the same files, and
    `program` is what they begin with.
    """
    photos, pipeline = folder / PHOTOS, folder / PIPELINE
    written = [
        (pipeline, "the fitted pipeline"),
        (folder / MODEL, "the trained model"),
        (folder / REPORT, "a page about the photos: open it in a browser"),
    ]
    if data is None:
        written.insert(
            0, (photos, f"{count(n_photos, 'JPEG file')}, in one sub-folder per class")
        )
        data = str(photos)
    width = max(len(printable(path)) for path, _ in written)
    tell_last("\nThe demo wrote")
    for path, what in written:
        tell_last(f"  {printable(path):{width}}  {what} ({show_size(_n_bytes(path))})")
    arrays = str(folder / "train.npz")
    tell_last("\nTry next")
    for arguments in (
        ["show", str(pipeline)],
        ["check", data, "--details", *reading],
        ["transform", data, "-p", str(pipeline), "-o", arrays, *reading],
    ):
        tell_last(f"  {program} {printable(shlex.join(arguments))}")


def _n_bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
