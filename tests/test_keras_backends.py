"""Keras runs on several backends, and a process has one: the others get their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras

OTHER_BACKEND = {"jax": "tensorflow", "tensorflow": "jax"}


def test_the_keras_tests_pass_on_another_backend_than_this_process_has():
    here = keras.backend.backend()
    other = OTHER_BACKEND.get(here, "jax")
    assert here != other
    root = Path(__file__).parents[1]
    tests = [sys.executable, "-m", "pytest", "tests/test_keras.py"]
    # TensorFlow rewrites functions, which pytest's own tracebacks stumble over.
    options = ["-q", "--tb=native", "-p", "no:cacheprovider"]
    process = subprocess.run(
        [*tests, *options],
        cwd=root,
        env=os.environ | {"KERAS_BACKEND": other},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    # The tests there check that Keras uses the backend that the variable names.
    assert process.returncode == 0, process.stdout + process.stderr
