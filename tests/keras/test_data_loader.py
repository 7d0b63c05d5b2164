"""A pipeline within the workers of PyTorch's DataLoader, where PyTorch is installed."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from sknorm_images import ImageDecodeError
from tests.keras.conftest import standardised

data = pytest.importorskip("torch.utils.data")

# Python 3.12 warns of every fork where there are threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


class Rows:
    """A dataset as PyTorch has them, which transforms one file at a time."""

    def __init__(self, pipeline: Pipeline, files: list[str]) -> None:
        self.pipeline = pipeline  # with n_jobs=2
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.pipeline.transform([self.files[index]])[0], index


def raise_warnings(worker: int) -> None:
    warnings.simplefilter("error")


def load(rows: Rows) -> list[tuple[np.ndarray, np.ndarray]]:
    loader = data.DataLoader(
        rows,
        batch_size=4,
        num_workers=2,
        worker_init_fn=raise_warnings,
        multiprocessing_context="fork",
    )
    return [(x.numpy(), i.numpy()) for x, i in loader]


def test_two_workers_give_each_row_once_and_no_warning(pipeline, files, pixels):
    batches = load(Rows(pipeline, files[:12]))
    x, rows = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    np.testing.assert_array_equal(rows, np.arange(12))
    np.testing.assert_allclose(x, standardised(pixels)[:12], rtol=0, atol=1e-5)


def test_an_error_of_a_worker_keeps_its_type_and_names_the_file(pipeline, broken):
    with pytest.raises(ImageDecodeError, match=r"(?s)worker process.*broken_4\.jpg"):
        load(Rows(pipeline, broken[4:8]))
