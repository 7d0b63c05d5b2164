"""Colour profiles in files: ignored, or converted as LittleCMS converts them by hand."""

from __future__ import annotations

import csv
import io
import pickle
import random
import re
import struct

import joblib
import numpy as np
import pytest
from PIL import Image, ImageCms, features
from sklearn.base import clone

from sknorm_images import (
    ImageDecodeError,
    ImageDecodeWarning,
    JpegLoader,
    Resizer,
    check_images,
    make_image_pipeline,
)
from tests.color_profiles import (
    ADOBE_RGB,
    DISPLAY_P3,
    PROPHOTO,
    SRGB,
    cmyk_profile,
    curve_of_srgb,
    gamma,
    grey_profile,
    profile_of_chains,
    rgb_profile,
)
from tests.conftest import crops, encode, encode_turned, pillow
from tests.many_threads import at_once

ADOBE = rgb_profile("Adobe RGB (1998)", ADOBE_RGB, gamma(563 / 256))
P3 = rgb_profile("Display P3", DISPLAY_P3, curve_of_srgb())
WIDE = rgb_profile("ProPhoto RGB", PROPHOTO, gamma(1.8))
GREY = grey_profile("Dot Gain 20%", gamma(1.8))
CMYK = cmyk_profile("Printer")
RGB_PROFILES = {"adobe": ADOBE, "p3": P3, "prophoto": WIDE}
SRGB_PROFILES = {
    "formula": rgb_profile("sRGB", SRGB, curve_of_srgb()),
    "table": rgb_profile("sRGB IEC61966-2.1", SRGB, curve_of_srgb(1024)),
    "of LittleCMS": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
}


def by_hand(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert an image with LittleCMS as its documentation has it."""
    converted = ImageCms.profileToProfile(
        image,
        io.BytesIO(profile),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert converted is not None
    return converted


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def loaded(data: object, **options: object) -> np.ndarray:
    return JpegLoader(color_profile="srgb", **options).transform([data])[0]


def difference(a: object, b: object) -> np.ndarray:
    return np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16))


# What is right


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("name", RGB_PROFILES)
def test_whole_photos_are_what_littlecms_makes_of_them_by_hand(number, name, photos):
    profile = RGB_PROFILES[name]
    data = encode(photos[number], icc_profile=profile)

    pixels = loaded(data)

    np.testing.assert_array_equal(pixels, by_hand(opened(data), profile))
    assert difference(pixels, pillow(data)).mean() > 1  # it does matter


def test_adobe_rgb_is_what_its_specification_says(photos):
    """Adobe RGB (1998) Color Image Encoding, and IEC 61966-2-1, in floats."""
    to_xyz = [
        [0.57667, 0.18556, 0.18823],
        [0.29734, 0.62736, 0.07529],
        [0.02703, 0.07069, 0.99134],
    ]
    to_linear_srgb = [
        [3.2406, -1.5372, -0.4986],
        [-0.9689, 1.8758, 0.0415],
        [0.0557, -0.2040, 1.0570],
    ]
    data = encode(photos[1], icc_profile=ADOBE)
    linear = (pillow(data) / 255) ** (563 / 256) @ np.transpose(to_xyz)
    linear = (linear @ np.transpose(to_linear_srgb)).clip(0, 1)
    curved = 1.055 * linear ** (1 / 2.4) - 0.055
    expected = 255 * np.where(linear <= 0.0031308, 12.92 * linear, curved)

    error = np.abs(loaded(data) - expected)

    assert error.mean() < 0.3
    assert error.max() < 2  # beside the rounding of both, constants have four digits


@pytest.mark.parametrize("profile", [ADOBE, CMYK, GREY])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_profiles_are_ignored_by_default(profile, mode, photo):
    data = encode(photo.convert(mode), icc_profile=profile)
    for loader in (JpegLoader(), JpegLoader(color_profile="ignore")):
        np.testing.assert_array_equal(loader.transform([data])[0], pillow(data))


@pytest.mark.parametrize("color_mode", ["rgb", "grayscale"])
@pytest.mark.parametrize("name", SRGB_PROFILES)
def test_photos_in_srgb_keep_every_bit(name, color_mode, photos):
    data = encode(photos[1], icc_profile=SRGB_PROFILES[name])
    mode = {"rgb": "RGB", "grayscale": "L"}[color_mode]

    np.testing.assert_array_equal(loaded(data, color_mode=color_mode), pillow(data, mode))
    # LittleCMS would round: no colour of all is more than a level from where it was.
    levels = np.arange(256, dtype=np.uint8)
    for red in levels[::15]:
        colors = np.stack(np.meshgrid(red, levels, levels), axis=-1).reshape(256, 256, 3)
        moved = by_hand(Image.fromarray(colors), SRGB_PROFILES[name])
        assert difference(moved, colors).max() <= 1


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_photos_without_a_profile_keep_every_bit(mode, photo):
    data = encode(photo.convert(mode))
    np.testing.assert_array_equal(loaded(data), pillow(data))


def test_a_name_does_not_make_a_profile_srgb(photo):
    profile = rgb_profile("sRGB IEC61966-2.1", ADOBE_RGB, gamma(2.2))
    data = encode(photo, icc_profile=profile)
    np.testing.assert_array_equal(loaded(data), by_hand(opened(data), profile))


@pytest.mark.parametrize("profile", [GREY, ADOBE])
def test_grey_photos_have_profiles_for_grey_or_for_colour(profile, photo):
    data = encode(photo.convert("L"), icc_profile=profile)
    image = opened(data) if profile is GREY else opened(data).convert("RGB")

    expected = by_hand(image, profile)

    np.testing.assert_array_equal(loaded(data), expected)
    grey = loaded(data, color_mode="grayscale")[..., 0]
    np.testing.assert_array_equal(grey, expected.convert("L"))
    assert difference(grey, opened(data)).max() > 5


def test_a_photo_in_colour_becomes_grey_behind_the_conversion(photo):
    data = encode(photo, icc_profile=P3)
    expected = by_hand(opened(data), P3).convert("L")
    np.testing.assert_array_equal(loaded(data, color_mode="grayscale")[..., 0], expected)


@pytest.mark.parametrize("dirt", [0.0, 0.5])
def test_inks_are_what_their_profile_says(dirt, photo):
    profile = cmyk_profile("Printer", dirt)
    data = encode(photo.convert("CMYK"), icc_profile=profile)
    np.testing.assert_array_equal(loaded(data), by_hand(opened(data), profile))


@pytest.mark.parametrize("image_format", ["PNG", "TIFF", "WEBP"])
def test_other_formats_have_profiles_too(image_format, photo):
    options = {"lossless": True} if image_format == "WEBP" else {}
    data = encode(photo, image_format, icc_profile=P3, **options)
    pixels = loaded(data, formats=(image_format,))
    np.testing.assert_array_equal(pixels, by_hand(photo, P3))


def test_colours_of_a_palette_are_converted(photo):
    palette = photo.quantize(64)
    data = encode(palette, "PNG", icc_profile=P3)
    expected = by_hand(palette.convert("RGB"), P3)
    np.testing.assert_array_equal(loaded(data, formats=("PNG",)), expected)


def test_images_of_pillow_are_converted_too(photo):
    image = photo.copy()
    image.info["icc_profile"] = P3
    np.testing.assert_array_equal(loaded(image), by_hand(photo, P3))


def test_colours_are_converted_before_what_is_behind_shows(photo):
    clear = photo.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(photo.size))
    data = encode(clear, "PNG", icc_profile=P3)
    above = by_hand(photo, P3).convert("RGBA")
    above.putalpha(clear.getchannel("A"))
    ground = Image.new("RGBA", photo.size, (250, 20, 90, 255))

    pixels = loaded(data, formats=("PNG",), background=(250, 20, 90))

    expected = Image.alpha_composite(ground, above).convert("RGB")
    np.testing.assert_array_equal(pixels, expected)


# Beside other parameters


@pytest.mark.parametrize("orientation", [1, 6])
def test_scaled_decoding_comes_first_and_resizing_last(orientation, photos):
    data = encode_turned(photos[0], orientation, icc_profile=P3)
    images = Resizer((30, 40), reducing_gap=2).transform(
        JpegLoader(color_profile="srgb").transform([data])
    )

    image, turned = opened(data), orientation == 6
    width, height = (30, 40) if turned else (40, 30)
    _, box = image.draft(None, (2 * width, 2 * height))
    assert image.width < photos[0].width / 2
    image = by_hand(image, P3).resize((width, height), Image.Resampling.BILINEAR, box)
    image = image.transpose(Image.Transpose.ROTATE_270) if turned else image
    np.testing.assert_array_equal(images[0], image)


def test_every_engine_resizes_what_is_converted(photos):
    pytest.importorskip("cykooz_resizer")
    data = encode(photos[0], icc_profile=ADOBE)
    simd, own = (
        make_image_pipeline((100, 150), color_profile="srgb", engine=engine)[:-1]
        .transform([data])
        .read()[0]
        for engine in ("simd", "pillow")
    )
    assert difference(simd, own).max() <= 1
    assert difference(own, make_image_pipeline((100, 150))[:-1].transform([data])[0]).max() > 9


def test_a_pipeline_learns_the_colours_that_are_seen(photos):
    files = [encode(piece, icc_profile=P3) for piece in crops(photos, 6)]
    converted = [by_hand(opened(data), P3) for data in files]

    pipeline = make_image_pipeline((32, 32), color_profile="srgb").fit(files)

    expected = make_image_pipeline((32, 32)).set_params(resize__reducing_gap=None)
    pipeline.set_params(resize__reducing_gap=None)
    assert pipeline["load"].color_profile == "srgb"
    np.testing.assert_array_equal(
        pipeline.fit(files)[-1].mean_, expected.fit(converted)[-1].mean_
    )


def test_the_parameters_survive_clones_and_pickles(photo):
    pipeline = make_image_pipeline(8, color_profile="srgb", background=(1, 2, 3))
    for copied in (clone(pipeline), pickle.loads(pickle.dumps(pipeline))):
        assert copied["load"].get_params() == pipeline["load"].get_params()
    images = pipeline[:-1].transform([encode(photo, icc_profile=ADOBE)])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(images))[0], images[0])


def test_what_older_versions_saved_ignores_profiles(photo):
    data = encode(photo, icc_profile=ADOBE)
    loader = JpegLoader()
    state = loader.__getstate__()
    for name in ("color_profile", "background"):
        del state[name]
    old = object.__new__(JpegLoader)
    old.__setstate__(state)
    images = JpegLoader().transform([data])
    decoding = images._recipe.decoding
    for name in ("color_profile", "background"):
        object.__delattr__(decoding, name)

    assert old.get_params() == loader.get_params()
    np.testing.assert_array_equal(old.transform([data])[0], pillow(data))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(images))[0], pillow(data))


def test_pillow_without_littlecms_is_told_before_a_file_is_read(monkeypatch):
    monkeypatch.setattr(features, "check", lambda name: name != "littlecms2")
    for method in ("fit", "transform"):
        with pytest.raises(ImportError, match=r"Pillow was built without it.*'ignore'"):
            getattr(JpegLoader(color_profile="srgb"), method)(["missing.jpg"])
    assert len(JpegLoader().transform(["missing.jpg"])) == 1


# Many files, many threads


@pytest.fixture(scope="module")
def mixed(photos) -> list[bytes]:
    """Photos with 24 profiles, more than are kept, in turn."""
    profiles = [
        rgb_profile(f"gamma {1 + i / 16}", ADOBE_RGB, gamma(1 + i / 16)) for i in range(22)
    ]
    profiles += [P3, CMYK]
    pieces = crops(photos, 72)
    modes = ["CMYK" if profiles[i % 24] is CMYK else "RGB" for i in range(72)]
    return [
        encode(piece.convert(mode), icc_profile=profiles[i % 24])
        for i, (piece, mode) in enumerate(zip(pieces, modes, strict=True))
    ]


@pytest.fixture(scope="module")
def converted(mixed) -> np.ndarray:
    images = [by_hand(opened(data), opened(data).info["icc_profile"]) for data in mixed]
    return np.stack(
        [np.asarray(i.resize((32, 32), Image.Resampling.BILINEAR)) for i in images]
    )


def described(data: list[bytes], n_jobs: int | None = None):
    pipeline = make_image_pipeline((32, 32), color_profile="srgb", n_jobs=n_jobs)
    return pipeline.set_params(resize__reducing_gap=None)[:-1].transform(data)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_any_number_of_workers_gives_the_same_bits(n_jobs, mixed, converted):
    np.testing.assert_array_equal(described(mixed, n_jobs), converted)


def test_threads_share_profiles(mixed, converted, threads_take_turns_often):
    few = mixed[:4] * 6
    expected = np.concatenate([converted[:4]] * 6)
    reads = [lambda: np.asarray(described(few)) for _ in range(8)]
    reads += [lambda: np.asarray(described(mixed[::-1])) for _ in range(2)]
    for pixels in at_once(*reads)[:8]:
        np.testing.assert_array_equal(pixels, expected)


@pytest.mark.long
def test_other_processes_convert_alike(mixed, converted):
    with joblib.parallel_config("loky", n_jobs=2):
        histogram = make_image_pipeline((32, 32), color_profile="srgb")
        histogram = histogram.set_params(resize__reducing_gap=None).fit(mixed)[-1].statistics_
    np.testing.assert_array_equal(histogram.mean, converted.mean(axis=(0, 1, 2)))


def test_a_profile_is_prepared_once_for_many_files_and_few_are_kept(photo, monkeypatch):
    built = []
    build = ImageCms.buildTransform
    monkeypatch.setattr(
        ImageCms, "buildTransform", lambda *args: (built.append(args), build(*args))[1]
    )
    profiles = [rgb_profile(f"number {i}", ADOBE_RGB, gamma(2)) for i in range(40)]
    piece = photo.crop((0, 0, 16, 16))

    np.asarray(described([encode(piece, icc_profile=profiles[0])] * 20))
    assert len(built) == 1
    for _ in range(2):
        np.asarray(described([encode(piece, icc_profile=profile) for profile in profiles]))
    assert len(built) == 80  # the one of before is kept, and 40 others push each other out


# What is wrong


def damaged_profiles() -> dict[str, bytes]:
    """Profiles that say something else than they are."""
    n_bytes = len(ADOBE)
    return {
        "empty but for a byte": b"\0",
        "text": b"a profile, honestly",
        "zeros": bytes(n_bytes),
        "ones": b"\xff" * n_bytes,
        "header alone": ADOBE[:128],
        "header and number of tags": ADOBE[:132],
        "table alone": ADOBE[:200],
        "cut in the middle": ADOBE[: n_bytes // 2],
        "last curve cut off": ADOBE[:-40],
        "without its first byte": ADOBE[1:],
        "no signature": ADOBE.replace(b"acsp", b"pcsa"),
        "many tags": ADOBE[:128] + b"\xff\xff\xff\xff" + ADOBE[132:],
        "no tags": ADOBE[:128] + bytes(4) + ADOBE[132:],
        "no red": ADOBE.replace(b"rXYZ", b"xXYZ"),
        "no curve": ADOBE.replace(b"gTRC", b"xTRC"),
        "tags behind the end": ADOBE[:136] + 6 * (b"\x7f\xff\xff\xff" * 3) + ADOBE[208:],
        "curves of another type": ADOBE.replace(b"curv", b"text"),
        "a curve without end": ADOBE.replace(
            b"curv" + struct.pack(">II", 0, 1), b"curv" + struct.pack(">II", 0, 2**32 - 1)
        ),
        "unknown space": ADOBE.replace(b"RGB XYZ ", b"\xff\xfe\x80\x00XYZ "),
        "colours of paper": ADOBE.replace(b"RGB XYZ ", b"Lab XYZ "),
        "connects to nothing": ADOBE.replace(b"RGB XYZ ", b"RGB abcd"),
        "calculates at length": profile_of_chains("chain", 100_000),
    }


@pytest.mark.parametrize("name", damaged_profiles())
def test_a_damaged_profile_is_a_fault_of_its_file(name, photo, tmp_path):
    path = tmp_path / f"{name}.jpg"
    path.write_bytes(encode(photo, icc_profile=damaged_profiles()[name]))
    files = [encode(photo), str(path), encode(photo, icc_profile=P3)]

    with pytest.raises(ImageDecodeError, match="color_profile='ignore'") as caught:
        np.asarray(described(files))
    assert (caught.value.source, caught.value.position) == (str(path), 1)
    assert "colour profile" in caught.value.reason

    blank = make_image_pipeline((32, 32), color_profile="srgb", on_error="blank")
    with pytest.warns(ImageDecodeWarning, match="1 of 3 images") as warned:
        X = blank.fit_transform(files)
    assert list(warned[0].message.failures) == [1]
    assert not X[1].any()
    assert blank["scale"].n_samples_seen_ == 2
    np.testing.assert_array_equal(JpegLoader().transform(files)[1], pillow(files[0]))
    assert check_images(files).profile.tolist() == ["", "damaged", "Display P3"]


@pytest.mark.parametrize(
    ("mode", "profile", "space"),
    [("RGB", CMYK, "CMYK"), ("RGB", GREY, "GRAY"), ("L", CMYK, "CMYK"), ("CMYK", P3, "RGB")],
)
def test_a_profile_for_other_images_is_told_by_name(mode, profile, space, photo):
    data = encode(photo.convert(mode), icc_profile=profile)
    with pytest.raises(ImageDecodeError, match=f"is for '{space}', and its mode is {mode}"):
        loaded(data)
    assert check_images([data]).profile.tolist() == ["damaged"]


def test_a_profile_of_which_a_part_is_missing_is_damaged(photo):
    long = rgb_profile("long", ADOBE_RGB, curve_of_srgb(20_000))  # two segments of JPEG
    data = encode(photo, icc_profile=long)
    np.testing.assert_array_equal(loaded(data), by_hand(opened(data), long))

    renumbered = data.replace(b"ICC_PROFILE\0\x02\x02", b"ICC_PROFILE\0\x02\x03")
    assert renumbered != data
    renumbered = renumbered.replace(b"ICC_PROFILE\0\x01\x02", b"ICC_PROFILE\0\x01\x03")
    with pytest.raises(ImageDecodeError, match="its colour profile is incomplete"):
        loaded(renumbered)
    np.testing.assert_array_equal(JpegLoader().transform([renumbered])[0], pillow(data))


def test_flipped_bytes_give_an_image_or_an_error():
    chance = random.Random(0)
    image = Image.linear_gradient("L").resize((8, 8))
    originals = [(ADOBE, "RGB"), (P3, "RGB"), (GREY, "L"), (CMYK, "CMYK")]
    files = []
    for i in range(200):
        profile, mode = originals[i % 4]
        flipped = bytearray(profile)
        for _ in range(chance.choice([1, 2, 8])):
            flipped[chance.randrange(min(len(flipped), 700))] = chance.randrange(256)
        files.append(encode(image.convert(mode), icc_profile=bytes(flipped)))

    images = JpegLoader(color_profile="srgb", on_error="blank").transform(files)
    failures = images.failures  # reads them all

    assert 30 < len(failures) < 170
    assert all(isinstance(error, ImageDecodeError) for error in failures.values())
    names = check_images(files, verify="header").profile
    assert {i for i, name in enumerate(names) if name == "damaged"} == set(failures)


# What check_images tells


@pytest.mark.parametrize("verify", ["decode", "header"])
def test_check_images_names_profiles(verify, photo):
    grey, inks = photo.convert("L"), photo.convert("CMYK")
    files = [
        encode(photo),
        encode(photo, icc_profile=P3),
        encode(photo, icc_profile=ADOBE),
        encode(grey, icc_profile=GREY),
        encode(inks, icc_profile=CMYK),
        encode(photo, icc_profile=ADOBE[:300]),
        encode(photo, icc_profile=rgb_profile(" two\nlines\x1b[31m " * 20, SRGB, gamma(2))),
        encode(photo, icc_profile=rgb_profile("", SRGB, gamma(2))),
        b"not a photo",
    ]

    found = check_images(files, verify=verify)

    names = found.profile.tolist()
    assert names[:6] == [
        *("", "Display P3", "Adobe RGB (1998)", "Dot Gain 20%", "Printer", "damaged")
    ]
    assert names[6].startswith(r"two lines\x1b[31m two")
    assert len(names[6]) < 120
    assert names[7:] == ["without a name", ""]
    assert found.readable.tolist() == [True] * 8 + [False]


def test_grey_profiles_fit_grey_images_of_every_kind(photo):
    grey = photo.convert("L")
    deep = Image.fromarray(np.asarray(grey, np.uint16) * 257)
    kinds = [grey, grey.convert("1"), grey.convert("LA"), deep]
    files = [encode(image, "PNG", icc_profile=GREY) for image in kinds]
    found = check_images(files, loader=JpegLoader(formats=("PNG",)), verify="header")
    assert found.profile.tolist() == ["Dot Gain 20%"] * 4


def test_a_damaged_profile_is_found_as_the_loader_will_find_it(photo):
    files = [encode(photo, icc_profile=ADOBE[:300]), encode(photo, icc_profile=ADOBE)]
    found = check_images(files, loader=JpegLoader(color_profile="srgb"))
    assert found.readable.tolist() == [False, True]
    assert "its colour profile is damaged" in found.reason[0]


# The command line


def folder_of(tmp_path, **contents: bytes):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, data in contents.items():
        (folder / f"{name}.jpg").write_bytes(data)
    return folder


def test_fit_takes_the_profile_into_the_pipeline(photo, tmp_path, call):
    folder = folder_of(tmp_path, a=encode(photo, icc_profile=P3), b=encode(photo))
    output, arrays = tmp_path / "p.joblib", tmp_path / "x.npz"

    finished = call("fit", folder, "-o", output, "--size", "32", "--color-profile", "srgb")

    assert finished.status == 0
    pipeline = joblib.load(output)
    assert pipeline["load"].color_profile == "srgb"
    files = sorted(map(str, folder.iterdir()))
    expected = make_image_pipeline(32, color_profile="srgb").fit_transform(files)
    assert call("transform", folder, "-p", output, "-o", arrays).status == 0
    with np.load(arrays) as saved:
        np.testing.assert_array_equal(saved["images"], expected)


def test_a_damaged_profile_is_told_in_options(photo, tmp_path, call):
    folder = folder_of(tmp_path, a=encode(photo, icc_profile=ADOBE[:200]), b=encode(photo))
    output, fitted = tmp_path / "p.joblib", tmp_path / "fitted.joblib"
    fit = ("fit", folder, "--size", "8", "-o")

    refused = call(*fit, output, "--color-profile", "srgb")

    assert refused.status == 2
    assert "a.jpg': its colour profile is damaged" in refused.err
    assert "--color-profile ignore takes its pixels as they are" in refused.err
    assert call(*fit, fitted, "--color-profile", "srgb", "--on-error", "blank").status == 0
    arrays = tmp_path / "x.npz"
    transform = ("transform", folder, "-p", fitted, "-o", arrays)
    assert call(*transform, "--on-error", "raise").status == 2
    assert call(*transform, "--on-error", "raise", "--color-profile", "ignore").status == 0


def test_check_lists_profiles_in_json_and_csv(photo, tmp_path, call):
    formula = rgb_profile("=1+1", SRGB, gamma(2))
    folder = folder_of(
        tmp_path, a=encode(photo, icc_profile=P3), b=encode(photo, icc_profile=formula)
    )
    assert re.findall('"profile": "([^"]*)"', call("check", folder, "--json").out) == [
        *("Display P3", "=1+1")
    ]
    rows = list(csv.DictReader(io.StringIO(call("check", folder, "--csv").out)))
    assert [row["profile"] for row in rows] == ["Display P3", "'=1+1"]
