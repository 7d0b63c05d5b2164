"""Stacks: memory that Pillow and NumPy share, within a bound."""

from __future__ import annotations

import numpy as np
import pytest

from sknorm_images._images.stacks import Stack, as_mapped


def filled(n_channels: int, n_images: int) -> tuple[Stack, np.ndarray]:
    """A stack of noise, and the noise."""
    noise = np.random.default_rng(0).integers(0, 256, (n_images, 9, 7, n_channels), np.uint8)
    stack = Stack((9, 7, n_channels))
    stack.memory[:] = 77  # which is not to be counted
    stack.memory[:n_images, ..., :n_channels] = noise
    stack.n_images = n_images
    return stack, noise


@pytest.mark.parametrize("n_bytes", [1, 4])
def test_pillow_sees_memory_without_a_copy(n_bytes):
    memory = np.zeros((3, 5, n_bytes), np.uint8)
    image = as_mapped(memory)

    memory[2, 4] = 200

    assert image.size == (5, 3)
    assert np.ravel(image.getpixel((4, 2))).tolist() == [200] * n_bytes


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("n_images", [1, 5, 32])
def test_pixels_are_those_of_the_images_alone(n_channels, n_images):
    stack, noise = filled(n_channels, n_images)

    np.testing.assert_array_equal(stack.pixels(), noise)

    stack.memory[:] = 0
    assert not stack.pixels().any()


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("n_images", [1, 5, 32])
def test_grey_levels_are_counted_as_numpy_counts_them(n_channels, n_images):
    stack, noise = filled(n_channels, n_images)

    for rows in (slice(n_images), slice(n_images - 1, n_images)):
        expected = [
            np.bincount(c.ravel(), minlength=256) for c in np.moveaxis(noise[rows], -1, 0)
        ]
        np.testing.assert_array_equal(stack.histogram(rows), expected)


@pytest.mark.parametrize(
    ("shape", "capacity"),
    [
        ((8, 8, 3), 32),
        ((64, 64, 3), 32),
        ((224, 224, 3), 5),
        ((224, 224, 1), 20),
        ((2000, 1000, 3), 1),
    ],
)
def test_a_stack_holds_32_images_or_a_mebibyte_but_at_least_one(shape, capacity):
    stack = Stack(shape)

    assert stack.capacity == len(stack.memory) == capacity
