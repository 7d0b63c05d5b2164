"""Callbacks of scikit-learn follow the fits of all five estimators, alone and in pipelines."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    ImageDecodeError,
    ImageFlattener,
    JpegLoader,
    Resizer,
    make_image_pipeline,
)

pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks from 1.9 on")

SIZE = (32, 48)


class Recorder:
    """Writes down what happens, and the X of every task without parts."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []
        self.X: list[object] = []
        self.fitted = None

    def setup(self, estimator, context):
        self._note("setup", context)

    def teardown(self, estimator, context):
        self._note("teardown", context)

    def on_fit_task_begin(self, estimator, context, *, X=None):
        self._note("begin", context)
        if context.max_subtasks == 0 and context.parent is not None:
            self.X.append(X)

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self._note("end", context)
        self.fitted = fitted_estimator or self.fitted

    def _note(self, event, context):
        self.events.append((event, context.estimator_name, context.task_name))


class Propagated(Recorder):
    """The same, for an estimator and all that it holds."""

    max_propagation_depth = None


def inputs(estimator, files):
    """What an estimator is fitted to."""
    if isinstance(estimator, JpegLoader):
        return files
    return make_image_pipeline(SIZE)[:-1].transform(files)


ESTIMATORS = [
    JpegLoader(),
    Resizer(),
    ChannelStandardScaler(),
    ChannelMinMaxScaler(),
    ImageFlattener(),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_a_callback_hears_of_the_beginning_and_the_end_of_a_fit(estimator, files):
    recorder = Recorder()
    estimator = clone(estimator).set_callbacks(recorder)
    estimator.fit(inputs(estimator, files))
    name = type(estimator).__name__
    assert recorder.events[:2] == [("setup", name, "fit"), ("begin", name, "fit")]
    assert recorder.events[-2:] == [("end", name, "fit"), ("teardown", name, "fit")]
    assert recorder.events.count(("begin", name, "fit")) == 1


@pytest.mark.parametrize("method", ["fit", "partial_fit", "fit_transform"])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_parts_of_a_fit_are_the_images_in_order(method, n_jobs, files):
    recorder = Recorder()
    scaler = ChannelStandardScaler().set_callbacks(recorder)
    images = inputs(scaler, files).configured(n_jobs=n_jobs)
    getattr(scaler, method)(images)
    np.testing.assert_array_equal(np.concatenate(recorder.X), np.asarray(images))
    parts = [event for event in recorder.events if event[2].startswith("images")]
    assert parts == [
        (event, "ChannelStandardScaler", f"images {i} to {i}")
        for i in range(24)
        for event in ("begin", "end")
    ]


def test_the_parts_of_an_array_are_its_images(pixels):
    recorder = Recorder()
    ChannelMinMaxScaler().set_callbacks(recorder).fit(np.repeat(pixels, 10, axis=0))
    assert len(recorder.X) == 100
    assert {len(part) for part in recorder.X} == {2, 3}
    np.testing.assert_array_equal(np.concatenate(recorder.X), np.repeat(pixels, 10, axis=0))


@pytest.mark.long
def test_a_fit_in_other_processes_is_followed_in_this_one(files):
    recorder = Recorder()
    scaler = ChannelStandardScaler().set_callbacks(recorder)
    with parallel_config(backend="loky", n_jobs=2):
        scaler.fit(inputs(scaler, files))
    assert len(recorder.X) == 24


def test_what_is_learned_is_the_same_with_a_callback(files):
    images = inputs(None, files)
    followed = ChannelStandardScaler().set_callbacks(Recorder()).fit(images)
    assert followed.statistics_ == ChannelStandardScaler().fit(images).statistics_


def test_at_the_end_of_a_fit_there_is_a_fitted_estimator(pixels):
    recorder = Recorder()
    scaler = ChannelStandardScaler().set_callbacks(recorder).fit(pixels)
    np.testing.assert_array_equal(recorder.fitted.transform(pixels), scaler.transform(pixels))


def test_nothing_is_left_of_a_followed_fit_but_what_it_learned(pixels):
    scaler = ChannelStandardScaler().fit(pixels)
    followed = ChannelStandardScaler().set_callbacks(Recorder()).fit(pixels)
    assert vars(followed).keys() - vars(scaler).keys() == {"_skl_callbacks"}
    assert vars(followed.set_callbacks()).keys() == vars(scaler).keys()


def test_a_failed_fit_tears_the_callback_down_and_changes_nothing(files, pixels):
    recorder = Recorder()
    scaler = ChannelStandardScaler().fit(pixels[:5]).set_callbacks(recorder)
    before = vars(scaler).copy()
    with pytest.raises(ImageDecodeError):
        scaler.fit(inputs(scaler, [*files, b"no photo"]))
    assert recorder.events[-1] == ("teardown", "ChannelStandardScaler", "fit")
    assert vars(scaler) == before


def test_an_error_in_a_callback_ends_the_fit_and_changes_nothing(files, pixels):
    class Failing(Recorder):
        def on_fit_task_end(self, estimator, context):
            if context.task_name == "images 7 to 7":
                raise ZeroDivisionError

    scaler = ChannelStandardScaler().fit(pixels[:5]).set_callbacks(Failing())
    before = vars(scaler).copy()
    with pytest.raises(ZeroDivisionError):
        scaler.fit(inputs(scaler, files))
    assert vars(scaler) == before


def test_a_wish_to_stop_early_is_not_heard(files):
    class Impatient(Recorder):
        def on_fit_task_end(self, estimator, context):
            return True

    scaler = ChannelStandardScaler().set_callbacks(Impatient()).fit(inputs(None, files))
    assert scaler.n_samples_seen_ == 24


def test_constants_and_single_images_have_nothing_to_follow(pixels):
    for scaler in (
        ChannelStandardScaler(mean=[1, 2, 3], std=4),
        ChannelMinMaxScaler(per_image="channel"),
    ):
        recorder = Recorder()
        scaler.set_callbacks(recorder).fit(pixels)
        assert [event for event, *_ in recorder.events] == [
            "setup",
            "begin",
            "end",
            "teardown",
        ]


@pytest.mark.parametrize("method", ["fit", "fit_transform"])
def test_a_callback_of_a_pipeline_follows_each_step(method, files):
    recorder = Propagated()
    steps = [*make_image_pipeline(SIZE).steps, ("flatten", ImageFlattener())]
    getattr(Pipeline(steps).set_callbacks(recorder), method)(files)
    begun = [estimator for event, estimator, task in recorder.events if task == "fit"]
    assert [name for name in dict.fromkeys(begun) if name != "Pipeline"] == [
        "JpegLoader",
        "Resizer",
        "ChannelStandardScaler",
        "ImageFlattener",
    ]
    images = [
        task for event, _, task in recorder.events if event == "end" and "images" in task
    ]
    assert images == [f"images {i} to {i}" for i in range(24)]


def test_a_progress_bar_of_scikit_learn_shows_the_scaler(files, capsys):
    from sklearn.callback import ProgressBar

    make_image_pipeline(SIZE).set_callbacks(ProgressBar()).fit(files)
    shown = capsys.readouterr().out
    assert "ChannelStandardScaler - fit" in shown
    assert shown.count("100%") >= 4  # the pipeline, and a line each for its steps


def test_a_pipeline_with_a_progress_bar_is_saved_with_it(files):
    from sklearn.callback import ProgressBar

    pipeline = make_image_pipeline(SIZE).set_callbacks(ProgressBar()).fit(files)
    loaded = pickle.loads(pickle.dumps(pipeline))
    np.testing.assert_array_equal(loaded.transform(files), pipeline.transform(files))


def test_an_estimator_refuses_what_is_no_callback():
    with pytest.raises(TypeError, match="FitCallback"):
        JpegLoader().set_callbacks("progress")
