"""check_images(details=True): measures, near duplicates and findings, with planted faults."""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageEnhance, ImageFilter
from scipy.fft import dctn
from scipy.ndimage import laplace

from sknorm_images import JpegLoader, check_images
from sknorm_images._images import strict_libjpeg
from sknorm_images._images.near_duplicates import MOST_BITS, first_alike
from sknorm_images._images.strict_libjpeg import StrictLibjpeg
from tests.conftest import encode, encode_turned
from tests.data.jpeg.make import profile
from tests.lazy_photos import OnACrowdedMachine

DETAILS = [
    "brightness",
    "contrast",
    "percentile_5",
    "percentile_99",
    "sharpness",
    "entropy",
    "is_grey",
    "pixel_hash",
    "perceptual_hash",
    "same_pixels_as",
    "near_duplicate_of",
    "findings",
]

PECULIAR = Path(__file__).parents[1] / "data" / "jpeg"


@pytest.fixture(scope="module")
def pieces(photos) -> list[Image.Image]:
    """Ten pieces of each photo, 240 x 180, which show enough to be hashed."""
    corners = [(x, y) for y in (90, 240) for x in (0, 100, 200, 300, 400)]
    return [photo.crop((x, y, x + 240, y + 180)) for photo in photos for x, y in corners]


@pytest.fixture(scope="module")
def tiles(photos) -> list[Image.Image]:
    """1,000 distinct pictures: pieces of 25 x 21 pixels that do not overlap, enlarged."""
    return [
        photo.crop((x, y, x + 25, y + 21)).resize((150, 126), Image.Resampling.BICUBIC)
        for photo in photos
        for y in range(0, 420, 21)
        for x in range(0, 625, 25)
    ]


def pixels_of(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_measures_are_those_of_numpy_and_scipy(photo, photos):
    large = photos[0].resize((900, 600))  # in colour more than 1 MiB, and shrunk to 256 x 171
    data = [
        encode(photo),
        encode(photos[1].crop((0, 0, 200, 150)).convert("L")),
        encode(large),
    ]

    found = check_images(data, details=True)

    for i, content in enumerate(data):
        pixels = pixels_of(content)
        grey = np.asarray(Image.fromarray(pixels).convert("L"), float)
        shares = np.unique(grey, return_counts=True)[1] / grey.size
        shrunk = Image.fromarray(grey.astype(np.uint8))
        if i == 2:
            shrunk = shrunk.resize((256, 171), Image.Resampling.BOX)
        light = np.asarray(shrunk, float)
        sharpness = laplace(light)[1:-1, 1:-1].var() / light.var()
        np.testing.assert_allclose(found.brightness[i], grey.mean())
        np.testing.assert_allclose(found.contrast[i], grey.std())
        assert found.percentile_5[i] == np.quantile(grey, 0.05, method="inverted_cdf")
        assert found.percentile_99[i] == np.quantile(grey, 0.99, method="inverted_cdf")
        np.testing.assert_allclose(found.entropy[i], -(shares * np.log2(shares)).sum())
        np.testing.assert_allclose(found.sharpness[i], sharpness, rtol=1e-5)
        small = shrunk.resize((32, 32), Image.Resampling.BOX)
        low = dctn(np.asarray(small, float), norm=None)[:8, :8].ravel()
        assert found.perceptual_hash[i][0] == "p"  # never a number to a spreadsheet
        bits = int(found.perceptual_hash[i][1:], 16)
        expected = low > np.median(low[1:])
        assert [bits >> (63 - k) & 1 for k in range(64)] == expected.tolist()
    assert found.is_grey.tolist() == [False, True, False]
    for i, image in ((0, photo), (2, large)):
        header = f"{image.width} {image.height} 3 ".encode()
        pixel_hash = hashlib.sha256(header + pixels_of(data[i]).tobytes()).hexdigest()
        assert found.pixel_hash[i] == pixel_hash


def test_percentiles_are_exact_where_a_grey_level_ends_just_there():
    random = np.random.default_rng(0)
    images = [
        Image.fromarray(random.choice(16 * np.arange(16, dtype=np.uint8), (1, 20 * n)))
        for n in range(1, 60)
    ]
    found = check_images(
        [encode(image, "PNG") for image in images],
        details=True,
        loader=JpegLoader(formats=("PNG",), color_mode="grayscale"),
    )

    for i, image in enumerate(images):
        levels = np.sort(np.asarray(image), axis=None)
        assert found.percentile_5[i] == levels[-(-5 * len(levels) // 100) - 1]
        assert found.percentile_99[i] == levels[-(-99 * len(levels) // 100) - 1]


def photos_of_all_kinds(photos: list[Image.Image]) -> list[bytes]:
    files = [
        encode(photo, progressive=progressive, subsampling=subsampling, quality=quality)
        for photo in (photos[0].crop((90, 60, 391, 253)), photos[1].crop((200, 90, 455, 400)))
        for progressive in (False, True)
        for subsampling in ("4:4:4", "4:2:2", "4:2:0", "4:1:1")
        for quality in (30, 90)
    ]
    small = photos[0].crop((200, 150, 333, 260))
    grey = small.convert("L")
    files += [encode(grey), encode(grey.convert("RGB")), encode(small.convert("CMYK"))]
    files += [encode_turned(small, orientation) for orientation in range(1, 9)]
    files += [encode(small, icc_profile=profile()), encode(small, "PNG"), encode(photos[0])]
    files += [data[:-900] for data in files[:4]]
    files += [data[:-900] + b"\xff\xd9" for data in files[:4]]
    return [*files, *(path.read_bytes() for path in sorted(PECULIAR.glob("*.jpg")))]


@pytest.mark.parametrize(
    "loader",
    [
        JpegLoader(),
        JpegLoader(color_mode="grayscale", formats=("JPEG", "PNG")),
        JpegLoader(exif_orientation=False, color_profile="srgb"),
        JpegLoader(color_mode="stored", background=0),
    ],
    ids=["rgb", "grayscale", "srgb", "stored"],
)
def test_details_are_the_same_without_simplejpeg(loader, photos, monkeypatch):
    files = photos_of_all_kinds(photos)
    decoded = []
    decode = StrictLibjpeg.decode

    def noted(*args):
        decoded.append(decode(*args))
        return decoded[-1]

    monkeypatch.setattr(StrictLibjpeg, "decode", noted)
    with_it = check_images(files, loader=loader, details=True)
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    without = check_images(files, loader=loader, details=True)

    n_decoded = sum(one is not None for one in decoded)
    assert n_decoded > 60 if loader.color_mode != "stored" else n_decoded == 0
    for name in set(with_it) - {"damage", "findings"}:
        np.testing.assert_array_equal(with_it[name], without[name], err_msg=name)
    is_seen_alike = with_it.damage == without.damage
    assert is_seen_alike.mean() > 0.9
    assert (with_it.findings == without.findings)[is_seen_alike].all()


def test_a_photo_too_large_to_be_held_twice_is_measured_all_the_same(photo, monkeypatch):
    expected = check_images([encode(photo)], details=True)
    monkeypatch.setattr(strict_libjpeg, "_LARGE", 1000)

    found = check_images([encode(photo)], details=True)

    assert expected.readable.all()
    for name in set(expected):
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_the_quick_form_keeps_its_fields_and_both_agree_on_them(files, photos):
    data = [*files[:4], encode(photos[0])[:-1000], b"", None]
    quick, detailed = check_images(data), check_images(data, details=True)

    assert list(detailed) == [*quick, *DETAILS]
    for name, column in quick.items():
        np.testing.assert_array_equal(detailed[name], column)
    for name in DETAILS[:6]:
        assert np.isnan(detailed[name][4:]).all()
    assert detailed.pixel_hash[4:].tolist() == [""] * 3
    assert [told.startswith("broken: ") for told in detailed.findings] == [False] * 4 + [
        True
    ] * 3


def test_a_data_frame_has_the_same_columns_and_types(files):
    found = check_images(files[:3], target=[0, 1, 0], details=True)
    frame = check_images(files[:3], target=[0, 1, 0], details=True, as_frame=True)

    assert isinstance(frame, pd.DataFrame)
    del found["classes"]
    pd.testing.assert_frame_equal(frame, pd.DataFrame(found))
    assert isinstance(check_images([], details=True, as_frame=True), pd.DataFrame)


def test_details_need_pixels(files):
    with pytest.raises(ValueError, match="details=True measures pixels, and verify='header'"):
        check_images(files[:1], details=True, verify="header")


def test_a_copy_that_was_tagged_or_packed_anew_has_the_same_pixels(photo):
    exif = Image.Exif()
    exif[0x010E] = "a description"
    upright = encode(photo, "PNG")
    data = [upright, encode(photo, "PNG", exif=exif, compress_level=1)]
    data += [encode(photo.transpose(Image.Transpose.ROTATE_90), "PNG", exif=turned(6))]
    png = JpegLoader(formats=("PNG",))

    found = check_images(data, target=["cat", "cat", "dog"], loader=png, details=True)

    assert found.duplicate_of.tolist() == [-1] * 3
    assert found.same_pixels_as.tolist() == [-1, 0, 0]
    name = f"<{len(upright)} bytes>"
    assert found.findings.tolist() == [
        "",
        f"same pixels as {name}, in the same class",
        f"same pixels as {name}, in another class",
    ]
    jpeg = encode_turned(photo, 6)
    again = jpeg[:2] + b"\xff\xfe\x00\x06note" + jpeg[2:]
    assert check_images([jpeg, again], details=True).same_pixels_as.tolist() == [-1, 0]


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def resized(image: Image.Image) -> Image.Image:
    return image.resize((image.width * 2 // 3, image.height * 2 // 3))


def cropped(image: Image.Image) -> Image.Image:
    width, height = image.size
    return image.crop((round(0.03 * width), round(0.03 * height), width, height))


EDITS: dict[str, Callable[[Image.Image], bytes]] = {
    "quality 30": lambda image: encode(image, quality=30),
    "resized by a third": lambda image: encode(resized(image)),
    "brightness + 20 %": lambda image: encode(ImageEnhance.Brightness(image).enhance(1.2)),
    "cropped by 3 %": lambda image: encode(cropped(image)),
}


def test_planted_near_duplicates_are_found(pieces):
    n = len(pieces)
    data = [encode(piece) for piece in pieces]
    alone = check_images(data, details=True)
    hashes = alone.perceptual_hash
    shares = {}
    for edit, function in EDITS.items():
        copies = [function(image) for image in pieces]
        edited = check_images(copies, details=True).perceptual_hash
        found = [first_alike(np.array(pair))[1] for pair in zip(hashes, edited, strict=True)]
        shares[edit] = sum(place == 0 for place in found) / n
    assert min(shares.values()) >= 0.95


def test_distinct_pictures_are_not_told_as_near_duplicates(tiles):
    found = check_images([encode(tile) for tile in tiles], details=True)

    n_hashed = np.count_nonzero(found.perceptual_hash != "")
    n_pairs = np.count_nonzero(found.near_duplicate_of >= 0)
    assert n_hashed > 500
    assert n_pairs <= 1


@pytest.mark.parametrize("most_bits", [0, 3, MOST_BITS])
def test_near_duplicates_are_those_that_comparing_all_pairs_finds(most_bits):
    random = np.random.default_rng(0)
    values = random.integers(0, 2**64, 600, dtype=np.uint64)
    for bit in range(most_bits + 2):  # pairs that differ in 0 to most_bits + 2 bits
        some = random.integers(0, 300, 30)
        flipped = random.choice(64, bit, replace=False).tolist()
        values[random.integers(300, 600, 30)] = values[some] ^ np.uint64(
            sum(1 << k for k in flipped)
        )
    values[100:140] = values[100] ^ random.integers(0, 2**12, 40, dtype=np.uint64)  # a crowd
    hashes = np.array([f"p{value:016x}" for value in values], object)
    hashes[::50] = ""

    found = first_alike(hashes, most_bits)

    expected = np.full(600, -1)
    for i in range(600):
        for j in range(i):
            if hashes[i] and hashes[j]:
                differing = (int(hashes[i][1:], 16) ^ int(hashes[j][1:], 16)).bit_count()
                if differing <= most_bits:
                    expected[i] = j
                    break
    np.testing.assert_array_equal(found, expected)
    assert np.count_nonzero(found >= 0) > 20


def flat(image: Image.Image) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(0.04)


def washed_out(image: Image.Image) -> Image.Image:
    return image.point(lambda level: 215 + level * 40 // 255)


FAULTS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "too dark": lambda image: ImageEnhance.Brightness(image).enhance(0.2),
    "too bright": washed_out,
    "blurry": lambda image: image.filter(ImageFilter.GaussianBlur(2)),
    "little information": flat,
}


@pytest.mark.parametrize("kind", FAULTS)
def test_planted_faults_of_the_picture_are_found(kind, pieces):
    good = check_images([encode(piece) for piece in pieces], details=True)
    bad = check_images([encode(FAULTS[kind](piece)) for piece in pieces], details=True)

    def share(findings: np.ndarray) -> float:
        return float(np.mean([kind in words.split("; ") for words in findings]))

    assert share(bad.findings) >= 0.95
    assert share(good.findings) <= 0.05


def test_the_whole_photos_of_scikit_learn_are_inconspicuous(photos):
    found = check_images([encode(photo) for photo in photos], details=True)
    assert found.findings.tolist() == ["", ""]


def test_what_differs_from_the_rest_of_the_folder_is_told(pieces):
    odd = {
        "odd size": pieces[0].resize((80, 60)),
        "odd aspect ratio": pieces[1].crop((0, 0, 240, 40)).resize((600, 100)),
        "grey among colour": pieces[2].convert("L"),
        "grey among colour again": pieces[3].convert("L").convert("RGB"),
    }
    data = [encode(image) for image in odd.values()]
    data += [encode(piece) for piece in pieces[4:]]

    found = check_images(data, details=True)

    for words, kind in zip(found.findings, odd, strict=False):
        assert kind.removesuffix(" again") in words
    assert "80 x 60" in found.findings[0]
    assert "600 x 100" in found.findings[1]
    others = " ".join(found.findings[4:])
    assert not any(word in others for word in ("odd", "grey"))
    few = check_images(data[:3], details=True)
    assert not any("odd" in words for words in few.findings)


def test_names_and_profiles_that_mislead_are_told(tmp_path, photo):
    contents = {
        "a.jpg": encode(photo),
        "b.jpg": encode(photo.rotate(90), "PNG"),
        "c.JPEG": encode(photo.rotate(180), icc_profile=bytes(128)),
        "d": encode(photo.rotate(45)),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    loader = JpegLoader(formats=("JPEG", "PNG"))

    found = check_images([tmp_path / name for name in contents], loader=loader, details=True)

    assert found.findings.tolist() == [
        "",
        "not what its name says: PNG data",
        "colour profile that is ignored: damaged",
        "",
    ]


def test_copies_are_told_by_their_closest_kind_and_class(pieces):
    first, other = encode(pieces[0]), encode(pieces[12])
    data = [first, first, encode(pieces[0], quality=30), other]

    found = check_images(data, target=["cat", "cat", "dog", "dog"], details=True)

    name = f"<{len(first)} bytes>"
    assert found.findings.tolist() == [
        "",
        f"same content as {name}, in the same class",
        f"near duplicate of {name}, in another class",
        "",
    ]
    assert found.near_duplicate_of.tolist() == [-1, 0, 0, -1]
    assert found.near_duplicate_in_another_class.tolist() == [False, False, True, False]


def test_a_missing_pandas_is_told_before_files_are_read(files, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        check_images([*files, OnACrowdedMachine(files[0])], as_frame=True)
