"""JPEG files that no ordinary encoder makes: decoded as Pillow decodes them, or an error."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from sknorm_images import ImageDecodeError, JpegLoader, Resizer
from tests.conftest import encode
from tests.data.jpeg.make import FILES
from tests.differences import psnr
from tests.jpeg_bytes import repeat_last_scan
from tests.peak_memory import measure

# What Pillow says of an index or of EXIF that is damaged, and then decodes.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

FOLDER = Path(__file__).parents[1] / "data" / "jpeg"
NAMES = sorted(path.stem for path in FOLDER.glob("*.jpg"))
MODES = {"rgb": "RGB", "grayscale": "L"}


def names(text: str) -> list[str]:
    return text.split()


# What Pillow 11.0 and 13.0 decode alike: files that show the photo as it is stored,
SOUND = names("""
    a-scan-a-component adobe-too-short adobe-unknown-transform
    adobe-ycck-of-three-components arithmetic arithmetic-grayscale arithmetic-progressive
    arithmetic-restarts cmyk cmyk-progressive cmyk-without-adobe components-numbered-from-0
    empty-image-before
    every-app-in-odd-order exif-before-jfif-progressive exif-behind-the-frame
    exif-behind-the-scan exif-big-endian exif-directory-in-a-circle exif-empty
    exif-in-two-segments exif-little-endian exif-orientation-as-broken-float
    exif-orientation-as-byte exif-orientation-as-float exif-orientation-as-fraction
    exif-orientation-as-fraction-of-zero exif-orientation-as-long exif-orientation-as-text
    exif-orientation-in-the-thumbnails-directory exif-orientation-of-no-numbers
    exif-orientation-of-two-numbers exif-resolution-of-no-number exif-twice
    exif-twice-first-without-orientation fill-bytes-between-segments
    height-contradicted-behind-the-scan height-said-twice huge-jpeg-behind-the-end
    huge-thumbnail-in-exif icc-chunk-missing icc-chunk-twice icc-of-wrong-length
    jfif-says-ycc-and-adobe-rgb jpeg-in-a-comment junk-behind-the-end junk-between-segments
    mpo-index-cut-short mpo-index-without-entries mpo-index-without-number
    mpo-of-huge-second-frame mpo-of-one-frame mpo-of-two-frames mpo-oriented mpo-progressive
    mpo-without-second-frame no-huffman-tables one-pixel photoshop-cut-short
    progressive-missing-last-scan progressive-second-jpeg-behind-the-end
    progressive-without-refinement restart-marker-in-the-header restarts rgb
    rgb-by-names-of-components sampling-2x2-1x2-2x1 sampling-3x1 sampling-3x3 sampling-4-1-0
    sampling-4-1-0-progressive sampling-4-1-1 sampling-4-2-2 sampling-4-4-0
    sampling-chroma-finer-than-luma sampling-grayscale-2x2 sampling-luma-3x2-chroma-2x1
    scans-of-two-and-one second-jpeg-behind-the-end segment-of-no-length
    tables-in-an-image-before thumbnail-in-exif xmp-contradicts-exif
    xmp-contradicts-exif-of-none xmp-orientation ycck
""")
# files that show something else, since they are coarse or damaged,
DAMAGED = names("""
    arithmetic-said-of-huffman baseline-quality-1 damaged-in-the-middle end-in-the-middle
    jfif-said-of-rgb progressive-dc-alone quantization-of-zeros restarts-announced-and-absent
    restarts-in-wrong-order restarts-missing restarts-not-announced restarts-renumbered
    restarts-replaced-by-reserved-markers sixteen-bit-quantization very-high very-wide
""")
# and what neither decodes.
REFUSED = names("""
    arithmetic-without-end claims-65500-squared claims-65500-squared-arithmetic
    claims-65500-squared-behind-an-empty-image claims-65500-squared-behind-fill-bytes
    claims-65500-squared-in-a-first-frame claims-65500-squared-in-a-frame-after-the-scan
    claims-65500-squared-in-a-second-frame claims-65500-squared-lossless
    claims-65500-squared-progressive differential-frame extension-segment five-components
    frame-after-the-progressive-scans height-behind-the-first-scan hierarchical
    icc-without-number jfif-cut-short jpeg-2000 jpeg-2000-codestream jpeg-ls jpeg-xl jpeg-xr
    junk-before-the-start lossless-16-bits lossless-said-of-sequential
    mpo-of-huge-first-frame newline-before-the-start no-end no-end-progressive no-frame
    no-height no-huffman-tables-progressive no-quantization-tables no-scan no-width
    progressive-said-of-sequential quantization-cut-short reserved-marker-in-the-header
    sampling-of-five sampling-of-zero scan-before-frame segment-longer-than-the-file
    start-twice temporary-marker-in-the-header twelve-bits twelve-bits-grayscale
    twelve-bits-progressive two-components zeros-for-the-end
""")
# Lossless asks for libjpeg-turbo 3; Pillow 11.0 refuses an MPO of more frames than entries.
LOSSLESS = ["lossless", "lossless-grayscale"]
DEPENDS = [*LOSSLESS, "mpo-of-more-frames-than-entries"]

# What EXIF says of those that are not upright. Of XMP alone Pillow 11.0 knows nothing.
ORIENTATIONS = {
    "every-app-in-odd-order": 6,
    "exif-before-jfif-progressive": 7,
    "exif-behind-the-frame": 6,
    "exif-big-endian": 6,
    "exif-directory-in-a-circle": 6,
    "exif-in-two-segments": 6,
    "exif-little-endian": 6,
    "exif-orientation-as-float": 6,
    "exif-orientation-as-fraction": 6,
    "exif-orientation-as-long": 6,
    "exif-orientation-of-two-numbers": 6,
    "exif-resolution-of-no-number": 6,
    "exif-twice": 6,
    "huge-thumbnail-in-exif": 6,
    "mpo-oriented": 6,
    "thumbnail-in-exif": 6,
    "xmp-contradicts-exif": 3,
}
# How the rows and columns of (height, width, channels) go upright, by EXIF orientation.
UPRIGHT = {
    1: lambda stored: stored,
    3: lambda stored: stored[::-1, ::-1],
    6: lambda stored: stored[::-1].swapaxes(0, 1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
}


def path_of(name: str) -> str:
    return str(FOLDER / f"{name}.jpg")


def pillow(name: str, mode: str) -> tuple[np.ndarray | None, bool]:
    """What Pillow makes of a file, if anything; and whether it could turn it upright."""
    upright = True
    try:
        with Image.open(path_of(name), formats=("JPEG",)) as image:
            image.load()
            try:
                turned = ImageOps.exif_transpose(image)
            except Exception:  # noqa: BLE001 (it rewrites the EXIF too, which may be damaged)
                turned, upright = image, False
            pixels = np.asarray(turned.convert(mode))
    except Exception:  # noqa: BLE001 (Pillow raises many classes on damaged files)
        return None, False
    return (pixels if pixels.ndim == 3 else pixels[..., np.newaxis]), upright


def test_every_file_is_listed_once_and_made_by_the_script():
    listed = [*SOUND, *DAMAGED, *REFUSED, *DEPENDS]

    assert len(NAMES) > 150
    assert sorted(listed) == NAMES
    assert sorted(FILES) == NAMES


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("color_mode", MODES)
def test_a_peculiar_file_is_what_pillow_makes_of_it_or_an_error(name, color_mode):
    expected, upright = pillow(name, MODES[color_mode])
    loader = JpegLoader(color_mode=color_mode, exif_orientation=upright)
    images = loader.transform([path_of("restarts"), path_of(name)])

    if expected is not None:
        np.testing.assert_array_equal(images[1], expected)
        return
    with pytest.raises(ImageDecodeError) as caught:
        images[1]
    error = caught.value
    assert (error.source, error.position) == (path_of(name), 1)
    assert error.reason == error.reason.strip(" .\n") != ""
    assert f"Cannot decode image 1, {path_of(name)!r}: {error.reason}." in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_file_shows_the_photo(photos, name):
    image = JpegLoader(exif_orientation=False).transform([path_of(name)])[0]

    height, width = (1, 1) if name == "one-pixel" else (47, 71)
    photo = photos[0].crop((120, 90, 120 + width, 90 + height))
    if "grayscale" in name:
        photo = photo.convert("L").convert("RGB")
    assert image.shape == (height, width, 3)
    # Quality 20 is 12 to 17 grey levels off; the flower in its place would be 70.
    assert np.abs(image - np.asarray(photo, float)).mean() < 18


@pytest.mark.parametrize("name", DAMAGED)
def test_a_file_of_which_libjpeg_only_warns_is_decoded(name):
    image = JpegLoader().transform([path_of(name)])[0]

    sizes = {"very-high": (65_500, 1, 3), "very-wide": (1, 65_500, 3)}
    assert image.shape == sizes.get(name, (47, 71, 3))


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_no_pillow_decodes_is_refused(name):
    with pytest.raises(ImageDecodeError):
        JpegLoader().transform([path_of(name)])[0]


@pytest.mark.parametrize("name", sorted({*SOUND, *DAMAGED} - {"xmp-orientation"}))
def test_a_peculiar_file_is_turned_as_its_exif_says(name):
    stored = JpegLoader(exif_orientation=False).transform([path_of(name)])[0]

    image = JpegLoader().transform([path_of(name)])[0]

    np.testing.assert_array_equal(image, UPRIGHT[ORIENTATIONS.get(name, 1)](stored))


@pytest.mark.parametrize("name", [*SOUND, *DAMAGED])
@pytest.mark.parametrize("color_mode", MODES)
def test_scaled_decoding_of_a_peculiar_file_is_close_to_full_decoding(
    prepared, name, color_mode
):
    images = JpegLoader(color_mode=color_mode).transform([path_of(name)])
    full = Resizer(7, reducing_gap=None).transform(images)[0]
    [size] = prepared

    image = Resizer(7).transform(images)[0]

    # 71 x 47 is more than 2 x 3 times the target both ways, so it is decoded at a half.
    assert prepared[1] == ((36, 24) if size == (71, 47) else size)
    assert image.shape == full.shape == (7, 7, len(MODES[color_mode]))
    # The usual 45 dB is for photos; these have blocks that differ by all grey levels.
    assert psnr(image, full) >= 35


LOSSLESS_TWICE = """
import numpy as np
from sknorm_images import ImageDecodeError

def attempt(images):
    try:
        return images[0].tolist()
    except ImageDecodeError as error:
        return error.reason

images = JpegLoader().transform([inputs["path"]])
full = attempt(Resizer(4, reducing_gap=None).transform(images))
scaled = attempt(Resizer(4).transform(images))
print(json.dumps({"full": full, "scaled": scaled}))
"""


@pytest.mark.long
@pytest.mark.parametrize("name", LOSSLESS)
def test_a_lossless_file_is_never_decoded_at_a_smaller_scale(name):
    """In a process of its own, since Pillow before 13.0 may crash."""
    results = measure(LOSSLESS_TWICE, path=path_of(name))

    assert results["scaled"] == results["full"]


# Bombs

CLAIMS = [
    name
    for name in NAMES
    if name.startswith("claims-65500") or name == "mpo-of-huge-first-frame"
]
# libjpeg stops at the second frame, with the room of the small one.
CLAIMED_BESIDE = [
    "claims-65500-squared-in-a-first-frame",
    "claims-65500-squared-in-a-frame-after-the-scan",
]
# What does not concern the image that is decoded.
CLAIMED_ELSEWHERE = [
    "height-contradicted-behind-the-scan",
    "huge-jpeg-behind-the-end",
    "huge-thumbnail-in-exif",
    "mpo-of-huge-second-frame",
]


@pytest.mark.parametrize("name", sorted({*CLAIMS} - {*CLAIMED_BESIDE}))
def test_no_room_is_made_for_65500_squared_wherever_the_claim_stands(prepared, name):
    with pytest.raises(ImageDecodeError, match="pixels"):
        JpegLoader().transform([path_of(name)])[0]

    assert prepared == []


@pytest.mark.parametrize("name", [*CLAIMED_BESIDE, *CLAIMED_ELSEWHERE])
def test_room_is_made_for_the_image_that_is_decoded_alone(prepared, name):
    _ = JpegLoader(on_error="blank").transform([path_of(name)]).failures

    assert prepared == [(71, 47)]


READ_ALL = """
from sknorm_images import ImageDecodeError

def read(paths):
    return len(JpegLoader().transform(paths).failures)

read(inputs["ordinary"])  # what is loaded and set up once
before = peak()
failed = read(inputs["claims"])
print(json.dumps({"megabytes": peak() - before, "failed": failed}))
"""


def seconds_to_read(data: bytes) -> float:
    """The least of five times."""

    def seconds() -> float:
        images = JpegLoader(on_error="blank").transform([data])  # which remembers its failures
        start = time.perf_counter()
        _ = images.failures
        return time.perf_counter() - start

    return min(seconds() for _ in range(5))


def test_a_claim_of_65500_squared_is_refused_faster_than_a_photo_is_decoded(photos):
    claim = Path(path_of("claims-65500-squared")).read_bytes()

    assert seconds_to_read(claim) < seconds_to_read(encode(photos[0]))


@pytest.mark.long
def test_claims_of_65500_squared_take_no_memory():
    results = measure(
        READ_ALL,
        ordinary=[path_of("restarts"), path_of("arithmetic-progressive")],
        claims=[path_of(name) for name in [*CLAIMS, *CLAIMED_ELSEWHERE]],
    )

    assert results["failed"] == len(CLAIMS)
    assert results["megabytes"] < 50  # one such image has 12,871


def scan_bomb(photo: Image.Image, times: int) -> bytes:
    """A progressive photo and its last scan, again and again."""
    return repeat_last_scan(encode(photo.convert("L"), progressive=True, quality=5), times)


def test_a_file_of_3000_scans_is_refused_faster_than_a_photo_is_decoded(photos, prepared):
    bomb = scan_bomb(photos[0], 3_000)

    refusing = seconds_to_read(bomb)
    assert prepared == []

    assert refusing < 2 * seconds_to_read(encode(photos[0]))
    with pytest.raises(ImageDecodeError, match="more scans than max_scans=100"):
        JpegLoader().transform([bomb])[0]


@pytest.mark.parametrize(
    "tables",
    [b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xfe\0\4ab\xff\xd9", b"\xff\xd8\xff\xd9" * 3],
    ids=["nothing", "a comment", "nothing, three times"],
)
def test_scans_behind_a_stream_of_tables_alone_are_counted(photos, prepared, tables):
    """ITU-T T.81, B.5: such a stream holds tables for the image that follows."""
    bomb = scan_bomb(photos[0], 150)

    with pytest.raises(ImageDecodeError, match="more scans than max_scans=100"):
        JpegLoader().transform([tables + bomb])[0]

    assert prepared == []


@pytest.mark.parametrize("name", ["empty-image-before", "tables-in-an-image-before"])
def test_a_stream_of_tables_alone_hides_no_size(prepared, name):
    with pytest.raises(ImageDecodeError, match=r"71 x 47 .*max_pixels=3336"):
        JpegLoader(max_pixels=71 * 47 - 1).transform([path_of(name)])[0]

    assert prepared == []


def test_a_file_of_endless_segments_is_refused_before_it_is_decoded(photos, prepared):
    data = encode(photos[0].crop((0, 0, 64, 48)))
    endless = data[:2] + b"\xff\xe0\x00\x02" * 11_001 + data[2:]

    with pytest.raises(ImageDecodeError, match="more than 11000 marker segments"):
        JpegLoader().transform([endless])[0]
    assert prepared == []
    assert JpegLoader(max_scans=200).transform([endless])[0].shape == (48, 64, 3)


def test_many_segments_of_metadata_are_let_in(photos):
    data = encode(photos[0].crop((0, 0, 64, 48)))
    described = data[:2] + b"\xff\xe0\x00\x02" * 10_000 + data[2:]

    np.testing.assert_array_equal(
        JpegLoader().transform([described])[0], JpegLoader().transform([data])[0]
    )
