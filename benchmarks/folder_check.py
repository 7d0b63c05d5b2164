"""How fast `check_images` and CleanVision find planted faults, and how many of them.

Each photo is twelve pieces of scikit-learn's two side by side, of many places and sizes, and
some of them mirrored: single pieces would be near duplicates of each other. Faults of light,
sharpness and shape are planted in photos that are not in the folder without them, and copies
are of photos that are. Both tools take turns, each in a new process. Without CleanVision
(`python -m pip install cleanvision`), `check_images` is measured alone.

    python -m benchmarks.folder_check
"""

from __future__ import annotations

import argparse
import io
import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from sklearn.datasets import load_sample_images

from benchmarks.in_turn import ratio, rotated
from benchmarks.new_process import in_new_process
from sknorm_images import check_images

EXACT, NEAR = "exact duplicate", "near duplicate"
PHOTOS = [Image.fromarray(photo) for photo in load_sample_images().images]
TILE = 125  # pixels: 4 x 3 of these are a photo of 500 x 375
MOST_NAMED = 20

# Each kind of finding: how ours begins, and what CleanVision calls it.
KINDS = {
    "too dark": (("too dark",), "dark"),
    "too bright": (("too bright",), "light"),
    "blurry": (("blurry",), "blurry"),
    "little information": (("little information",), "low_information"),
    "odd size": (("odd size",), "odd_size"),
    "odd aspect ratio": (("odd aspect ratio",), "odd_aspect_ratio"),
    "grey among colour": (("grey among colour",), "grayscale"),
    EXACT: (("same content as ", "same pixels as "), "exact_duplicates"),
    NEAR: (("near duplicate of ",), "near_duplicates"),
}


class Fault(NamedTuple):
    """What is planted: how it is made of a photo, and the finding that it should lead to."""

    kind: str
    share: int  # of the 200 faults
    make: Callable[[Image.Image, np.random.Generator], Image.Image | bytes]
    also: tuple[str, ...] = ()  # findings that are right, too, where it is strong


class Planted(NamedTuple):
    """One file with a fault, and the photo that it is a copy of."""

    name: str
    fault: str
    original: str = ""

    @property
    def kind(self) -> str:
        """The finding that it should lead to."""
        return FAULTS[self.fault].kind

    @property
    def finding(self) -> str:
        """What a tool that finds it says."""
        return _told(self.name, self.original)


def _told(name: str, original: str = "") -> str:
    return f"{name} of {original}" if original else name


def darkened(photo: Image.Image, random: np.random.Generator) -> Image.Image:
    """Leave 5 % to 40 % of the light."""
    return _levels(photo, random.uniform(0.05, 0.4), 0)


def washed_out(photo: Image.Image, random: np.random.Generator) -> Image.Image:
    """Leave 2 % to 30 % of the distance from white."""
    return _levels(photo, random.uniform(0.02, 0.3), 255)


def flattened(photo: Image.Image, random: np.random.Generator) -> Image.Image:
    """Leave up to 10 % of the distance from one colour."""
    return _levels(photo, random.uniform(0, 0.1), random.uniform(90, 190, 3))


def blurred(photo: Image.Image, random: np.random.Generator) -> Image.Image:
    """Blur with a radius of 1 to 10 pixels."""
    return photo.filter(ImageFilter.GaussianBlur(random.uniform(1, 10)))


def of_an_odd_size(photo: Image.Image, random: np.random.Generator) -> Image.Image:
    """Shrink to 15 % to 30 % of the sides; or take enough pieces for two or three times."""
    if random.random() < 0.5:
        return _resized(photo, random.uniform(0.15, 0.3))
    times = int(random.integers(2, 4))
    return mosaic(4 * times, 3 * times, random)


def strip(photo: Image.Image, random: np.random.Generator) -> Image.Image:
    """Put the twelve pieces into one row or two; or the same upright."""
    wide = mosaic(12, 1, random) if random.random() < 0.5 else mosaic(6, 2, random)
    return wide if random.random() < 0.5 else wide.transpose(Image.Transpose.ROTATE_90)


def without_colour(photo: Image.Image, random: np.random.Generator) -> Image.Image:
    """Make it grey, and store one channel, or three that are equal."""
    grey = photo.convert("L")
    return grey if random.random() < 0.5 else grey.convert("RGB")


def tagged(photo: Image.Image, random: np.random.Generator) -> bytes:
    """Write a comment into the file, and leave the pixels as they are packed."""
    content = encoded(photo)
    comment = f"seen {random.integers(1_000_000)}".encode()
    segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
    return content[:2] + segment + content[2:]


def cropped(photo: Image.Image, random: np.random.Generator) -> Image.Image:
    """Cut 3 % off two sides that meet."""
    left, top = round(0.03 * photo.width), round(0.03 * photo.height)
    if random.random() < 0.5:
        return photo.crop((left, top, photo.width, photo.height))
    return photo.crop((0, 0, photo.width - left, photo.height - top))


FAULTS = {
    "darkened": Fault("too dark", 20, darkened, ("little information",)),
    "washed-out": Fault(
        "too bright", 20, washed_out, ("little information", "grey among colour")
    ),
    "blurred": Fault("blurry", 20, blurred),
    "flattened": Fault("little information", 20, flattened),
    "odd-size": Fault("odd size", 20, of_an_odd_size),
    "strip": Fault("odd aspect ratio", 20, strip),
    "grey": Fault("grey among colour", 15, without_colour),
    "copied": Fault(EXACT, 5, lambda photo, _: encoded(photo)),
    "tagged": Fault(EXACT, 10, tagged),
    "quality-30": Fault(NEAR, 10, lambda photo, _: encoded(photo, 30)),
    "third-smaller": Fault(NEAR, 10, lambda photo, _: _resized(photo, 2 / 3), ("odd size",)),
    "brightened": Fault(NEAR, 10, lambda photo, _: _levels(photo, 1.2, 0)),
    "cropped": Fault(NEAR, 10, cropped),
    "mirrored": Fault(NEAR, 10, lambda photo, _: _mirrored(photo)),
}


def mosaic(n_columns: int, n_rows: int, random: np.random.Generator) -> Image.Image:
    """Put pieces of the two photos side by side; none of them is enlarged."""
    image = Image.new("RGB", (n_columns * TILE, n_rows * TILE))
    for left in range(0, image.width, TILE):
        for top in range(0, image.height, TILE):
            whole = PHOTOS[int(random.integers(len(PHOTOS)))]
            side = int(random.integers(TILE, whole.height + 1))
            x = int(random.integers(whole.width - side + 1))
            y = int(random.integers(whole.height - side + 1))
            piece = whole.resize((TILE, TILE), box=(x, y, x + side, y + side))
            image.paste(_mirrored(piece) if random.random() < 0.5 else piece, (left, top))
    return image


def a_photo(number: int) -> Image.Image:
    """Return one of as many photos as there are numbers, of about 500 x 375 pixels."""
    random = np.random.default_rng(number)
    image = mosaic(4, 3, random)
    right, bottom = random.integers(0, (60, 45)).tolist()
    return image.crop((0, 0, image.width - right, image.height - bottom))


def _levels(photo: Image.Image, share: float, around: Any) -> Image.Image:
    """Move the levels towards one level, or one colour."""
    levels = around + share * (np.asarray(photo, dtype=np.float64) - around)
    return Image.fromarray(np.rint(levels).clip(0, 255).astype(np.uint8))


def _mirrored(photo: Image.Image) -> Image.Image:
    return photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def _resized(photo: Image.Image, scale: float) -> Image.Image:
    size = (round(photo.width * scale), round(photo.height * scale))
    return photo.resize(size, Image.Resampling.LANCZOS)


def encoded(photo: Image.Image, quality: int = 90) -> bytes:
    """Pack a photo as a JPEG file."""
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=quality)
    return file.getvalue()


def plant(folder: Path, n_photos: int, n_faults: int) -> list[Planted]:
    """Write photos, and about so many faults, at least one of each, into an empty folder."""
    for i in range(n_photos):
        (folder / f"photo_{i:05}.jpg").write_bytes(encoded(a_photo(i)))
    planted = []
    originals = iter(np.random.default_rng(n_photos).permutation(n_photos).tolist())
    others = count(n_photos)
    n_shares = sum(fault.share for fault in FAULTS.values())
    for fault, (kind, share, make, _) in FAULTS.items():
        for i in range(max(1, round(n_faults * share / n_shares))):
            is_copy = kind in (EXACT, NEAR)
            number = next(originals) if is_copy else next(others)
            made = make(a_photo(number), np.random.default_rng((number, 1)))
            name = f"planted_{fault}_{i:03}.jpg"  # after its original
            content = made if isinstance(made, bytes) else encoded(made)
            (folder / name).write_bytes(content)
            original = f"photo_{number:05}.jpg" if is_copy else ""
            planted.append(Planted(name, fault, original))
    return planted


def ours(folder: str, n_jobs: int) -> dict[str, Any]:
    """Check a folder with this package."""
    start = _clock()
    files = sorted(map(str, Path(folder).iterdir()))
    checked = check_images(files, details=True, n_jobs=n_jobs)
    seconds, cpu_seconds = (_clock() - start).tolist()
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for file, findings in zip(checked.filename, checked.findings, strict=True):
        for told in findings.split("; "):
            for kind, (beginnings, _) in KINDS.items():
                for beginning in beginnings:
                    if told.startswith(beginning):
                        original = Path(told.removeprefix(beginning)).name
                        is_copy = kind in (EXACT, NEAR)
                        finding = _told(Path(file).name, original if is_copy else "")
                        found[kind].append(finding)
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "found": found}


def cleanvisions(folder: str, n_jobs: int) -> dict[str, Any]:
    """Check a folder with CleanVision, and take the first of each set for the original."""
    from cleanvision import Imagelab

    start = _clock()
    lab = Imagelab(data_path=folder)
    lab.find_issues(n_jobs=n_jobs)
    seconds, cpu_seconds = (_clock() - start).tolist()
    found: dict[str, list[str]] = {}
    for kind, (_, issue) in KINDS.items():
        if kind in (EXACT, NEAR):
            sets = [
                sorted(Path(file).name for file in same) for same in lab.info[issue]["sets"]
            ]
            pairs = [_told(name, same[0]) for same in sets for name in same[1:]]
            found[kind] = [pair for pair in pairs if pair not in found.get(EXACT, ())]
        else:
            files = lab.issues.index[lab.issues[f"is_{issue}_issue"]]
            found[kind] = [Path(file).name for file in files]
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "found": found}


def _clock() -> NDArray[np.float64]:
    """Return seconds, and CPU seconds of this process and of those that it waited for."""
    return np.array([time.perf_counter(), sum(os.times()[:4])])


TOOLS = {"sknorm_images": ours, "CleanVision": cleanvisions}


def measure(tool: str, folder: str, n_jobs: int) -> dict[str, Any]:
    """Check a folder with one of the tools: the seconds, and what was found of each kind."""
    return TOOLS[tool](folder, n_jobs)


def agreement(
    planted: list[Planted], found: dict[str, list[str]]
) -> dict[str, list[set[str]]]:
    """For each kind: what was planted, what of it was found, and what was found beside it."""
    result = {}
    for kind in KINDS:
        right = {one.finding for one in planted if one.kind == kind}
        also = {one.name for one in planted if kind in FAULTS[one.fault].also}
        told = set(found[kind])
        result[kind] = [right, right & told, told - right - also]
    return result


def table(planted: list[Planted], found: dict[str, dict[str, list[str]]]) -> str:
    """Precision and recall of each kind, the recall of each copy, and the names of misses."""
    lines = ["| finding | planted |" + "".join(f" {tool} |" for tool in found)]
    lines += ["| --- | ---: |" + " ---: |" * len(found)]
    agreements = {tool: agreement(planted, told) for tool, told in found.items()}
    for kind in KINDS:
        cells = []
        for agreed in agreements.values():
            right, hits, others = agreed[kind]
            cells.append(f" {_share(hits, hits | others)}, {_share(hits, right)} |")
        lines.append(f"| {kind} | {len(right)} |" + "".join(cells))
        faults = [fault for fault, made in FAULTS.items() if made.kind == kind]
        for fault in faults if len(faults) > 1 else ():
            right = {one.finding for one in planted if one.fault == fault}
            shares = [_share(right & agreed[kind][1], right) for agreed in agreements.values()]
            cells = [f" {share} |" for share in shares]
            lines.append(f"| - {fault} | {len(right)} |" + "".join(cells))
    for tool, agreed in agreements.items():
        for kind, (right, hits, others) in agreed.items():
            for what, names in (("missed", right - hits), ("not planted", others)):
                if names:
                    told = ", ".join(sorted(names)[:MOST_NAMED])
                    more = " ..." if len(names) > MOST_NAMED else ""
                    lines.append(f"\n{tool}, {kind}, {what} ({len(names)}): {told}{more}")
    return "\n".join(lines)


def _share(some: set[str], of: set[str]) -> str:
    return f"{len(some) / len(of):.0%}" if of else "-"


def main(arguments: list[str] | None = None) -> None:
    """Plant faults, have both tools look for them in turn, and print what they found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--n-jobs", type=int, default=2)
    options = parser.parse_args(arguments)
    tools = list(TOOLS)
    if find_spec("cleanvision") is None:
        tools.remove("CleanVision")
        print("CleanVision is not installed: python -m pip install cleanvision\n")
    seconds: dict[str, list[float]] = {tool: [] for tool in tools}
    cpu_seconds: dict[str, list[float]] = {tool: [] for tool in tools}
    found: dict[str, dict[str, list[str]]] = {}
    with TemporaryDirectory() as folder:
        planted = plant(Path(folder), options.photos, options.faults)
        for round_ in range(options.rounds):
            for tool in rotated(tools, round_):
                row = in_new_process("benchmarks.folder_check", [tool, folder, options.n_jobs])
                seconds[tool].append(row["seconds"])
                cpu_seconds[tool].append(row["cpu_seconds"])
                found[tool] = row["found"]
    print(
        f"{options.photos:,} photos and {len(planted)} with a fault, n_jobs={options.n_jobs}"
    )
    for unit, taken in (("s", seconds), ("CPU s", cpu_seconds)):
        for tool, each in taken.items():
            print(f"{tool}: {median(each):.2f} {unit} ({min(each):.2f}-{max(each):.2f})")
        for tool in tools[1:]:
            print(f"{tool} / {tools[0]}, {unit}: {ratio(taken[tool], taken[tools[0]])}")
    print("\nPrecision and recall of each finding; of single faults, the recall\n")
    print(table(planted, {tool: found[tool] for tool in tools}))


if __name__ == "__main__":
    main()
