"""check_images: files in two splits of the data, and how many files each class has."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sknorm_images import JpegLoader, check_images
from sknorm_images._images.class_table import class_table, imbalance_of
from tests.conftest import encode


@pytest.fixture(scope="module")
def pieces(photos) -> list[Image.Image]:
    """Pieces that do not look alike."""
    return [
        photo.crop((x, 90, x + 240, 270)) for photo in photos for x in (0, 100, 200, 300, 400)
    ]


def test_leaks_are_those_that_comparing_all_pairs_finds(photos):
    contents = [encode(photos[0].crop((9 * i, 0, 9 * i + 30, 20))) for i in range(12)]
    contents.append(b"broken")
    random = np.random.default_rng(0)
    which = random.integers(0, len(contents), 60)
    splits = random.choice(["train", "test", "validation"], 60).astype(object)
    splits[random.integers(0, 60, 6)] = None
    classes = random.choice([0, 1, 2], 60)

    found = check_images([contents[i] for i in which], target=classes, split=splits)

    order = list(dict.fromkeys(split for split in splits if split))
    expected = []
    for i in range(60):
        earlier = [
            (order.index(splits[j]), j)
            for j in range(60)
            if splits[i] and splits[j] and which[j] == which[i] != len(contents) - 1
            if order.index(splits[j]) < order.index(splits[i])
        ]
        expected.append(min(earlier)[1] if earlier else -1)
    assert found.leak_of.tolist() == expected
    is_leak = np.array(expected) >= 0
    assert found.leak.tolist() == np.where(is_leak, "same content", "").tolist()
    is_conflict = is_leak & (classes != classes[expected])
    assert found.leak_in_another_class.tolist() == is_conflict.tolist()
    assert 10 < np.count_nonzero(is_leak) < 50
    assert found.split.tolist() == splits.tolist()


def test_near_duplicates_within_a_split_hide_no_leak(pieces):
    images = [encode(pieces[0], quality=quality) for quality in (30, 90, 50)]
    data = [encode(pieces[7]), *images]  # the first makes "train" the earlier split

    found = check_images(data, split=["train", "test", "train", "test"], details=True)

    assert found.near_duplicate_of.tolist() == [-1, -1, 1, 1]
    assert found.leak_of.tolist() == [-1, 2, -1, 2]
    assert found.leak.tolist() == ["", "near duplicate", "", "near duplicate"]
    train, test = (f"<{len(images[i])} bytes>" for i in (1, 0))
    leak = f"leak between train and test: near duplicate of {train}"
    assert found.findings.tolist() == [
        "",
        leak,
        f"near duplicate of {test}",
        f"{leak}; near duplicate of {test}",
    ]


def test_the_closest_kind_of_leak_is_told_and_the_quick_form_compares_contents(pieces):
    whole = encode(pieces[0], "PNG")
    data = [whole, encode(pieces[0], "PNG", compress_level=1), encode(pieces[0]), whole]
    target, split = ["cat", "cat", "dog", "dog"], ["train", "test", "test", "test"]
    options = {"loader": JpegLoader(formats=("PNG", "JPEG")), "target": target, "split": split}

    quick = check_images(data, **options)
    found = check_images(data, **options, details=True)

    assert quick.leak.tolist() == ["", "", "", "same content"]
    assert found.leak.tolist() == ["", "same pixels", "near duplicate", "same content"]
    assert found.leak_of.tolist() == [-1, 0, 0, 0]
    assert [words.split(", in ")[-1] for words in found.findings] == [
        "",
        "the same class",
        "another class",
        "another class",
    ]
    frame = check_images(data, **options, details=True, as_frame=True)
    for name in ("split", "target", "leak_of", "leak", "leak_in_another_class"):
        assert frame[name].tolist() == found[name].tolist()


def test_files_of_each_class_are_counted_as_pandas_counts_them():
    random = np.random.default_rng(0)
    target = random.choice(["ant", "bee", "cat", "dog"], 90, p=[0.1, 0.3, 0.4, 0.2]).astype(
        object
    )
    target[::10] = [None, np.nan, pd.NA] * 3

    classes = check_images([b""] * 90, target=target).classes

    expected = pd.Series(target).value_counts(ascending=True)
    assert dict(zip(classes.name, classes.n_files, strict=True)) == expected.to_dict()
    assert classes.n_files.tolist() == expected.tolist()
    np.testing.assert_allclose(classes.share, expected / 81)
    assert pd.DataFrame(classes).columns.tolist() == ["name", "n_files", "share"]


def test_files_of_each_class_are_counted_in_each_split():
    split, target = ["train"] * 4 + ["test"] * 2, [1, 1, 1, 0, 1, 0]

    found = check_images([b""] * 6, target=target, split=split)

    rows = pd.DataFrame(found.classes).to_dict("records")
    names = ("split", "name", "n_files", "share")
    assert rows == [
        dict(zip(names, row, strict=True))
        for row in (
            ("train", 0, 1, 0.25),
            ("train", 1, 3, 0.75),
            ("test", 1, 1, 0.5),
            ("test", 0, 1, 0.5),
        )
    ]
    frame = check_images([b""] * 6, target=target, split=split, as_frame=True)
    assert frame.value_counts(["split", "target"])["train", 1] == 3
    assert len(check_images([], target=[]).classes.name) == 0


@pytest.mark.parametrize(
    ("numbers", "is_told"),
    [((1, 4), True), ((10, 39), False), ((0, 5, 6), False), ((), False)],
)
def test_classes_of_very_different_sizes_are_told_with_the_remedy(numbers, is_told):
    labels = np.repeat(np.arange(len(numbers)), numbers)
    empty = [i for i, n in enumerate(numbers) if not n]

    words = imbalance_of(class_table(labels.tolist(), empty))

    assert ("4 times as many files as" in words) == is_told
    assert ('sample_weight="balanced"' in words) == is_told
