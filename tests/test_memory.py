"""Peak memory of a process that fits: the same for many files as for few."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.conftest import encode
from tests.peak_memory import measure


@pytest.fixture(scope="module")
def squares(photos: list[Image.Image], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """100 JPEG files of 300 x 300 pixels: 270 kB each when decoded."""
    folder = tmp_path_factory.mktemp("squares")
    random = np.random.default_rng(0)
    paths = []
    for i in range(100):
        left, top = int(random.integers(0, 340)), int(random.integers(0, 127))
        path = folder / f"{i:03}.jpg"
        crop = photos[i % 2].crop((left, top, left + 300, top + 300))
        path.write_bytes(encode(crop, quality=80))
        paths.append(str(path))
    return paths


FEW_AND_MANY = """
paths, size = inputs["paths"], inputs["size"]
fit(paths, size)  # what is loaded and set up once
fit(paths, size)
few = peak()
fit(paths * 10, size)
many = peak()
held = np.ones(100 * MEGABYTE, np.uint8)
print(json.dumps({"few": few, "many": many, "with_100_megabytes": peak()}))
"""


@pytest.mark.parametrize(
    "size",  # 900 more decoded images would take 243 MB, or 135 MB when resized
    [None, (224, 224)],
    ids=["300x300", "224x224"],
)
def test_fitting_ten_times_more_files_needs_no_more_memory(size, squares):
    peaks = measure(FEW_AND_MANY, paths=squares, size=size)
    assert peaks["many"] - peaks["few"] < 8
    assert peaks["with_100_megabytes"] - peaks["many"] > 50  # the measure would have seen it


TRANSFORM = """
images = Resizer(224).transform(JpegLoader(n_jobs=2).transform(inputs["paths"]))
scaler = ChannelStandardScaler(mean=100, std=50)
scaler.transform(images[:10])  # what is loaded and set up once
before = peak()
output = scaler.transform(images)
print(json.dumps({"growth": peak() - before, "output": output.nbytes / MEGABYTE}))
"""


def test_transform_needs_little_more_than_its_output(squares):
    found = measure(TRANSFORM, paths=squares * 4)
    assert found["output"] > 200
    assert found["growth"] < found["output"] + 32


SMALL_AND_LARGE = """
fit([inputs["small"]] * 40, None)
before = peak()
fit([inputs["large"]] * 40, None)
print(json.dumps({"growth": peak() - before}))
"""


def test_fit_of_large_photos_holds_a_few_of_them_at_once(photos, tmp_path):
    small, large = tmp_path / "small.jpg", tmp_path / "large.jpg"
    small.write_bytes(encode(photos[0].crop((0, 0, 30, 20))))
    large.write_bytes(encode(photos[0].resize((3000, 2000))))  # 18 MB when decoded
    growth = measure(SMALL_AND_LARGE, small=str(small), large=str(large))["growth"]
    # All 40 take 720 MB. Two are read at once, each with the copies that Pillow makes of it.
    assert growth < 15 * 18


BLANK = """
import warnings

paths = inputs["paths"]
images = Resizer(8, reducing_gap=None).transform(
    JpegLoader(n_jobs=2, on_error="blank").transform(paths)
)
ChannelStandardScaler().fit(images[:1])
warnings.simplefilter("ignore")
before = peak()
ChannelStandardScaler().fit(images)
print(json.dumps({"growth": peak() - before, "failures": len(images.failures)}))
"""


def test_broken_photos_are_not_kept_in_memory(photos, tmp_path):
    good, bad = tmp_path / "good.jpg", tmp_path / "bad.jpg"
    data = encode(photos[0].resize((3000, 2000)))
    good.write_bytes(data)
    bad.write_bytes(data[: len(data) // 2])
    found = measure(BLANK, paths=[str(good), *[str(bad)] * 60])
    assert found["failures"] == 60
    # Each holds 24 MB as Pillow stores it: 1,440 MB together.
    assert found["growth"] < 15 * 18
