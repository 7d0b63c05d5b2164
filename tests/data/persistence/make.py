"""Make the files that every later version must load: a folder named after this version.

Run once for each release, in the root of the repository, and commit what it makes:
``python -m tests.data.persistence.make``. It needs the extra ``test``.
"""

from __future__ import annotations

import io
import json
import pickle
import sys
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import skops.io
from PIL import Image
from sklearn.base import BaseEstimator

import sknorm_images
from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    ImageFlattener,
    JpegLoader,
    LazyImages,
    Resizer,
)

# What pickle.dump writes unless told otherwise, up to Python 3.13, and joblib with it.
PROTOCOL = 4


def photos(n_channels: int = 3) -> np.ndarray:
    """Seven images of 4 x 6; arithmetic, since random streams and decoders may change.

    Never change what comes out: the stored outputs belong to it.
    """
    i, row, column, channel = np.ogrid[:7, :4, :6, :n_channels]
    pattern = 37 * i * i + 11 * row * column + 5 * column + 29 * channel * row + 3 * i * column
    return (20 + 3 * (channel % 10) + pattern % 197).astype(np.uint8)


def table() -> pd.DataFrame:
    """Pixels as a data frame with a column for each channel."""
    return pd.DataFrame(photos()[:, 0, 0], columns=["red", "green", "blue"])


# What the estimators are fitted on (the first four) and go on with (the rest).
INPUTS = {
    "photos": photos,
    "70 channels": lambda: photos(70)[:, :2, :3],
    "float64": lambda: photos() / 7,
    "float32": lambda: (photos() / 7).astype(np.float32),
    "table": table,
}
N_FITTED = 4
WEIGHTS = np.array([0.5, 1.25, 0, 2, 0.75, 3, 1])


@dataclass(frozen=True)
class Case:
    """An estimator to save, and one of INPUTS; None where there is nothing to fit on it."""

    estimator: BaseEstimator
    input: str | None = "photos"
    weighted: bool = False


CASES = {
    "loader": Case(JpegLoader(), None),
    "loader, all set": Case(
        JpegLoader(
            color_mode="grayscale",
            exif_orientation=False,
            formats=("JPEG", "PNG"),
            max_pixels=1_000_000,
            max_scans=7,
            on_error="blank",
            n_jobs=2,
            verbose=1,
        ),
        None,
    ),
    "resizer": Case(Resizer(), None),
    "resizer, all set": Case(
        Resizer(
            (5, 7),
            interpolation="bilinear",
            aspect_ratio="pad",
            reducing_gap=None,
            pad_value=9,
            engine="simd",
        ),
        None,
    ),
    "standard": Case(ChannelStandardScaler()),
    "standard, weighted": Case(ChannelStandardScaler(), weighted=True),
    "standard, 70 channels": Case(ChannelStandardScaler(), "70 channels"),
    "standard, 70 channels, weighted": Case(ChannelStandardScaler(), "70 channels", True),
    "standard, float64": Case(ChannelStandardScaler(), "float64"),
    "standard, float32, weighted": Case(ChannelStandardScaler(), "float32", True),
    "standard, table": Case(ChannelStandardScaler(dtype="float64"), "table"),
    "standard, constants": Case(
        ChannelStandardScaler(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
    ),
    "standard, arrays": Case(
        ChannelStandardScaler(mean=np.array([1.5, 2.5, 3.5]), std=np.float64(58.25))
    ),
    "standard, std alone": Case(ChannelStandardScaler(with_mean=False, dtype=np.float64)),
    "standard, per channel": Case(ChannelStandardScaler(per_image="channel")),
    "standard, per image": Case(ChannelStandardScaler(per_image="image")),
    "standard, not fitted": Case(ChannelStandardScaler(mean=127.5, std=127.5), None),
    "min-max": Case(ChannelMinMaxScaler()),
    "min-max, all set": Case(
        ChannelMinMaxScaler((-1, 1), clip=True, quantile_range=(2.0, 95.0), dtype="float16")
    ),
    "min-max, 70 channels": Case(ChannelMinMaxScaler(), "70 channels"),
    "min-max, float32": Case(ChannelMinMaxScaler((0, 255)), "float32"),
    "min-max, quantiles of float64": Case(
        ChannelMinMaxScaler(quantile_range=(10.0, 90.0)), "float64"
    ),
    "min-max, data_range": Case(ChannelMinMaxScaler(data_range=(0, 255))),
    "min-max, data_range a channel": Case(
        ChannelMinMaxScaler(data_range=np.array([[0, 10, 20], [255, 250, 245]]))
    ),
    "min-max, per image": Case(ChannelMinMaxScaler(per_image="image")),
    "flattener": Case(ImageFlattener()),
}


def images() -> dict[str, LazyImages]:
    """LazyImages of arrays and of files without loss, resized so that no decoder matters.

    The third file is not an image, and the last one is empty.
    """
    pngs = []
    for photo in photos():
        file = io.BytesIO()
        Image.fromarray(photo).save(file, "PNG")
        pngs.append(file.getvalue())
    resizer = Resizer((2, 3), interpolation="nearest")
    loader = JpegLoader(formats=("PNG",), on_error="blank", n_jobs=2, verbose=0)
    pngs[2] = b"no image"
    return {
        "arrays": resizer.transform(photos()),
        "files": resizer.transform(loader.transform([*pngs, "of-no-file.png"])),
        "any size": JpegLoader(formats=("PNG",)).transform(pngs[:2]),
    }


def fitted(case: Case) -> BaseEstimator:
    """The estimator, fitted on the first images."""
    if case.input is None:
        return case.estimator
    X, weights = INPUTS[case.input]()[:N_FITTED], WEIGHTS[:N_FITTED]
    arguments = {"sample_weight": weights} if case.weighted else {}
    return case.estimator.fit(X, **arguments)


def outputs(estimator: BaseEstimator, input_name: str | None) -> dict[str, np.ndarray]:
    """What the estimator makes of all its images, and what it makes of that again."""
    if input_name is None:
        return {}
    X = INPUTS[input_name]()
    there = estimator.transform(X)
    results = {"transform": there}
    if not getattr(estimator, "per_image", False):
        like = pd.DataFrame(there, columns=X.columns) if input_name == "table" else there
        results["inverse_transform"] = estimator.inverse_transform(like)
    return results


def description(value: Any) -> Any:
    """A value as JSON holds it: every digit and type, and no class of ours."""
    if isinstance(value, np.ndarray):
        return {"dtype": value.dtype.name, "values": value.tolist()}
    if isinstance(value, np.generic):
        return {"dtype": value.dtype.name, "value": value.item()}
    if isinstance(value, type):
        return {"type": value.__name__}
    if isinstance(value, tuple):
        return {"tuple": [description(item) for item in value]}
    if is_dataclass(value):
        values = {field.name: getattr(value, field.name) for field in fields(value)}
        return {"class": type(value).__name__, **_descriptions(values)}
    return value


def descriptions(estimator: BaseEstimator) -> dict[str, Any]:
    """The class, the parameters and the fitted attributes of an estimator."""
    attributes = {k: v for k, v in vars(estimator).items() if k.endswith("_")}
    return {
        "class": type(estimator).__name__,
        "parameters": _descriptions(estimator.get_params()),
        "attributes": _descriptions(attributes),
    }


def _descriptions(values: dict[str, Any]) -> dict[str, Any]:
    return {name: description(value) for name, value in values.items()}


def make(folder: Path) -> None:
    """Fit, save, and write down what the files hold and what comes out of it."""
    if folder.exists():
        raise FileExistsError(f"{folder} exists. What a version saved is never made again.")
    folder.mkdir()
    estimators = {name: fitted(case) for name, case in CASES.items()}
    with (folder / "estimators.pickle").open("wb") as file:
        pickle.dump(estimators, file, PROTOCOL)
    with (folder / "images.pickle").open("wb") as file:
        pickle.dump(images(), file, PROTOCOL)
    joblib.dump(estimators, folder / "estimators.joblib")
    skops.io.dump(estimators, folder / "estimators.skops")

    lines, arrays = [], {}
    for name, case in CASES.items():
        entry = descriptions(estimators[name])
        entry |= {"input": case.input, "weighted": case.weighted}
        lines.append(f"{json.dumps(name)}: {json.dumps(entry)}")
        for method, output in outputs(estimators[name], case.input).items():
            arrays[f"{name}/{method}"] = output
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    (folder / "expected.json").write_text(text, encoding="utf-8")
    np.savez_compressed(folder / "outputs.npz", **arrays)


if __name__ == "__main__":
    try:
        make(Path(__file__).parent / sknorm_images.__version__)
    except FileExistsError as error:
        sys.exit(str(error))
