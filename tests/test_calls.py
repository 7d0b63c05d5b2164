"""How many calls of Python and C an image costs: counted, so that no clock is needed."""

from __future__ import annotations

import cProfile
import io
import pstats
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sknorm_images import make_image_pipeline
from tests.conftest import encode

# Pillow alone makes some 300 to open, decode and resize a thumbnail and to copy it into an
# array (of version 13; 11 makes fewer).
MOST_PER_IMAGE = 400
MOST_BESIDE_PILLOW = 700  # of one upload; through joblib, it would be twice as many


def n_calls(function: Callable[[], Any]) -> int:
    profile = cProfile.Profile()
    profile.enable()
    function()
    profile.disable()
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined] # typeshed lacks it


@pytest.fixture(scope="module")
def thumbnails(
    photos: list[Image.Image], tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """40 JPEG files of 96 x 96 pixels."""
    folder = tmp_path_factory.mktemp("thumbnails")
    paths = []
    for i in range(40):
        path = folder / f"{i:02}.jpg"
        crop = photos[i % 2].crop((9 * i, 4 * i, 9 * i + 220, 4 * i + 220))
        path.write_bytes(encode(crop.resize((96, 96)), quality=85))
        paths.append(str(path))
    return paths


@pytest.mark.parametrize("method", ["fit", "transform"])
def test_an_image_costs_few_calls(method, thumbnails):
    pipeline = make_image_pipeline((64, 64), n_jobs=1).fit(thumbnails)
    run = getattr(pipeline, method)
    run(thumbnails)  # what is set up once
    more, fewer = n_calls(lambda: run(thumbnails)), n_calls(lambda: run(thumbnails[:20]))
    assert (more - fewer) / 20 <= MOST_PER_IMAGE


@pytest.mark.one_version  # older ones of scikit-learn call more themselves
def test_one_upload_costs_few_calls_beside_those_of_pillow(thumbnails):
    content = Path(thumbnails[0]).read_bytes()
    pipeline = make_image_pipeline((64, 64)).fit(thumbnails)

    def by_hand() -> None:
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
            np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR))

    by_hand()
    pipeline.transform([content])
    beside = n_calls(lambda: pipeline.transform([content])) - n_calls(by_hand)
    assert beside <= MOST_BESIDE_PILLOW
