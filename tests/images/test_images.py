"""LazyImages: a sequence that decodes when it is read, and what becomes of bad files."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import train_test_split

from sknorm_images import (
    ImageDecodeError,
    ImageDecodeWarning,
    JpegLoader,
    LazyImages,
    Resizer,
)
from tests.conftest import encode
from tests.lazy_photos import lazy

SIZE = (32, 48)  # (height, width) of the fixture `pixels`


@pytest.fixture
def images(files: list[str]) -> LazyImages:
    return lazy(files)


@pytest.fixture(scope="module")
def bad_files(
    files: list[str], photos: list[Image.Image], tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """The 24 files, of which 5 is truncated, 11 a PNG, and 20 missing."""
    folder = tmp_path_factory.mktemp("bad")
    sources = list(files)
    truncated, png = folder / "truncated.jpg", folder / "png.jpg"
    truncated.write_bytes(encode(photos[0])[:20_000])
    photos[0].save(png, "PNG")
    sources[5], sources[11] = str(truncated), str(png)
    sources[20] = str(folder / "missing.jpg")
    return sources


BAD = [5, 11, 20]


# What it is


def test_before_a_resizer_it_has_one_dimension(files):
    images = JpegLoader().transform(files)

    assert (len(images), images.shape, images.ndim) == (24, (24,), 1)
    assert images.dtype == np.dtype(np.uint8)


@pytest.mark.parametrize(("color_mode", "n_channels"), [("rgb", 3), ("grayscale", 1)])
def test_after_a_resizer_it_has_the_shape_of_its_array(files, color_mode, n_channels):
    images = lazy(files, color_mode=color_mode)

    assert (len(images), images.ndim, images.dtype) == (24, 4, np.uint8)
    assert images.shape == (24, *SIZE, n_channels)
    assert np.asarray(images).shape == images.shape


def test_shape_opens_no_file():
    assert lazy(["no such file.jpg"]).shape == (1, *SIZE, 3)


def test_repr_tells_the_shape_and_opens_no_file():
    images = JpegLoader().transform(["no such file.jpg"])

    assert "1 images of differing sizes" in repr(images)
    assert "1 images of 32 x 48 x 3" in repr(Resizer(SIZE).transform(images))


# Indexing


@pytest.mark.parametrize("key", [0, 23, -1, -24, np.int64(3), np.uint8(7)])
def test_an_integer_gives_one_image(images, pixels, key):
    image = images[key]

    assert isinstance(image, np.ndarray)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, pixels[key])


def test_an_integer_and_an_ellipsis_give_one_image(images, pixels):
    np.testing.assert_array_equal(images[4, ...], pixels[4, ...])
    np.testing.assert_array_equal(images[-4, :], pixels[-4, :])


def test_images_keep_their_own_sizes_without_a_resizer(files):
    images = JpegLoader().transform(files)

    for image, path in zip(images[3:6], files[3:6], strict=True):
        np.testing.assert_array_equal(image, np.asarray(Image.open(path)))


MASK = np.arange(24) % 5 == 1


@pytest.mark.parametrize(
    "key",
    [
        slice(None),
        slice(2, 9),
        slice(None, None, -3),
        slice(-4, None),
        slice(5, 5),
        slice(20, 99),
        [3, 1, 1, -1],
        (),
        [],
        np.array([7, 0, -2]),
        np.array([], int),
        np.array([3], np.uint8),
        MASK,
        MASK.tolist(),
        np.zeros(24, bool),
        (slice(2, 4), ...),
        ([5, 3], ...),
        (np.array([5, 3]), slice(None)),
        (MASK, ...),
        ([2], slice(None), slice(None), slice(None)),
    ],
    ids=str,
)
def test_any_other_index_gives_lazy_images_as_of_an_array(images, pixels, key):
    selected = images[key]

    assert isinstance(selected, LazyImages)
    assert selected.shape == pixels[key].shape
    np.testing.assert_array_equal(np.asarray(selected), pixels[key])


def test_a_selection_of_a_selection(images, pixels):
    np.testing.assert_array_equal(np.asarray(images[::2][MASK[::2]]), pixels[::2][MASK[::2]])


def test_a_selection_reads_only_what_it_holds(bad_files, pixels):
    rows = [i for i in range(24) if i not in BAD]

    np.testing.assert_array_equal(np.asarray(lazy(bad_files)[rows]), pixels[rows])


@pytest.mark.parametrize(
    "key",
    [
        24,
        -25,
        1.0,
        "0",
        None,
        [0, 24],
        [0.0, 1.0],
        np.array([[0, 1]]),
        [True, False],
        np.ones(25, bool),
        (0, 0),
        (slice(None), 0),
        (slice(None), [1, 2]),
        ([0, 1], np.array([1, 2])),
        (..., 0),
    ],
    ids=str,
)
def test_an_index_that_selects_no_whole_images_is_an_index_error(images, key):
    with pytest.raises(IndexError):
        images[key]


def test_train_test_split_splits_images_as_it_splits_arrays(images, pixels):
    y = np.arange(24) % 2

    parts = train_test_split(images, pixels, y, test_size=6, stratify=y, random_state=0)

    train, test, train_pixels, test_pixels = parts[:4]
    assert isinstance(train, LazyImages)
    assert (len(train), len(test)) == (18, 6)
    np.testing.assert_array_equal(np.asarray(train), train_pixels)
    np.testing.assert_array_equal(np.asarray(test), test_pixels)


# Reading


@pytest.mark.parametrize("dtype", ["uint8", "float32", np.float64, int])
def test_asarray_takes_a_dtype(images, pixels, dtype):
    array = np.asarray(images, dtype=dtype)

    assert array.dtype == dtype
    np.testing.assert_array_equal(array, pixels)


@pytest.mark.parametrize("copy", [None, True])
def test_array_takes_copy(images, pixels, copy):
    np.testing.assert_array_equal(np.array(images, copy=copy), pixels)


def test_asarray_without_a_copy_is_a_value_error(images):
    with pytest.raises(ValueError, match="copy=False"):
        np.asarray(images, copy=False)


def test_every_array_is_new_and_writable(images, pixels):
    first = np.asarray(images)
    first[:] = 0

    np.testing.assert_array_equal(np.asarray(images), pixels)


def test_iteration_gives_one_image_at_a_time(images, pixels):
    iterator = iter(images)

    np.testing.assert_array_equal(next(iterator), pixels[0])
    np.testing.assert_array_equal(np.stack(list(iterator)), pixels[1:])


def test_iteration_reads_no_further_than_asked(bad_files, pixels):
    iterator = iter(lazy(bad_files))

    for expected in pixels[:5]:
        np.testing.assert_array_equal(next(iterator), expected)
    with pytest.raises(ImageDecodeError, match="image 5"):
        next(iterator)


def test_images_of_one_size_need_no_resizer(photos):
    sources = [encode(photo) for photo in photos]

    array = np.asarray(JpegLoader().transform(sources))

    np.testing.assert_array_equal(
        array, [np.asarray(Image.open(io.BytesIO(source))) for source in sources]
    )


def test_the_first_image_of_another_size_is_named(photos):
    sources = [encode(photo) for photo in [*photos, *photos]]
    sources[2] = encode(photos[0].crop((0, 0, 30, 20)))

    with pytest.raises(ValueError, match=r"Image 2, .*\(20, 30, 3\).*\(427, 640, 3\)"):
        np.asarray(JpegLoader().transform(sources))


@pytest.mark.parametrize(("color_mode", "n_channels"), [("rgb", 3), ("grayscale", 1)])
def test_no_images_make_an_empty_array(color_mode, n_channels):
    images = lazy([], color_mode=color_mode)

    assert (len(images), images.shape) == (0, (0, *SIZE, n_channels))
    assert np.asarray(images).shape == (0, *SIZE, n_channels)
    assert list(images) == []
    assert images.failures == {}
    with pytest.raises(IndexError):
        images[0]


def test_no_images_without_a_resizer_make_an_empty_array():
    images = JpegLoader().transform([])

    assert images.shape == (0,)
    assert len(np.asarray(images)) == 0


# Pickling


def test_a_pickle_reads_the_same_images(images, pixels):
    loaded = pickle.loads(pickle.dumps(images))

    np.testing.assert_array_equal(np.asarray(loaded), pixels)


def test_a_pickle_holds_paths_and_no_pixels(files):
    sources = files * 50
    images = lazy(sources)
    np.asarray(images[:24])
    images[0]

    unread = len(pickle.dumps(images))
    np.asarray(images)

    assert unread < len(pickle.dumps(sources)) + 10 * len(sources) + 2_000
    assert len(pickle.dumps(images)) == unread


def test_a_pickle_of_a_selection_holds_only_its_paths(files):
    pickled = pickle.dumps(lazy(files)[[3]])

    assert Path(files[3]).name.encode() in pickled
    assert Path(files[4]).name.encode() not in pickled


def test_a_pickle_of_bytes_holds_the_bytes(photos):
    data = encode(photos[0])

    pickled = pickle.dumps(lazy([data]))

    assert data in pickled
    assert len(pickled) < len(data) + 2_000
    np.testing.assert_array_equal(pickle.loads(pickled)[0], lazy([data])[0])


def test_a_pickle_of_arrays_holds_the_arrays(photos):
    image = np.asarray(photos[0])[:50, :60]
    expected = Image.fromarray(image).resize((48, 32), Image.Resampling.BILINEAR)

    loaded = pickle.loads(pickle.dumps(Resizer(SIZE).transform([image])))

    np.testing.assert_array_equal(loaded[0], np.asarray(expected))


def test_errors_survive_a_pickle():
    error = ImageDecodeError("'photo.jpg'", "truncated", 7)

    loaded = pickle.loads(pickle.dumps(error))

    assert type(loaded) is ImageDecodeError
    assert isinstance(loaded, ValueError)
    assert (loaded.source, loaded.reason, loaded.position) == ("'photo.jpg'", "truncated", 7)
    assert str(loaded) == str(error)


def test_warnings_survive_a_pickle():
    failures = {
        3: ImageDecodeError("'a.jpg'", "truncated", 3),
        1: FileNotFoundError(2, "No such file or directory", "b.jpg"),
    }
    warning = ImageDecodeWarning(failures, 9)

    loaded = pickle.loads(pickle.dumps(warning))

    assert type(loaded) is ImageDecodeWarning
    assert isinstance(loaded, UserWarning)
    assert list(loaded.failures) == [1, 3]
    assert loaded.n_images == 9
    assert str(loaded) == str(warning)


# on_error="raise"


def test_bytes_are_named_by_their_number(photos):
    data = encode(photos[0])[:9_999]

    with pytest.raises(ImageDecodeError, match=r"image 0, '<9999 bytes>'"):
        lazy([data])[0]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_first_broken_image_in_order_is_the_one_that_is_named(bad_files, n_jobs):
    images = lazy(bad_files, n_jobs=n_jobs)

    with pytest.raises(ImageDecodeError, match=r"image 5, .*truncated\.jpg"):
        np.asarray(images)
    with pytest.raises(ImageDecodeError, match=r"image 5, .*png\.jpg"):
        np.asarray(images[6:])
    with pytest.raises(FileNotFoundError, match=r"missing\.jpg"):
        np.asarray(images[12:])
    with pytest.raises(FileNotFoundError, match=r"missing\.jpg"):
        np.asarray(images[::-1])


@pytest.mark.parametrize("i", [11, -13])
def test_a_negative_index_names_the_position_in_order(bad_files, i):
    with pytest.raises(ImageDecodeError, match=r"image 11, .*png\.jpg.*PNG"):
        lazy(bad_files)[i]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_failures_can_be_asked_for_before_anything_is_read(bad_files, n_jobs):
    failures = lazy(bad_files, n_jobs=n_jobs).failures

    assert list(failures) == BAD
    assert "truncated" in failures[5].reason
    assert "PNG" in failures[11].reason
    assert isinstance(failures[20], FileNotFoundError)
    assert [failures[i].position for i in (5, 11)] == [5, 11]


def test_failures_can_be_asked_for_without_a_resizer(bad_files):
    assert list(JpegLoader().transform(bad_files).failures) == BAD


def test_failures_can_be_asked_for_when_reading_failed(bad_files):
    images = lazy(bad_files)
    with pytest.raises(ImageDecodeError):
        np.asarray(images)

    assert list(images.failures) == BAD


def test_failures_of_a_selection_count_from_its_start(bad_files):
    assert list(lazy(bad_files)[10:].failures) == [1, 10]


def test_good_images_have_no_failures(images):
    assert images.failures == {}


# on_error="blank"


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_blank_makes_black_images_and_leaves_the_others(bad_files, pixels, n_jobs):
    images = lazy(bad_files, on_error="blank", n_jobs=n_jobs)
    expected = pixels.copy()
    expected[BAD] = 0

    with pytest.warns(ImageDecodeWarning):
        array = np.asarray(images)

    np.testing.assert_array_equal(array, expected)


def test_blank_warns_once_of_all(bad_files):
    images = lazy(bad_files, on_error="blank", n_jobs=2)

    with pytest.warns(ImageDecodeWarning) as caught:
        np.asarray(images)

    assert len(caught) == 1
    warning = caught[0].message
    assert list(warning.failures) == BAD
    assert warning.n_images == 24
    message = str(warning)
    assert message.startswith("3 of 24 images")
    assert all(bad_files[i] in message for i in BAD)
    assert "truncated" in message
    assert "PNG" in message
    assert "No such file" in message


@pytest.mark.parametrize("read", [np.asarray, list, lambda images: images[5]])
def test_blank_warns_at_the_line_that_reads(bad_files, read):
    images = lazy(bad_files, on_error="blank")

    with pytest.warns(ImageDecodeWarning) as caught:
        read(images)

    assert caught[0].filename == __file__


def test_blank_without_a_broken_image_warns_of_nothing(files, pixels):
    np.testing.assert_array_equal(np.asarray(lazy(files, on_error="blank")), pixels)


def test_blank_in_an_iteration_warns_once_at_its_end(bad_files, pixels):
    expected = pixels.copy()
    expected[BAD] = 0
    iterator = iter(lazy(bad_files, on_error="blank"))

    seen = [next(iterator) for _ in range(24)]
    with pytest.warns(ImageDecodeWarning, match="3 of 24") as caught:
        rest = list(iterator)

    assert (len(caught), rest) == (1, [])
    np.testing.assert_array_equal(np.stack(seen), expected)


def test_blank_for_one_image_warns_of_it(bad_files):
    images = lazy(bad_files, on_error="blank")

    with pytest.warns(ImageDecodeWarning, match=r"1 of 1 .*png\.jpg") as caught:
        image = images[11]

    assert list(caught[0].message.failures) == [11]
    np.testing.assert_array_equal(image, np.zeros((*SIZE, 3), np.uint8))


def test_blank_images_stay_black_after_a_resizer_that_pads_with_white(bad_files):
    images = JpegLoader(on_error="blank").transform(bad_files[5:7])

    with pytest.warns(ImageDecodeWarning):
        array = np.asarray(Resizer(20, aspect_ratio="pad", pad_value=255).transform(images))

    assert array[0].max() == 0
    assert array[1].max() == 255


def test_blank_images_of_two_resizers_have_the_size_of_the_last(bad_files):
    images = Resizer((5, 6)).transform(lazy(bad_files, on_error="blank"))

    with pytest.warns(ImageDecodeWarning):
        array = np.asarray(images)

    assert array.shape == (24, 5, 6, 3)
    assert not array[BAD].any()


def test_blank_remembers_the_failures_of_the_last_read(bad_files):
    images = lazy(bad_files, on_error="blank")
    with pytest.warns(ImageDecodeWarning):
        np.asarray(images)

    assert list(images.failures) == BAD
    assert images.failures[11].position == 11
    assert str(images.failures[20].filename) == bad_files[20]


def test_failures_warn_of_nothing(bad_files):
    assert list(lazy(bad_files, on_error="blank").failures) == BAD


def test_failures_are_those_of_the_files_as_they_were_read(tmp_path, files, photos):
    path = tmp_path / "late.jpg"
    images = lazy([files[0], path], on_error="blank")
    with pytest.warns(ImageDecodeWarning):
        np.asarray(images)
    path.write_bytes(encode(photos[0]))

    assert list(images.failures) == [1]
    np.asarray(images)
    assert images.failures == {}


def test_changing_what_failures_returns_changes_nothing(bad_files):
    images = lazy(bad_files)
    images.failures.clear()

    assert list(images.failures) == BAD


@pytest.mark.parametrize("read", [np.asarray, list])
def test_blank_of_broken_images_alone_is_a_value_error(bad_files, read):
    images = lazy([bad_files[i] for i in BAD], on_error="blank")

    with pytest.raises(ValueError, match=r"None of the 3 images.*truncated\.jpg"):
        read(images)


@pytest.mark.parametrize("read", [np.asarray, list, lambda images: images[5]])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_blank_without_a_resizer_asks_for_one(bad_files, photos, read, n_jobs):
    good = [encode(photos[0])] * 5
    images = JpegLoader(on_error="blank", n_jobs=n_jobs).transform(
        [*good, bad_files[5], *good]
    )

    with pytest.raises(ValueError, match=r"truncated\.jpg.*Resizer"):
        read(images)


def test_blank_swallows_nothing_but_broken_files(files, monkeypatch):
    def fail(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(Image.Image, "resize", fail)

    with pytest.raises(MemoryError):
        np.asarray(lazy(files, on_error="blank"))
