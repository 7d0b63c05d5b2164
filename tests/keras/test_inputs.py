"""Several inputs by name: photos and tables of the same samples, batch by batch."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sknorm_images import ChannelStandardScaler, ImageDecodeWarning, make_image_pipeline
from sknorm_images.keras import PipelineDataset

N = 10
AS_IT_IS = FunctionTransformer()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Grey photos, the brighter the later."""
    folder = tmp_path_factory.mktemp("inputs")
    names = [str(folder / f"{i}.png") for i in range(N)]
    for i, name in enumerate(names):
        Image.new("L", (8, 8), 20 * i).save(name)
    return names


def photos_of(**loading: Any) -> Any:
    """A pipeline that gives grey levels as float32."""
    pipeline = make_image_pipeline((4, 4), ChannelStandardScaler(mean=0, std=1), **loading)
    return pipeline.set_params(load__formats=("PNG",))


def table() -> pd.DataFrame:
    return pd.DataFrame({"age": np.arange(N) / 1.0, "row": np.arange(N) * 100.0})


def two_inputs(files: list[str], y: Any = None, **options: Any) -> PipelineDataset:
    loading = {name: options.pop(name) for name in ("on_error",) if name in options}
    pipelines = {"photo": photos_of(**loading), "table": AS_IT_IS}
    return PipelineDataset(
        pipelines, {"photo": files, "table": table()}, y, batch_size=4, **options
    )


@pytest.mark.parametrize("epoch", [0, 1])
def test_rows_of_all_inputs_and_targets_belong_together(files, epoch):
    dataset = two_inputs(files, np.arange(N), shuffle=True, seed=1)
    dataset.epoch = epoch

    seen = []
    for index in range(len(dataset)):
        x, y = dataset[index]
        assert list(x) == ["photo", "table"]
        assert x["photo"].shape == (len(y), 4, 4, 3)
        np.testing.assert_array_equal(x["photo"][:, 0, 0, 0], 20 * y)
        np.testing.assert_array_equal(x["table"], table().to_numpy()[y])
        assert dataset.filenames(index) == {"photo": [files[row] for row in y]}
        seen += y.tolist()
    assert sorted(seen) == list(range(N))
    assert seen != list(range(N))


def model_of_two_inputs() -> keras.Model:
    keras.utils.set_random_seed(0)
    photo, numbers = keras.Input((4, 4, 3), name="photo"), keras.Input((2,), name="table")
    features = [keras.layers.Flatten()(photo), numbers]
    output = keras.layers.Dense(1)(keras.layers.Concatenate()(features))
    model = keras.Model({"photo": photo, "table": numbers}, output)
    model.compile(keras.optimizers.SGD(1e-7), "mse")
    return model


@pytest.mark.long
def test_a_model_learns_and_predicts_as_from_arrays(files):
    target = np.linspace(0, 1, N)
    scaler = StandardScaler().fit(table())
    levels = np.repeat(20.0 * np.arange(N), 48).reshape(N, 4, 4, 3).astype("float32")
    arrays = {"photo": levels, "table": scaler.transform(table())}
    pipelines = {"photo": photos_of(), "table": scaler}
    inputs = {"photo": files, "table": table()}
    train = PipelineDataset(pipelines, inputs, target, batch_size=4)

    ours, theirs = model_of_two_inputs(), model_of_two_inputs()
    history = ours.fit(train, epochs=2, shuffle=False, verbose=0).history
    expected = theirs.fit(
        arrays, target, epochs=2, batch_size=4, shuffle=False, verbose=0
    ).history

    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)
    predicted = ours.predict(PipelineDataset(pipelines, inputs, batch_size=4), verbose=0)
    np.testing.assert_allclose(predicted, theirs.predict(arrays, verbose=0), rtol=1e-5)


def test_a_row_with_a_blank_photo_weighs_nothing_and_keeps_its_other_inputs(files):
    broken = [*files[:2], "missing.png", *files[3:]]
    dataset = two_inputs(broken, np.arange(N), on_error="blank")

    x, _, weights = dataset[0]

    assert weights.tolist() == [1, 1, 0, 1]
    assert not x["photo"][2].any()
    np.testing.assert_array_equal(x["table"], table().to_numpy()[:4])
    list(dataset)
    with pytest.warns(ImageDecodeWarning) as caught:
        dataset.on_epoch_end()
    assert list(caught[0].message.failures) == [2]


def test_augment_takes_and_returns_the_inputs_by_name(files):
    def brighter(x: dict[str, np.ndarray], y: np.ndarray) -> tuple[Any, Any]:
        return {"table": x["table"], "photo": x["photo"] + 1}, y

    x, _ = two_inputs(files, np.arange(N), augment=brighter)[0]
    assert x["photo"][:, 0, 0, 0].tolist() == [1, 21, 41, 61]
    np.testing.assert_array_equal(x["table"], table().to_numpy()[:4])

    dataset = two_inputs(files, np.arange(N), augment=lambda x, y: (x["photo"], y))
    with pytest.raises(TypeError, match="images named photo, table and returned others"):
        dataset[0]


def test_two_inputs_of_photos_are_named_with_their_files(files):
    pipelines = {"left": photos_of(), "right": photos_of()}
    dataset = PipelineDataset(pipelines, {"left": files, "right": files[::-1]}, batch_size=3)

    batch = dataset[0]

    assert batch["left"][:, 0, 0, 0].tolist() == [0, 20, 40]
    assert batch["right"][:, 0, 0, 0].tolist() == [180, 160, 140]
    assert dataset.filenames(0) == {"left": files[:3], "right": files[:-4:-1]}


@pytest.mark.parametrize(
    ("pipeline", "X", "options", "message"),
    [
        ({"a": AS_IT_IS}, {"b": table()}, {}, r"inputs \['a'\], and X has those of \['b'\]"),
        ({"a": AS_IT_IS}, table(), {}, r"inputs \['a'\], and X has none by name"),
        ({}, {}, {}, "at least one"),
        (
            AS_IT_IS,
            {"a": table()},
            {},
            r"X is a dict of inputs, \['a'\], and pipeline",
        ),
        (
            {"a": AS_IT_IS, "b": AS_IT_IS},
            {"a": table(), "b": table()[:3]},
            {},
            "different numbers of samples: 'a' 10, 'b' 3",
        ),
        ({"a": AS_IT_IS}, {"a": table()[:0]}, {}, "Input 'a': X is empty"),
        ({"a": StandardScaler()}, {"a": table()}, {}, "Input 'a': .*not fitted yet"),
        (
            {"a": AS_IT_IS},
            {"a": table()},
            {"label_mode": "input"},
            "has several inputs by name",
        ),
    ],
)
def test_inputs_that_do_not_match_are_refused(pipeline, X, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        PipelineDataset(pipeline, X, **options)


def test_a_table_alone_names_no_files():
    dataset = PipelineDataset({"table": AS_IT_IS}, {"table": table()})
    with pytest.raises(TypeError, match=r"Call rows\(batch_index\)"):
        dataset.filenames(0)
