"""The page of ``sknorm-images report``, read by a parser of HTML."""

from __future__ import annotations

import base64
import io
import re
import shutil
from collections import Counter, defaultdict
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageCms
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from sknorm_images import (
    ChannelHistogram,
    ChannelMinMaxScaler,
    ChannelMoments,
    ChannelStandardScaler,
    ImageFlattener,
    ImageTransparencyWarning,
    JpegLoader,
    Resizer,
    __version__,
    load_image_folder,
    make_image_pipeline,
)
from sknorm_images._files import reading
from sknorm_images._images.color_modes import COLOR_MODES
from sknorm_images.cli._drift import drift_of, verdict_on
from sknorm_images.cli._figures import density_of
from sknorm_images.cli._files import Photos, image_files
from sknorm_images.cli._report import render_page
from sknorm_images.cli._survey import Survey, survey
from tests import command
from tests.command import assert_refused
from tests.conftest import encode, encode_turned
from tests.fifth_scaler import ChannelWhitener
from tests.fourth_scaler import ChannelMedianScaler
from tests.more_color_modes import MORE_COLOR_MODES

MARKUP = "<img src=x onerror=alert(1)> & \"'.jpg"
BROKEN = {MARKUP: b"none", "cut.jpg": None, "{{ 7 * 7 }}.jpg": b""}
VOID = {"meta", "img", "br", "wbr"}


class Page(HTMLParser):
    """Elements with their attributes, and text by the heading that it stands under.

    A break within a word is no break here.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = defaultdict(list)
        self.images: dict[str, list[dict[str, str]]] = defaultdict(list)
        self._open: list[str] = []
        self._heading = ""
        self._goes_on = False
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "wbr":
            self._goes_on = True
        if tag == "img":
            self.images[self._heading].append({name: value or "" for name, value in attrs})
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not (text := data.strip()) or self._open[-1] == "style":
            return
        goes_on, self._goes_on = self._goes_on, False
        if self._open[-1] in ("h2", "h3"):
            self._heading = self._heading + text if goes_on else text
        elif goes_on:
            self.text[self._heading][-1] += text
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


@pytest.fixture(scope="module")
def wrong(photos: list[Image.Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of every kind in two classes, and files that are cut off."""
    folder = tmp_path_factory.mktemp("wrong")
    pieces = [photo.crop((x, 100, x + 240, 280)) for photo in photos for x in (0, 200, 400)]
    photo = encode(pieces[0])
    contents = {
        "temple/1.jpg": photo,
        "temple/2.jpg": encode(pieces[1]),
        "temple/3.jpg": encode(pieces[2]),
        "temple/again.jpg": photo,
        "temple/cut.jpg": encode(pieces[1])[:-2000],
        "temple/tagged.jpg": photo[:2] + b"\xff\xfe\0\6note" + photo[2:],
        "flower/again.jpg": photo,
        "flower/twice.jpg": photo,
        "flower/4.jpg": encode(pieces[3]),
        "flower/small.jpg": encode(pieces[3].resize((160, 120))),
    }
    for name, content in contents.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def wrong_page(wrong, pipeline, tmp_path_factory) -> Page:
    output = tmp_path_factory.mktemp("report") / "report.html"
    return Page(write_report(wrong, pipeline, output))


def test_the_page_needs_nothing_else(html, page):
    sources = [attributes["src"] for tag, attributes in page.elements if "src" in attributes]
    assert len(sources) > 20
    assert all(source.startswith("data:image/") for source in sources)
    links = [attributes["href"] for tag, attributes in page.elements if "href" in attributes]
    names = {f"#{a['id']}" for _, a in page.elements if "id" in a}
    assert links
    assert set(links) <= names  # within the page
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


@pytest.mark.usefixtures("undrawn")
def test_the_page_says_when_how_and_by_what_it_was_made(folder, pipeline, tmp_path):
    output = tmp_path / "a report.html"
    before = datetime.now(UTC).replace(microsecond=0)

    page = Page(write_report(folder, pipeline, output))

    [made] = [attributes["datetime"] for tag, attributes in page.elements if tag == "time"]
    assert before <= datetime.fromisoformat(made) <= datetime.now(UTC)
    saved = output.with_suffix(".joblib")
    typed = f"sknorm-images report {folder} -p '{saved}' -o '{output}'"
    assert typed in page.text[""]
    assert any(f"sknorm_images {__version__}" in text for text in page.text[""])


def test_names_are_escaped_and_wrap_at_slashes(html, page):
    assert MARKUP in page.text["Broken: 3 files"]
    assert "{{ 7 * 7 }}.jpg" in page.text["Broken: 3 files"]
    assert "onerror" not in {name for _, attributes in page.elements for name in attributes}
    assert "<img src=x" not in html
    assert "<code>class/<wbr>dark.jpg</code>" in html


def test_broken_files_come_first_with_their_reasons(page):
    headings = [text for text in page.text if text]
    assert headings[0] == "Broken: 3 files"
    text = " ".join(page.text["Broken: 3 files"])
    assert "no known image format" in text
    assert "image file is truncated" in text
    assert "the file is empty" in text
    summary = page.text[""]
    assert [summary[summary.index("broken") - 1], summary[summary.index("files") + 1]] == [
        "3",
        "19",
    ]


def test_of_a_file_that_is_cut_off_the_page_shows_what_is_left(page, photos):
    [image] = page.images["Broken: 3 files"]  # the others have no picture
    assert image["alt"] == "cut.jpg"
    shown = picture_of(image["src"]).astype(int)
    whole = np.asarray(photos[0].resize(shown.shape[1::-1])).astype(int)
    assert np.abs(shown - whole)[:70].mean() < 8  # of 85 rows
    assert page.text["Broken: 3 files"].count("no picture") == 2


def test_copies_are_shown_in_pairs_those_in_another_class_first(wrong_page):
    same = "Same content: 3 files"
    assert wrong_page.text[same][:3] == [
        "Keep one file of each. If the classes differ, correct the label.",
        "2 in another class.",
        "temple/1.jpg",
    ]
    assert "same content as flower/again.jpg, in another class" in wrong_page.text[same]
    pairs = [image["alt"] for image in wrong_page.images[same]]
    assert pairs == [
        "temple/1.jpg",
        "flower/again.jpg",
        "temple/again.jpg",
        "flower/again.jpg",
        "flower/twice.jpg",
        "flower/again.jpg",
    ]
    assert "temple/tagged.jpg" in wrong_page.text["Same pixels: 1 file"]
    near = wrong_page.text["Near duplicate: 1 file"]
    assert "near duplicate of flower/4.jpg, in the same class" in near


def test_classes_are_counted_smallest_first_and_sampled(wrong_page):
    table = wrong_page.text["Classes"]
    start = table.index("flower")
    assert table[start : start + 6] == ["flower", "4", "40.0%", "temple", "6", "60.0%"]
    assert [image["alt"] for image in wrong_page.images["flower"]] == [
        "flower/4.jpg",
        "flower/again.jpg",
        "flower/small.jpg",
        "flower/twice.jpg",
    ]
    assert len(wrong_page.images["temple"]) == 5  # one is broken


@pytest.mark.usefixtures("undrawn")
def test_an_imbalance_is_said_with_its_remedy(photos, pipeline, tmp_path):
    for i in range(9):
        path = tmp_path / "photos" / ("common" if i else "<rare>") / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(photos[0].crop((50 * i, 90, 50 * i + 60, 130))))
    (tmp_path / "photos" / "loose.jpg").write_bytes(encode(photos[1]))
    (tmp_path / "photos" / "none <yet>").mkdir()

    page = Page(write_report(tmp_path / "photos", pipeline, tmp_path / "r.html"))

    told = " ".join(page.text["Classes"])
    assert "'common', has 8 times as many files as the smallest, '<rare>'" in told
    assert "oversample=True" in told
    assert "1 file lies beside the sub-folders" in told
    assert "none <yet>' has no files" in told
    assert {"empty class", "imbalanced classes"} <= set(page.text[""])


@pytest.mark.usefixtures("undrawn")
def test_leaks_between_the_parts_of_a_folder_come_first_with_both_pictures(
    photos, pipeline, tmp_path
):
    for i, name in enumerate(["train/cat/1.jpg", "train/dog/2.jpg", "test/cat/3.jpg"]):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(photos[0].crop((150 * i, 90, 150 * i + 120, 180))))
    shutil.copytree(tmp_path / "photos/train/dog", tmp_path / "photos/test/dog")

    page = Page(write_report(tmp_path / "photos", pipeline, tmp_path / "r.html"))

    leak = "Leak: 1 file"
    assert [image["alt"] for image in page.images[leak]] == [
        "train/dog/2.jpg",
        "test/dog/2.jpg",
    ]
    assert next(title for title in page.text if ": 1 file" in title) == leak


@pytest.mark.usefixtures("undrawn")
def test_a_clean_folder_is_said_to_be_clean(photos, pipeline, tmp_path):
    (tmp_path / "photos").mkdir()
    for i in range(3):
        piece = photos[0].crop((150 * i, 90, 150 * i + 120, 180))
        (tmp_path / "photos" / f"{i}.jpg").write_bytes(encode(piece))

    page = Page(write_report(tmp_path / "photos", pipeline, tmp_path / "r.html"))

    assert page.text["Findings"][0].startswith("None: no broken, damaged or duplicate files")
    assert page.text[""].count("0") == 3
    assert not page.text["Classes"]
    assert len(page.images["Samples"]) == 3


def test_the_statistics_are_those_of_numpy(page, pixels, levels):
    cells = page.text["Statistics"]
    flat, here = (x.reshape(-1, 3).astype(np.float64) for x in (pixels, levels[1]))
    for c, channel in enumerate(("red", "green", "blue")):
        start = cells.index(channel)
        for row, of in enumerate((np.mean, np.std, np.min, np.max)):
            a, b = of(flat[:, c]), of(here[:, c])
            printed = [float(x) for x in cells[start + 5 + 4 * row : start + 8 + 4 * row]]
            np.testing.assert_allclose(printed, [a, b, b - a], atol=0.00501)


def test_the_drift_is_the_mean_after_the_standard_scaler(page, pipeline, levels):
    cells = page.text["Drift"]
    scaled = pipeline[-1].transform(levels[1]).reshape(-1, 3).mean(axis=0, dtype=float)
    for channel, mean in zip(("red", "green", "blue"), scaled, strict=True):
        start = cells.index(channel)
        assert float(cells[start + 1]) == pytest.approx(mean, abs=0.0051)
        assert (cells[start + 2] == "negligible") == (abs(round(mean, 2)) < 0.2)


@pytest.mark.parametrize(
    ("shift", "words", "verdict"),
    [
        (0.194, "negligible", "much like the images that the pipeline was fitted on"),
        (-0.196, "small: lower", "The largest drift, of green, is small: lower. Find out"),
        (0.5, "medium: higher", "is medium: higher"),
        (-0.81, "large: lower", "is large: lower"),
    ],
)
def test_a_drift_is_said_in_cohens_words(shift, words, verdict):
    images = np.array([[[0.0, 10.0], [0.0, 30.0]]])  # of std 0 and 10
    shifted = images + np.array([0, 10 * shift])

    fitted, here = ChannelMoments.of(images), ChannelMoments.of(shifted)
    constant, varied = drifts = drift_of(["red", "green"], fitted, here)

    assert constant.words == "none: one value in either"
    assert varied.size == pytest.approx(shift)
    assert varied.words == words
    assert verdict in verdict_on(drifts)


def test_a_drift_from_one_value_is_large():
    fitted, here = (ChannelMoments.of(np.full((1, 2, 1), level)) for level in (1.0, 2.0))
    [drift] = drift_of(["grey"], fitted, here)
    assert drift.words == "large: higher"
    assert "Find out what differs" in verdict_on([drift])


@pytest.mark.parametrize(
    "scaler",
    [
        ChannelStandardScaler(),
        ChannelStandardScaler(mean=3.0, std=[17.0]),
        ChannelMinMaxScaler((-1, 1)),
        ChannelMinMaxScaler(quantile_range=(20, 80), clip=True),
    ],
    ids=str,
)
def test_bars_of_scaled_values_hold_exactly_the_pixels_between_their_edges(pixels, scaler):
    images = pixels[..., :1]
    scaled = scaler.fit(images).transform(images).ravel()
    levels = scaler.transform(np.arange(256, dtype=np.uint8)[:, np.newaxis])[:, 0]

    heights, edges = density_of(np.bincount(images.ravel(), minlength=256), levels)

    counted = [
        np.count_nonzero((scaled > low) & (scaled < high)) for low, high in pairwise(edges)
    ]
    assert sum(counted) == scaled.size
    np.testing.assert_allclose(heights * np.diff(edges), np.array(counted) / scaled.size)


@pytest.mark.parametrize("std", [17.0, 68.3, 90.5])
def test_levels_that_are_equally_frequent_make_a_flat_histogram_and_no_comb(std):
    scaler = ChannelStandardScaler(mean=117.3, std=std)
    levels = scaler.transform(np.arange(256, dtype=np.uint8)[:, np.newaxis])[:, 0]

    heights, edges = density_of(np.full(256, 10), levels)

    np.testing.assert_allclose(heights, std / 256, rtol=1e-3)
    np.testing.assert_allclose(edges[[0, -1]], (np.array([-0.5, 255.5]) - 117.3) / std)


def test_one_value_has_one_bar():
    heights, edges = density_of(np.bincount([7, 7], minlength=256), np.full(256, 0.25))
    assert (heights.tolist(), edges.tolist()) == ([1.0], [-0.25, 0.75])


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Darkest", "dark.jpg"),
        ("Brightest", "bright.jpg"),
        ("Lowest contrast", "flat.jpg"),
        ("Oddest aspect ratio", "wide.jpg"),
    ],
)
def test_the_outliers_are_found(title, name, page, folder):
    assert page.images[title][0]["alt"] == f"class/{name}"
    assert len(page.images[title]) == 4
    grey = np.asarray(Image.open(folder / "class" / name).convert("L")).astype(np.float64)
    number, value = {
        "Lowest contrast": ("contrast", grey.std()),
        "Oddest aspect ratio": ("aspect ratio", 640 / 40),
    }.get(title, ("brightness", grey.mean()))
    assert page.text[title][0] == f"{number} {value:.3g}"


def test_thumbnails_keep_the_aspect_ratio(page):
    shapes = [picture_of(image["src"]).shape for image in page.images["Oddest aspect ratio"]]
    assert shapes[0] == (8, 128, 3)  # 640 x 40
    assert shapes[1] == (85, 128, 3)  # 150 x 100


def test_images_are_shown_as_read_scaled_and_back(page, levels, pipeline):
    images = page.images["Images before and after scaling"]
    assert len(images) == 3 * 4
    names, pixels = levels
    shown = [image["alt"].split(",")[0] for image in images[::3]]
    assert shown == [f"class/{names[round(i)]}" for i in np.linspace(0, 15, 4)]
    for name, read, scaled, back in zip(
        shown, images[::3], images[1::3], images[2::3], strict=True
    ):
        original = pixels[names.index(Path(name).name)].astype(int)
        for image in (read, back):
            assert np.abs(picture_of(image["src"]) - original).mean() < 8  # JPEG
        values = pipeline["scale"].transform(original[np.newaxis].astype(np.uint8))[0]
        stretched = (values - values.min()) * 255 / np.ptp(values)
        assert np.abs(picture_of(scaled["src"]) - stretched).mean() < 10
        assert f"{values.min():.2f} to {values.max():.2f}" in scaled["alt"]


@pytest.mark.usefixtures("undrawn")
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
    assert len(page.images["Images before and after scaling"]) == 4 * n_views
    assert len(page.images["The images it was fitted on"]) == n_histograms - 1
    assert len(page.images["The images of this folder"]) == 1
    scaled = page.images["The images of this folder, scaled"]
    scaler = pipeline["scale"]  # is there one map for all images, and each channel?
    has_scale = not scaler.per_image and not isinstance(scaler, ChannelWhitener)
    assert len(scaled) == has_scale
    learned = hasattr(scaler, "statistics_") and scaler.statistics_ is not None
    assert ("The pipeline learned nothing" in page.text["Drift"][0]) == (not learned)


@pytest.mark.usefixtures("undrawn")
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
    assert len(page.images["Images before and after scaling"]) == 3 * 4
    assert len(page.images["The images of this folder, scaled"]) == 1
    for heading in ("Darkest", "Brightest", "Lowest contrast"):
        shown, expected = (found.images[heading] for found in (page, plain))
        assert shown[0]["alt"] == expected[0]["alt"]
        difference = picture_of(shown[0]["src"]) - picture_of(expected[0]["src"]).astype(float)
        assert np.abs(difference).mean() < 6


@pytest.mark.usefixtures("undrawn")
def test_stored_values_are_reported_in_colours_that_tell_them_apart(photos, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    for i in range(3):
        mask = (
            photos[0].convert("L").crop((0, 0, 300, 200)).point(lambda v, i=i: v // (80 + i))
        )
        (folder / f"{i}.jpg").write_bytes(encode(mask))
    pipeline = make_image_pipeline((32, 48), color_mode="stored", interpolation="nearest")
    pipeline.fit([str(path) for path in folder.iterdir()])

    page = Page(write_report(folder, pipeline, tmp_path / "r.html"))

    assert "value" in page.text["Statistics"]
    assert len(page.images["Darkest"]) == 3
    assert picture_of(page.images["Darkest"][0]["src"]).ndim == 3


@pytest.mark.usefixtures("undrawn")
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
    shape = picture_of(page.images["Oddest aspect ratio"][0]["src"]).shape
    assert shape == (85, 128, 3)


# One pass


@pytest.fixture
def n_reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each local file is read, by its name."""
    counts = Counter[str]()
    read = reading._read_local

    def counting(path: str, *arguments: Any) -> bytes:
        counts[Path(path).name] += 1
        return read(path, *arguments)

    monkeypatch.setattr(reading, "_read_local", counting)
    return counts


def survey_of(paths: list[str], pipeline: Pipeline) -> Survey:
    images = pipeline[:-1].transform(paths)
    return survey(images, [None] * len(paths), pipeline["load"], n_jobs=2, verbose=False)


def test_a_survey_reads_and_decodes_each_photo_once(
    files, pipeline, n_reads, prepared, monkeypatch
):
    decoded = []
    decode = simplejpeg.decode_jpeg

    def counting(data: bytes, *arguments: Any, **options: Any) -> Any:
        decoded.append(data)
        return decode(data, *arguments, **options)

    monkeypatch.setattr(simplejpeg, "decode_jpeg", counting)
    survey_of(files, pipeline)
    assert set(n_reads.values()) == {1}
    assert len(n_reads) == len(prepared) + len(decoded) == len(files)


def test_a_survey_does_so_without_simplejpeg_too(
    files, pipeline, n_reads, prepared, without_simplejpeg
):
    survey_of(files, pipeline)
    assert set(n_reads.values()) == {1}
    assert len(n_reads) == len(prepared) == len(files)


@pytest.mark.parametrize(
    "pipeline",
    [
        make_image_pipeline((32, 48)),
        make_image_pipeline((30, 30), color_mode="grayscale", aspect_ratio="pad"),
        make_image_pipeline((20, 30), aspect_ratio="crop", interpolation="lanczos"),
        make_image_pipeline((16, 24), engine="simd"),
        Pipeline(
            [("load", JpegLoader()), ("a", Resizer(64)), ("b", Resizer(16)), ("c", None)]
        ),
    ],
    ids=["plain", "padded", "cropped", "simd", "twice"],
)
@pytest.mark.filterwarnings("ignore::sknorm_images.ImageTransparencyWarning")
def test_a_survey_counts_the_pixels_that_the_pipeline_reads(pipeline, files, photos, tmp_path):
    pipeline["load"].formats = ("JPEG", "PNG")
    others = {
        "large.jpg": encode(photos[0]),  # decoded at 1/2 to 1/8
        "turned.jpg": encode_turned(photos[1], 6),
        "a.png": encode(photos[1], "PNG"),
        "clear.png": encode(photos[0].crop((0, 0, 60, 40)).convert("LA"), "PNG"),
    }
    paths = [*files[:4]]
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
        paths.append(str(tmp_path / name))
    (tmp_path / "broken.jpg").write_bytes(encode(photos[0])[:-3000])

    surveyed = survey_of([*paths, str(tmp_path / "broken.jpg")], pipeline)

    read = np.asarray(pipeline[:-1].transform(paths))
    assert surveyed.histogram == ChannelHistogram.of(read)
    assert surveyed.found.readable.tolist() == [True] * len(paths) + [False]


def test_images_that_lose_transparency_are_told_once(photos, pipeline, tmp_path):
    clear = photos[0].crop((0, 0, 60, 40)).convert("RGBA")
    clear.putalpha(128)
    paths = []
    for i in range(3):
        paths.append(str(tmp_path / f"{i}.png"))
        (photos[1] if i == 0 else clear).save(paths[i])
    other = make_image_pipeline((8, 8))
    other["load"].formats = ("PNG",)
    words = r"Image 1, .*1.png', and 1 more"
    with pytest.warns(ImageTransparencyWarning, match=words) as told:
        survey_of(paths, other)
    assert len(told) == 1


@pytest.mark.usefixtures("undrawn")
def test_only_files_that_are_shown_are_read_again(files, pipeline, n_reads, tmp_path):
    names = [f"{i:03}.jpg" for i in range(200)]
    (tmp_path / "photos").mkdir()
    for i, name in enumerate(names):
        piece = Image.open(files[i % 24]).rotate(i)  # no two alike
        (tmp_path / "photos" / name).write_bytes(encode(piece.resize((40, 30))))

    page = Page(write_report(tmp_path / "photos", pipeline, tmp_path / "r.html"))

    shown = {image["alt"].split(",")[0] for images in page.images.values() for image in images}
    assert {name for name in names if n_reads[name] > 1} == shown & set(names)
    assert len(shown & set(names)) < 120
    assert max(n_reads[name] for name in names) <= 3  # once for each way to show them


# The size of the page


@pytest.mark.usefixtures("undrawn")
def test_of_many_files_that_are_broken_some_are_named_and_all_are_counted(
    photos, pipeline, tmp_path
):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "good.jpg").write_bytes(encode(photos[0].crop((0, 0, 60, 40))))
    for i in range(213):
        (folder / f"{i}.jpg").write_bytes(b"")
    page = Page(write_report(folder, pipeline, tmp_path / "r.html"))
    told = page.text["Broken: 213 files"]
    assert told.count("the file is empty") == 30
    assert "And 183 more, which" in told


def write_noise(folder: Path) -> Photos:
    """Write files with a finding of nearly every kind, which take as many bytes as may be."""
    random = np.random.default_rng(0)
    noise = Image.fromarray(random.integers(0, 256, (128, 128, 3), np.uint8))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    data = encode(noise, quality=100, icc_profile=profile)
    small = noise.resize((20, 128))
    contents = {
        "a": data,
        "b": data,
        "broken": data[:-500],
        "damaged": data[: len(data) // 2] + b"\xff\xd9",
        "tagged": data[:2] + b"\xff\xfe\0\6note" + data[2:],
        "near": encode(noise, quality=95),
        "dark": encode(noise.point(lambda level: level // 4), quality=100),
        "bright": encode(noise.point(lambda level: 255 - level // 6), quality=100),
        "blurry": encode(noise.resize((8, 8)).resize((128, 128)), quality=100),
        "blank": encode(Image.new("RGB", (128, 128), "teal")),
        "odd": encode(small, quality=100, icc_profile=profile),
        "grey": encode(noise.convert("L"), quality=100),
        "png": encode(noise, "PNG"),
    }
    classes = []
    for name, content in contents.items():
        path = folder / f"<{name}>" / ("&" * 90 + f"{name}" + '"' * 90 + ".jpg")
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        classes.append(path)
    return image_files([str(folder)])


def page_of_many(folder: Path, n: int) -> tuple[str, int]:
    """Make a page of `n` files: a few of them, again and again. Returns also the kinds."""
    photos = write_noise(folder)
    pipeline = make_image_pipeline(192)
    pipeline["load"].formats = ("JPEG", "PNG")
    pipeline.fit([file for file in photos.files if "broken" not in file])
    times = -(-n // len(photos.files))
    images = pipeline[:2].transform(photos.files)
    found, histogram = survey(
        images, photos.classes, pipeline["load"], n_jobs=1, verbose=False
    )
    many = Bunch(**{name: np.tile(column, times) for name, column in found.items()})
    page = render_page(
        str(folder),
        pipeline,
        pipeline[-1],
        Photos(photos.files * times, photos.classes * times, photos.passed_over),
        pipeline[:2].transform(photos.files * times),
        Survey(many, histogram),
        command="x" * 10_000,
        n_jobs=1,
    )
    return page, len({words.partition(":")[0] for words in found.findings if words})


def test_the_page_of_thousands_of_files_stays_below_2_mb(tmp_path):
    page, n_kinds = page_of_many(tmp_path / "photos", 5_000)
    assert n_kinds >= 9
    assert 500_000 < len(page.encode()) < 2_000_000


@pytest.mark.slow
def test_the_page_of_a_million_files_stays_below_2_mb(tmp_path):
    page, _ = page_of_many(tmp_path / "photos", 1_000_000)
    assert re.search(r"<dd>1,000,0\d\d</dd>", page)
    assert len(page.encode()) < 2_000_000


@pytest.mark.usefixtures("undrawn")
def test_damaged_files_are_listed_with_what_is_ruined(photos, pipeline, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    data = encode(photos[0].crop((200, 150, 400, 300)))
    (folder / "good.jpg").write_bytes(data)
    (folder / "cut.jpg").write_bytes(data[: len(data) // 2] + b"\xff\xd9")

    page = Page(write_report(folder, pipeline, tmp_path / "r.html"))

    told = page.text["Damaged: 1 file"]
    assert "cut.jpg" in told
    assert "rows are grey" in " ".join(told)
    assert "good.jpg" not in told
    summary = page.text[""]
    assert [summary[summary.index(name) - 1] for name in ("broken", "damaged")] == ["0", "1"]


def test_a_folder_of_broken_files_alone_is_refused(pipeline, tmp_path, call):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"")
    joblib.dump(pipeline, tmp_path / "p")
    finished = call("report", tmp_path / "photos", "-p", tmp_path / "p", "-o", tmp_path / "r")
    words = "none of the 1 files can be read", "the first one fails with: the file is empty"
    assert_refused(finished, *words)


def test_a_report_reads_files_that_training_would_stop_at(folder, page):
    with pytest.raises(ValueError, match="class is unknown"):
        load_image_folder(folder)  # files lie beside the folder of a class
    assert page.images["Darkest"][0]["alt"] == "class/dark.jpg"
