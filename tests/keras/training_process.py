"""One of the processes that train a model together, or the only one that does.

It reads from standard input, as JSON, what `main` takes, and prints the losses.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, TypeAlias

import keras
import pytest

from sknorm_images import make_image_pipeline
from sknorm_images.keras import PipelineDataset

Losses: TypeAlias = dict[str, list[float]]


def main(files: list[str], index: int, ports: list[int]) -> Losses:
    """Train together with a process at each of the other ports."""
    trainers = {"jax": fit_on_jax, "tensorflow": loop_on_tensorflow}
    return trainers[keras.backend.backend()](files, index, ports)


def fit(files: list[str], **options: Any) -> Losses:
    """Train for three epochs, and validate on the same photos."""
    train, model = dataset(files, shuffle=True, seed=0, **options), make_model()
    test = dataset(files, **options)
    return model.fit(train, validation_data=test, epochs=3, shuffle=False, verbose=0).history


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
    keras.distribution.set_distribution(None)
    assert model.predict(dataset(files), verbose=0).shape == (len(files), 1)
    return losses


def loop_on_tensorflow(files: list[str], index: int, ports: list[int]) -> Losses:
    """Train in a loop, since Keras' own fails in several processes."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    os.environ["TF_CONFIG"] = json.dumps(
        {"cluster": cluster, "task": {"type": "worker", "index": index}}
    )
    import tensorflow as tf

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    train = dataset(files, shuffle=True, seed=0, shard=(index, len(ports)))
    with strategy.scope():
        model = make_model()
        model.optimizer.build(model.trainable_variables)
    with pytest.raises(ValueError, match=r"tf.distribute.*Leave shard out"):
        model.fit(train, shuffle=False, verbose=0)

    def step(x: Any, y: Any, weights: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x, y, model(x, training=True), weights)
        gradients = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    @tf.function
    def step_together(batch: Any) -> Any:
        return strategy.reduce("SUM", strategy.run(step, batch), axis=None)

    losses = []
    for _ in range(3):
        total = 0.0
        for i in range(len(train)):
            n_images = len(train.rows(i)) * len(ports)
            total += n_images * float(step_together(train[i]))
        losses.append(total / len(files))
        train.on_epoch_end()
    return {"loss": losses}


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
