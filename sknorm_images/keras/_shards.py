"""The part of each batch that one of several processes takes."""

from __future__ import annotations

from typing import Any

import keras

from sknorm_images._common.parameters import check_number
from sknorm_images._common.wording import show_value
from sknorm_images.keras._batch_order import BatchOrder


def check_shard(
    shard: Any, batch_size: int, shuffle: bool, seed: int | None
) -> tuple[int, int]:
    """Check which process takes its part of the batches, and whether the others agree.

    None is the only one. Raises TypeError or ValueError if `shard` is not a pair of integers,
    the index below the count, or parts would overlap or differ in size.
    """
    if shard is None:
        return 0, 1
    if not isinstance(shard, tuple | list) or len(shard) != 2:
        raise TypeError(
            f"shard={show_value(shard)} is not a pair. Pass (index, count): the number of "
            "this process, from 0, and how many processes there are."
        )
    index, count = shard
    check_number("shard[1]", count, low=1, integral=True)
    check_number("shard[0]", index, low=0, high=count - 1, integral=True)
    if count > 1 and shuffle and seed is None:
        raise ValueError(
            "shuffle=True without a seed gives each process an order of its own, so some "
            "images would come twice and others never. Pass the same seed to all processes."
        )
    if batch_size % count:
        raise ValueError(
            f"batch_size={batch_size} is that of all processes together, which does not make "
            f"{count} equal parts. Pass a multiple of {count}."
        )
    return int(index), int(count)


def refuse_uneven_parts(order: BatchOrder, n_parts: int, takers: str = "processes") -> None:
    """Raise ValueError unless the last batch makes `n_parts` equal parts."""
    n_left = order.last_batch_size % n_parts and order.last_batch_size
    if n_left:
        raise ValueError(
            f"The last batch has {n_left} image{'s' * (n_left > 1)}, of which {n_parts} "
            f"{takers} cannot take equal parts. Pass another batch_size, or "
            "drop_remainder=True, which leaves that batch out."
        )


def check_distribution(order: BatchOrder, call: str, model: object) -> None:
    """Raise ValueError if the batches do not suit the processes or devices that Keras uses."""
    if keras.backend.backend() == "jax" and keras.distribution.distribution() is not None:
        _check_distribution_on_jax(order, call)
    strategy = getattr(model, "distribute_strategy", None)  # on TensorFlow
    if order.is_shared and getattr(strategy, "num_replicas_in_sync", 1) > 1:
        raise ValueError(
            f"The dataset has shard={order.shard}, and the strategy of tf.distribute cuts "
            "batches itself. Leave shard out; or, in several processes, pass a "
            "tf.data.Dataset of its batches that the strategy does not cut again."
        )


def _check_distribution_on_jax(order: BatchOrder, call: str) -> None:
    """Raise ValueError if devices would get other parts of each batch, or unequal ones.

    Keras makes one batch of what all processes hold, even if they hold the same, and cuts it
    into equal parts for the devices.
    """
    distribution = keras.distribution.distribution()
    mesh = distribution.device_mesh
    n_devices = int(mesh.shape[list(mesh.axis_names).index(distribution.batch_dim_name)])
    sharding = distribution.get_data_layout((n_devices,)).backend_layout
    slices = sharding.addressable_devices_indices_map((n_devices,)).values()
    starts = {part.start or 0 for (part,) in slices}  # of what the devices here take
    shard = min(starts) // len(starts), n_devices // len(starts)
    if call == "predict" and shard[1] > 1:
        raise ValueError(
            f"This process is one of {shard[1]} in Keras' distribution, none of which would "
            "have all predictions. Call keras.distribution.set_distribution(None) first."
        )
    if order.shard != shard:
        raise ValueError(
            f"Keras' distribution takes part {shard[0]} of {shard[1]} of each batch from this "
            f"process, counted from 0, and the dataset has shard={order.shard}, so images "
            f"would come twice or never. Pass shard={shard}; for DataParallel, that is "
            "(jax.process_index(), jax.process_count())."
        )
    if order.batch_size % n_devices:
        raise ValueError(
            f"batch_size={order.batch_size} does not make equal parts for the {n_devices} "
            f"devices of Keras' distribution. Pass a multiple of {n_devices}."
        )
    if call == "predict" and order.last_batch_size % n_devices:
        raise ValueError(
            f"The last batch has {order.last_batch_size} images, of which {n_devices} devices "
            "cannot take equal parts, and predict needs all of them. Call "
            "keras.distribution.set_distribution(None) first, or pass another batch_size."
        )
    refuse_uneven_parts(order, n_devices, "devices")
