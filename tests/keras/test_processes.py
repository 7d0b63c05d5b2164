"""Several processes train one model together, and have the losses of one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import Any

import keras
import numpy as np
import pytest

from tests import new_process
from tests.keras import training_process
from tests.keras.conftest import image_warnings

LONGEST = 600  # seconds that they may take; 20 on two idle cores
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        keras.backend.backend() == "torch", reason="Keras trains there in one process"
    ),
]


def free_ports(n: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def trained_in_processes(n: int, files: list[str]) -> list[dict[str, Any]]:
    """Have `n` processes train together, and return the losses that each of them saw.

    When one fails, or they take too long, all of them are ended.
    """
    ports = free_ports(n)
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.keras.training_process"],
            cwd=new_process.ROOT,
            env=os.environ | {"KERAS_BACKEND": keras.backend.backend()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in ports
    ]
    try:
        for index, process in enumerate(processes):
            process.stdin.write(json.dumps({"files": files, "index": index, "ports": ports}))
            process.stdin.close()
            process.stdin = None
        deadline = time.monotonic() + LONGEST
        while any(process.poll() is None for process in processes):
            assert time.monotonic() < deadline, "they take too long"
            if any(process.poll() for process in processes):
                break  # the others would wait for the one that failed
            time.sleep(0.1)
    finally:
        for process in processes:
            process.kill()
    answers = []
    for process in processes:
        out, err = process.communicate()
        assert process.returncode == 0, err
        answers.append(json.loads(out.splitlines()[-1]))
    return answers


needs_keras_3_11 = pytest.mark.skipif(
    keras.backend.backend() == "jax" and keras.__version__.startswith("3.10."),
    reason="on JAX, Keras 3.10 takes no PyDataset in several processes",
)


@needs_keras_3_11
def test_two_processes_have_the_losses_of_one_that_has_the_whole_batches(files, broken):
    photos = [*files, *broken]  # four batches of 8, and one of 4; five photos are blank
    with image_warnings():
        alone = training_process.fit(photos)
    assert len(set(np.round(alone["loss"], 3))) == 3  # it learns something
    for together in trained_in_processes(2, photos):
        for name, losses in together.items():
            np.testing.assert_allclose(losses, alone[name], rtol=1e-5)
        assert together.keys() == {"loss", "val_loss"}


TWO_DEVICES = """
import os
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
import keras, pytest
from tests.keras import training_process
keras.distribution.set_distribution(keras.distribution.DataParallel())
assert len(keras.distribution.list_devices()) == 2
model = training_process.make_model()
for options, message in [
    ({"batch_size": 7}, "batch_size=7 does not make equal parts for the 2 devices"),
    ({}, "last batch has 3 images, of which 2 devices.*drop_remainder=True"),
    ({"shard": (0, 2), "drop_remainder": True}, "Pass shard=.0, 1."),
]:
    short = training_process.dataset(inputs["files"][:35], **options)
    with pytest.raises(ValueError, match=message):
        model.fit(short, verbose=0)
short = training_process.dataset(inputs["files"][:35], drop_remainder=True)
model.fit(short, verbose=0)
print(json.dumps(training_process.fit(inputs["files"])))
"""


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="it is JAX that has them")
def test_two_devices_have_the_losses_of_one_and_refuse_what_they_cannot_share(files, broken):
    photos = [*files, *broken]
    with image_warnings():
        alone = training_process.fit(photos)
    process = new_process.run(TWO_DEVICES, files=photos)
    assert process.returncode == 0, process.stderr
    together = json.loads(process.stdout.splitlines()[-1])
    assert together.keys() == alone.keys()
    for name, losses in together.items():
        np.testing.assert_allclose(losses, alone[name], rtol=1e-5)
