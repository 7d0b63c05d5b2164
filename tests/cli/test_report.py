"""The page of ``sknorm-images report``, read by a parser of HTML."""

from __future__ import annotations

import base64
import io
import re
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path

import joblib
import numpy as np
import pytest
from PIL import Image
from sklearn.pipeline import Pipeline

from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    ImageFlattener,
    load_image_folder,
    make_image_pipeline,
)
from sknorm_images._images.color_modes import COLOR_MODES
from tests import command
from tests.command import assert_refused
from tests.conftest import encode, encode_turned
from tests.fifth_scaler import ChannelWhitener
from tests.fourth_scaler import ChannelMedianScaler
from tests.more_color_modes import MORE_COLOR_MODES

MARKUP = "<img src=x onerror=alert(1)> & \"'.jpg"
BROKEN = {MARKUP: b"none", "cut.jpg": None, "{{ 7 * 7 }}.jpg": b""}
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Elements with their attributes, and text by the heading that it stands under."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = defaultdict(list)
        self.images: dict[str, list[dict[str, str]]] = defaultdict(list)
        self._open: list[str] = []
        self._heading = ""
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "img":
            self.images[self._heading].append({name: value or "" for name, value in attrs})
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not (text := data.strip()) or self._open[-1] == "style":
            return
        if self._open[-1] in ("h2", "h3"):
            self._heading = text
        else:
            self.text[self._heading].append(text)


def write_report(folder: Path, pipeline: Pipeline, output: Path) -> str:
    saved = output.with_suffix(".joblib")
    joblib.dump(pipeline, saved)
    assert command.call("report", folder, "-p", saved, "-o", output) == 0
    return output.read_text(encoding="utf-8")


def picture_of(uri: str) -> np.ndarray:
    kind, _, content = uri.partition(";base64,")
    assert kind == "data:image/jpeg"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


@pytest.fixture(scope="module")
def folder(photos: list[Image.Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve plain files, one outlier of each kind, and three that are broken."""
    folder = tmp_path_factory.mktemp("reported")
    pieces = {
        f"{i:02}.jpg": photos[i % 2].crop((30 * i, 90, 30 * i + 150, 190)) for i in range(12)
    }
    temple = np.asarray(photos[0].crop((100, 100, 250, 200)))
    grey = np.full((100, 150, 3), 128, np.uint8)
    grey[::10] = 126
    pieces |= {
        "dark.jpg": Image.fromarray(temple // 16),
        "bright.jpg": Image.fromarray(255 - temple // 16),
        "flat.jpg": Image.fromarray(grey),
        "wide.jpg": photos[0].crop((0, 200, 640, 240)),
    }
    for name, piece in pieces.items():
        (folder / "class").mkdir(exist_ok=True)
        (folder / "class" / name).write_bytes(encode(piece))
    for name, content in BROKEN.items():
        content = encode(photos[0])[:-2000] if content is None else content
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def pipeline(files: list[str]) -> Pipeline:
    return make_image_pipeline((32, 48)).fit(files)


@pytest.fixture(scope="module")
def html(folder, pipeline, tmp_path_factory) -> str:
    output = tmp_path_factory.mktemp("report") / "report.html"
    return write_report(folder, pipeline, output)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


@pytest.fixture(scope="module")
def levels(folder: Path, pipeline: Pipeline) -> tuple[list[str], np.ndarray]:
    """Names of the good files, and what the pipeline reads of them."""
    paths = [str(path) for path in sorted((folder / "class").iterdir())]
    return [Path(path).name for path in paths], np.asarray(pipeline[:2].transform(paths))


def test_the_page_needs_nothing_else(html, page):
    sources = [attributes["src"] for tag, attributes in page.elements if "src" in attributes]
    assert len(sources) > 20
    assert all(source.startswith("data:image/") for source in sources)
    assert not {"script", "link", "iframe", "object", "base"} & {t for t, _ in page.elements}
    assert "http" not in re.sub('data:image[^"]*|http-equiv', "", html)
    policies = [a for tag, a in page.elements if a.get("http-equiv")]
    assert policies[0]["content"].startswith("default-src 'none'; img-src data:;")


def test_the_histograms_in_the_page_fetch_nothing_either(page):
    drawings = [
        image["src"]
        for title in ("The images it was fitted on", "The images of this folder")
        for image in page.images[title]
    ]
    assert len(drawings) == 2
    for uri in drawings:
        kind, _, content = uri.partition(";base64,")
        assert kind == "data:image/svg+xml"
        svg = base64.b64decode(content).decode()
        assert set(re.findall(r'href="(.)', svg)) == {"#"}  # its own glyphs
        assert "url(http" not in svg


def test_the_page_has_a_language_a_viewport_and_alternative_texts(page):
    elements = dict(page.elements)
    assert elements["html"] == {"lang": "en"}
    named = [attributes for tag, attributes in page.elements if attributes.get("name")]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in named
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    assert all(attributes["alt"] for attributes in images)


def test_names_are_escaped(html, page):
    assert MARKUP in page.text["Broken files"]
    assert "{{ 7 * 7 }}.jpg" in page.text["Broken files"]
    assert "onerror" not in {name for _, attributes in page.elements for name in attributes}
    assert "<img src=x" not in html


def test_broken_files_are_listed_with_reasons(page):
    text = " ".join(page.text["Broken files"])
    assert "no known image format" in text
    assert "image file is truncated" in text
    assert "the file is empty" in text
    summary = page.text[""]
    assert [summary[summary.index(name) + 1] for name in ("files", "broken")] == ["19", "3"]


def test_the_statistics_are_those_of_numpy(page, pixels, levels):
    cells = page.text["Statistics"]
    flat, here = (x.reshape(-1, 3).astype(np.float64) for x in (pixels, levels[1]))
    for c, channel in enumerate(("red", "green", "blue")):
        start = cells.index(channel)
        for row, of in enumerate((np.mean, np.std, np.min, np.max)):
            a, b = of(flat[:, c]), of(here[:, c])
            printed = [float(x) for x in cells[start + 5 + 4 * row : start + 8 + 4 * row]]
            np.testing.assert_allclose(printed, [a, b, b - a], atol=0.00501)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Darkest", "dark.jpg"),
        ("Brightest", "bright.jpg"),
        ("Lowest contrast", "flat.jpg"),
        ("Oddest aspect ratio", "wide.jpg"),
    ],
)
def test_the_outliers_are_found(title, name, page, levels):
    assert page.images[title][0]["alt"] == f"class/{name}"
    assert len(page.images[title]) == 4
    pixels = levels[1][levels[0].index(name)].astype(np.float64)
    number, value = {
        "Lowest contrast": ("standard deviation", pixels.std()),
        "Oddest aspect ratio": ("aspect ratio", 640 / 40),
    }.get(title, ("mean", pixels.mean()))
    assert page.text[title][0] == f"{number} {value:.3g}"


def test_thumbnails_keep_the_aspect_ratio(page):
    shapes = [picture_of(image["src"]).shape for image in page.images["Oddest aspect ratio"]]
    assert shapes[0] == (12, 192, 3)  # 640 x 40
    assert shapes[1] == (100, 150, 3)  # never enlarged


def test_samples_are_shown_as_read_scaled_and_back(page, levels, pipeline):
    images = page.images["Samples"]
    assert len(images) == 3 * 6
    names, pixels = levels
    shown = [image["alt"].split(",")[0] for image in images[::3]]
    assert shown == [f"class/{names[round(i)]}" for i in np.linspace(0, 15, 6)]
    for name, read, scaled, back in zip(
        shown, images[::3], images[1::3], images[2::3], strict=True
    ):
        original = pixels[names.index(Path(name).name)].astype(int)
        for image in (read, back):
            assert np.abs(picture_of(image["src"]) - original).mean() < 6  # JPEG
        values = pipeline["scale"].transform(original[np.newaxis].astype(np.uint8))[0]
        stretched = (values - values.min()) * 255 / np.ptp(values)
        assert np.abs(picture_of(scaled["src"]) - stretched).mean() < 8
        assert f"{values.min():.2f} to {values.max():.2f}" in scaled["alt"]


@pytest.mark.parametrize(
    ("pipeline", "n_views", "n_histograms"),
    [
        (make_image_pipeline(24, "minmax", color_mode="grayscale"), 3, 2),
        (make_image_pipeline(24, ChannelStandardScaler(per_image="image")), 2, 1),
        (make_image_pipeline(24, ChannelMinMaxScaler(data_range=(0, 255))), 3, 1),
        (make_image_pipeline(24, ChannelMedianScaler()), 3, 2),
        (make_image_pipeline(24, ChannelWhitener()), 3, 1),
        (
            Pipeline([*make_image_pipeline(24).steps, ("rows", ImageFlattener())]),
            3,
            2,
        ),
    ],
    ids=["grey", "per image", "constants", "fourth scaler", "whitener", "flattened"],
)
def test_pipelines_of_other_kinds_are_reported(
    pipeline, n_views, n_histograms, files, folder, tmp_path
):
    pipeline.fit(files)
    page = Page(write_report(folder, pipeline, tmp_path / "r.html"))
    assert len(page.images["Samples"]) == 6 * n_views
    assert len(page.images["The images it was fitted on"]) == n_histograms - 1
    assert len(page.images["The images of this folder"]) == 1
    scaled = page.images["The images of this folder, scaled"]
    scaler = pipeline["scale"]  # is there one map for all images, and each channel?
    has_scale = not scaler.per_image and not isinstance(scaler, ChannelWhitener)
    assert len(scaled) == has_scale


@pytest.mark.parametrize("name", MORE_COLOR_MODES)
def test_images_of_any_colour_mode_are_reported_as_they_look(
    name, files, folder, pipeline, tmp_path, monkeypatch
):
    mode = MORE_COLOR_MODES[name]
    monkeypatch.setitem(COLOR_MODES, name, mode)
    other = make_image_pipeline((32, 48), color_mode=name).fit(files)

    html = write_report(folder, other, tmp_path / "r.html")

    page, plain = Page(html), Page(write_report(folder, pipeline, tmp_path / "rgb.html"))
    named = [text for text in page.text["Statistics"] if text in mode.channels]
    assert named == list(mode.channels)
    assert len(page.images["Samples"]) == 3 * 6
    assert len(page.images["The images of this folder, scaled"]) == 1
    for heading in ("Darkest", "Brightest", "Lowest contrast"):
        shown, expected = (found.images[heading] for found in (page, plain))
        assert shown[0]["alt"] == expected[0]["alt"]
        difference = picture_of(shown[0]["src"]) - picture_of(expected[0]["src"]).astype(float)
        assert np.abs(difference).mean() < 6


def test_turned_photos_have_the_aspect_ratio_that_a_person_sees(photos, pipeline, tmp_path):
    (tmp_path / "photos").mkdir()
    for i in range(4):
        piece = photos[i % 2].crop((0, 0, 100, 150))
        (tmp_path / "photos" / f"{i}.jpg").write_bytes(encode(piece))
    turned = encode_turned(photos[0].crop((0, 0, 100, 150)), 6)  # a quarter turn
    (tmp_path / "photos" / "turned.jpg").write_bytes(turned)
    html = write_report(tmp_path / "photos", pipeline, tmp_path / "r.html")
    page = Page(html)
    assert page.images["Oddest aspect ratio"][0]["alt"] == "turned.jpg"
    assert page.text["Oddest aspect ratio"][0] == "aspect ratio 1.5"
    assert picture_of(page.images["Oddest aspect ratio"][0]["src"]).shape == (100, 150, 3)


def test_the_page_stays_small_when_many_files_are_broken(photos, pipeline, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "good.jpg").write_bytes(encode(photos[0].crop((0, 0, 60, 40))))
    for i in range(213):
        (folder / f"{i}.jpg").write_bytes(b"")
    page = Page(write_report(folder, pipeline, tmp_path / "r.html"))
    assert page.text["Broken files"].count("the file is empty") == 200
    assert "And 13 more, which" in page.text["Broken files"]


def test_damaged_files_are_listed_with_what_is_ruined(photos, pipeline, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    data = encode(photos[0].crop((200, 150, 400, 300)))
    (folder / "good.jpg").write_bytes(data)
    (folder / "cut.jpg").write_bytes(data[: len(data) // 2] + b"\xff\xd9")

    page = Page(write_report(folder, pipeline, tmp_path / "r.html"))

    assert "cut.jpg" in page.text["Damaged files"]
    assert "rows are grey" in " ".join(page.text["Damaged files"])
    assert "good.jpg" not in page.text["Damaged files"]
    assert page.text["Broken files"][0] == "None."
    summary = page.text[""]
    assert [summary[summary.index(name) + 1] for name in ("broken", "damaged")] == ["0", "1"]


def test_a_folder_of_broken_files_alone_is_refused(pipeline, tmp_path, call):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"")
    joblib.dump(pipeline, tmp_path / "p")
    finished = call("report", tmp_path / "photos", "-p", tmp_path / "p", "-o", tmp_path / "r")
    words = "none of the 1 files can be read", "the first one fails with: the file is empty"
    assert_refused(finished, *words)


def test_a_report_reads_files_that_training_would_stop_at(folder, html):
    with pytest.raises(ValueError, match="class is unknown"):
        load_image_folder(folder)  # files lie beside the folder of a class
    assert "class/dark.jpg" in html
