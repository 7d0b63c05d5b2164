"""Messages of the adapters stay a few lines long, whatever they are about."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import sknorm_images.keras
from sknorm_images import ChannelStandardScaler, make_image_pipeline
from sknorm_images.distributed import to_dask_array
from sknorm_images.keras import PipelineDataset, normalization_layer
from tests.huge_arguments import A_FEW_LINES, NAMES, assert_brief, parameters_of

PIXELS = np.arange(4 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 8, 8, 3)
PIPELINE = make_image_pipeline((8, 8)).fit(PIXELS)


def first_batch(**options: Any) -> Any:
    return PipelineDataset(**options)[0]


def all_targets(label_mode: str, y: Any, classes: Any) -> Any:
    dataset = PipelineDataset(PIPELINE, PIXELS, y, label_mode=label_mode, classes=classes)
    return dataset[0]


def augmented(made: Any) -> Any:
    return PipelineDataset(PIPELINE, PIXELS, range(4), augment=lambda x, y: (x, made))[0]


first_batch.__signature__ = inspect.signature(PipelineDataset)  # type: ignore[attr-defined]
GOOD_Y = ["a", "b", "a", "b"]
CALLS: dict[str, Any] = {
    "PipelineDataset": (first_batch, {"pipeline": PIPELINE, "X": PIXELS, "y": GOOD_Y}),
    "normalization_layer": (normalization_layer, {"scaler": PIPELINE[-1]}),
    "to_dask_array": (to_dask_array, {"pipeline": PIPELINE, "X": PIXELS}),
    "augment": (augmented, {"made": np.zeros(4)}),
} | {
    f"label_mode={mode!r}": (all_targets, {"label_mode": mode, "y": GOOD_Y, "classes": None})
    for mode in ("int", "binary", "categorical")
}


def test_every_public_name_is_called():
    assert set(sknorm_images.keras.__all__) <= set(CALLS)


@pytest.mark.parametrize(("name", "parameter"), parameters_of(CALLS))
def test_a_huge_argument_gives_a_message_of_a_few_lines(name, parameter):
    function, good = CALLS[name]
    assert_brief(function, good, parameter)


def test_arguments_in_the_wrong_order_are_named_by_type_and_length():
    with pytest.raises(TypeError, match=r"pipeline=<list of 3,000 items> is not a transf"):
        PipelineDataset(NAMES, [0] * len(NAMES), PIPELINE)


def test_an_unknown_option_is_named_briefly():
    with pytest.raises(TypeError, match="unexpected keyword argument <str of 100,000 char"):
        PipelineDataset(PIPELINE, PIXELS, **{"x" * 100_000: 1})


def test_unknown_labels_are_named_with_the_first_classes_and_how_many_more():
    y = ["a", "b", "a", "stranger"]
    classes = ["a", "b", *(f"class {i}" for i in range(9_998))]
    with pytest.raises(ValueError, match=r"'stranger'.*classes 'a', 'b', 'class 0'") as caught:
        PipelineDataset(PIPELINE, PIXELS, y, classes=classes)
    assert "and 9,980 more" in str(caught.value)
    assert len(str(caught.value)) < A_FEW_LINES


def test_a_scaler_of_many_channels_is_merged_or_refused_briefly():
    scaler = ChannelStandardScaler(mean=list(range(3000)), per_image="channel")
    with pytest.raises(ValueError, match="per_image='channel'") as caught:
        normalization_layer(scaler)
    assert len(str(caught.value)) < A_FEW_LINES
