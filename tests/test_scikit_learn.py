"""The estimators among scikit-learn's own: checks, searches, columns, routing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils import estimator_checks as checks

from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    ImageFlattener,
    JpegLoader,
    Resizer,
    make_image_pipeline,
)
from tests.lazy_photos import pipeline_of


@pytest.fixture
def labels(files):
    return np.arange(len(files)) % 2  # 0 shows the temple, 1 the flower


@pytest.fixture
def classifier():
    steps = make_image_pipeline((12, 16)).steps
    pipeline = make_pipeline(ImageFlattener(), LogisticRegression())
    pipeline.steps = steps + pipeline.steps
    return pipeline


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ChannelStandardScaler(), StandardScaler()),
        (ChannelMinMaxScaler(), MinMaxScaler()),
        (ImageFlattener(), StandardScaler()),
    ],
)
def test_check_estimator_passes_and_skips_only_what_scikit_learn_skips(ours, theirs):
    def names(estimator, status):
        results = checks.check_estimator(estimator, on_skip=None, on_fail=None)
        return {result["check_name"] for result in results if result["status"] == status}

    assert names(ours, "failed") == set()
    assert names(ours, "xfail") == set()
    assert names(ours, "skipped") <= names(theirs, "skipped")
    assert "check_transformer_general" in names(ours, "passed")


@pytest.mark.parametrize("estimator", [JpegLoader(), Resizer()])
def test_estimators_of_other_input_keep_the_conventions(estimator):
    """check_estimator has no checks for input that is no table; these need none."""
    name = type(estimator).__name__
    for check in (
        checks.check_estimator_cloneable,
        checks.check_estimator_repr,
        checks.check_estimator_tags_renamed,
        checks.check_no_attributes_set_in_init,
        checks.check_parameters_default_constructible,
        checks.check_get_params_invariance,
        checks.check_set_params,
        checks.check_mixin_order,
        checks.check_do_not_raise_errors_in_init_or_set_params,
        checks.check_valid_tag_types,
    ):
        check(name, clone(estimator))


@pytest.mark.parametrize(
    "estimator",
    [
        JpegLoader(),
        Resizer(),
        ChannelStandardScaler(),
        ChannelMinMaxScaler(),
        ImageFlattener(),
    ],
)
def test_every_estimator_has_an_html_repr(estimator):
    assert type(estimator).__name__ in estimator._repr_html_()


def test_cross_val_score_of_a_classifier_on_paths(classifier, files, labels):
    scores = cross_val_score(classifier, files, labels, cv=4)
    assert scores.mean() > 0.65  # the temple and the flower look different enough


def test_grid_search_over_the_parameters_of_steps(classifier, files, labels):
    grid = {"resize__size": [(4, 6), (12, 16)], "load__color_mode": ["rgb", "grayscale"]}
    search = GridSearchCV(classifier, grid, cv=3, error_score="raise").fit(files, labels)
    assert len(search.cv_results_["params"]) == 4
    height, width = search.best_params_["resize__size"]
    n_channels = 3 if search.best_params_["load__color_mode"] == "rgb" else 1
    assert search.best_estimator_[-1].n_features_in_ == height * width * n_channels


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_a_column_transformer_takes_the_path_column(files, labels, container):
    images = make_image_pipeline((2, 3))
    images.steps.append(("flatten", ImageFlattener()))
    frame = pd.DataFrame({"path": files, "age": np.arange(24.0)})
    for column in ("path", ["path"]):
        columns = ColumnTransformer(
            [("photo", images, column), ("age", "passthrough", ["age"])]
        )
        table = columns.set_output(transform=container).fit_transform(frame, labels)
        assert type(table).__module__.split(".")[0] == container
        names = [
            f"photo__pixel_{r}_{c}_{ch}" for r in range(2) for c in range(3) for ch in range(3)
        ]
        assert list(table.columns) == [*names, "age__age"]
        assert columns.get_feature_names_out().tolist() == list(table.columns)
        expected = clone(images[:3]).fit_transform(files).reshape(24, -1)
        np.testing.assert_array_equal(table.to_numpy()[:, :-1].astype("float32"), expected)


@pytest.mark.parametrize("how", ["set_output", "config"])
def test_images_stay_arrays_whatever_container_is_asked_for(files, how):
    pipeline = make_image_pipeline((4, 5))
    if how == "set_output":
        pipeline.set_output(transform="pandas")
    with sklearn.config_context(transform_output="pandas" if how == "config" else "default"):
        fitted = pipeline.fit_transform(files)
        later = pipeline.transform(files)
        scaled = ChannelMinMaxScaler().fit_transform(fitted)
    assert {type(fitted), type(later), type(scaled)} == {np.ndarray}
    assert fitted.shape == (24, 4, 5, 3)


@pytest.mark.parametrize(("container", "library"), [("pandas", pd), ("polars", pl)])
def test_flattened_images_are_a_frame_where_the_configuration_asks(files, container, library):
    pipeline = Pipeline([*make_image_pipeline((2, 3)).steps, ("flatten", ImageFlattener())])
    expected = pipeline.fit_transform(files)
    with sklearn.config_context(transform_output=container):
        table = pipeline.fit_transform(library.Series(files))
    assert isinstance(table, library.DataFrame)
    assert list(table.columns) == pipeline.get_feature_names_out().tolist()
    np.testing.assert_array_equal(table.to_numpy(), expected)


def test_cross_validation_learns_from_its_own_training_files(
    classifier, files, labels, pixels
):
    """Each fold's statistics are those of Pillow's pixels of that fold's training files."""
    classifier.set_params(resize__size=(32, 48), resize__reducing_gap=None)
    folds = KFold(4)
    results = cross_validate(classifier, files, labels, cv=folds, return_estimator=True)
    for (train, _), fitted in zip(folds.split(files), results["estimator"], strict=True):
        own = pixels[train].reshape(-1, 3).astype(np.float64)
        np.testing.assert_allclose(fitted["scale"].mean_, own.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(fitted["scale"].scale_, own.std(axis=0), rtol=1e-12)
    means = {tuple(fitted["scale"].mean_) for fitted in results["estimator"]}
    assert len(means) == 4


def test_sample_weight_arrives_by_step_name(files, pixels):
    weights = np.arange(24) % 2
    pipeline = pipeline_of()
    pipeline.fit(files, scale__sample_weight=weights)
    expected = pixels[1::2].reshape(-1, 3).astype(float).mean(axis=0)
    np.testing.assert_allclose(pipeline[-1].mean_, expected, rtol=1e-12)


class LastStep(ClassifierMixin, BaseEstimator):
    """Predicts zeros; asks for no metadata."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.zeros(len(X), int)


@pytest.mark.parametrize("is_last", [True, False])
def test_sample_weight_arrives_through_metadata_routing(files, labels, pixels, is_last):
    weights = np.arange(24) % 2
    expected = pixels[1::2].reshape(-1, 3).astype(float).mean(axis=0)
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = ChannelStandardScaler().set_fit_request(sample_weight=True)
        pipeline = pipeline_of(scaler=scaler)
        if not is_last:
            pipeline.steps.append(("classify", LastStep()))
        pipeline.fit(files, labels, sample_weight=weights)
    np.testing.assert_allclose(pipeline["scale"].mean_, expected, rtol=1e-12)


IMAGE_STEPS = [JpegLoader(), Resizer(4), ChannelStandardScaler(), ChannelMinMaxScaler()]


@pytest.mark.parametrize("step", IMAGE_STEPS)
def test_a_container_that_does_not_exist_is_refused(step):
    step = clone(step)
    for container in (None, "default", "pandas", "polars"):
        assert step.set_output(transform=container) is step
    for nonsense in ("nonsense", "numpy", 3, ["pandas"]):
        with pytest.raises(ValueError, match=r"transform=.*'pandas'"):
            step.set_output(transform=nonsense)
    with pytest.raises(ValueError, match="transform='nonsense'"):
        make_pipeline(step).set_output(transform="nonsense")


@pytest.mark.parametrize("library", [pd, pl])
def test_a_loader_keeps_the_name_of_its_column_as_scikit_learn_does(files, library):
    loader = JpegLoader().fit(library.DataFrame({"photo": files}))
    ages = StandardScaler().fit(pd.DataFrame({"photo": np.arange(24.0)}))

    for transformer in (loader, ages):
        assert transformer.get_feature_names_out().tolist() == ["photo"]
        assert transformer.get_feature_names_out(["photo"]).tolist() == ["photo"]
        with pytest.raises(ValueError, match="is not equal to feature_names_in_"):
            transformer.get_feature_names_out(["other"])
    pipeline = Pipeline(make_image_pipeline((4, 5)).steps).fit(
        library.DataFrame({"photo": files})
    )
    assert pipeline.get_feature_names_out().tolist() == ["photo"]
    loader.fit(files)  # forgets the name
    assert loader.get_feature_names_out().tolist() == ["red", "green", "blue"]


def test_tags_say_what_loader_and_resizer_take_and_make(files, pixels):
    loader, resizer = (step.__sklearn_tags__() for step in (JpegLoader(), Resizer(4)))

    assert loader.input_tags.string
    assert loader.input_tags.one_d_array
    assert JpegLoader().transform(np.array(files)).shape == (24,)
    for tags, step, X in (
        (loader, JpegLoader(), files),
        (resizer, Resizer(4), pixels),
    ):
        assert step.transform(X).dtype == np.uint8
        assert tags.transformer_tags.preserves_dtype == []
        assert not tags.input_tags.two_d_array
    with pytest.raises(ValueError, match="images are"):
        Resizer(4).transform(np.zeros((5, 3), np.uint8))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(ChannelStandardScaler(), StandardScaler()), (ChannelMinMaxScaler(), MinMaxScaler())],
)
def test_the_page_on_scalers_names_how_they_differ_from_scikit_learns(ours, theirs):
    table = np.random.default_rng(0).random((6, 3))
    with_nan = table.copy()
    with_nan[2, 1] = np.nan
    integers = (100 * table).astype(int)

    assert np.isnan(theirs.fit(with_nan).transform(with_nan)[2, 1])
    with pytest.raises(ValueError, match="NaN"):
        ours.fit(with_nan)
    assert theirs.fit_transform(integers).dtype == np.float64
    assert ours.fit_transform(integers).dtype == np.float32
    assert theirs.fit(table).get_feature_names_out().tolist() == ["x0", "x1", "x2"]
    numbered = ["channel_0", "channel_1", "channel_2"]
    assert ours.fit(table).get_feature_names_out().tolist() == numbered
    frame = pd.DataFrame(table, columns=["a", "b", "c"])
    assert isinstance(
        clone(theirs).set_output(transform="pandas").fit_transform(frame), type(frame)
    )
    assert isinstance(
        clone(ours).set_output(transform="pandas").fit_transform(frame), np.ndarray
    )
    if isinstance(ours, ChannelStandardScaler):
        weights = [1, 2, 0, 1, 1, 1]
        assert theirs.fit(table, sample_weight=weights).n_samples_seen_ == 6
        assert ours.fit(table, sample_weight=weights).n_samples_seen_ == 5
        np.testing.assert_allclose(ours.mean_, theirs.mean_)
