"""engine="simd": Pillow's bilinear, but for a grey level, on every way an image can take."""

from __future__ import annotations

import cykooz_resizer
import numpy as np
import pytest
from PIL import Image, ImageOps

from sknorm_images import JpegLoader, Resizer, make_image_pipeline
from sknorm_images._images import simd
from tests import new_process
from tests.conftest import encode, encode_turned
from tests.differences import greatest_difference

SIZES = [(48, 75), (75, 48), (300, 210), (31, 401), (1, 1), (131, 177), (224, 224)]


def resized(
    source: bytes, engine: str, size: tuple[int, int], **options: object
) -> np.ndarray:
    images = JpegLoader().transform([source])
    return Resizer(size, engine=engine, **options).transform(images)[0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("aspect_ratio", ["ignore", "crop", "pad"])
def test_files_come_within_one_grey_level_of_pillow(photo, size, aspect_ratio):
    data = encode(photo)
    by_pillow = {
        "ignore": Image.Image.resize,
        "crop": ImageOps.fit,
        "pad": ImageOps.pad,
    }[aspect_ratio](Image.fromarray(JpegLoader().transform([data])[0]), size[::-1], 2)

    image = resized(data, "simd", size, aspect_ratio=aspect_ratio, reducing_gap=None)

    assert image.shape == (*size, 3)
    assert greatest_difference(image, np.asarray(by_pillow)) <= 1


def noise(seed: int, *shape: int) -> np.ndarray:
    """Images on which engines differ most."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def by_pillow(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((64, 64), (224, 224)),  # grows
        ((64, 300), (224, 224)),  # grows in height and shrinks in width
        ((300, 64), (224, 224)),
        ((64, 224), (224, 224)),
        ((224, 224), (224, 225)),
    ],
)
def test_what_grows_in_height_or_width_is_pillows_to_the_last_bit(photo, shape, size):
    photos = [photo.crop((0, 0, *shape[::-1]))]
    images = [*noise(0, 25, *shape, 3), *map(np.asarray, photos)]

    for image, ours in zip(
        images, Resizer(size, engine="simd").transform(images), strict=True
    ):
        np.testing.assert_array_equal(ours, by_pillow(image, size))


@pytest.mark.parametrize(
    ("shape", "size"),
    [((300, 224), (224, 224)), ((224, 224), (223, 200)), ((90, 300), (30, 40))],
)
def test_what_shrinks_is_the_engines_own_and_within_one_grey_level(shape, size):
    images = noise(1, 10, *shape, 3)

    resized = np.asarray(Resizer(size, engine="simd").transform(images))

    box = (0.0, 0.0, float(shape[1]), float(shape[0]))
    own = [np.asarray(simd.resize(Image.fromarray(i), size[::-1], box)) for i in images]
    np.testing.assert_array_equal(resized, own)
    assert greatest_difference(resized, np.stack([by_pillow(i, size) for i in images])) == 1


def test_it_is_not_pillow_that_resizes(photo, monkeypatch):
    resizers = []
    resize_into = simd.resize_into

    def noted(*args: object) -> None:
        resizers.append("simd")
        resize_into(*args)

    monkeypatch.setattr(simd, "resize_into", noted)
    for data in (encode(photo), encode_turned(photo, 6)):  # with the fast lane and without
        resized(data, "simd", (60, 80))
        assert resizers.pop() == "simd"
        resized(data, "pillow", (60, 80))
        assert not resizers


@pytest.mark.parametrize("orientation", [1, 3, 5, 6])
@pytest.mark.parametrize("aspect_ratio", ["ignore", "crop", "pad"])
def test_scaled_decoding_and_turning_come_within_one_grey_level_too(
    photos, orientation, aspect_ratio
):
    data = encode_turned(photos[0].resize((1300, 867)), orientation)  # decoded at a quarter

    simd, pillow = (
        resized(data, engine, (60, 90), aspect_ratio=aspect_ratio)
        for engine in ("simd", "pillow")
    )

    assert greatest_difference(simd, pillow) <= 1


def test_grayscale_files_come_within_one_grey_level(photo):
    images = JpegLoader(color_mode="grayscale").transform([encode(photo)])

    simd, pillow = (Resizer(50, engine=e).transform(images)[0] for e in ("simd", "pillow"))

    assert simd.shape == (50, 50, 1)
    assert greatest_difference(simd, pillow) <= 1


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4])
def test_arrays_come_within_one_grey_level(photos, n_channels):
    both = np.concatenate([np.asarray(photo) for photo in photos], axis=-1)
    images = both[np.newaxis, :90, :140, :n_channels]

    simd, pillow = (Resizer(50, engine=e).transform(images)[0] for e in ("simd", "pillow"))

    assert simd.shape == (50, 50, n_channels)
    assert greatest_difference(simd, pillow) <= 1


def test_every_processor_makes_the_same_pixels(photo):
    """What was fitted with AVX2 is served the same where there is none."""
    bilinear = cykooz_resizer.ResizeAlg.convolution(cykooz_resizer.FilterType.bilinear)
    resizer = cykooz_resizer.Resizer()
    resizer.cpu_extensions = cykooz_resizer.CpuExtensions.none
    plain = Image.new("RGB", (60, 45))
    resizer.resize_pil(photo, plain, cykooz_resizer.ResizeOptions(bilinear))

    image = Resizer((45, 60), engine="simd").transform([np.asarray(photo)])[0]

    np.testing.assert_array_equal(image, np.asarray(plain))


def test_threads_make_the_same_pixels_as_one(files):
    expected = make_image_pipeline((48, 32), engine="simd", n_jobs=1)
    pipeline = make_image_pipeline((48, 32), engine="simd", n_jobs=2)

    for _ in range(5):  # buffers are used again, for other sizes
        np.testing.assert_array_equal(
            pipeline.fit_transform(files * 3), expected.fit_transform(files * 3)
        )


@pytest.mark.parametrize("interpolation", ["nearest", "box", "hamming", "bicubic", "lanczos"])
@pytest.mark.parametrize("method", ["fit", "transform"])
def test_other_interpolations_are_refused_by_name(method, interpolation):
    resizer = Resizer(interpolation=interpolation, engine="simd")

    with pytest.raises(ValueError, match=f"'{interpolation}'.*'bilinear'.*engine='pillow'"):
        getattr(resizer, method)(np.zeros((1, 4, 4, 3), np.uint8))


WITHOUT = """
import pickle

import numpy as np
import sknorm_images
from sknorm_images import Resizer

images = np.zeros((1, 4, 4, 3), np.uint8)
lazy = pickle.dumps(Resizer(2, engine="simd").transform(images))
del sknorm_images._images.simd, sys.modules["sknorm_images._images.simd"]
sys.modules["cykooz_resizer"] = None
for use in (
    lambda: Resizer(engine="simd").fit(images),
    lambda: Resizer(engine="simd").transform(images),
    lambda: np.asarray(pickle.loads(lazy)),
):
    try:
        use()
    except ImportError as error:
        print(error)
print(Resizer(2).transform(images)[0].shape)
"""


@pytest.mark.long
def test_without_the_library_it_says_what_to_install():
    process = new_process.run(WITHOUT)

    assert process.returncode == 0, process.stderr
    *errors, shape = process.stdout.splitlines()
    assert len(errors) == 3
    for error in errors:
        assert error.startswith("engine='simd' needs cykooz-resizer")
        assert 'python -m pip install "sknorm-images[simd]"' in error
    assert shape == "(2, 2, 3)"
