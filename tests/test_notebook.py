"""What a notebook shows: estimators with help for their parameters, and images."""

from __future__ import annotations

import base64
import io
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.pipeline import Pipeline

from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    ImageFlattener,
    JpegLoader,
    LazyImages,
    Resizer,
    make_image_pipeline,
)


class Page(HTMLParser):
    """The pictures and the text of a piece of HTML, and whether every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.pictures: list[dict[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.pictures.append(dict(attributes))
        else:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def images(self) -> list[Image.Image]:
        start = "data:image/jpeg;base64,"
        sources = [picture["src"] for picture in self.pictures]
        assert all(source.startswith(start) for source in sources)
        return [
            Image.open(io.BytesIO(base64.b64decode(source.removeprefix(start))))
            for source in sources
        ]


# Estimators


ESTIMATORS = [JpegLoader(), Resizer(), ChannelStandardScaler(), ChannelMinMaxScaler()]


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a pipeline"])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_every_parameter_is_shown_with_its_documentation(estimator, inside):
    pytest.importorskip("sklearn.callback", reason="scikit-learn shows it from 1.8 on")
    html = (Pipeline([("step", estimator)]) if inside else estimator)._repr_html_()
    documentation = " ".join(type(estimator).__doc__.split())
    for name in estimator.get_params():
        (*_, told) = re.findall(rf"--doc-link-{name};\">\s*{name}: (.*)</span>", html)
        words = unescape(told).replace("<br>", " ").split()
        assert " ".join([name, ":", *words]) in documentation


@pytest.mark.parametrize(
    "scaler", [ChannelStandardScaler(), ChannelMinMaxScaler()], ids=lambda e: type(e).__name__
)
def test_every_fitted_attribute_is_shown_with_its_documentation(scaler, pixels):
    pytest.importorskip("sklearn.callback", reason="scikit-learn shows it from 1.9 on")
    html = scaler.fit(pixels)._repr_html_()
    for name in vars(scaler):
        if name.endswith("_"):
            assert re.search(rf"--doc-link-{name};\">\s*{name}: ", html), name


def test_the_help_is_linked_to_the_page_of_the_class():
    html = make_image_pipeline()._repr_html_()
    for name in ("JpegLoader", "Resizer", "ChannelStandardScaler"):
        assert re.search(rf'href="https://[^"]*/api/sknorm_images\.{name}\.html"', html)


def features_in(html: str) -> list[list[str]]:
    """The features that each estimator in a diagram says it makes."""
    tables = re.findall(r'<table class="features-table">(.*?)</table>', html, re.S)
    return [re.findall(r"<td>(.*?)</td>", table) for table in tables]


def test_a_fitted_pipeline_shows_its_channels(files):
    pytest.importorskip("sklearn.callback", reason="scikit-learn shows it from 1.9 on")
    pipeline = make_image_pipeline((4, 5)).fit(files)
    numbered = ["channel_0", "channel_1", "channel_2"]
    assert features_in(pipeline._repr_html_()) == [["red", "green", "blue"], numbered]
    grey = make_image_pipeline((4, 5)).set_params(load__color_mode="grayscale").fit(files)
    assert features_in(grey._repr_html_()) == [["grey"], ["channel_0"]]


def test_a_fitted_pipeline_that_flattens_large_images_is_shown(files):
    steps = [*make_image_pipeline((224, 224)).steps, ("flatten", ImageFlattener())]
    html = Pipeline(steps).fit(files)._repr_html_()
    assert "ImageFlattener" in html
    assert len(html) < 200_000


# Images


def test_images_say_how_many_of_what_size_and_from_where(files):
    images = Resizer((32, 48)).transform(JpegLoader().transform(files))
    assert repr(images) == (
        f"<LazyImages: 24 images of 32 x 48 x 3, uint8, from {files[0]!r} to {files[-1]!r}>"
    )
    assert repr(JpegLoader().transform(files[:1])) == (
        f"<LazyImages: 1 images of differing sizes, uint8, from {files[0]!r}>"
    )


def test_images_without_paths_say_what_they_are():
    data = JpegLoader().transform([b"123", b"12345"])
    assert repr(data).endswith("from '<3 bytes>' to '<5 bytes>'>")
    arrays = Resizer(8).transform(np.zeros((2, 4, 4, 3), np.uint8))
    assert repr(arrays).endswith("from '<ndarray>' to '<ndarray>'>")
    assert repr(arrays[:0]) == "<LazyImages: 0 images of 8 x 8 x 3, uint8>"


def test_the_first_images_are_shown_as_they_are_decoded(files, pixels, prepared):
    images = Resizer((32, 48)).transform(JpegLoader().transform(files))
    page = Page(images._repr_html_())
    assert len(prepared) == 8
    assert [picture["alt"] for picture in page.pictures] == files[:8]
    shown = np.stack([np.asarray(image) for image in page.images()])
    assert np.abs(shown - pixels[:8].astype(int)).mean() < 4  # JPEG again, of quality 90
    assert f"24 images of 32 x 48 x 3, uint8, from {files[0]!r}" in page.text


def test_large_images_are_decoded_small_and_keep_their_shape(photos, prepared):
    file = io.BytesIO()
    photos[0].resize((2560, 1708)).save(file, "JPEG")
    (shown,) = Page(JpegLoader().transform([file])._repr_html_()).images()
    assert shown.size == (288, 192)
    assert prepared == [(640, 427)]


def test_a_fault_of_the_machine_ends_no_representation(files, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("sknorm_images._images.recipes.read", fail)
    page = Page(JpegLoader().transform(files)._repr_html_())
    assert page.text.count("Input/output error") == 8


def test_grayscale_images_are_shown(files):
    images = JpegLoader(color_mode="grayscale").transform(files[:2])
    assert [image.mode for image in Page(images._repr_html_()).images()] == ["L", "L"]


@pytest.mark.parametrize("on_error", ["raise", "blank"])
def test_an_image_that_cannot_be_read_says_why(on_error, files):
    loader = JpegLoader(on_error=on_error)
    page = Page(loader.transform([files[0], "missing.jpg", b"<b>"])._repr_html_())
    assert [picture["alt"] for picture in page.pictures] == files[:1]
    assert "No such file or directory" in page.text
    assert "no known image format" in page.text


def test_names_of_files_are_no_html(files, tmp_path):
    path = tmp_path / '"><script>alert(1)<'
    path.write_bytes(Path(files[0]).read_bytes())
    page = Page(JpegLoader().transform([path])._repr_html_())
    assert [picture["alt"] for picture in page.pictures] == [str(path)]


def test_images_of_other_channels_are_named():
    images = Resizer(8).transform(np.zeros((2, 4, 4, 5), np.uint8))
    assert "5 channels cannot be shown" in Page(images._repr_html_()).text


def test_no_images_are_shown_as_none():
    images = LazyImages([], 3)
    assert Page(images._repr_html_()).pictures == []
