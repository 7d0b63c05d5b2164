"""color_mode="stored": the number of each pixel as it is stored, such as a class in a mask.

Pillow's array of the file that it opened, without a conversion, is the oracle.
"""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from sknorm_images import (
    ImageDecodeError,
    ImageDecodeWarning,
    JpegLoader,
    LazyImages,
    Resizer,
    check_images,
    make_image_pipeline,
)
from tests.conftest import encode

FORMATS = ("PNG", "GIF", "TIFF", "BMP", "JPEG", "WEBP")
SIZE = (13, 17)
CLASSES = np.random.default_rng(0).integers(0, 6, SIZE, np.uint8)
VOID = 255


def with_palette(numbers: np.ndarray = CLASSES) -> Image.Image:
    """Numbers as indices of colours whose brightness says nothing of them."""
    image = Image.fromarray(numbers).copy()
    image.putpalette(np.random.default_rng(1).integers(0, 256, 768, np.uint8).tobytes())
    return image


def with_void() -> np.ndarray:
    numbers = CLASSES.copy()
    numbers[:3] = VOID
    return numbers


def profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


KINDS: dict[str, Any] = {
    "palette of 256 colours": encode(with_palette(with_void()), "PNG"),
    "palette of 2 bits": encode(with_palette(CLASSES % 4), "PNG", bits=2),
    "palette of 1 bit": encode(with_palette(CLASSES % 2), "PNG", bits=1),
    "one clear colour": encode(with_palette(), "PNG", transparency=2),
    "opacities": encode(with_palette(), "PNG", transparency=bytes(range(0, 250, 50))),
    "GIF": encode(with_palette(), "GIF", optimize=False),
    "TIFF": encode(with_palette(), "TIFF"),
    "BMP": encode(with_palette(), "BMP"),
    "grey": encode(Image.fromarray(with_void()), "PNG"),
    "one clear grey level": encode(Image.fromarray(CLASSES), "PNG", transparency=1),
    "grey in JPEG": encode(Image.fromarray(CLASSES), "JPEG"),
    "of one bit": encode(Image.fromarray(CLASSES % 2 * 255).convert("1"), "PNG"),
    "profile that fits no image": encode(with_palette(), "PNG", icc_profile=profile()),
    "damaged profile": encode(Image.fromarray(CLASSES), "PNG", icc_profile=b"nonsense"),
    "palette in memory": with_palette(with_void()),
    "one bit in memory": Image.fromarray(CLASSES % 2 * 255).convert("1"),
}


def stored(sources: list[Any], **options: Any) -> LazyImages:
    return JpegLoader(color_mode="stored", formats=FORMATS, **options).transform(sources)


def opened(source: bytes | Image.Image) -> Image.Image:
    return Image.open(io.BytesIO(source)) if isinstance(source, bytes) else source


def numbers_in(image: Image.Image) -> np.ndarray:
    """The array that Pillow gives, with 1 for True."""
    return np.asarray(image).astype(np.uint8)[..., np.newaxis]


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_that_pillow_opens_whatever_is_said_of_colours(kind):
    source = KINDS[kind]
    expected = numbers_in(opened(source))
    assert len(np.unique(expected)) > 1
    for options in ({}, {"color_profile": "srgb", "background": (9, 99, 199)}):
        images = stored([source], **options)  # without a warning of transparency
        assert (images.n_channels, images.color_mode) == (1, "stored")
        np.testing.assert_array_equal(images[0], expected, strict=True)


def test_classes_come_out_as_they_went_in():
    for kind in ("palette of 256 colours", "grey", "palette in memory"):
        np.testing.assert_array_equal(stored([KINDS[kind]])[0][..., 0], with_void())
    for kind in ("palette of 1 bit", "of one bit", "one bit in memory"):
        np.testing.assert_array_equal(stored([KINDS[kind]])[0][..., 0], CLASSES % 2)


def test_arrays_of_one_channel_pass_as_they_are():
    images = stored([CLASSES, CLASSES[..., np.newaxis]])
    np.testing.assert_array_equal(np.asarray(images)[..., 0], [CLASSES, CLASSES])


def test_masks_are_turned_upright_as_their_photos_are():
    file = encode(with_palette(), "PNG", exif=exif(6))
    upright = numbers_in(ImageOps.exif_transpose(opened(file)))
    assert upright.shape == (*SIZE[::-1], 1)
    np.testing.assert_array_equal(stored([file])[0], upright)
    as_stored = stored([file], exif_orientation=False)[0]
    np.testing.assert_array_equal(as_stored, numbers_in(opened(file)))


@pytest.mark.parametrize("aspect_ratio", ["ignore", "crop", "pad"])
@pytest.mark.parametrize("size", [(7, 9), (26, 40)])
def test_resizing_takes_pixels_and_makes_no_new_class(size, aspect_ratio):
    masks = stored([KINDS["palette of 256 colours"], KINDS["GIF"], KINDS["BMP"]])
    resizer = Resizer(size, interpolation="nearest", aspect_ratio=aspect_ratio, pad_value=VOID)
    resized = np.asarray(resizer.transform(masks))
    assert set(np.unique(resized)) <= {0, 1, 2, 3, 4, 5, VOID}
    if aspect_ratio == "ignore":
        expected = with_palette(with_void()).resize(size[::-1], Image.Resampling.NEAREST)
        np.testing.assert_array_equal(resized[0], numbers_in(expected))


@pytest.mark.parametrize("interpolation", ["box", "bilinear", "lanczos"])
def test_averages_of_classes_are_refused_before_a_file_is_opened(interpolation):
    resizer = Resizer(8, interpolation=interpolation)
    for call in (resizer.fit, resizer.transform):
        with pytest.raises(ValueError, match=rf"'{interpolation}' averages.*='nearest'"):
            call(stored(["missing.png"]))
    with pytest.raises(ValueError, match="averages"):
        make_image_pipeline(8, color_mode="stored").fit(["missing.png"])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "PA", "CMYK", "YCbCr"])
def test_several_channels_are_refused_with_the_file(mode):
    image = with_palette() if mode == "PA" else with_palette().convert("RGB")
    image = image.convert(mode)
    kinds: list[Any] = [image]
    if mode in ("RGB", "RGBA", "LA"):
        kinds.append(encode(image, "PNG"))
    for source in kinds:
        images = stored([KINDS["grey"], source])
        n = len(image.getbands())
        with pytest.raises(ImageDecodeError, match=rf"image 1.*{n} channels.*mode {mode}\)"):
            images[1]
    blank = Resizer(9, interpolation="nearest").transform(
        stored([KINDS["grey"], image, b""], on_error="blank")
    )
    with pytest.warns(ImageDecodeWarning):
        np.asarray(blank)
    assert sorted(blank.failures) == [1, 2]
    assert "color_mode='rgb'" in str(blank.failures[1])


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_values_that_may_be_above_255_are_refused(mode):
    with pytest.raises(ImageDecodeError, match=rf"mode {mode}.*above 255.*8 bits"):
        stored([Image.fromarray(CLASSES).convert(mode)])[0]


# As a person sees them

COLORS = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 5: (128, 0, 128)}  # of PASCAL VOC
COLORS |= {8: (64, 0, 0), 21: (128, 64, 128), VOID: (224, 224, 192)}


def test_a_notebook_shows_each_class_in_a_colour_of_its_own():
    large = np.repeat(list(COLORS), 32).astype(np.uint8)[np.newaxis].repeat(32, axis=0)
    for images in (
        stored([encode(with_palette(large), "PNG")]),
        Resizer(large.shape, interpolation="nearest").transform(stored([large])),
    ):
        [uri] = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', images._repr_html_())
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri))), int)
        shown = picture[16, 16::32]
        assert np.abs(shown - list(COLORS.values())).max() < 40  # JPEG, of sharp colours


# What check_images says


def test_a_check_judges_masks_as_the_loader_reads_them_and_not_by_their_light(photo):
    loader = JpegLoader(color_mode="stored", formats=FORMATS)
    files = [KINDS["palette of 256 colours"], KINDS["damaged profile"], encode(photo)]
    files += [encode(photo, "PNG"), KINDS["grey in JPEG"], KINDS["palette of 256 colours"]]
    for details in (False, True):
        found = check_images(files, loader=loader, details=details)
        assert found.readable.tolist() == [True, True, False, False, True, True]
        assert found["mode"].tolist() == ["P", "L", "RGB", "RGB", "L", "P"]
        assert "3 channels" in found.reason[2]
    assert [bool(text) for text in found.findings] == [False, False, True, True, False, True]
    assert "same content as" in found.findings[5]
