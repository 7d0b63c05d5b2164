"""One case of the fuzzer: a damaged file, and how it is loaded; seed and number say which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.fuzzing.corpus import corpus
from tests.fuzzing.mutations import MUTATIONS

# Far fewer than the default, so that the bounds on memory and time can be tight.
MAX_PIXELS = 2**20


@dataclass(frozen=True)
class Options:
    """Parameters of JpegLoader, of a Resizer behind it, and the kind of source."""

    color_mode: str = "rgb"
    exif_orientation: bool = True
    max_pixels: int = MAX_PIXELS
    max_scans: int = 100
    size: tuple[int, int] | None = None  # (height, width) of the Resizer
    as_path: bool = False


@dataclass(frozen=True)
class Case:
    """What seed and number stand for."""

    seed: int
    number: int
    file: str  # name in the corpus
    mutation: str
    options: Options
    data: bytes

    def __str__(self) -> str:
        return (
            f"seed {self.seed}, case {self.number}: {self.mutation} of {self.file!r}, "
            f"{len(self.data)} bytes, {self.options}"
        )


def make_case(seed: int, number: int) -> Case:
    """Make a case; mutations take turns, and all else is drawn."""
    random = np.random.default_rng([seed, number])
    file = list(corpus())[int(random.integers(len(corpus())))]
    mutation = list(MUTATIONS)[number % len(MUTATIONS)]
    options = draw_options(random)
    return Case(
        seed, number, file, mutation, options, MUTATIONS[mutation](corpus()[file], random)
    )


def draw_options(random: np.random.Generator) -> Options:
    """Draw mostly the defaults, and every other choice now and then."""
    chances = random.random(6)
    height, width = (int(side) for side in random.integers(2, 33, size=2))
    return Options(
        color_mode="grayscale" if chances[0] < 0.25 else "rgb",
        exif_orientation=bool(chances[1] < 0.75),
        max_pixels=2_000 if chances[2] < 0.05 else MAX_PIXELS,
        max_scans=3 if chances[3] < 0.1 else 100,
        size=(height, width) if chances[4] < 0.3 else None,
        as_path=bool(chances[5] < 0.1),
    )
