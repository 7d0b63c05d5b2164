"""Pictures show what Pillow and NumPy find in the files, and can be read."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle, StepPatch
from PIL import Image
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from sknorm_images import (
    ChannelHistogram,
    ChannelMinMaxScaler,
    ChannelMoments,
    ChannelStandardScaler,
    ImageDecodeWarning,
    ImageFlattener,
    JpegLoader,
    Resizer,
)
from sknorm_images._images.color_modes import COLOR_MODES
from sknorm_images.plotting import ChannelHistogramDisplay, ImageGridDisplay
from tests import new_process
from tests.conftest import encode
from tests.fifth_scaler import ChannelWhitener
from tests.fourth_scaler import ChannelMedianScaler
from tests.huge_arguments import assert_brief, parameters_of
from tests.more_color_modes import MORE_COLOR_MODES

SIZE = (32, 48)  # that of the fixture `pixels`


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def pipeline_with(scaler: Any, **options: Any) -> Pipeline:
    """Decode at full size, as `pixels` are."""
    return make_pipeline(JpegLoader(**options), Resizer(SIZE, reducing_gap=None), scaler)


def bars(panel: Axes) -> StepPatch:
    (steps,) = [patch for patch in panel.patches if isinstance(patch, StepPatch)]
    return steps


def band(panel: Axes) -> tuple[float, float]:
    (span,) = [patch for patch in panel.patches if isinstance(patch, Rectangle)]
    assert span.get_zorder() < bars(panel).get_zorder()  # it hides no bar
    return span.get_x(), span.get_x() + span.get_width()


def lines(panel: Axes) -> list[float]:
    """Where the solid lines are."""
    return [line.get_xdata()[0] for line in panel.lines if line.get_linestyle() == "-"]


def shown(panel: Axes) -> np.ndarray:
    (image,) = panel.get_images()
    return np.asarray(image.get_array())


def captions(display: ImageGridDisplay) -> list[str]:
    return [panel.get_xlabel() for panel in display.axes_]


# Histograms


def test_bars_count_the_pixels_that_pillow_decodes(files, pixels):
    display = ChannelHistogramDisplay.from_estimator(
        pipeline_with(ChannelStandardScaler()).fit(files)
    )
    assert display.axes_.shape == (3,)
    for panel, channel in zip(display.axes_, pixels.reshape(-1, 3).T, strict=True):
        counts, edges, _ = bars(panel).get_data()
        np.testing.assert_array_equal(counts, np.bincount(channel, minlength=256))
        np.testing.assert_array_equal(edges, np.arange(257) - 0.5)
        low, high = panel.get_ylim()
        assert low == 0
        assert high > counts.max()


def test_the_line_is_at_the_mean_and_the_band_is_one_std_to_either_side(pixels):
    display = ChannelHistogramDisplay.from_estimator(ChannelStandardScaler().fit(pixels))
    wide = pixels.reshape(-1, 3).astype(np.float64)
    for panel, mean, std in zip(
        display.axes_, wide.mean(axis=0), wide.std(axis=0), strict=True
    ):
        assert lines(panel) == pytest.approx([mean], rel=1e-12)
        assert band(panel) == pytest.approx((mean - std, mean + std), rel=1e-12)
        title = panel.get_title(loc="left")
        assert f"mean {mean:.1f} (line), std {std:.1f} (band)" in title


@pytest.mark.parametrize("q", [(0.0, 100.0), (5.0, 95.0)])
def test_the_band_of_a_min_max_scaler_is_the_range_or_the_percentiles(pixels, q):
    scaler = ChannelMinMaxScaler(quantile_range=q).fit(pixels)
    display = ChannelHistogramDisplay.from_estimator(scaler)
    ends = np.percentile(pixels.reshape(-1, 3), q, axis=0)
    for panel, low, high in zip(display.axes_, *ends, strict=True):
        assert band(panel) == (low, high)
        assert lines(panel) == []
        words = "range" if q == (0, 100) else "percentiles 5 and 95:"
        assert f"{words} {low:.4g} to {high:.4g} (band)" in panel.get_title(loc="left")


@pytest.mark.parametrize(
    "scaler",
    [
        ChannelStandardScaler(),
        ChannelStandardScaler(with_mean=False),
        ChannelStandardScaler(mean=[120, 100, 80], std=60),
        ChannelMinMaxScaler((-1, 1)),
        ChannelMinMaxScaler(quantile_range=(5, 95), clip=True),
        ChannelMinMaxScaler(data_range=(0, 255)),
        ChannelMedianScaler(dtype="float64"),
    ],
    ids=str,
)
def test_the_axis_on_top_is_what_the_scaler_makes_of_grey_levels(pixels, scaler):
    scaler.fit(pixels)
    display = ChannelHistogramDisplay(ChannelHistogram.of(pixels), scaler).plot()
    display.figure_.draw_without_rendering()
    for i, (panel, scaled) in enumerate(zip(display.axes_, display.scaled_axes_, strict=True)):
        low, high = scaled.get_xlim()
        # Where the scaler does not clip.
        ticks = [tick for tick in scaled.get_xticks() if max(low, -1) <= tick <= min(high, 1)]
        assert len(ticks) >= 3
        at = scaled.transData.transform([(tick, 0) for tick in ticks])
        levels = panel.transData.inverted().transform(at)[:, 0]
        same = scaler.transform(np.repeat(levels[:, np.newaxis], 3, axis=1))[:, i]
        np.testing.assert_allclose(same, ticks, atol=1e-9)
        assert scaled.get_xlabel() == "scaled value"


def test_another_folder_is_drawn_with_the_scaler_of_the_first(pixels):
    scaler = ChannelStandardScaler().fit(pixels[::2])
    display = ChannelHistogramDisplay(ChannelHistogram.of(pixels[1::2]), scaler).plot()
    for i, panel in enumerate(display.axes_):
        others = np.bincount(pixels[1::2, ..., i].ravel(), minlength=256)
        np.testing.assert_array_equal(bars(panel).get_data().values, others)
        assert lines(panel) == pytest.approx([pixels[::2, ..., i].mean()])
        assert "scaler's mean" in panel.get_title(loc="left")


def test_constants_that_need_no_fit_are_marked(pixels):
    histogram = ChannelHistogram.of(pixels)
    known = ChannelStandardScaler(mean=[123.0, 116.0, 103.0], std=50.0)
    display = ChannelHistogramDisplay(histogram, known).plot()
    assert [lines(panel)[0] for panel in display.axes_] == [123, 116, 103]
    assert band(display.axes_[2]) == (53, 153)
    display = ChannelHistogramDisplay(histogram, ChannelMinMaxScaler(data_range=(0, 255)))
    assert [band(panel) for panel in display.plot().axes_] == [(0, 255)] * 3
    assert not hasattr(known, "mean_")


def test_without_a_mean_of_a_scaler_the_histogram_s_own_is_marked(pixels):
    display = ChannelHistogramDisplay(ChannelHistogram.of(pixels)).plot()
    assert display.scaled_axes_.tolist() == [None] * 3
    fourth = ChannelHistogramDisplay.from_estimator(ChannelMedianScaler().fit(pixels))
    for panels in (display.axes_, fourth.axes_):
        for i, panel in enumerate(panels):
            assert lines(panel) == pytest.approx([pixels[..., i].mean()])
            assert panel.get_title(loc="left").split()[1] == "mean"


@pytest.mark.parametrize(
    ("n_channels", "names"),
    [
        (1, ["grey"]),
        (3, ["red", "green", "blue"]),
        (5, [f"channel {i}" for i in range(5)]),
    ],
)
def test_channels_have_names_and_the_axes_units(pixels, n_channels, names):
    images = np.concatenate([pixels, pixels], axis=-1)[..., :n_channels]
    display = ChannelHistogramDisplay.from_estimator(ChannelStandardScaler().fit(images))
    titles = [panel.get_title(loc="left") for panel in display.axes_]
    assert [title.partition(":")[0] for title in titles] == names
    assert [panel.get_ylabel() for panel in display.axes_] == ["pixels"] * n_channels
    labels = [panel.get_xlabel() for panel in display.axes_]
    assert labels == [""] * (n_channels - 1) + ["grey level (0 to 255)"]
    colors = {bars(panel).get_facecolor() for panel in display.axes_}
    assert len(colors) == n_channels
    assert {panel.get_xlim() for panel in display.axes_} == {(-0.5, 255.5)}


def test_channels_that_are_mixed_have_no_scaled_axes(pixels):
    histogram = ChannelHistogram.of(pixels)
    display = ChannelHistogramDisplay(histogram, ChannelWhitener().fit(pixels)).plot()
    assert display.scaled_axes_.tolist() == [None] * 3
    with pytest.raises(ValueError, match="count no grey levels"):
        ChannelHistogramDisplay.from_estimator(ChannelWhitener().fit(pixels))


@pytest.mark.parametrize("name", MORE_COLOR_MODES)
def test_a_pipeline_names_its_channels_and_shows_photos_as_they_look(
    name, files, pixels, monkeypatch
):
    mode = MORE_COLOR_MODES[name]
    monkeypatch.setitem(COLOR_MODES, name, mode)
    pipeline = pipeline_with(ChannelStandardScaler(), color_mode=name).fit(files)

    histograms = ChannelHistogramDisplay.from_estimator(pipeline)
    loaded = ImageGridDisplay.from_images(pipeline[:1].transform(files), n_images=4)
    resized = [
        ImageGridDisplay.from_images(pipeline[:-1].transform(files)),
        ImageGridDisplay.from_estimator(pipeline[:-1], files),
        ImageGridDisplay.from_estimator(pipeline, files),
        ImageGridDisplay.from_estimator(pipeline[-1], pipeline[:-1].transform(files)),
    ]

    titles = [panel.get_title(loc="left") for panel in histograms.axes_]
    assert [title.partition(":")[0] for title in titles] == list(mode.channels)
    colors = [to_rgb(bars(panel).get_facecolor()) for panel in histograms.axes_]
    assert colors == [to_rgb(color) for color in mode.channels.values()]
    decoded = [Image.open(file).convert(mode.pillow) for file in files[:12]]
    for image, expected in zip(loaded.images, decoded, strict=False):
        np.testing.assert_array_equal(image, np.asarray(expected.convert("RGB")))
    small = [image.resize(SIZE[::-1], Image.Resampling.BILINEAR) for image in decoded]
    for grid in resized:
        np.testing.assert_array_equal(grid.images, [image.convert("RGB") for image in small])
    with pytest.raises(ValueError, match="color_mode"):
        ChannelHistogramDisplay(ChannelHistogram.of(pixels), color_mode="RGB").plot()


def test_masks_are_drawn_in_colours_that_tell_classes_apart():
    mask = np.arange(12, dtype=np.uint8).reshape(3, 4) % 3
    loader = JpegLoader(color_mode="stored")
    [drawn] = ImageGridDisplay.from_images(loader.transform([mask])).images
    classes, colors = [0, 1, 2], [(0, 0, 0), (128, 0, 0), (0, 128, 0)]
    for number, color in zip(classes, colors, strict=True):
        np.testing.assert_array_equal(drawn[mask == number], [color] * 4)


def test_a_constant_channel_is_drawn():
    images = np.full((1, 4, 4, 1), 77, np.uint8)
    display = ChannelHistogramDisplay.from_estimator(ChannelStandardScaler().fit(images))
    display.figure_.draw_without_rendering()
    assert lines(display.axes_[0]) == [77]
    assert band(display.axes_[0]) == (77, 77)


def test_the_last_step_of_nested_pipelines_is_drawn(files):
    inner = pipeline_with(ChannelStandardScaler())
    whole = Pipeline([("images", inner), ("nothing", "passthrough")]).fit(files)
    display = ChannelHistogramDisplay.from_estimator(whole)
    assert display.histogram == inner[-1].statistics_
    assert display.scaler is inner[-1]


def test_what_has_no_histogram_is_refused(pixels):
    draw = ChannelHistogramDisplay.from_estimator
    with pytest.raises(NotFittedError):
        draw(ChannelStandardScaler())
    with pytest.raises(NotFittedError):
        draw(pipeline_with(ChannelMinMaxScaler()))
    for scaler in (
        ChannelStandardScaler(per_image="image"),
        ChannelMinMaxScaler(data_range=(0, 255)),
        ChannelStandardScaler(mean=120, std=60),
    ):
        with pytest.raises(ValueError, match=r"learns nothing .* Fit a ChannelStandardScaler"):
            draw(scaler.fit(pixels))
    with pytest.raises(ValueError, match=r"ChannelMoments.* Fit it to uint8 images"):
        draw(ChannelStandardScaler().fit(pixels / 255))
    many = np.concatenate([pixels] * 6, axis=-1)
    with pytest.raises(ValueError, match=r"17 channels, .*counts\[:16\]"):
        draw(ChannelStandardScaler().fit(many[..., :17]))
    for estimator, name in (
        (make_pipeline(ChannelStandardScaler(), ImageFlattener()), "ImageFlattener"),
        (LogisticRegression(), "LogisticRegression"),
        (Pipeline([("scale", "passthrough")]), "NoneType"),
    ):
        with pytest.raises(TypeError, match=rf"ends in {name}, which .* Pass a Channel"):
            draw(estimator)
    assert plt.get_fignums() == []


def test_what_the_constructor_was_given_is_checked_when_it_is_drawn(pixels):
    histogram = ChannelHistogram.of(pixels)
    for wrong in (histogram.counts, ChannelMoments.of(pixels)):
        with pytest.raises(
            TypeError, match=r"counts no grey levels. Pass ChannelHistogram.of"
        ):
            ChannelHistogramDisplay(wrong).plot()
    with pytest.raises(ValueError, match=r"counts no pixels, .* Pass one"):
        ChannelHistogramDisplay(ChannelHistogram(np.zeros((3, 256), int), 0)).plot()
    with pytest.raises(TypeError, match="scaler is a Pipeline"):
        ChannelHistogramDisplay(histogram, pipeline_with(ChannelStandardScaler())).plot()
    with pytest.raises(ValueError, match="per_image='channel' scales each image"):
        ChannelHistogramDisplay(histogram, ChannelMinMaxScaler(per_image="channel")).plot()
    with pytest.raises(NotFittedError):
        ChannelHistogramDisplay(histogram, ChannelStandardScaler()).plot()
    grey = ChannelStandardScaler().fit(pixels[..., :1])
    with pytest.raises(ValueError, match=r"3 features, but .* expecting 1"):
        ChannelHistogramDisplay(histogram, grey).plot()
    assert plt.get_fignums() == []


# Where panels are put


def displays(pixels: np.ndarray) -> list[Any]:
    return [
        ChannelHistogramDisplay(
            ChannelHistogram.of(pixels), ChannelStandardScaler().fit(pixels)
        ),
        ImageGridDisplay(pixels[:5], [f"a long name of image {i}.jpg" for i in range(5)]),
    ]


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("layout", [None, "constrained", "tight"])
def test_panels_take_the_place_of_the_axes_they_are_given(pixels, which, layout):
    figure = Figure(figsize=(9, 7), layout=layout)
    left, right = figure.subplots(1, 2)
    display = displays(pixels)[which]
    assert display.plot(ax=right) is display
    assert display.ax_ is right
    assert display.figure_ is figure
    figure.draw_without_rendering()
    assert not right.axison
    for panel in display.axes_:
        assert panel.get_position().x0 >= left.get_position().x1


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("given", [False, True])
def test_nothing_overlaps_or_leaves_the_figure(pixels, which, given):
    axes = plt.subplots(figsize=(6, 8))[1] if given else None
    display = displays(pixels)[which].plot(ax=axes)
    display.figure_.draw_without_rendering()
    boxes = [panel.get_tightbbox() for panel in display.axes_]
    for a, b in combinations(boxes, 2):
        apart = a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 or b.y1 <= a.y0
        assert apart, (a, b)
    for box in boxes:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= display.figure_.bbox.x1
        assert box.y1 <= display.figure_.bbox.y1


@pytest.mark.parametrize("which", [0, 1])
def test_axes_that_cannot_be_replaced_are_refused(pixels, which):
    display = displays(pixels)[which].plot()
    with pytest.raises(ValueError, match=r"switched off.* Pass new ones"):
        display.plot(ax=display.ax_)
    with pytest.raises(ValueError, match=r"in no grid.* Pass new ones"):
        display.plot(ax=Figure().add_axes((0, 0, 1, 1)))
    first = display.figure_
    assert display.plot().figure_ is not first


def test_with_axes_of_one_s_own_pyplot_is_not_loaded():
    code = """
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from sknorm_images._images.color_modes import COLOR_MODES
from sknorm_images.plotting import ImageGridDisplay

display = ImageGridDisplay(np.zeros((2, 8, 8, 3), np.uint8))
display.plot(ax=Figure().subplots()).figure_.draw_without_rendering()
print(json.dumps("matplotlib.pyplot" in sys.modules))
"""
    assert new_process.answer(code) is False


# Grids


@pytest.mark.parametrize(
    "scaler",
    [
        ChannelStandardScaler(),
        ChannelMinMaxScaler((-1, 1), quantile_range=(20, 80)),
        ChannelMinMaxScaler(data_range=(0, 255)),
        ChannelMedianScaler(),
        ChannelWhitener(),
        "passthrough",
    ],
    ids=str,
)
def test_images_are_shown_as_pillow_decodes_and_resizes_them(files, pixels, scaler):
    pipeline = pipeline_with(scaler).fit(files)
    display = ImageGridDisplay.from_estimator(pipeline, files, n_images=5)
    assert display.axes_.shape == (5,)
    for panel, expected in zip(display.axes_, pixels, strict=False):
        np.testing.assert_array_equal(shown(panel), expected)


def test_what_a_scaler_clipped_is_shown_clipped(files, pixels):
    scaler = ChannelMinMaxScaler(quantile_range=(20, 80), clip=True)
    pipeline = pipeline_with(scaler).fit(files)
    display = ImageGridDisplay.from_estimator(pipeline, files, n_images=3)
    low, high = np.percentile(pixels.reshape(-1, 3), (20, 80), axis=0)
    for panel, image in zip(display.axes_, pixels, strict=False):
        np.testing.assert_array_equal(shown(panel), np.rint(image.clip(low, high)))


def test_scaled_images_are_brought_back_and_cut_off(pixels):
    scaler = ChannelStandardScaler().fit(pixels)
    brighter = scaler.transform(pixels.astype(np.float64) + 100)
    display = ImageGridDisplay.from_images(brighter, scaler)
    assert len(display.axes_) == 12
    for panel, image in zip(display.axes_, pixels, strict=False):
        expected = np.minimum(image.astype(int) + 100, 255)
        np.testing.assert_array_equal(shown(panel), expected)


def test_one_channel_is_shown_in_grey_from_0_to_255(files):
    pipeline = pipeline_with(ChannelStandardScaler(), color_mode="grayscale").fit(files)
    display = ImageGridDisplay.from_estimator(pipeline, files[3:], n_images=2)
    for panel, path in zip(display.axes_, files[3:], strict=False):
        grey = Image.open(path).convert("L").resize(SIZE[::-1], Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(shown(panel), np.asarray(grey))
        (image,) = panel.get_images()
        assert image.get_clim() == (0, 255)
        assert image.get_cmap().name == "gray"


def test_images_of_differing_sizes_are_shown_at_full_size(files):
    display = ImageGridDisplay.from_estimator(JpegLoader(), pd.Series(files), n_images=4)
    for panel, path in zip(display.axes_, files, strict=False):
        np.testing.assert_array_equal(shown(panel), np.asarray(Image.open(path)))
    arrays = [np.asarray(Image.open(path)) for path in files[:2]]
    display = ImageGridDisplay.from_images(arrays)
    np.testing.assert_array_equal(shown(display.axes_[1]), arrays[1])


def test_only_the_first_images_are_decoded_and_only_once(files, pixels, prepared):
    scaler = ChannelStandardScaler().fit(pixels)
    differing = JpegLoader().transform(files)
    resized = Resizer(SIZE).transform(differing)
    for draw in (
        lambda: ImageGridDisplay.from_estimator(
            pipeline_with(scaler, on_error="blank"), files, n_images=3
        ),
        lambda: ImageGridDisplay.from_estimator(scaler, resized, n_images=3),
        lambda: ImageGridDisplay.from_images(resized, n_images=3),
        lambda: ImageGridDisplay.from_images(differing, n_images=3),
    ):
        prepared.clear()
        assert len(draw().axes_) == 3
        assert len(prepared) == 3


def test_captions_are_the_names_of_files(files, pixels, photos):
    images = Resizer(SIZE).transform(JpegLoader().transform([*files[:2], encode(photos[0])]))
    names = ["00.jpg", "01.jpg", "image 2"]
    assert captions(ImageGridDisplay.from_images(images)) == names
    scaler = ChannelMinMaxScaler().fit(pixels)
    assert captions(ImageGridDisplay.from_estimator(scaler, images)) == names
    assert captions(ImageGridDisplay.from_images(pixels[:2])) == ["image 0", "image 1"]
    assert captions(ImageGridDisplay(pixels[:2]).plot()) == ["", ""]


def test_long_and_strange_captions_are_drawn_as_they_are_or_shortened(pixels):
    names = [r"$\broken$.jpg", "x" * 30 + "y" * 30 + ".jpg", "\udcff\n.jpg"]
    display = ImageGridDisplay(pixels[:3], names).plot()
    display.figure_.savefig(io.BytesIO())
    plain, long, strange = captions(display)
    assert plain == names[0]
    assert long.startswith("xxxx")
    assert "…" in long
    assert long.endswith("yyy.jpg")
    assert strange == "?\n.jpg"
    for a, b in pairwise(panel.xaxis.label.get_window_extent() for panel in display.axes_[:2]):
        assert a.x1 < b.x0


def test_images_that_cannot_be_read_are_black_and_say_so(files, pixels, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(Path(files[1]).read_bytes()[:500])
    pipeline = pipeline_with(ChannelStandardScaler(), on_error="blank").fit(files)
    paths = [files[0], str(broken), files[2]]
    with pytest.warns(ImageDecodeWarning, match="1 of 3"):
        scaled = ImageGridDisplay.from_estimator(pipeline, paths)
    with pytest.warns(ImageDecodeWarning, match="1 of 3"):
        plain = ImageGridDisplay.from_estimator(pipeline[:-1], paths)
    for display in (scaled, plain):
        assert captions(display) == ["00.jpg", "broken.jpg\ncannot be read", "02.jpg"]
        assert not shown(display.axes_[1]).any()
        np.testing.assert_array_equal(shown(display.axes_[2]), pixels[2])


# Samples of classes, and batches


def test_with_y_images_are_taken_from_each_class_in_turn_and_labelled(files, pixels):
    y = np.array(["temple"] * 20 + ["flower"] * 3 + ["ape"])
    pipeline = pipeline_with(ChannelStandardScaler()).fit(files)
    kept = [23, 20, 21, 22, 0, 1, 2]  # ape, flowers, temples
    for display in (
        ImageGridDisplay.from_estimator(pipeline, files, y=y, n_images=7),
        ImageGridDisplay.from_estimator(pipeline[:-1], pd.Series(files), y=y, n_images=7),
        ImageGridDisplay.from_images(pipeline[:-1].transform(files), y=list(y), n_images=7),
    ):
        assert captions(display) == [f"{y[i]}\n{i:02}.jpg" for i in kept]
        for panel, i in zip(display.axes_, kept, strict=True):
            np.testing.assert_array_equal(shown(panel), pixels[i])


@pytest.mark.parametrize(
    "y",
    [
        np.arange(24) % 2,
        (np.arange(24) % 2).astype(np.float32)[:, np.newaxis],
        np.eye(2, dtype=np.float32)[np.arange(24) % 2],
        pd.Series(np.arange(24) % 2),
        list(np.arange(24) % 2),
    ],
    ids=["numbers", "column of floats", "one-hot", "series", "list of NumPy's"],
)
def test_class_names_stand_for_the_numbers_of_any_label_mode(pixels, y):
    display = ImageGridDisplay.from_images(pixels, y=y, class_names=["temple", "flower"])
    even, odd = range(0, 12, 2), range(1, 12, 2)
    expected = [f"temple\nimage {i}" for i in even] + [f"flower\nimage {i}" for i in odd]
    assert captions(display) == expected


def test_of_more_classes_than_images_the_first_are_drawn(pixels):
    display = ImageGridDisplay.from_images(pixels, y=np.arange(24)[::-1], n_images=3)
    assert captions(display) == ["0\nimage 23", "1\nimage 22", "2\nimage 21"]


def test_a_seed_draws_the_same_images_at_random_and_of_each_class(files, pixels):
    def rows(**options: Any) -> list[int]:
        display = ImageGridDisplay.from_images(pixels, n_images=6, **options)
        return [int(caption.split()[-1]) for caption in captions(display)]

    assert rows(random_state=0) == rows(random_state=0) != rows(random_state=1)
    assert rows(random_state=0) != list(range(6))
    y = np.arange(24) % 3
    chosen = rows(random_state=0, y=y)
    assert [y[i] for i in chosen] == [0, 0, 1, 1, 2, 2]
    assert chosen != rows(y=y) == [0, 3, 1, 4, 2, 5]
    for panel, i in zip(
        ImageGridDisplay.from_images(list(pixels), n_images=2, random_state=3).axes_,
        np.random.RandomState(3).permutation(24),
        strict=False,
    ):
        np.testing.assert_array_equal(shown(panel), pixels[i])


def test_a_sample_reads_no_other_file(files, prepared):
    y = np.arange(24) // 12
    display = ImageGridDisplay.from_estimator(
        pipeline_with("passthrough"), files, y=y, n_images=4, random_state=0
    )
    assert len(display.axes_) == len(prepared) == 4


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"y": [0, 1]}, r"y is of shape \(2,\), and there are 24 images"),
        ({"y": np.full((24, 2), 0.5)}, r"y is of shape \(24, 2\)"),
        ({"y": [None, *range(22), None]}, "no label for image 0 and 1 more. Leave"),
        ({"y": ["a", 1] * 12}, "labels that cannot be compared"),
        ({"y": [2] * 24, "class_names": ["a", "b"]}, "y holds 2, and class_names names"),
        ({"y": ["a"] * 24, "class_names": ["a"]}, "y holds 'a', and class_names names"),
        ({"class_names": ["a"]}, "there is none. Pass y"),
        ({"random_state": "seed"}, "random_state='seed' is not a seed"),
    ],
)
def test_what_tells_no_classes_is_refused(pixels, options, match):
    with pytest.raises(ValueError, match=match):
        ImageGridDisplay.from_images(pixels, **options)
    assert plt.get_fignums() == []


def test_a_batch_is_shown_as_an_augmentation_left_it(pixels):
    scaler = ChannelStandardScaler().fit(pixels)
    brighter = scaler.transform(pixels[:5, :, ::-1].astype(np.float64) + 60)
    weights = np.ones(5, np.float32)
    for batch in (
        (brighter, np.array([1, 0, 0, 1, 1]), weights),
        (brighter, np.eye(2)[[1, 0, 0, 1, 1]]),
    ):
        display = ImageGridDisplay.from_images(batch, scaler, class_names=["a", "b"])
        assert captions(display) == [f"{'baabb'[i]}\nimage {i}" for i in range(5)]
        for panel, image in zip(display.axes_, pixels, strict=False):
            expected = np.minimum(image[:, ::-1].astype(int) + 60, 255)
            np.testing.assert_array_equal(shown(panel), expected)
    masks = np.zeros((5, *SIZE, 1))
    for y in (masks, {"a": weights}, np.full((5, 2), 0.5), None):  # not classes
        display = ImageGridDisplay.from_images((brighter, y), scaler, n_images=2)
        assert captions(display) == ["image 0", "image 1"]
    few = ImageGridDisplay.from_images((pixels[0], pixels[1]))  # a tuple of images
    assert len(few.axes_) == 2


def test_a_batch_of_several_inputs_is_refused_with_what_to_pass(pixels):
    with pytest.raises(TypeError, match=r"'photo', 'table', .*batch\[0\]\['photo'\]"):
        ImageGridDisplay.from_images(({"photo": pixels, "table": pixels}, np.zeros(24)))


def test_a_value_range_says_which_floats_are_black_and_white(pixels):
    for images, ends in ((pixels / 255, (0, 1)), (pixels / 127.5 - 1, (-1, 1))):
        display = ImageGridDisplay.from_images(images.astype(np.float32), value_range=ends)
        for panel, image in zip(display.axes_, pixels, strict=False):
            np.testing.assert_array_equal(shown(panel), image)
    beyond = ImageGridDisplay.from_images(pixels[:1] * 2.0 - 100, value_range=(0, 255))
    expected = (pixels[0].astype(int) * 2 - 100).clip(0, 255)
    np.testing.assert_array_equal(shown(beyond.axes_[0]), expected)


@pytest.mark.parametrize(
    ("images", "options", "match"),
    [
        (np.zeros((1, 8, 8, 3)), {"value_range": (1, 0)}, r"not a range. Pass \(low, high\)"),
        (np.zeros((1, 8, 8, 3)), {"value_range": "0-1"}, "not a range"),
        (np.zeros((1, 8, 8, 3), np.uint8), {"value_range": (0, 1)}, "is for floats. Leave it"),
        (np.full((1, 8, 8, 3), np.nan), {"value_range": (0, 1)}, "hold NaN"),
        (
            np.zeros((1, 8, 8, 3)),
            {"value_range": (0, 1), "scaler": ChannelStandardScaler()},
            "scaler and value_range both",
        ),
    ],
)
def test_a_value_range_that_fits_nothing_is_refused(images, options, match):
    with pytest.raises(ValueError, match=match):
        ImageGridDisplay.from_images(images, **options)


@pytest.mark.parametrize(("n", "rows", "columns"), [(1, 1, 1), (5, 2, 3), (12, 3, 4)])
def test_a_grid_is_about_as_wide_as_high(pixels, n, rows, columns):
    display = ImageGridDisplay.from_images(pixels, n_images=n)
    display.figure_.draw_without_rendering()
    corners = [panel.get_position() for panel in display.axes_]
    assert len(corners) == n
    assert len({round(corner.y0, 3) for corner in corners}) == rows
    assert len({round(corner.x0, 3) for corner in corners}) == columns


@pytest.mark.parametrize(
    ("images", "match"),
    [
        (np.zeros((2, 8, 8, 3)), r"Image 0 is of dtype float64, .* Pass the scaler"),
        (np.zeros((2, 8, 8, 3), int), "Image 0 is of dtype int64"),
        (np.zeros((2, 8, 8), np.uint8), r"shape \(8, 8\), .* X\[\.\.\., np.newaxis\]"),
        (np.zeros((2, 8, 8, 4), np.uint8), "of many channels, pass three"),
        (np.zeros((2, 8, 0, 3), np.uint8), r"shape \(8, 0, 3\)"),
        ([], "There are no images. Pass at least one"),
    ],
)
def test_what_is_no_grey_levels_is_refused(images, match):
    with pytest.raises(ValueError, match=match):
        ImageGridDisplay.from_images(images)
    assert plt.get_fignums() == []


def test_a_scaler_that_does_not_fit_the_images_is_refused(files, pixels, prepared):
    scaler = ChannelStandardScaler().fit(pixels)
    with pytest.raises(ValueError, match=r"dtype uint8, .* Leave scaler out"):
        ImageGridDisplay.from_images(pixels, scaler)
    with pytest.raises(TypeError, match="scaler is a Pipeline"):
        ImageGridDisplay.from_images(pixels / 255, pipeline_with(scaler))
    with pytest.raises(NotFittedError):
        ImageGridDisplay.from_images(pixels / 255, ChannelStandardScaler())
    samplewise = ChannelStandardScaler(per_image="image")
    with pytest.raises(ValueError, match=r"per_image='image' scales .* pipeline\[:-1\]"):
        ImageGridDisplay.from_images(samplewise.transform(pixels), samplewise)
    with pytest.raises(ValueError, match="per_image='image' scales"):
        ImageGridDisplay.from_estimator(pipeline_with(samplewise), files)
    with pytest.raises(NotFittedError):
        ImageGridDisplay.from_estimator(pipeline_with(ChannelStandardScaler()), files)
    assert prepared == []
    assert plt.get_fignums() == []


def test_estimators_that_make_no_images_are_refused(files, pixels):
    fitted = pipeline_with(ChannelStandardScaler()).fit(files)
    flat = make_pipeline(*(step for _, step in fitted.steps), ImageFlattener()).fit(files)
    with pytest.raises(ValueError, match=r"Image 0 is of shape \(4608,\)"):
        ImageGridDisplay.from_estimator(flat, files)
    for estimator in (make_pipeline(JpegLoader(), LogisticRegression()), BaseEstimator()):
        with pytest.raises(TypeError, match=r"which does not return images. Pass the part"):
            ImageGridDisplay.from_estimator(estimator, files)
    with pytest.raises(ValueError, match="2 captions for 3 images"):
        ImageGridDisplay(pixels[:3], ["a", "b"]).plot()
    for n_images, error in ((0, ValueError), (2.5, TypeError)):
        with pytest.raises(error, match="n_images"):
            ImageGridDisplay.from_images(pixels, n_images=n_images)


def test_a_lone_path_is_refused_as_the_loader_refuses_it(files):
    with pytest.raises(TypeError, match="X is a single str"):
        ImageGridDisplay.from_estimator(JpegLoader(), files[0])


@pytest.mark.parametrize(
    "images",
    [Image.new("RGB", (4, 4)), ["photo.jpg"], [Path("photo.jpg")]],
    ids=["an image", "names", "paths"],
)
def test_what_is_no_sequence_of_arrays_is_refused(images):
    with pytest.raises(TypeError, match="not a sequence of arrays"):
        ImageGridDisplay.from_images(images)


def test_a_dictionary_is_refused_as_the_loader_refuses_it(files):
    pipeline = pipeline_with(ChannelStandardScaler()).fit(files)
    with pytest.raises(TypeError, match="X is a dict, not a sequence"):
        ImageGridDisplay.from_estimator(pipeline, {0: files[0]})


# Messages stay a few lines long: tests/common/test_messages.py, which loads no Matplotlib.

PIXELS = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)
FITTED = ChannelStandardScaler().fit(PIXELS)
DRAWN = {
    "ImageGridDisplay.from_estimator": (
        ImageGridDisplay.from_estimator,
        {"estimator": FITTED, "X": PIXELS},
    ),
    "ImageGridDisplay.from_images": (ImageGridDisplay.from_images, {"images": PIXELS}),
    "ImageGridDisplay": (
        lambda images, captions=None: ImageGridDisplay(images, captions).plot(),
        {"images": PIXELS},
    ),
    "ChannelHistogramDisplay.from_estimator": (
        ChannelHistogramDisplay.from_estimator,
        {"estimator": FITTED},
    ),
    "ChannelHistogramDisplay": (
        lambda histogram, scaler=None: ChannelHistogramDisplay(histogram, scaler).plot(),
        {"histogram": FITTED.statistics_},
    ),
}


@pytest.mark.parametrize(("name", "parameter"), parameters_of(DRAWN))
def test_a_huge_argument_of_a_plot_gives_a_message_of_a_few_lines(name, parameter):
    function, good = DRAWN[name]
    assert_brief(function, good, parameter)
