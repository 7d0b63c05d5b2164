"""Keras runs on several backends, and a process has one: the others get their own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

BACKENDS = ("jax", "tensorflow", "torch")
MAY_BE_MISSING = ("torch",)


@pytest.mark.parametrize(
    "backend", [name for name in BACKENDS if name != keras.backend.backend()]
)
def test_the_keras_tests_pass_on_a_backend_that_this_process_does_not_have(backend):
    if backend in MAY_BE_MISSING and importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    # TensorFlow rewrites functions, which pytest's own tracebacks stumble over.
    options = ["-q", "--tb=native", "-p", "no:cacheprovider"]
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/keras", *options],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    # The tests there check that Keras uses the backend that the variable names.
    assert process.returncode == 0, process.stdout + process.stderr
