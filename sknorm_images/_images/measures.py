"""Measure one decoded image: light, sharpness, information, colour, and two hashes."""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sknorm_images._common.cancellation import check_cancelled
from sknorm_images._images.decoding import DecodedImage
from sknorm_images._images.resizing import upright

_SIDE = 256  # pixels of the longer side where sharpness is measured
_HASH_SIDE = 32  # pixels, and the lowest frequencies that are kept of them
_N_FREQUENCIES = 8
# Standard deviation, in grey levels, of the 32 x 32 pixels. In a flatter picture, noise and
# JPEG's rounding decide the bits: at quality 30, half of such hashes moved by more than 10.
_FLATTEST_HASHED = 5.0
_GREY_TOLERANCE = 2  # grey levels between channels; conversions round
_STRIP = 2**20  # bytes that are copied at once

# The first rows of a discrete cosine transform (type II).
_COSINES = np.cos(
    np.pi / _HASH_SIDE * np.outer(np.arange(_N_FREQUENCIES), np.arange(_HASH_SIDE) + 0.5)
)


class Measures(NamedTuple):
    """What is measured of one image, upright; the defaults stand for one without pixels."""

    brightness: float = np.nan
    contrast: float = np.nan
    percentile_5: float = np.nan
    percentile_99: float = np.nan
    sharpness: float = np.nan
    entropy: float = np.nan
    is_grey: bool = False
    pixel_hash: str = ""
    perceptual_hash: str = ""


def measure(decoded: DecodedImage) -> Measures:
    """Measure an image that was decoded at full size."""
    image = upright(decoded.image, decoded.orientation)
    pixels = decoded.pixels if image is decoded.image else None
    if image.mode not in ("RGB", "L"):
        image = image.convert("RGB")
    grey = image if image.mode == "L" else image.convert("L")
    counts, levels = np.array(grey.histogram()), np.arange(256)
    n_pixels = grey.width * grey.height
    shares = counts / n_pixels
    mean = float(shares @ levels)
    percents = 100 * np.cumsum(counts)  # times the number of pixels, so that nothing rounds
    known = shares[shares > 0]
    small = _shrunk(grey)
    pixel_hash, is_grey = _scan(image, pixels)
    return Measures(
        brightness=mean,
        contrast=float(np.sqrt(shares @ (levels - mean) ** 2)),
        percentile_5=float(np.searchsorted(percents, 5 * n_pixels)),
        percentile_99=float(np.searchsorted(percents, 99 * n_pixels)),
        sharpness=_variance_of_laplacian(np.asarray(small, np.float32)),
        entropy=float(-(known @ np.log2(known))) + 0.0,  # not -0.0
        is_grey=is_grey,
        pixel_hash=pixel_hash,
        perceptual_hash=_perceptual_hash(small),
    )


def _shrunk(grey: Image.Image) -> Image.Image:
    """Shrink an image to the size where all are compared; small ones stay as they are."""
    scale = _SIDE / max(grey.size)
    if scale >= 1:
        return grey
    width, height = (max(1, round(side * scale)) for side in grey.size)
    return grey.resize((width, height), Image.Resampling.BOX)


def _variance_of_laplacian(grey: NDArray[np.float32]) -> float:
    """Measure sharpness (Pech-Pacheco et al., 2000), as a share of the variance of the image.

    The share does not change with the light, so a dark photo does not pass for a blurry one.
    """
    if min(grey.shape) < 3:
        return float("nan")
    laplacian = grey[1:-1, :-2] + grey[1:-1, 2:]
    laplacian += grey[:-2, 1:-1]
    laplacian += grey[2:, 1:-1]
    laplacian -= 4 * grey[1:-1, 1:-1]
    variance = float(grey.var())
    return float(laplacian.var()) / variance if variance else float("nan")


def _perceptual_hash(grey: Image.Image) -> str:
    """Hash the look of an image to "p" and 16 hexadecimal digits (Zauner, 2010: "DCT based").

    Each bit tells whether one of 8 x 8 low frequencies is above their median. Empty where
    the image is too flat for that to mean anything. Of digits alone, or of digits around an
    "e", one hash in a thousand would be a number to spreadsheets and pandas.
    """
    small = grey.resize((_HASH_SIDE, _HASH_SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small, np.float64)
    if pixels.std() < _FLATTEST_HASHED:
        return ""
    frequencies = (_COSINES @ pixels @ _COSINES.T).ravel()
    bits = frequencies > np.median(frequencies[1:])  # the first is the mean of the image
    return f"p{np.packbits(bits).tobytes().hex()}"


def _scan(image: Image.Image, pixels: NDArray[np.uint8] | None) -> tuple[str, bool]:
    """Hash all pixels, and tell whether they are all grey; `pixels` are the same, or None."""
    size, n_channels = image.size, len(image.getbands())
    found = sha256(f"{size[0]} {size[1]} {n_channels} ".encode())
    # Of most photos in colour, a few pixels show that they are.
    few = image.resize((8, 8), Image.Resampling.NEAREST)
    is_grey = n_channels == 1 or _all_grey(np.asarray(few))
    n_rows = max(1, _STRIP // (size[0] * n_channels))
    for top in range(0, size[1], n_rows):
        check_cancelled()
        bottom = min(top + n_rows, size[1])
        if pixels is None:
            is_whole = bottom - top == size[1]
            part = image if is_whole else image.crop((0, top, size[0], bottom))
            strip = np.asarray(part)
        else:
            strip = pixels[top:bottom]
        found.update(strip.data)
        if is_grey and n_channels > 1:
            is_grey = _all_grey(strip)
    return found.hexdigest(), is_grey


def _all_grey(pixels: NDArray[np.uint8]) -> bool:
    levels = pixels.astype(np.int16)
    return bool((np.abs(np.diff(levels, axis=-1)) <= _GREY_TOLERANCE).all())
