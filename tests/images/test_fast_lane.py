"""The fast lane: Pillow's pixels, errors and warnings, without Pillow, for ordinary photos."""

from __future__ import annotations

import cProfile
import itertools
import pickle
import pstats
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageFile, features

from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    JpegLoader,
    Resizer,
    make_image_pipeline,
)
from sknorm_images._files.jpeg_markers import read_structure
from sknorm_images._images import fast_lane
from sknorm_images._scaling.statistics import (
    ChannelHistogram,
    ChannelMoments,
    Statistics,
)
from tests import new_process
from tests.conftest import crops, encode, encode_turned
from tests.data.jpeg.make import profile
from tests.fuzzing.cases import make_case
from tests.jpeg_bytes import repeat_last_scan, segment, with_first

FOLDER = Path(__file__).parents[1] / "data" / "jpeg"
FILES = sorted(FOLDER.glob("*.jpg"))


class Outcome(NamedTuple):
    """What became of one file: pixels or an error, and warnings."""

    pixels: np.ndarray | None
    error: tuple[type[Exception], str] | None
    warned: list[tuple[type[Warning], str]]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each file went through the lane, in order."""
    answers: list[bool] = []
    take = fast_lane.FastLane.take

    def noted(self: fast_lane.FastLane, data: bytes) -> bool:
        answers.append(take(self, data))
        return answers[-1]

    monkeypatch.setattr(fast_lane.FastLane, "take", noted)
    return answers


def images_of(sources: list[Any], loader: dict[str, Any], resizer: dict[str, Any]) -> Any:
    images = JpegLoader(**loader).transform(sources)
    return Resizer(**({"size": (24, 17)} | resizer), engine="simd").transform(images)


def outcome(data: bytes, loader: dict[str, Any], resizer: dict[str, Any]) -> Outcome:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pixels, error = None, None
        try:
            pixels = images_of([data], loader, resizer)[0]
        except Exception as raised:  # noqa: BLE001 (which one is compared)
            error = type(raised), str(raised)
    return Outcome(pixels, error, [(w.category, str(w.message)) for w in caught])


def assert_same_without(
    monkeypatch: pytest.MonkeyPatch,
    data: bytes,
    loader: dict[str, Any],
    resizer: dict[str, Any],
) -> None:
    """The same file, loaded with the lane and by Pillow alone."""
    with_lane = outcome(data, loader, resizer)
    with monkeypatch.context() as patch:
        patch.setattr(fast_lane, "_IS_INSTALLED", False)
        without = outcome(data, loader, resizer)
    assert with_lane.error == without.error
    assert with_lane.warned == without.warned
    np.testing.assert_array_equal(with_lane.pixels, without.pixels)


def choices(**options: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Every combination."""
    return [
        dict(zip(options, values, strict=True))
        for values in itertools.product(*options.values())
    ]


# Each value of each parameter occurs with each of the most important others.
SETTINGS = [
    *itertools.product(
        choices(color_mode=("rgb", "grayscale"), exif_orientation=(True, False)),
        choices(aspect_ratio=("ignore", "crop", "pad")),
    ),
    ({}, {"reducing_gap": None}),
    ({}, {"reducing_gap": 1.0, "size": (13, 11)}),
    ({"color_mode": "grayscale"}, {"reducing_gap": 1.0, "size": 9, "aspect_ratio": "crop"}),
    ({"color_profile": "srgb"}, {"pad_value": 200, "aspect_ratio": "pad"}),
    ({"background": 255}, {}),
    ({"formats": ("PNG", "JPEG"), "max_scans": 2}, {}),
    ({"max_pixels": 5000}, {}),
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_peculiar_file_gives_what_pillow_gives(path, monkeypatch):
    data = path.read_bytes()
    for loader, resizer in SETTINGS:
        assert_same_without(monkeypatch, data, loader, resizer)


def test_many_peculiar_files_are_plain_enough(taken):
    for path in FILES:
        outcome(path.read_bytes(), {}, {})

    assert sum(taken) > 20


def compare_mutants(monkeypatch: pytest.MonkeyPatch, seed: int, n_cases: int) -> None:
    random = np.random.default_rng(seed)
    for number in range(n_cases):
        data = make_case(seed, number).data
        loader, resizer = SETTINGS[random.integers(len(SETTINGS))]
        try:
            assert_same_without(monkeypatch, data, loader, resizer)
        except AssertionError as error:
            error.add_note(f"case {number} of seed {seed}, {loader}, {resizer}")
            raise


def test_mutants_give_what_pillow_gives(monkeypatch, taken):
    compare_mutants(monkeypatch, seed=0, n_cases=300)

    assert sum(taken) > 20


@pytest.mark.slow
def test_many_mutants_give_what_pillow_gives(monkeypatch):
    compare_mutants(monkeypatch, seed=1, n_cases=50_000)


def camera_exif(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "A maker", "Model 5", orientation
    exif[0x011A], exif[0x0128] = 72.0, 2
    exif.get_ifd(0x8769)[0x9003] = "2024:05:06 07:08:09"
    exif.get_ifd(0x8769)[0x829A] = 1 / 250
    exif.get_ifd(0x8825)[1] = "N"
    return exif


def ordinary_photos(photos: list[Image.Image], n: int) -> list[bytes]:
    """Files as cameras, editors and web sites write them, in many sizes."""
    random = np.random.default_rng(5)
    files = []
    for crop in crops(photos, n, seed=3):
        options: dict[str, Any] = {
            "quality": int(random.integers(50, 99)),
            "subsampling": int(random.integers(3)),
            "progressive": bool(random.random() < 0.3),
            "optimize": bool(random.random() < 0.5),
        }
        if random.random() < 0.4:
            options["exif"] = camera_exif()
        if random.random() < 0.3:
            options["icc_profile"] = profile()
        if random.random() < 0.2:
            options["comment"] = b"a comment"
        if random.random() < 0.2:
            options["restart_marker_rows"] = 1
        files.append(encode(crop.convert("L") if random.random() < 0.1 else crop, **options))
    return files


@pytest.mark.parametrize("color_mode", ["rgb", "grayscale"])
@pytest.mark.parametrize("aspect_ratio", ["ignore", "crop", "pad"])
def test_ordinary_photos_take_the_lane_and_have_pillows_pixels(
    photos, color_mode, aspect_ratio, monkeypatch, taken
):
    files = ordinary_photos(photos, 60)
    for size in ((8, 11), (31, 40)):  # decoded at all scales
        loader, resizer = {"color_mode": color_mode}, {"aspect_ratio": aspect_ratio}
        images = images_of(files, loader, resizer | {"size": size})

        by_lane = np.asarray(images)
        monkeypatch.setattr(fast_lane, "_IS_INSTALLED", False)
        by_pillow = np.asarray(images)
        monkeypatch.setattr(fast_lane, "_IS_INSTALLED", True)

        np.testing.assert_array_equal(by_lane, by_pillow)
    assert len(taken) == 2 * len(files)
    assert sum(taken) > 0.95 * len(taken)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "4:1:1"])
@pytest.mark.parametrize("progressive", [True, False])
def test_all_scales_and_odd_sizes_have_pillows_pixels(
    photos, subsampling, progressive, monkeypatch, taken
):
    for width, height in itertools.product((16, 17, 31, 33, 65), (16, 23, 47, 72)):
        photo = photos[1].crop((200, 100, 200 + width, 100 + height))
        data = encode(photo, subsampling=subsampling, progressive=progressive)
        for size in ((2, 2), (4, 3), (8, 8), (16, 15)):
            assert_same_without(monkeypatch, data, {}, {"size": size, "reducing_gap": 1.0})

    assert all(taken)


def test_an_upright_photo_takes_the_lane_and_a_turned_one_does_not(photo, taken):
    for orientation in range(1, 9):
        data = encode_turned(photo, orientation)
        outcome(data, {}, {})
        outcome(data, {"exif_orientation": False}, {})

    assert taken == [True, True, *[False, True] * 7]


@pytest.mark.parametrize(
    ("loader", "resizer"),
    [
        ({"background": 0}, {}),
        ({"formats": ("PNG",)}, {}),
        ({"color_profile": "srgb"}, {}),
        ({}, {"size": 500}),  # grows
        ({"max_pixels": 100}, {}),
    ],
)
def test_other_settings_are_pillows(photo, loader, resizer, taken):
    outcome(encode(photo, icc_profile=profile()), loader, resizer)

    assert not any(taken)


def test_a_photo_without_profile_takes_the_lane_whatever_becomes_of_profiles(photo, taken):
    outcome(encode(photo), {"color_profile": "srgb"}, {})

    assert taken == [True]


def test_it_is_one_resizer_on_files_that_has_a_lane(photo, taken):
    data = encode(photo)
    images = JpegLoader().transform([data])
    fast = {"size": 20, "engine": "simd"}
    for images in (  # noqa: B020
        images,
        Resizer(20).transform(images),
        Resizer(**fast).transform(Resizer(30).transform(images)),
        Resizer(**fast).transform(JpegLoader().transform([photo])),
        Resizer(**fast).transform([np.asarray(photo)]),
    ):
        np.asarray(images)

    assert not taken


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Contents that simplejpeg is given."""
    contents: list[bytes] = []
    decode = simplejpeg.decode_jpeg

    def noted(data: bytes, *args: Any, **options: Any) -> np.ndarray:
        contents.append(data)
        return decode(data, *args, **options)

    monkeypatch.setattr(simplejpeg, "decode_jpeg", noted)
    return contents


def test_simplejpeg_sees_only_plain_files(seen):
    """It writes beyond its memory when it scales a lossless file."""
    others = ("twelve", "cmyk", "ycck", "mpo", "five", "two")
    for path in FILES:
        data = path.read_bytes()
        for loader, resizer in SETTINGS:
            outcome(data, loader, resizer)
        is_of_another_code = "lossless" in path.stem or "arithmetic" in path.stem
        if is_of_another_code or path.stem.startswith(others):
            assert data not in seen, path.stem


def test_what_a_guard_refuses_reaches_no_decoder(photo, seen, monkeypatch):
    data = encode(photo, progressive=True)
    outcome(data, {"max_scans": 3}, {})
    outcome(data, {"max_pixels": 1000}, {})
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    outcome(data, {"max_pixels": 1000}, {})

    assert not seen


def test_a_file_that_is_dear_to_decode_is_decoded_once(photos, seen):
    """It would be decoded again if libjpeg warned at its end."""
    data = repeat_last_scan(encode(photos[0], progressive=True, subsampling=0), 250)
    structure = read_structure(data, 300)
    assert structure.is_dear(2**20)
    assert not structure.excess(2**20, 300)

    assert outcome(data, {"max_pixels": 2**20, "max_scans": 300}, {}).error is None

    assert not seen


def test_a_pillow_limit_lowered_later_warns_as_before(photo, monkeypatch, taken):
    images = images_of([encode(photo)], {}, {})
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", photo.width * photo.height - 1)

    with pytest.raises(Exception, match="decompression bomb"):
        np.asarray(images)
    assert taken == [False]


def test_truncated_files_pass_only_where_pillow_lets_them(photo, monkeypatch):
    data = encode(photo)[:-200]
    assert_same_without(monkeypatch, data, {}, {})
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert_same_without(monkeypatch, data, {}, {})


@pytest.mark.parametrize("version", [None, "1.5.3", "2.0.90"])
def test_another_decoder_in_pillow_turns_the_lane_off(photo, version, monkeypatch, taken):
    monkeypatch.setattr(features, "version_feature", lambda name: version)

    outcome(encode(photo), {}, {})

    assert not taken


def mixed_files(photos: list[Image.Image], n: int) -> list[bytes]:
    """Plain files, and now and then a turned, a damaged or a growing one, or one of CMYK."""
    files = [encode(crop, quality=90) for crop in crops(photos, n, seed=8)]
    for i in range(5, n, 9):
        files[i] = files[i][: len(files[i]) // 2]
    for i in range(2, n, 7):
        files[i] = encode_turned(photos[0].crop((0, 0, 90, 70)), 6)
    files[3] = encode(photos[1].resize((25, 18)))
    files[-1] = encode(photos[0].convert("CMYK").resize((90, 80)))
    return files


def fitted(pipeline: Any, files: list[bytes], **options: Any) -> Any:
    return pipeline.fit(files, **options)[-1].statistics_


@pytest.mark.filterwarnings("ignore::sknorm_images.ImageDecodeWarning")
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("scaler", [ChannelStandardScaler(), ChannelMinMaxScaler()])
@pytest.mark.parametrize("color_mode", ["rgb", "grayscale"])
def test_statistics_and_output_are_the_same_without_the_lane(
    photos, n_jobs, scaler, color_mode, monkeypatch, taken
):
    files = mixed_files(photos, 75)
    pipeline = make_image_pipeline(
        (30, 40), engine="simd", scaler=scaler, on_error="blank", n_jobs=n_jobs,
        color_mode=color_mode,
    )  # fmt: skip
    weights = np.arange(len(files)) % 4
    step = pipeline.steps[-1][0]

    def results() -> list[Any]:
        return [
            fitted(pipeline, files, **{f"{step}__sample_weight": weights}),
            fitted(pipeline, files),
            pipeline.transform(files),
            pipeline.fit_transform(files),
            pipeline[-1].statistics_,
            sorted(pipeline[:-1].transform(files).failures),
        ]

    with_lane = results()
    assert 0.6 * len(taken) < sum(taken) < 0.9 * len(taken)
    monkeypatch.setattr(fast_lane, "_IS_INSTALLED", False)
    without = results()

    for ours, pillows in zip(with_lane, without, strict=True):
        np.testing.assert_equal(ours, pillows)


@pytest.mark.parametrize("kind", [ChannelHistogram, ChannelMoments])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_that_round_are_the_same_without_the_lane(
    photos, kind, weighted, monkeypatch, taken
):
    class Scaler(ChannelStandardScaler):
        def _kind_of_statistics(self, dtype: Any, n_channels: int) -> type[Statistics]:
            return kind

    files = [encode(crop) for crop in crops(photos, 75)]
    files[10] = encode_turned(photos[0], 6)  # after which a stack adds to what there is
    images = images_of(files, {}, {})
    weights = np.random.default_rng(0).random(75) if weighted else None

    with_lane = Scaler().fit(images, sample_weight=weights).statistics_
    assert sum(taken) == 74
    monkeypatch.setattr(fast_lane, "_IS_INSTALLED", False)
    without = Scaler().fit(images, sample_weight=weights).statistics_

    assert type(with_lane) is kind
    assert with_lane == without  # to the last bit


@pytest.mark.parametrize("per_image", ["channel", "image"])
def test_each_image_of_a_stack_is_scaled_by_its_own_statistics(photos, per_image, taken):
    files = [encode(crop) for crop in crops(photos, 40)]
    scaler = ChannelStandardScaler(per_image=per_image)
    images = images_of(files, {}, {"size": 20})

    together = scaler.transform(images)

    one_by_one = np.concatenate([scaler.transform(images[i : i + 1]) for i in range(40)])
    np.testing.assert_array_equal(together, one_by_one)
    assert all(taken)


def test_with_on_error_raise_the_first_bad_file_is_named(photos):
    files = mixed_files(photos, 20)
    images = images_of(files, {}, {})

    with pytest.raises(Exception, match="truncated") as caught:
        np.asarray(images)
    assert caught.value.position == 5


def test_one_image_at_a_time_is_writable_and_stays_as_it_is(photos, taken):
    images = images_of([encode(crop) for crop in crops(photos, 3)], {}, {})

    first, second = images[0], images[1]
    kept = first.copy()
    second[:] = 0
    list(images)

    assert all(taken)
    assert first.flags.writeable
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(images[1], np.asarray(images)[1])


def test_lanes_of_one_thread_do_not_share_a_stack(photo):
    images = images_of([encode(photo)], {}, {})
    alone = images[0]
    recipe = images._recipe
    data = encode(Image.new("RGB", (80, 60), "red"))

    with recipe.fast_lane() as outer:
        assert outer.take(encode(photo))
        with recipe.fast_lane() as inner:
            assert inner.take(data)
        assert images_of([data], {}, {})[0].max() > 250
        np.testing.assert_array_equal(outer.stack.pixels()[0], alone)


@pytest.mark.parametrize("color_mode", ["rgb", "grayscale"])
def test_reading_in_a_signal_handler_leaves_the_interrupted_image_alone(
    photo, color_mode, monkeypatch, taken
):
    loader, decode = {"color_mode": color_mode}, simplejpeg.decode_jpeg
    red, grey = Image.new("RGB", (80, 60), "red"), Image.new("L", (80, 60), 9)
    files = [encode(photo.resize((80, 60)).convert(mode)) for mode in ("RGB", "L")]
    alone = np.asarray(images_of(files, loader, {}))

    def interrupted(*arguments: Any, **options: Any) -> Any:
        """Decode, and read others of the same size, as a handler may at any time."""
        pixels = decode(*arguments, **options)
        with monkeypatch.context() as patch:
            patch.setattr(simplejpeg, "decode_jpeg", decode)
            np.asarray(images_of([encode(red), encode(grey)], loader, {}))
        return pixels

    monkeypatch.setattr(simplejpeg, "decode_jpeg", interrupted)
    together = np.asarray(images_of(files, loader, {}))

    assert all(taken)
    np.testing.assert_array_equal(together, alone)


def test_nothing_of_the_lane_is_pickled_or_hashed(photo, taken):
    images = images_of([encode(photo)], {}, {})
    before = pickle.dumps(images)
    np.asarray(images)

    assert taken == [True]
    assert b"fast_lane" not in before
    assert pickle.dumps(images) == before


@pytest.mark.parametrize(
    "first",
    [
        b"\xff",
        segment(0xED, b"Photoshop 3.0\0008BIM\4\4"),
        segment(0xE2, b"MPF\0" + bytes(20)),
        segment(0xE1, b"Exif\0\0II"),
        segment(0xF0, b"an extension"),
    ],
    ids=["gap", "photoshop", "directory", "exif", "extension"],
)
def test_a_header_that_is_not_plain_is_pillows(photo, first, monkeypatch, taken):
    assert_same_without(monkeypatch, with_first(encode(photo), first), {}, {})

    assert taken == [False]


def test_whole_photoshop_resources_are_plain(photo, monkeypatch, taken):
    name, odd = b"\4name\0", b"\0\0\0\3abc\0"
    resources = b"8BIM\3\xed\0\0\0\0\0\x10" + bytes(16) + b"8BIM\4\4" + name + odd
    whole = segment(0xED, b"Photoshop 3.0\0" + resources)

    assert_same_without(monkeypatch, with_first(encode(photo), whole), {}, {})

    assert taken == [True]


UNUSED = """
import io
import numpy as np
from PIL import Image
from sknorm_images import make_image_pipeline

file = io.BytesIO()
Image.new("RGB", (90, 120)).save(file, "JPEG")
for engine in ("pillow", "simd"):
    make_image_pipeline((30, 40), engine=engine).fit([file.getvalue()])
    print("simplejpeg" in sys.modules, "cykooz_resizer" in sys.modules)
"""


@pytest.mark.long
def test_the_libraries_of_the_lane_are_imported_for_its_engine_alone():
    process = new_process.run(UNUSED)

    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines() == ["False False", "True True"]


WITHOUT = """
sys.modules["simplejpeg"] = None
import io
import numpy as np
from PIL import Image
from sknorm_images import make_image_pipeline

pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
file = io.BytesIO()
Image.fromarray(pixels).save(file, "JPEG")
print(make_image_pipeline((30, 40), engine="simd").fit_transform([file.getvalue()]).sum())
"""


@pytest.mark.long
def test_without_simplejpeg_the_lane_is_off_and_the_pixels_are_the_same():
    processes = [
        new_process.run(script) for script in (WITHOUT, WITHOUT.replace('"simplejpeg"', '"_"'))
    ]

    assert [process.returncode for process in processes] == [0, 0], processes[0].stderr
    assert processes[0].stdout == processes[1].stdout


@pytest.fixture(scope="module")
def uniform_files(
    photos: list[Image.Image], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[str]]:
    folder = tmp_path_factory.mktemp("uniform")
    contents = [encode(photo.resize((96, 96)), quality=85) for photo in photos]
    for i in range(240):
        (folder / f"{i}.jpg").write_bytes(contents[i % 2])
    return [str(folder / f"{i}.jpg") for i in range(240)]


@pytest.mark.parametrize("method", ["transform", "fit"])
def test_few_calls_of_python_stand_behind_an_image(uniform_files, method):
    """A count, not a time. scikit-learn's callbacks see at most a hundred parts of a fit."""
    pipeline = make_image_pipeline(64, engine="simd", n_jobs=1).fit(uniform_files)
    run = getattr(pipeline, method)

    def n_calls(n: int) -> int:
        profiler = cProfile.Profile()
        profiler.runcall(run, uniform_files[:n])
        return pstats.Stats(profiler).total_calls  # type: ignore[attr-defined] # typeshed lacks it

    n_calls(2)
    assert (n_calls(240) - n_calls(120)) / 120 <= 70
