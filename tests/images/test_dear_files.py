"""What one JPEG file may cost: refused on its markers, or decoded within a bound."""

from __future__ import annotations

import io
import struct
import sys
import tracemalloc
from collections import Counter
from math import ceil

import numpy as np
import pytest
from PIL import Image, features

from sknorm_images import ImageDecodeError, JpegLoader
from sknorm_images._files.jpeg_damage import read_image_data
from sknorm_images._files.jpeg_markers import read_structure
from sknorm_images._images.recipes import as_pixels
from tests.conftest import encode, pillow
from tests.fuzzing.dear_files import (
    ARITHMETIC,
    ARITHMETIC_PROGRESSIVE,
    DEFAULT,
    LOSSLESS,
    PROGRESSIVE,
    SEQUENTIAL,
    SERVER,
    Cost,
    DearFile,
    Scan,
    Setting,
    dear_file,
    dearest_files,
    file,
    files_of_metadata,
    files_to_look_through,
    issue_examples,
    measure,
    tables,
)
from tests.jpeg_bytes import APP1, APP2, COM, DHT, DQT, SOS, claim_size, segment, with_first

TWELVE_MEGAPIXELS, LARGEST = (4_000, 3_000), (9_459, 9_459)
GREY, FULL, HALVED, FOUR = ((1, 1),), ((1, 1),) * 3, ((2, 2), (1, 1), (1, 1)), ((1, 1),) * 4


def excess(data: bytes, setting: Setting = DEFAULT) -> str | None:
    return read_structure(data, setting.max_scans).excess(*setting)


# Refused


def test_the_examples_are_as_small_as_they_were_reported():
    sizes = [len(make()) for make in issue_examples().values()]

    assert all(size < 2_000 for size in sizes[:4])
    assert sizes[4] == pytest.approx(9.9e6, rel=0.02)
    assert sizes[5] == pytest.approx(39.6e6, rel=0.02)


@pytest.mark.parametrize("name", issue_examples())
def test_a_small_file_that_costs_many_seconds_is_refused_before_it_is_decoded(name, prepared):
    setting = SERVER if "server" in name else DEFAULT
    loader = JpegLoader(max_pixels=setting.max_pixels, max_scans=setting.max_scans)

    with pytest.raises(ImageDecodeError) as caught:
        loader.transform([issue_examples()[name]()])[0]

    assert prepared == []
    assert len(caught.value.reason) < 120
    expected = "bytes of EXIF" if "EXIF" in name else "scans may take|cannot hold|arithmetic"
    assert caught.match(expected)


@pytest.mark.parametrize("coding", [SEQUENTIAL, PROGRESSIVE])
@pytest.mark.parametrize("sampling", [GREY, FULL, HALVED, FOUR])
def test_more_blocks_than_the_bytes_can_hold_are_refused(coding, sampling, prepared):
    everything = tuple(range(len(sampling)))
    scan = Scan(everything, 0, 0 if coding == PROGRESSIVE else 63, 0, 0, b"")
    data = file(coding, LARGEST, sampling, [scan])

    with pytest.raises(ImageDecodeError, match=rf"its {len(data)} bytes cannot hold 9459 x"):
        JpegLoader().transform([data])[0]

    assert prepared == []


@pytest.mark.parametrize("sampling", [((4, 1), (1, 4), (1, 1)), ((4, 4), (1, 1), (1, 1))])
def test_coarse_components_hide_no_pixels(sampling):
    """Two of these have 9 and 18 blocks for 1,024 pixels; the room for those is the same."""
    scan = Scan((0, 1, 2), 0, 63, 0, 0, bytes(100_000 - 300))

    assert "cannot hold" in str(excess(file(SEQUENTIAL, (8_000, 8_000), sampling, [scan])))


def test_samples_of_a_lossless_file_need_a_bit_each():
    scan = Scan((0, 1, 2), 1, 0, 0, 0, b"")
    whole = Scan((0, 1, 2), 1, 0, 0, 0, bytes(3 * 3_000**2 // 8))

    assert "cannot hold" in str(excess(file(LOSSLESS, (3_000, 3_000), FULL, [scan])))
    assert excess(file(LOSSLESS, (3_000, 3_000), FULL, [whole])) is None


@pytest.mark.parametrize("i", [0, 7], ids=["known", "unknown"])
def test_the_work_of_all_scans_is_added_up_whatever_component_they_name(i):
    """An unknown one counts as the dearest: a decoder may yet find it."""
    direct = Scan((0,), 0, 0, 0, 0, bytes(20_000))
    refining = Scan((i,), 1, 63, 1, 0, b"")
    few, many = ([direct] + [refining] * n for n in (5, 99))

    assert excess(file(PROGRESSIVE, TWELVE_MEGAPIXELS, GREY, few)) is None
    assert excess(file(PROGRESSIVE, TWELVE_MEGAPIXELS, GREY, many), DEFAULT) is None
    assert "scans may take" in str(
        excess(file(PROGRESSIVE, TWELVE_MEGAPIXELS, GREY, many), Setting(12_000_000, 100))
    )


def test_max_pixels_bounds_the_work_of_scans_too(prepared):
    scan = Scan((0, 1), 0, 63, 0, 0, b"")
    data = file(SEQUENTIAL, (1_250, 1_250), FULL, [scan] * 100)  # 4.9 million visits: 123 ms

    with pytest.raises(ImageDecodeError, match=r"0\.1 s to decode.*max_pixels=1562500 allows"):
        JpegLoader(max_pixels=1_562_500).transform([data])[0]
    assert prepared == []
    assert JpegLoader(max_pixels=8_000_000).transform([data])[0].shape == (1_250, 1_250, 3)


@pytest.mark.parametrize(
    ("n", "each", "reason"),
    [(4, 65_000, None), (5, 65_000, "262144 bytes of EXIF"), (300, 1_000, "bytes of EXIF")],
)
def test_exif_is_let_in_up_to_256_kilobytes(photo_bytes, n, each, reason):
    data = with_first(photo_bytes, *[segment(APP1, b"Exif\0\0" + bytes(each))] * n)

    assert reason is None if excess(data) is None else reason in excess(data)


@pytest.mark.parametrize("extension", [0xC8, 0xF0, 0xFD])
def test_exif_within_an_extension_segment_counts_too(extension, photo_bytes):
    inner = segment(APP1, b"Exif\0\0" + bytes(1_000)) * 60
    data = with_first(photo_bytes, *[segment(extension, inner)] * 10)

    assert "bytes of EXIF" in str(excess(data))


def test_metadata_that_costs_little_is_let_in(photo_bytes):
    icc = [
        segment(APP2, b"ICC_PROFILE\0" + bytes([i, 255]) + bytes(60_000))
        for i in range(1, 256)
    ]
    xmp = [segment(APP1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(60_000))] * 100
    data = with_first(photo_bytes, *icc, *xmp, segment(COM, bytes(60_000)))

    assert excess(data) is None
    np.testing.assert_array_equal(JpegLoader().transform([data])[0], pillow(photo_bytes))


def test_endless_quantization_tables_are_refused(photo_bytes, prepared):
    tables = segment(DQT, bytes([0, *[1] * 64]) * 900)

    with pytest.raises(ImageDecodeError, match="65536 bytes of quantization tables"):
        JpegLoader().transform([with_first(photo_bytes, tables, tables)])[0]

    assert prepared == []


@pytest.fixture
def photo_bytes(photos) -> bytes:
    return encode(photos[0].crop((0, 0, 64, 48)))


# Let in


def usual_scans(n_components: int) -> list[Scan]:
    """What libjpeg writes of a progressive image by default (jcparam.c)."""
    every = tuple(range(n_components))
    if n_components == 3:
        script = [
            *[
                ((0,), 1, 5, 0, 2),
                ((2,), 1, 63, 0, 1),
                ((1,), 1, 63, 0, 1),
                ((0,), 6, 63, 0, 2),
            ],
            *[((0,), 1, 63, 2, 1), (every, 0, 0, 1, 0), ((2,), 1, 63, 1, 0)],
            *[((1,), 1, 63, 1, 0), ((0,), 1, 63, 1, 0)],
        ]
    else:
        bands = [(1, 5, 0, 2), (6, 63, 0, 2), (1, 63, 2, 1), (1, 63, 1, 0)]
        script = [((i,), *band) for band in bands for i in every] + [(every, 0, 0, 1, 0)]
    return [Scan(every, 0, 0, 0, 1, b"")] + [Scan(*line, b"") for line in script]


def mozjpeg_scans() -> list[Scan]:
    """Ten scans such as MozJPEG chooses: bands of each component, refined twice in luma."""
    script = [
        *[((0,), 0, 0, 0, 0), ((1,), 0, 0, 0, 0), ((2,), 0, 0, 0, 0)],
        *[((0,), 1, 8, 0, 2), ((0,), 9, 63, 0, 2), ((0,), 1, 63, 2, 1), ((0,), 1, 63, 1, 0)],
        *[((1,), 1, 63, 0, 0), ((2,), 1, 8, 0, 0), ((2,), 9, 63, 0, 0)],
    ]
    return [Scan(*line, b"") for line in script]


@pytest.mark.parametrize("size", [TWELVE_MEGAPIXELS, LARGEST])
@pytest.mark.parametrize("sampling", [GREY, FULL, HALVED, FOUR])
@pytest.mark.parametrize("coding", [SEQUENTIAL, PROGRESSIVE])
def test_a_flat_image_of_the_fewest_bytes_that_huffman_code_allows_is_let_in(
    size, sampling, coding
):
    """One bit for each block in progressive files, and two in others."""
    n_blocks = sum(h * v for h, v in sampling) * ceil(size[0] / 8) * ceil(size[1] / 8)
    n_blocks /= max(h for h, _ in sampling) * max(v for _, v in sampling)
    scans = usual_scans(len(sampling))
    if coding == SEQUENTIAL:
        scans, n_blocks = [Scan(tuple(range(len(sampling))), 0, 63, 0, 0, b"")], 2 * n_blocks
    data = file(coding, size, sampling, scans) + bytes(int(n_blocks / 8))

    assert excess(data) is None


@pytest.mark.parametrize(
    "scans", [usual_scans(3), mozjpeg_scans()], ids=["libjpeg", "MozJPEG"]
)
@pytest.mark.parametrize("sampling", [FULL, HALVED])
@pytest.mark.parametrize("size", [TWELVE_MEGAPIXELS, LARGEST])
def test_a_photo_of_ten_progressive_scans_is_let_in(size, sampling, scans):
    assert len(scans) == 10
    data = file(PROGRESSIVE, size, sampling, scans) + bytes(size[0] * size[1] // 16)

    assert excess(data) is None


@pytest.mark.parametrize("coding", [ARITHMETIC, ARITHMETIC_PROGRESSIVE])
def test_a_photo_of_12_megapixels_in_arithmetic_code_is_let_in(coding):
    scans = usual_scans(3) if coding != ARITHMETIC else [Scan((0, 1, 2), 0, 63, 0, 0, b"")]

    assert excess(file(coding, TWELVE_MEGAPIXELS, HALVED, scans)) is None


def test_a_small_image_that_claims_to_be_larger_decodes_as_ever(photo_bytes):
    """Where data end early, libjpeg only warns, and the rest is grey."""
    cut = claim_size(photo_bytes, 1_200, 1_000)

    np.testing.assert_array_equal(JpegLoader().transform([cut])[0], pillow(cut))


@pytest.mark.long
@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("L", {"progressive": True}),
        ("RGB", {"quality": 1}),
        ("RGB", {"progressive": True}),
        ("CMYK", {"quality": 95}),
    ],
    ids=str,
)
def test_a_flat_image_of_12_megapixels_decodes(mode, options):
    data = encode(Image.new(mode, TWELVE_MEGAPIXELS, "white"), optimize=True, **options)

    image = JpegLoader().transform([data])[0]

    assert image.shape == (3_000, 4_000, 3)
    assert (image == pillow(data)[0, 0]).all()


# As arrays


@pytest.mark.parametrize("size", [(3_000, 1_500), (65_000, 70), (70, 65_000), (2_049, 2_049)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_large_image_becomes_the_same_array_strip_by_strip(mode, size):
    shape = (size[1], size[0], 3)[: 3 if mode == "RGB" else 2]
    expected = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    pixels = as_pixels(Image.fromarray(expected))

    assert pixels.shape == (size[1], size[0], 3 if mode == "RGB" else 1)
    np.testing.assert_array_equal(pixels.reshape(shape), expected)


# The generator


@pytest.mark.parametrize("setting", [DEFAULT, SERVER], ids=["default", "server"])
def test_the_dearest_files_are_let_in_and_larger_ones_are_not(setting):
    files = dearest_files(setting)

    assert len(files) == 28
    for dear in files:
        assert len(dear.data) == 100_000
        assert excess(dear.data, setting) is None
        structure = read_structure(dear.data, setting.max_scans)
        sides = structure.height, structure.width
        larger = dear.data.replace(
            struct.pack(">HH", *sides), struct.pack(">HH", *(2 * side for side in sides)), 1
        )
        assert 4 * sides[0] * sides[1] > setting.max_pixels or excess(larger, setting)


@pytest.mark.parametrize("setting", [DEFAULT, SERVER], ids=["default", "server"])
def test_files_that_are_looked_through_for_damage_are_let_in(setting):
    files = files_to_look_through(setting, 200_000)

    assert len(files) == 9
    for dear in files:
        assert len(dear.data) <= 200_000
        assert excess(dear.data, setting) is None


def calls_to_look_through(n_tables: int, n_scans: int) -> int:
    """Count the calls of built-in functions, which do the work of looking for damage."""
    table = bytes([0x10, 1]).ljust(17, b"\0") + bytes(1)
    front = tables() + segment(DHT, table * n_tables)
    scans = [Scan((0,), 1, 63, 0, 0, bytes(256))] * n_scans
    data = file(PROGRESSIVE, (8, 8), GREY, scans, front=front)
    events: Counter[str] = Counter()
    sys.setprofile(lambda frame, event, argument: events.update([event]))
    try:
        read_image_data(data)
    finally:
        sys.setprofile(None)
    return events["c_call"]


def test_many_huffman_tables_are_not_gone_through_again_for_each_scan():
    """4.9 MB of them, and 99 scans, took 27 s."""
    few = calls_to_look_through(n_tables=10, n_scans=40)
    more_tables = calls_to_look_through(n_tables=1_000, n_scans=40)
    both = calls_to_look_through(n_tables=1_000, n_scans=80)

    assert few > 0
    assert more_tables - few < 10 * 1_000
    assert both - more_tables < 40 * 100


@pytest.mark.parametrize(
    ("n_components", "first", "last", "n_scans"),
    [(255, 255, 0, 20), (4, 255, 0, 1_000), (1, 63, 1, 4_000)],
)
def test_scans_that_no_decoder_takes_leave_nothing_in_memory(
    n_components, first, last, n_scans
):
    """31 kB of them took 13 s: each name of a component made a copy longer than the last."""
    header = bytes([n_components, *[1, 0] * n_components, first, last, 0])
    scan = Scan((0,), 0, 0, 0, 0, bytes(8))
    front = file(PROGRESSIVE, (8, 8), GREY, [scan])[:-2]
    data = front + segment(SOS, header) * n_scans + b"\xff\xd9"
    tracemalloc.start()
    try:
        read_image_data(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 100_000
    with pytest.raises(ImageDecodeError, match="broken data stream"):
        JpegLoader(max_scans=5_000).transform([data])[0]


def test_seed_and_number_say_which_dear_file():
    for number in range(50):
        assert dear_file(3, number) == dear_file(3, number)
    assert len({dear_file(seed, 0).data for seed in range(20)}) == 20


def test_no_dear_file_is_larger_than_it_may_be():
    assert (
        max(len(dear_file(4, number, n_bytes=10_000).data) for number in range(200)) <= 10_000
    )


measured = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells the peak memory of a forked process"
)


@measured
@pytest.mark.long
def test_the_measure_finds_the_seconds_and_the_memory_of_a_dear_file():
    """5 megapixels in Huffman code are 50 MB as an image and an array of them."""
    flat = encode(Image.new("RGB", (2_500, 2_000)))

    cost = measure(DearFile(flat, "loaded", ""))

    assert cost.refusal == ""
    assert 30 < cost.mebibytes < 100
    assert 0 < cost.seconds < 5
    assert (
        "cannot hold"
        in measure(DearFile(claim_size(flat, 9_000, 9_000), "loaded", "")).refusal
    )


def pace() -> float:
    """How much slower this machine is, now, than the one that the promised seconds are of.

    That one took 0.17 s for six megapixels of noise in progressive code.
    """
    noise = np.random.default_rng(0).integers(0, 256, (2000, 3000, 3), dtype=np.uint8)
    photo = DearFile(
        encode(Image.fromarray(noise), quality=75, progressive=True), "loaded", ""
    )
    return max(1.0, sorted(measure(photo).seconds for _ in range(3))[1] / 0.17)


def too_dear(
    numbers: range, setting: Setting, n_bytes: int, seconds: float, mebibytes: float
) -> list[str]:
    drawn = [dear_file(0, number, setting, n_bytes) for number in numbers]
    metadata = files_of_metadata(n_bytes) + files_to_look_through(setting, n_bytes)
    cases = [*dearest_files(setting, n_bytes), *metadata, *drawn]

    begin = pace()
    costs = [measure(case, setting) for case in cases]
    slowest = max(begin, pace())
    # A bound that refuses all of them would show nothing.
    n_decoded = sum(not cost.refusal for cost in costs)
    assert n_decoded > (len(cases) - len(metadata)) / 2

    def is_too_dear(cost: Cost, now: float) -> bool:
        return cost.seconds > seconds * now or cost.mebibytes > mebibytes

    def is_always_too_dear(case: DearFile) -> bool:
        """The pace of a shared machine changes within a second; what a file costs does not."""
        return all(is_too_dear(measure(case, setting), pace()) for _ in range(4))

    return [
        f"{cost}: {case.description}"
        for case, cost in zip(cases, costs, strict=True)
        if is_too_dear(cost, slowest) and is_always_too_dear(case)
    ]


@measured
@pytest.mark.skipif(features.version("pil") < "13", reason="what is promised is of Pillow 13")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "n_bytes", "seconds", "mebibytes"),
    [(DEFAULT, 100_000, 3, 450), (SERVER, 100_000, 1, 250), (DEFAULT, 15_000_000, 5, 1_200)],
    ids=["100 kB", "100 kB on a server", "15 MB"],
)
def test_no_file_costs_more_than_is_promised(setting, n_bytes, seconds, mebibytes):
    numbers = range(60 if n_bytes < 1_000_000 else 5)

    assert too_dear(numbers, setting, n_bytes, seconds, mebibytes) == []


@measured
@pytest.mark.slow
@pytest.mark.parametrize("name", issue_examples())
def test_a_refused_example_costs_next_to_nothing(name):
    cost = measure(DearFile(issue_examples()[name](), "checked", ""), SERVER)

    assert isinstance(cost, Cost)
    assert cost.refusal
    assert cost.seconds < 0.5
    assert cost.mebibytes < 50


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "content", "options"),
    [
        ("L", "flat", {"progressive": True}),
        ("L", "noisy", {}),
        ("RGB", "flat", {}),
        ("RGB", "noisy", {}),
        ("RGB", "flat", {"progressive": True, "subsampling": 0}),
        ("CMYK", "flat", {"progressive": True, "subsampling": 0}),
    ],
    ids=str,
)
def test_an_image_of_89_megapixels_decodes(mode, content, options):
    image = Image.new(mode, LARGEST, "white")
    if content == "noisy":
        tile = np.random.default_rng(0).integers(0, 256, (512, 512, 4), np.uint8)
        tile = Image.fromarray(tile, "CMYK").convert(mode)
        for left in range(0, LARGEST[0], 512):
            for top in range(0, LARGEST[1], 512):
                image.paste(tile, (left, top))
    data = encode(image, optimize=content == "flat", **options)

    pixels = JpegLoader().transform([data])[0]

    assert pixels.shape == (*LARGEST, 3)
    rows = slice(4_000, 4_100)
    oracle = Image.open(io.BytesIO(data)).convert("RGB")
    np.testing.assert_array_equal(
        pixels[rows], np.asarray(oracle.crop((0, 4_000, LARGEST[0], 4_100)))
    )
