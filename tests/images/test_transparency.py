"""Images that are not opaque: what shows through, or that it was dropped."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from PIL import Image

from sknorm_images import (
    ChannelStandardScaler,
    ImageFlattener,
    ImageTransparencyWarning,
    JpegLoader,
    LazyImages,
    make_image_pipeline,
    save_images,
)
from tests.conftest import encode

BACKGROUNDS = [0, 255, 128, (255, 255, 255), (250, 3, 97)]
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF")


def rgb(background: Any) -> tuple[int, int, int]:
    return (background,) * 3 if isinstance(background, int) else background


def by_hand(image: Image.Image, background: Any, mode: str = "RGB") -> np.ndarray:
    """Lay an image over an opaque one with Pillow."""
    ground = Image.new("RGBA", image.size, (*rgb(background), 255))
    pixels = np.asarray(Image.alpha_composite(ground, image.convert("RGBA")).convert(mode))
    return pixels if mode == "RGB" else pixels[..., np.newaxis]


@pytest.fixture(scope="module")
def clear(photos) -> Image.Image:
    """A photo that fades from opaque to nothing."""
    image = photos[0].crop((120, 90, 297, 221)).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


@pytest.fixture(scope="module")
def kinds(clear) -> dict[str, bytes | Image.Image]:
    """Every way in which an image says what is not opaque: files, and images in memory."""
    hard = clear.copy()
    hard.putalpha(clear.getchannel("A").point(lambda level: 255 * (level > 99)))
    palette = clear.convert("RGB").quantize(16)
    grey = clear.convert("L")
    color = clear.convert("RGB").getpixel((9, 9))
    palette_and_opacity = palette.convert("PA")
    palette_and_opacity.putalpha(clear.getchannel("A"))
    return {
        "RGBA in PNG": encode(clear, "PNG"),
        "RGBA in WebP": encode(clear, "WEBP"),
        "RGBA in TIFF": encode(clear, "TIFF"),
        "LA in PNG": encode(clear.convert("LA"), "PNG"),
        "a palette of opacities in PNG": encode(
            palette, "PNG", transparency=bytes(range(0, 256, 16))
        ),
        "one clear colour of a palette in PNG": encode(palette, "PNG", transparency=3),
        "one clear grey level in PNG": encode(grey, "PNG", transparency=grey.getpixel((9, 9))),
        "one clear colour in PNG": encode(clear.convert("RGB"), "PNG", transparency=color),
        "GIF": encode(hard, "GIF"),
        "RGBA": clear,
        "LA": clear.convert("LA"),
        "PA": palette_and_opacity,
        "RGBa": clear.convert("RGBa"),
    }


KINDS = [
    *("RGBA in PNG", "RGBA in WebP", "RGBA in TIFF", "LA in PNG"),
    *("a palette of opacities in PNG", "one clear colour of a palette in PNG"),
    *("one clear grey level in PNG", "one clear colour in PNG", "GIF"),
    *("RGBA", "LA", "PA", "RGBa"),
]


def opened(source: bytes | Image.Image) -> Image.Image:
    return Image.open(io.BytesIO(source)) if isinstance(source, bytes) else source


def loaded(source: Any, **options: Any) -> np.ndarray:
    return JpegLoader(formats=FORMATS, **options).transform([source])[0]


# What shows through


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("kind", KINDS)
def test_images_lie_on_the_background_as_pillow_composites(kind, background, kinds):
    source = kinds[kind]
    pixels = loaded(source, background=background)
    np.testing.assert_array_equal(pixels, by_hand(opened(source), background))
    grey = loaded(source, background=background, color_mode="grayscale")
    np.testing.assert_array_equal(grey, by_hand(opened(source), background, "L"))


@pytest.mark.parametrize("background", [0, 1, 128, 254, 255])
def test_every_level_and_opacity_is_rounded_once(background):
    levels, opacities = np.meshgrid(*[np.arange(256, dtype=np.uint8)] * 2)
    image = Image.fromarray(np.dstack([levels, levels, levels, opacities]))

    pixels = loaded(image, background=background)

    exact = [
        round(Fraction(s * a + background * (255 - a), 255))  # never halfway: 255 is odd
        for s, a in zip(levels.ravel().tolist(), opacities.ravel().tolist(), strict=True)
    ]
    expected = np.reshape(exact, levels.shape)
    for channel in range(3):
        np.testing.assert_array_equal(pixels[..., channel], expected)


def test_a_black_drawing_on_a_clear_ground_stays_one():
    drawing = Image.new("LA", (40, 30))
    drawing.paste((0, 255), (10, 5, 30, 25))
    shown = loaded(encode(drawing, "PNG"), background=255)
    assert (shown[5:25, 10:30] == 0).all()
    assert (shown == 255).sum() == 3 * (1200 - 400)


def test_the_fourth_channel_of_an_array_is_its_opacity(clear):
    pixels = loaded(np.asarray(clear), background=(9, 99, 199))
    np.testing.assert_array_equal(pixels, by_hand(clear, (9, 99, 199)))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_opaque_photos_keep_every_bit(mode, photo):
    data = encode(photo.convert(mode))
    expected = np.asarray(opened(data).convert("RGB"))
    np.testing.assert_array_equal(loaded(data, background=7), expected)


def test_numbers_of_numpy_are_grey_levels_too(clear):
    for background in (np.uint8(200), np.int64(200), (np.uint8(200),) * 3, [200, 200, 200]):
        np.testing.assert_array_equal(
            loaded(clear, background=background), by_hand(clear, 200)
        )


def test_the_background_is_resized_with_the_image(clear):
    pipeline = make_image_pipeline((30, 40), background=(255, 0, 128))
    pipeline.set_params(load__formats=("PNG",))
    shown = Image.fromarray(by_hand(clear, (255, 0, 128)))
    np.testing.assert_array_equal(
        pipeline[:-1].transform([encode(clear, "PNG")])[0],
        shown.resize((40, 30), Image.Resampling.BILINEAR),
    )


# What is dropped, and told


@pytest.fixture(scope="module")
def mixed(clear, photo) -> list[bytes]:
    """24 files, of which the 4th and each 4th after it is not opaque."""
    small = (16, 12)
    opaque = encode(photo.resize(small))
    see_through = encode(clear.resize(small), "PNG")
    return [see_through if i % 4 == 3 else opaque for i in range(24)]


def pipeline_of(n_jobs: int | None = None, **options: Any):
    pipeline = make_image_pipeline((8, 8), n_jobs=n_jobs, **options)
    return pipeline.set_params(load__formats=FORMATS)


def images_of(mixed: list[bytes], n_jobs: int | None = None) -> LazyImages:
    return pipeline_of(n_jobs)[:-1].transform(mixed)


def told(call: Callable[[], Any]) -> list[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return caught


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_background_the_colours_below_show_and_that_is_told(kind, kinds):
    source = kinds[kind]
    images = JpegLoader(formats=FORMATS).transform([source])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(images[0], np.asarray(opened(source).convert("RGB")))
    [warning] = told(lambda: images[0])
    assert warning.category is ImageTransparencyWarning


CALLS: dict[str, Callable[[list[bytes], int | None, Path], Any]] = {
    "fit": lambda X, n_jobs, folder: pipeline_of(n_jobs).fit(X),
    "fit_transform": lambda X, n_jobs, folder: pipeline_of(n_jobs).fit_transform(X),
    "transform with constants": lambda X, n_jobs, folder: pipeline_of(
        n_jobs, scaler=ChannelStandardScaler(mean=128, std=64)
    ).transform(X),
    "transform with a scale for each image": lambda X, n_jobs, folder: pipeline_of(
        n_jobs, scaler=ChannelStandardScaler(per_image="channel")
    ).transform(X),
    "partial_fit": lambda X, n_jobs, folder: ChannelStandardScaler().partial_fit(
        images_of(X, n_jobs)
    ),
    "numpy.asarray": lambda X, n_jobs, folder: np.asarray(images_of(X, n_jobs)),
    "images of one size without a Resizer": lambda X, n_jobs, folder: np.asarray(
        JpegLoader(formats=FORMATS, n_jobs=n_jobs).transform(X)
    ),
    "iteration": lambda X, n_jobs, folder: list(images_of(X, n_jobs)),
    "flattening": lambda X, n_jobs, folder: (
        ImageFlattener().fit(images_of(X)).transform(images_of(X, n_jobs))
    ),
    "saving": lambda X, n_jobs, folder: save_images(images_of(X, n_jobs), folder / "x.npy"),
}


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("name", CALLS)
def test_a_call_tells_once_how_many_and_which_is_the_first(name, n_jobs, mixed, tmp_path):
    [warning] = told(lambda: CALLS[name](mixed, n_jobs, tmp_path))

    found = warning.message
    assert isinstance(found, ImageTransparencyWarning)
    assert (found.position, found.n_images) == (3, 6)
    assert str(found).startswith(
        f"Image 3, '<{len(mixed[3])} bytes>', and 5 more have pixels that are not opaque. "
    )
    assert "background=255" in str(found)
    if name != "saving":
        assert warning.filename == __file__ or "sklearn" in warning.filename


def test_a_first_image_that_is_read_for_its_size_counts_once(mixed):
    images = JpegLoader(formats=FORMATS).transform(mixed[3:5])
    [warning] = told(lambda: np.asarray(images))
    assert (warning.message.position, warning.message.n_images) == (0, 1)


def test_transform_after_fit_tells_again(mixed):
    with pytest.warns(ImageTransparencyWarning):
        pipeline = pipeline_of().fit(mixed)
    assert len(told(lambda: pipeline.transform(mixed))) == 1


@pytest.mark.long
def test_it_is_told_here_where_other_processes_read(mixed):
    def fit() -> None:
        with joblib.parallel_config("loky", n_jobs=2):
            pipeline_of().fit(mixed)

    [warning] = told(fit)
    assert (warning.message.position, warning.message.n_images) == (3, 6)


def test_files_that_cannot_be_read_are_told_beside(mixed):
    pipeline = pipeline_of(on_error="blank")
    categories = [w.category.__name__ for w in told(lambda: pipeline.fit([*mixed, b"no"]))]
    assert sorted(categories) == ["ImageDecodeWarning", "ImageTransparencyWarning"]


@pytest.mark.filterwarnings("error")
def test_nothing_is_told_where_nothing_is_hidden(photo, clear, mixed):
    solid = photo.convert("RGBA")  # opaque, with an opacity of 255 everywhere
    palette = encode(photo.quantize(16), "PNG")
    files = [encode(solid, "PNG"), palette, encode(photo), solid, np.asarray(solid)]
    pipeline_of().fit_transform(files)
    pipeline_of(background=255).fit_transform([*mixed, clear])


def test_it_can_be_made_an_error_or_silenced(mixed):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ImageTransparencyWarning)
        with pytest.raises(ImageTransparencyWarning):
            pipeline_of().fit(mixed)
        warnings.simplefilter("ignore", ImageTransparencyWarning)
        pipeline_of().fit(mixed)


@pytest.mark.parametrize("transparency", [None, "no", (1, 2), 3.5])
def test_transparency_that_makes_no_sense_fails_no_image(transparency, photo):
    image = photo.copy()
    image.info["transparency"] = transparency
    for background in (None, 255):
        np.testing.assert_array_equal(loaded(image, background=background), photo)


def test_a_palette_of_many_opacities_makes_pillow_warn_of_nothing(clear):
    palette = clear.convert("RGB").quantize(16)
    opacities = bytes(range(0, 256, 16))
    file = encode(palette, "PNG", transparency=opacities)
    for mode in ("rgb", "grayscale"):
        for background in (None, 255):
            loader = JpegLoader(color_mode=mode, formats=("PNG",), background=background)
            [*warned] = told(lambda loader=loader: loader.transform([file])[0])
            assert [w.category for w in warned] == [ImageTransparencyWarning] * (
                not background
            )
    pixels = JpegLoader(formats=("PNG",), background=255).transform([file])[0]
    np.testing.assert_array_equal(pixels, by_hand(Image.open(io.BytesIO(file)), 255))


def test_a_background_in_an_array_is_told_to_be_a_tuple():
    with pytest.raises(TypeError, match=r"is of type ndarray.* Pass \(red, green, blue\)"):
        JpegLoader(background=np.array([1, 2, 3])).transform([b""])


# The command line


@pytest.fixture
def folder(mixed, tmp_path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(4):
        (folder / f"{i}.png").write_bytes(mixed[i])
    return folder


READ = ("--extensions", ".png", "--formats", "JPEG,PNG")


@pytest.mark.filterwarnings("always::sknorm_images.ImageTransparencyWarning")
def test_the_command_line_tells_once_and_names_its_option(folder, tmp_path, call):
    output, arrays = tmp_path / "p.joblib", tmp_path / "x.npz"
    fit = ("fit", folder, "-o", output, "--size", "8", *READ)

    fitted = call(*fit)
    written = call("transform", folder, "-p", output, "-o", arrays, *READ)

    for finished in (fitted, written):
        assert finished.status == 0, finished.err
        assert finished.err.count("not opaque") == 1
        assert "3.png" in finished.err
        assert "--background 255" in finished.err
        assert "another grey level or R,G,B." in finished.err
        assert "JpegLoader" not in finished.err
    silent = call(*fit, "--force", "--background", "255,255,0")
    assert (silent.status, silent.err) == (0, "")
    assert joblib.load(output)["load"].background == (255, 255, 0)
    assert call(*fit, "--force", "--background", "7").err == ""
    assert joblib.load(output)["load"].background == 7


@pytest.mark.parametrize("background", ["white", "256", "-1", "1,2", "1,2,3,4", "1.5", "٣"])
def test_a_background_that_is_no_colour_is_refused(background, folder, tmp_path, call):
    fit = ("fit", folder, "-o", tmp_path / "p.joblib", *READ)
    finished = call(*fit, f"--background={background}")
    assert finished.status == 2
    assert f"--background {background} " in finished.err
    assert "(red, green, blue)" not in finished.err
    assert "background=" not in finished.err


@pytest.mark.filterwarnings("always::sknorm_images.ImageTransparencyWarning")
def test_a_report_tells_of_transparency_once(folder, tmp_path, call):
    fit = ("fit", folder, "-o", tmp_path / "p.joblib", "--size", "8", *READ)
    assert call(*fit, "--background", "0").status == 0

    pipeline = joblib.load(tmp_path / "p.joblib").set_params(load__background=None)
    joblib.dump(pipeline, tmp_path / "p.joblib")
    page = tmp_path / "page.html"
    finished = call("report", folder, "-p", tmp_path / "p.joblib", "-o", page, *READ)

    assert finished.status == 0, finished.err
    assert finished.err.count("not opaque") == 1


@pytest.mark.parametrize(
    ("option", "value", "fitted"),
    [("--background", "0", "255"), ("--color-profile", "srgb", "ignore")],
)
def test_other_colours_than_those_of_the_fit_are_told(
    option, value, fitted, folder, tmp_path, call
):
    saved, output = tmp_path / "p.joblib", tmp_path / "x.npz"
    fit = ("fit", folder, "-o", saved, "--size", "8", "--background", "255", *READ)
    assert call(*fit).status == 0
    transform = ("transform", folder, "-p", saved, "-o", output, "--force", *READ)

    same = call(*transform, option, fitted)
    alike = call(*transform, "--background", "255,255,255")
    other = call(*transform, option, value)

    assert (same.status, same.err, alike.err) == (0, "", "")
    assert other.status == 0
    assert other.err.startswith(
        f"sknorm-images: warning: {option} {value}, and the pipeline was fitted with {fitted}"
    )
