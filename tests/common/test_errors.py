"""Every kind of error that a user meets, read as the user reads it."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    ImageDecodeError,
    JpegLoader,
    Resizer,
    make_image_pipeline,
)
from tests.conftest import encode
from tests.jpeg_bytes import claim_size, repeat_last_scan


def many_scans(photo) -> bytes:
    return repeat_last_scan(encode(photo.resize((32, 32)), progressive=True), 200)


def claims_to_be_huge(photo) -> bytes:
    return claim_size(encode(photo.resize((32, 32))), 60_000, 60_000)


BROKEN = {
    "empty": (lambda photo: b"", "the file is empty"),
    "text": (lambda photo: b"<html>404</html>", r"HTML data, while .* formats=\('JPEG',\)"),
    "noise": (lambda photo: bytes(range(256)), "no known image format"),
    "png": (lambda photo: encode(photo, "PNG"), r"PNG data, while .* formats=\('JPEG',\)"),
    "header": (lambda photo: encode(photo)[:3] + bytes(99), "JPEG header that is damaged"),
    "truncated": (lambda photo: encode(photo)[:-20_000], "truncated"),
    "huge": (claims_to_be_huge, "60000 x 60000 pixels are more than max_pixels=89478485"),
    "scans": (many_scans, "more scans than max_scans=100"),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize(
    "read",
    [
        np.asarray,
        lambda images: images[5],
        ChannelStandardScaler().fit,
        ChannelStandardScaler().fit_transform,
        ChannelMinMaxScaler(data_range=(0, 255)).transform,
    ],
)
def test_a_file_that_cannot_be_decoded(files, photos, tmp_path, kind, read):
    make, reason = BROKEN[kind]
    path = tmp_path / "bad photo.jpg"
    path.write_bytes(make(photos[0]))
    paths = [*files[:5], str(path), *files[5:]]
    images = make_image_pipeline((8, 8), n_jobs=2)[:2].transform(paths)
    with pytest.raises(ImageDecodeError, match=reason) as caught:
        read(images)
    error = caught.value
    assert isinstance(error, ValueError)
    assert (error.source, error.position) == (str(path), 5)
    assert str(error).startswith(f"Cannot decode image 5, {str(path)!r}: ")
    assert "\n" not in str(error)
    assert "on_error='blank'" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_differing_sizes_without_a_resizer(files):
    images = JpegLoader().transform(files)
    for call in (
        lambda: np.asarray(images),
        lambda: ChannelStandardScaler().fit_transform(images),
        lambda: ChannelStandardScaler().fit(images).transform(images),
    ):
        with pytest.raises(ValueError, match=r"Image 1, .*01\.jpg.* Add a Resizer"):
            call()


@pytest.mark.parametrize("scaler", [ChannelStandardScaler(), ChannelMinMaxScaler()])
def test_transform_before_fit(files, pixels, scaler):
    for call in (scaler.transform, scaler.inverse_transform):
        with pytest.raises(NotFittedError, match="is not fitted yet"):
            call(pixels)
    images = Resizer((8, 8)).transform(JpegLoader().transform(files))
    with pytest.raises(NotFittedError):
        scaler.transform(images)


def test_no_images_at_all():
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        ChannelStandardScaler().fit(np.empty((0, 4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match=r"no images, .* Check the folder or the pattern"):
        ChannelStandardScaler().fit(JpegLoader().transform([]))  # glob("photos/*.jpg"), say


def test_images_of_several_shapes_are_refused_with_their_shapes():
    message = r"of shapes \(4, 4, 3\) and \(2, 4, 3\), .* Resizer first"
    image = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match=message):
        ChannelStandardScaler().fit([image, image, image[:2]])
    for other in (image[..., :1], image[..., 0]):  # which a Resizer refuses, too
        with pytest.raises(ValueError, match="with equally many channels"):
            ChannelStandardScaler().fit([image, other])


def test_other_channels_than_in_fit_are_refused_with_advice():
    X = np.zeros((5, 8, 8, 3), np.uint8)
    scaler = ChannelStandardScaler().fit(X)
    for other, words in (
        (X[..., :1], "X has 1 features, but .* expecting 3 features as input; .* color_mode"),
        (np.moveaxis(X, -1, 1), r"X has 8 features, .* pass np\.moveaxis\(X, 1, -1\)"),
        (np.zeros((5, 8, 8, 6)), "X has 6 features, .* Pass images with 3 channels"),
    ):
        for call in (scaler.transform, scaler.partial_fit):
            with pytest.raises(ValueError, match=words):
                call(other)


def test_a_missing_file_is_named_by_a_string(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        JpegLoader().transform([tmp_path / "none.jpg"])[0]
    assert caught.value.filename == str(tmp_path / "none.jpg")


def test_an_error_that_is_made_of_a_message_alone_says_it():
    original = ImageDecodeError("photo.jpg", "truncated", 3)
    again = ImageDecodeError(f"Caught in a worker: {original}")
    assert str(again) == f"Caught in a worker: {original}"
    assert str(pickle.loads(pickle.dumps(again))) == str(again)
