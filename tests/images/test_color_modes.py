"""A colour mode is one line: its channels have their own names, and it is shown in colour.

Pillow's conversions are the oracle.
"""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from sknorm_images import JpegLoader, LazyImages, Resizer, check_images
from sknorm_images._images.color_modes import COLOR_MODES, channels_of, find_color_mode
from tests.conftest import encode, pillow
from tests.more_color_modes import MORE_COLOR_MODES

HIGH = (32, 48)


@pytest.fixture(params=MORE_COLOR_MODES)
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Add a colour mode for one test, and name it."""
    monkeypatch.setitem(COLOR_MODES, request.param, MORE_COLOR_MODES[request.param])
    return request.param


def pictures_in(html: str) -> list[Image.Image]:
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', html)
    return [Image.open(io.BytesIO(base64.b64decode(content))) for content in found]


def test_images_are_what_pillow_converts_them_to(mode, files):
    images = JpegLoader(color_mode=mode).transform(files[:3])

    assert (images.color_mode, images.n_channels) == (mode, len(COLOR_MODES[mode].channels))
    for image, file in zip(images, files, strict=False):
        expected = np.asarray(Image.open(file).convert(COLOR_MODES[mode].pillow))
        np.testing.assert_array_equal(image, expected)


def test_a_notebook_shows_a_photo_as_it_looks(mode, photo):
    pillow_mode, data = COLOR_MODES[mode].pillow, encode(photo)
    images = JpegLoader(color_mode=mode).transform([data])
    resized = Resizer((96, 130), reducing_gap=None).transform(images)
    stored = Image.open(io.BytesIO(data)).convert(pillow_mode)
    small = stored.resize((130, 96), Image.Resampling.BILINEAR)

    for shown, expected in ((images, stored), (resized, small)):
        [picture] = pictures_in(shown._repr_html_())
        assert picture.mode == "RGB"
        as_it_looks = pillow(encode(expected.convert("RGB"), quality=90))
        np.testing.assert_array_equal(np.asarray(picture), as_it_looks)


def test_damage_is_found_whatever_the_images_become(mode, photos, without_simplejpeg):
    data = encode(photos[0].crop((200, 150, 400, 300)))
    ruined = data[: len(data) // 2] + b"\xff\xd9"

    found = check_images([data, ruined], loader=JpegLoader(color_mode=mode))

    assert found.damage[0] == ""
    assert found.damage.tolist() == check_images([data, ruined]).damage.tolist()
    assert found.damage[1].startswith("its data ends early")


@pytest.mark.parametrize(("n_channels", "usual"), [(1, "grayscale"), (3, "rgb"), (4, None)])
def test_arrays_are_taken_for_grey_or_rgb_whatever_modes_there_are(n_channels, usual, mode):
    images = LazyImages([np.zeros((2, 3, n_channels), np.uint8)], n_channels)

    found = find_color_mode(images.n_channels, images.color_mode)

    assert images.color_mode is None
    assert found is COLOR_MODES.get(usual)


def test_a_name_of_another_number_of_channels_is_ignored():
    assert list(channels_of(1, "rgb")) == ["grey"]
    assert list(channels_of(3, "grayscale")) == ["red", "green", "blue"]
    assert list(channels_of(2, "rgb")) == ["channel 0", "channel 1"]
    assert list(channels_of(3, None)) == ["red", "green", "blue"]


@pytest.mark.parametrize("n_channels", [1, 3])
def test_grey_and_rgb_images_are_shown_bit_by_bit(n_channels):
    pixels = np.random.default_rng(0).integers(0, 256, (*HIGH, n_channels), np.uint8)
    found = find_color_mode(n_channels)
    assert found is not None
    assert found.is_seen
    np.testing.assert_array_equal(np.asarray(found.as_seen(pixels)), pixels.squeeze())


@pytest.mark.parametrize("name", [*COLOR_MODES, *MORE_COLOR_MODES])
def test_pillow_agrees_on_the_number_of_channels(name):
    found = {**COLOR_MODES, **MORE_COLOR_MODES}[name]
    assert len(found.channels) == len(Image.new(found.pillow, (1, 1)).getbands())
