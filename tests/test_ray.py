"""Fits on Ray's workers, through joblib, and the recipe for Ray Data."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from sklearn.pipeline import Pipeline

from sknorm_images import make_image_pipeline

pytest.importorskip("ray.data")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def answers(files: list[str]) -> dict[str, Any]:
    """What tests.ray_fits tells of 3,000 paths and two workers."""
    # Short, since Ray has sockets in it, whose paths the system limits.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "files.json").write_text(json.dumps(files))
        process = subprocess.run(
            [sys.executable, "-m", "tests.ray_fits", name],
            env=os.environ | {"RAY_TMPDIR": name, "RAY_USAGE_STATS_ENABLED": "0"},
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert process.returncode == 0, process.stderr
        return json.loads((folder / "answers.json").read_text())


@pytest.fixture(scope="module")
def reference(files: list[str]) -> Pipeline:
    """What one job in this process learns."""
    return make_image_pipeline(32).fit(files * 125)


def assert_same_bits(answer: dict[str, Any], reference: Pipeline) -> None:
    scaler = reference[-1]
    assert answer["counts"] == scaler.statistics_.counts.tolist()
    assert answer["mean"] == scaler.mean_.tobytes().hex()
    assert answer["var"] == scaler.var_.tobytes().hex()


def test_a_fit_runs_on_two_workers_and_gives_the_same_bits(answers, reference):
    fit = answers["fit"]
    assert_same_bits(fit, reference)
    assert len(fit["readings"]) == 2
    assert str(answers["own"]) not in fit["readings"]
    assert sum(fit["readings"].values()) == 3000


def test_all_cores_are_asked_for_by_n_jobs(answers):
    assert answers["jobs"] == [1, 2]  # of None and of -1, as the page says


def test_a_worker_that_is_killed_ends_the_fit(answers):
    killed = answers["killed"]
    assert killed["error"] == "ActorDiedError"
    assert not killed["fitted"]


def test_a_worker_that_may_start_anew_is_replaced_and_the_bits_are_the_same(
    answers, reference
):
    retried = answers["retried"]
    assert_same_bits(retried, reference)
    assert len(retried["readings"]) == 3
    assert str(answers["own"]) not in retried["readings"]


def test_an_interrupt_ends_the_workers(answers):
    interrupted = answers["interrupted"]
    assert interrupted["raised"]
    assert interrupted["later"] == interrupted["at once"] < 3000


def test_errors_of_images_arrive_as_they_are(answers):
    assert (answers["damaged"]["error"], answers["damaged"]["where"]) == (
        "ImageDecodeError",
        100,
    )
    assert (answers["missing"]["error"], answers["missing"]["where"]) == (
        "FileNotFoundError",
        "missing.jpg",
    )
    assert not answers["damaged"]["fitted"]


def test_the_recipes_of_the_page_give_what_the_pipeline_does(answers):
    assert answers["page"] == {
        "blocks": 2,
        "rows": 300,
        "same statistics": True,
        "same images": True,
        "dtype": "float32",
    }


def test_workers_without_the_package_are_named(answers):
    message = answers["sys.modules['sknorm_images'] = None"]["error"]
    assert "cannot be imported everywhere in the cluster" in message
    assert message.count(f"{platform.node()} (worker ") == 2
    assert message.count("No module named 'sknorm_images'") == 2


def test_workers_with_another_version_of_pillow_are_named(answers):
    (message,) = answers["PIL.__version__ = '11.3.0'"]["warnings"]
    assert message.startswith("2 of the workers have other versions than this process")
    assert message.count(f"{platform.node()} (worker ") == 2
    assert message.count(" has Pillow 11.3.0") == 2
