"""Say in words what is conspicuous among the images of a folder, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from sknorm_images._files.protocols import is_url
from sknorm_images._images.copies import COPIES, codes_of
from sknorm_images._images.decoding import Decoding

Columns: TypeAlias = Mapping[str, NDArray[Any]]

# Grey levels. As CleanVision 0.3, an image is too dark if 99 % of its pixels are below 32 % of
# white. It calls images bright whose darkest 5 % are above 95 % of white, which even photos
# that were washed out to levels from 215 on are not; so 80 % here.
DARK = 0.32 * 255
BRIGHT = 0.80 * 255
# Of 100 pieces of scikit-learn's photos, 160 to 400 pixels wide, the sharpness was 0.039 and
# more. After a Gaussian blur with a radius of 2 pixels, 95 were below 0.010.
BLURRY = 0.015
# Bits per pixel, as CleanVision; and grey levels, below which no perceptual hash is made.
LOW_ENTROPY = 3.0
LOW_CONTRAST = 5.0
# Ratio to the folder's median that an odd size has at least; and interquartile ranges beyond
# the quartiles, the outer fences of Tukey (Exploratory Data Analysis, 1977), of logarithms.
ODD_RATIO = 2.0
ODD_FENCE = 3.0
FEWEST_FOR_MEDIAN = 8  # images; fewer have no usual size

# What files of these names hold, in Pillow's words.
_FORMATS = {
    "JPEG": ("jpg", "jpeg", "jpe", "jfif"),
    "PNG": ("png",),
    "GIF": ("gif",),
    "BMP": ("bmp", "dib"),
    "TIFF": ("tif", "tiff"),
    "WEBP": ("webp",),
    "AVIF": ("avif",),
    "HEIF": ("heic", "heif"),
}
_FORMAT_OF = {suffix: name for name, suffixes in _FORMATS.items() for suffix in suffixes}
_FORMAT_OF |= {"mpo": "JPEG"}
_IN_ANOTHER = ", in another class"

ADVICE = {  # in Python's parameters, which the command line turns into its options
    "leak": "Delete them on one side: a score on photos that were trained on says nothing.",
    "broken": "Replace or delete these files, or leave them out, with on_error='blank'.",
    "damaged": "Part of the picture is lost. Replace or delete these files.",
    "same content": "Keep one file of each. If the classes differ, correct the label.",
    "same pixels": "Keep one file of each: the pixels are identical.",
    "near duplicate": "Look at both. Keep one, or both on one side of a split, in one class.",
    "too dark": "Check whether they show anything. If not, leave them out.",
    "too bright": "Check whether they show anything. If not, leave them out.",
    "blurry": "Leave them out, unless the images that you predict on are as blurry.",
    "little information": "Leave them out if they are blank, or stand for a missing photo.",
    "odd size": "Check whether thumbnails or scans got in by mistake.",
    "odd aspect ratio": "Resize without distortion, with aspect_ratio='pad'.",
    "grey among colour": "Make all images grey, with color_mode='grayscale'.",
    "colour profile": "Convert the colours, with color_profile='srgb'.",
    "not what its name says": "Give these files the suffix of their format.",
}


class Finding(NamedTuple):
    """One thing that is conspicuous about one file."""

    position: int
    kind: str  # a key of ADVICE
    words: str  # which begin with the kind
    is_conflict: bool = False  # whether it is a copy of a file in another class


def find_all(found: Columns, decoding: Decoding) -> list[str]:
    """Say about each file what was found, most serious first; empty for most."""
    words = [""] * len(found["filename"])
    for i, _, told, _ in findings_in(found, decoding):
        words[i] = f"{words[i]}; {told}" if words[i] else told
    return words


def findings_in(found: Columns, decoding: Decoding) -> Iterator[Finding]:
    """Yield what is found, kind by kind in the order of ADVICE.

    `found` are the columns of `check_images`, which decoded so. Without its details, these are
    leaks, broken and damaged files, and the same content. Where pixels are numbers such as
    classes, images are neither dark nor blurry.
    """
    classes = codes_of(found["target"]) if "target" in found else None
    yield from _leaks(found, classes)
    for i in np.flatnonzero(~found["readable"]):
        yield Finding(int(i), "broken", f"broken: {found['reason'][i]}")
    for i in np.flatnonzero(found["damage"] != ""):
        yield Finding(int(i), "damaged", f"damaged: {found['damage'][i]}")
    yield from _copies(found, classes)
    if "entropy" in found:
        yield from _hints(found, decoding)


def _hints(found: Columns, decoding: Decoding) -> Iterator[Finding]:
    """Yield what is conspicuous and may be right all the same."""
    has_colors = not decoding.keeps_values
    ignores_profiles = has_colors and decoding.color_profile == "ignore"
    for kind, is_so in _looks(found).items() if has_colors else ():
        for i in np.flatnonzero(is_so):
            yield Finding(int(i), kind, kind)
    yield from _odd_shapes(found)
    for i in np.flatnonzero(_grey_among_colour(found)):
        yield Finding(int(i), "grey among colour", "grey among colour")
    for i in np.flatnonzero(found["profile"] != ""):
        profile = found["profile"][i]
        if ignores_profiles and "srgb" not in profile.lower():
            yield Finding(
                int(i), "colour profile", f"colour profile that is ignored: {profile}"
            )
    for position, name in enumerate(found["filename"]):
        held, called = found["format"][position], _FORMAT_OF.get(_suffix(name))
        if held and called and held.replace("MPO", "JPEG") != called:
            kind = "not what its name says"
            yield Finding(position, kind, f"{kind}: {held} data")


def _leaks(found: Columns, classes: NDArray[np.int64] | None) -> Iterator[Finding]:
    """Name for each file that is in two splits the one in the other, and both splits."""
    if "split" not in found:
        return
    for i in np.flatnonzero(found["leak_of"] >= 0):
        partner = found["leak_of"][i]
        _, words = COPIES[found["leak"][i]]
        told = f"leak between {found['split'][partner]} and {found['split'][i]}: {words} "
        told += found["filename"][partner]
        comparison = _compared(classes, int(i), int(partner))
        yield Finding(int(i), "leak", told + comparison, comparison == _IN_ANOTHER)


def _copies(found: Columns, classes: NDArray[np.int64] | None) -> Iterator[Finding]:
    """Name for each file the closest kind of copy alone, unless that is told as a leak."""
    is_told = np.zeros(len(found["filename"]), np.bool_)
    for kind, (column, words) in COPIES.items():
        if column not in found:
            continue
        is_copy = found[column] >= 0
        is_leak = is_copy & (found[column] == found.get("leak_of", -1))
        for i in np.flatnonzero(is_copy & ~is_leak & ~is_told):
            partner = found[column][i]
            told = f"{words} {found['filename'][partner]}"
            comparison = _compared(classes, int(i), int(partner))
            yield Finding(int(i), kind, told + comparison, comparison == _IN_ANOTHER)
        is_told |= is_copy


def _compared(classes: NDArray[np.int64] | None, one: int, other: int) -> str:
    if classes is None or min(classes[one], classes[other]) < 0:
        return ""
    return ", in the same class" if classes[one] == classes[other] else _IN_ANOTHER


def _looks(found: Columns) -> dict[str, NDArray[np.bool_]]:
    """Tell which images look bad by themselves; NaN is never below or above anything."""
    little = (found["entropy"] < LOW_ENTROPY) | (found["contrast"] < LOW_CONTRAST)
    return {
        "too dark": found["percentile_99"] < DARK,
        "too bright": found["percentile_5"] > BRIGHT,
        "blurry": (found["sharpness"] < BLURRY) & ~little,
        "little information": little,
    }


def _odd_shapes(found: Columns) -> Iterator[Finding]:
    """Find sizes and aspect ratios that are far from what is usual in this folder."""
    known = np.flatnonzero(found["readable"] & (found["width"] > 0))
    if len(known) < FEWEST_FOR_MEDIAN:
        return
    width, height = found["width"][known], found["height"][known]
    sides = {
        "odd size": np.sqrt(width * height),
        "odd aspect ratio": np.maximum(width, height) / np.minimum(width, height),
    }
    for kind, values in sides.items():
        logarithms = np.log(values)
        low, middle, high = np.percentile(logarithms, [25, 50, 75])
        reach = ODD_FENCE * (high - low)
        is_outside = (logarithms < low - reach) | (logarithms > high + reach)
        is_odd = is_outside & (np.abs(logarithms - middle) > np.log(ODD_RATIO))
        for j in np.flatnonzero(is_odd):
            told = f"{kind}: {width[j]} x {height[j]}, where the median is "
            usual = np.exp(middle)
            is_size = kind == "odd size"
            told += f"{usual:.0f} x {usual:.0f}" if is_size else f"{usual:.2f} to 1"
            yield Finding(int(known[j]), kind, told)


def _grey_among_colour(found: Columns) -> NDArray[np.bool_]:
    """Tell which images are grey, if most are not."""
    is_grey: NDArray[np.bool_] = found["is_grey"]
    most_are = 2 * np.count_nonzero(is_grey) >= np.count_nonzero(found["pixel_hash"] != "")
    return np.zeros_like(is_grey) if most_are else is_grey


def _suffix(name: str) -> str:
    path = urlsplit(name).path if is_url(name) else name
    return PurePosixPath(path).suffix.lower().removeprefix(".")
