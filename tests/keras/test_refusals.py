"""What is refused when the dataset is made, and not in the first epoch."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    ImageFlattener,
    make_image_pipeline,
)
from sknorm_images.keras import PipelineDataset
from tests.keras.conftest import numbered

pytestmark = pytest.mark.one_backend

KERAS_WORKERS = [("workers", 4), ("use_multiprocessing", True), ("max_queue_size", 20)]


@pytest.mark.parametrize(
    "unfitted",
    [make_image_pipeline(8), ChannelStandardScaler(), ChannelMinMaxScaler()],
    ids=["pipeline", "standard", "minmax"],
)
def test_an_unfitted_pipeline_is_refused_at_once(unfitted, files):
    with pytest.raises(NotFittedError):
        PipelineDataset(unfitted, files)


def test_no_images_are_refused(pipeline):
    with pytest.raises(ValueError, match="X is empty"):
        PipelineDataset(pipeline, [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": -1}, "batch_size=-1"),
        ({"batch_size": 2.5}, "batch_size=2.5"),
        ({"batch_size": "4"}, "batch_size='4'"),
        ({"batch_size": None}, "batch_size=None"),
        ({"batch_size": True}, "batch_size=True"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": "a"}, "seed='a'"),
        ({"seed": 1.5}, "seed=1.5"),
        ({"n_jobs": 0}, "n_jobs=0 means no workers"),
        ({"n_jobs": 1.5}, "n_jobs=1.5"),
        ({"n_jobs": "all"}, "n_jobs='all'"),
        ({"shuffle": 1}, "shuffle=1"),
        ({"shuffle": "no"}, "shuffle='no'"),
        ({"oversample": None}, "oversample=None"),
        ({"drop_remainder": 0}, "drop_remainder=0"),
        ({"y": 3}, "y=3 is one label"),
        ({"y": {0, 1}}, r"y=\{0, 1\} is not a sequence.*Pass a list"),
        ({"y": iter([0, 1])}, "y=<list_iterator.* is not a sequence"),
        ({"class_weight": {0: 1}}, "'class_weight'. Pass sample_weight"),
        ({"y": [1, "a", "b"]}, "labels of one kind"),
    ],
)
def test_values_that_mean_nothing_are_refused_at_once(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        numbered(3, **options)


def test_lazy_images_do_not_go_through_a_loader_again(pipeline, files):
    with pytest.raises(TypeError, match=r"pass it to the steps that come after the loader"):
        PipelineDataset(pipeline, pipeline[:2].transform(files))


@pytest.mark.parametrize("batch_size", [14, 100])
@pytest.mark.parametrize("shuffle", [False, True])
def test_dropping_the_remainder_is_refused_where_it_leaves_no_batch(batch_size, shuffle):
    with pytest.raises(ValueError, match=f"batch_size={batch_size}.*leaves no batch"):
        numbered(batch_size=batch_size, drop_remainder=True, shuffle=shuffle)


def test_oversampling_without_shuffling_is_refused():
    with pytest.raises(ValueError, match=r"oversample=True.*Pass shuffle=True"):
        numbered(y=np.arange(13) % 3, oversample=True)


def test_oversampling_classes_that_are_balanced_by_weights_is_refused():
    with pytest.raises(ValueError, match=r"oversample=True and sample_weight='balanced'"):
        numbered(y=np.arange(13) % 3, oversample=True, shuffle=True, sample_weight="balanced")


# Keras' own workers


@pytest.mark.parametrize(("name", "value"), KERAS_WORKERS)
def test_the_workers_of_keras_are_refused_with_the_reason_and_the_way_out(name, value):
    with pytest.raises(TypeError, match=rf"^{name} is for Keras' own workers.*Pass n_jobs"):
        numbered(**{name: value})


@pytest.mark.parametrize(("name", "value"), KERAS_WORKERS)
def test_the_workers_of_keras_cannot_be_set_later(name, value):
    dataset = numbered()
    before = getattr(dataset, name)
    with pytest.raises(AttributeError, match=f"{name} is for Keras' own workers"):
        setattr(dataset, name, value)
    assert getattr(dataset, name) == before


def test_keras_sees_one_worker_and_no_processes():
    dataset = numbered(n_jobs=2)
    assert (dataset.workers, dataset.use_multiprocessing) == (1, False)


@pytest.mark.parametrize("name", ["batchsize", "n_workers", "x"])
def test_an_unknown_parameter_is_refused_by_its_name(name):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        numbered(**{name: 1})


def test_what_keras_and_scikit_learn_call_a_parameter_is_refused_with_its_name_here():
    with pytest.raises(TypeError, match=r"'class_mode'\. Pass label_mode instead"):
        numbered(class_mode="sparse")
    with pytest.raises(TypeError, match=r"'random_state'\. Pass seed instead"):
        numbered(random_state=0)


def test_parameters_are_passed_by_name():
    with pytest.raises(TypeError, match="positional"):
        PipelineDataset(
            ChannelMinMaxScaler(data_range=(0, 255)), np.zeros((3, 2, 2, 1)), None, 2
        )


def test_a_pipeline_that_ends_in_a_classifier_is_refused(pixels):
    classifier = make_pipeline(ImageFlattener(), DummyClassifier())
    classifier.fit(pixels, np.arange(24) % 2)
    with pytest.raises(TypeError, match=r"does not transform.*pipeline\[:-1\]"):
        PipelineDataset(classifier, pixels)


def test_what_holds_no_images_is_refused():
    with pytest.raises(TypeError, match="X is a NoneType, which holds no images"):
        PipelineDataset(ChannelStandardScaler(mean=0, std=1), None)
