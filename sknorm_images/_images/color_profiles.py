"""The colour profile that is embedded in an image, and sRGB by it."""

from __future__ import annotations

import io
import struct
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms, features

from sknorm_images._common.parameters import check_choice
from sknorm_images._common.wording import printable, show_value

COLOR_PROFILES = ("ignore", "srgb")
DAMAGED = "damaged"

_MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}  # Pillow's, by ICC's colour spaces
_MOST_PROFILES = 16  # kept in memory; a collection has a handful
_MOST_BYTES = 2**22  # of one that is kept; cameras' have 4 kB, and printers' up to 3 MB
_PROBE_STEP = 15  # grey levels between the colours that show whether a profile has any effect
_LONGEST_NAME = 80
# LittleCMS lets threads share a transform that does not keep the last pixel.
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOCACHE
_TAGS_AT, _TAG, _MOST_TAGS = 128, struct.Struct(">4sII"), 100  # in profiles; LittleCMS's limit


def check_color_profile(color_profile: object) -> None:
    """Raise unless `color_profile` is one of the choices and Pillow supports it."""
    check_choice("color_profile", color_profile, COLOR_PROFILES)
    if color_profile == "srgb" and not features.check("littlecms2"):
        raise ImportError(
            "color_profile='srgb' needs LittleCMS, and this Pillow was built without it. "
            "Install a wheel of Pillow, or pass color_profile='ignore'."
        )


def to_srgb(image: Image.Image) -> Image.Image:
    """Convert an image to sRGB with the profile embedded in it.

    The intent is relative colorimetric with black-point compensation (ISO 18619), the default
    of Adobe's programs. `image` must be loaded and have 8 bits per channel; the result is in
    mode RGB. An image without a profile, or with one that moves no colour by more than a grey
    level, such as that of sRGB itself, is returned as it is. Raises ValueError if the profile
    is damaged, or made for images of another kind.
    """
    profile = _profile_of(image)
    transform = _transform(profile, image.mode) if profile else None
    if transform is None:
        return image
    mode = transform.input_mode
    converted = ImageCms.applyTransform(
        image if image.mode == mode else image.convert(mode), transform
    )
    assert converted is not None  # None is only returned in place
    return converted


def name_of_profile(image: Image.Image) -> str:
    """Name the profile in an image; empty without one, "damaged" if it cannot be used."""
    try:
        profile = _profile_of(image)
        if not profile:
            return ""
        _transform(profile, image.mode)
        return _name_of(_opened(profile))
    except ValueError:
        return DAMAGED


def _profile_of(image: Image.Image) -> bytes | None:
    profile = image.info.get("icc_profile", b"")
    if profile is None:  # what Pillow returns if its parts do not fit together
        raise _unusable("its colour profile is incomplete")
    return profile if isinstance(profile, bytes) else None


def _transform(profile: bytes, image_mode: str) -> ImageCms.ImageCmsTransform | None:
    """Find the transform from a profile to sRGB; None if it changes next to nothing."""
    make = _new_transform if len(profile) > _MOST_BYTES else _kept_transform
    return make(profile, image_mode)


def _new_transform(profile: bytes, image_mode: str) -> ImageCms.ImageCmsTransform | None:
    opened = _opened(profile)
    try:
        space = opened.profile.xcolor_space.strip()
    except UnicodeError as error:
        raise _unusable("its colour profile is damaged (of no colour space)") from error
    if space not in _spaces_of(image_mode):
        raise _unusable(
            f"its colour profile, {show_value(_name_of(opened))}, is for {show_value(space)}, "
            f"and its mode is {image_mode}"
        )
    mode = _MODES[space]
    try:
        transform = ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            _FLAGS,
        )
        return transform if mode == "CMYK" or _moves_colors(transform) else None
    except ImageCms.PyCMSError as error:
        raise _unusable(f"its colour profile is damaged ({error})") from error


_kept_transform = lru_cache(_MOST_PROFILES)(_new_transform)


def _spaces_of(image_mode: str) -> tuple[str, ...]:
    """Name the ICC colour spaces whose profiles fit images of this mode."""
    if image_mode == "CMYK":
        return ("CMYK",)
    return ("GRAY", "RGB") if Image.getmodebase(image_mode) == "L" else ("RGB",)


def _moves_colors(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether some grey, or some colour of a lattice, changes by more than one grey level."""
    levels = np.arange(256, dtype=np.uint8)
    greys = np.repeat(levels, 3).reshape(1, -1, 3)
    lattice = np.stack(np.meshgrid(*[levels[::_PROBE_STEP]] * 3), axis=-1).reshape(1, -1, 3)
    colors = greys if transform.input_mode == "L" else np.concatenate([greys, lattice], axis=1)
    image = Image.fromarray(np.ascontiguousarray(colors))
    converted = ImageCms.applyTransform(image.convert(transform.input_mode), transform)
    return bool((np.abs(np.asarray(converted, np.int16) - colors) > 1).any())


def _opened(profile: bytes) -> ImageCms.ImageCmsProfile:
    _refuse_programs(profile)
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except OSError as error:
        raise _unusable(f"its colour profile is damaged ({error})") from error


def _refuse_programs(profile: bytes) -> None:
    """Refuse chains of calculations, which may be of any length and run for every colour.

    The time that everything else in a profile takes is bounded by its number of bytes.
    """
    if len(profile) < _TAGS_AT + 4:
        return
    [n_tags] = struct.unpack_from(">I", profile, _TAGS_AT)
    end = min(len(profile), _TAGS_AT + 4 + _TAG.size * min(n_tags, _MOST_TAGS))
    table = profile[_TAGS_AT + 4 : end]
    for _, start, _ in _TAG.iter_unpack(table[: len(table) // _TAG.size * _TAG.size]):
        if profile[start : start + 4] == b"mpet":
            raise _unusable("its colour profile has multiProcessElements, which are not run")


def _name_of(opened: ImageCms.ImageCmsProfile) -> str:
    try:
        text = opened.profile.profile_description or ""
    except ValueError:  # invalid characters
        text = ""
    return printable(" ".join(text.split())[:_LONGEST_NAME]) or "without a name"


def _unusable(reason: str) -> ValueError:
    return ValueError(f"{reason}; color_profile='ignore' takes its pixels as they are")
