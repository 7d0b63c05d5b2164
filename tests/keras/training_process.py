"""One of the processes that train a model together, or the only one that does.

It reads from standard input, as JSON, what `main` takes, and prints the losses.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import keras
import pytest

from sknorm_images import make_image_pipeline
from sknorm_images.keras import PipelineDataset

Losses: TypeAlias = dict[str, list[float]]


def main(files: list[str], index: int, ports: list[int]) -> Losses:
    """Train together with a process at each of the other ports."""
    trainers = {"jax": fit_on_jax, "tensorflow": fit_on_tensorflow}
    return trainers[keras.backend.backend()](files, index, ports)


def fit(files: list[str], **options: Any) -> Losses:
    """Train for three epochs, and validate on the same photos."""
    train, model = dataset(files, shuffle=True, seed=0, **options), make_model()
    test = dataset(files, **options)
    return model.fit(train, validation_data=test, epochs=3, shuffle=False, verbose=0).history


class StopAfterTwoEpochs(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 2:
            raise KeyboardInterrupt


def resumed(files: list[str], folder: str, **options: Any) -> Losses:
    """Stop the same training after two epochs, and resume it from the backup."""
    for stop in ([StopAfterTwoEpochs()], []):
        train, model = dataset(files, shuffle=True, seed=0, **options), make_model()
        backup = keras.callbacks.BackupAndRestore(folder)
        callbacks = [backup, train.resume_callback(), *stop]
        with pytest.raises(KeyboardInterrupt) if stop else nullcontext():
            model.fit(train, epochs=3, shuffle=False, verbose=0, callbacks=callbacks)
    return model.history.history


def fit_on_jax(files: list[str], index: int, ports: list[int]) -> Losses:
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    keras.distribution.initialize(f"127.0.0.1:{ports[0]}", len(ports), index)
    distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
    keras.distribution.set_distribution(distribution)
    shard = (jax.process_index(), jax.process_count())
    for options in ({}, {"shard": (1 - index, 2)}):
        with pytest.raises(ValueError, match=rf"has shard=.*Pass shard=\({index}, 2\)"):
            make_model().fit(dataset(files, **options))
    model = make_model()
    with pytest.raises(ValueError, match=r"Call keras.distribution.set_distribution\(None\)"):
        model.predict(dataset(files), verbose=0)
    losses = fit(files, shard=shard)
    with TemporaryDirectory() as folder:  # each process has its own
        again = resumed(files, folder, shard=shard)
    assert again["loss"] == pytest.approx(losses["loss"][2:])
    keras.distribution.set_distribution(None)
    assert model.predict(dataset(files), verbose=0).shape == (len(files), 1)
    return losses


class InSeveralProcesses(keras.Model):
    """A model whose losses TensorFlow can average over processes: as vectors, not scalars."""

    def train_step(self, data: Any) -> dict[str, Any]:
        return as_vectors(super().train_step(data))

    def test_step(self, data: Any) -> dict[str, Any]:
        return as_vectors(super().test_step(data))


def as_vectors(logs: dict[str, Any]) -> dict[str, Any]:
    return {name: keras.ops.reshape(value, (1,)) for name, value in logs.items()}


def fit_on_tensorflow(files: list[str], index: int, ports: list[int]) -> Losses:
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    os.environ["TF_CONFIG"] = json.dumps(
        {"cluster": cluster, "task": {"type": "worker", "index": index}}
    )
    import tensorflow as tf

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    shard = {"shard": (index, len(ports))}
    train, test = dataset(files, shuffle=True, seed=0, **shard), dataset(files, **shard)
    with strategy.scope():
        inner = make_model()
    with pytest.raises(ValueError, match=r"tf.distribute.*Leave shard out"):
        inner.fit(train, shuffle=False, verbose=0)
    model = InSeveralProcesses(inner.inputs, inner.outputs)  # outside of the scope

    def distributed(dataset: PipelineDataset) -> Any:
        def batches() -> Iterator[Any]:
            while True:
                yield from (dataset[i] for i in range(len(dataset)))
                dataset.on_epoch_end()

        signature = tuple(
            tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in dataset[0]
        )
        return strategy.distribute_datasets_from_function(
            lambda _: tf.data.Dataset.from_generator(batches, output_signature=signature)
        )

    with strategy.scope():
        model.compile(inner.optimizer, "mse")
        return model.fit(
            distributed(train),
            validation_data=distributed(test),
            epochs=3,
            steps_per_epoch=len(train),
            validation_steps=len(test),
            shuffle=False,
            verbose=0,
        ).history


def dataset(files: list[str], **options: Any) -> PipelineDataset:
    pipeline = make_image_pipeline((32, 48), on_error="blank").fit(files)
    y = [float(i) for i in range(len(files))]
    return PipelineDataset(pipeline, files, y, **({"batch_size": 8} | options))


def make_model() -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = [keras.Input((32, 48, 3)), keras.layers.Flatten(), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(1e-5, momentum=0.9), "mse")
    return model


if __name__ == "__main__":
    json.dump(main(**json.load(sys.stdin)), sys.stdout)
