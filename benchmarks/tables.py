"""Which contenders stand beside which, on what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joblib import cpu_count

from benchmarks import corpora, limits, ours, peers
from benchmarks.contender import Contender


@dataclass(frozen=True)
class Row:
    """A contender under the name that the table gives it."""

    name: str
    contender: Contender
    options: dict[str, Any] = field(default_factory=dict)
    n_jobs: int | None = None  # None takes that of the whole run
    times: float = 1  # the files of the table; more than 1 takes the same ones again


@dataclass(frozen=True)
class Table:
    """Rows that are measured in turn, so that the ratios between them hold.

    Attributes
    ----------
    key : str
        What the command line calls it.
    title : str
        What the report calls it.
    corpus : callable
        Makes its files.
    n_files : int
        How many.
    size : int
        Height and width of the output, in pixels.
    rows : list of Row
        The first is what the others are compared with.
    at_least_decibels : float, default=0
        Rows whose pictures differ more from Pillow's bilinear ones are not comparable.
    batch_size : int, default=32
        Images in a batch, for those that make batches.
    """

    key: str
    title: str
    corpus: Callable[[Path, int], list[str]]
    n_files: int
    size: int
    rows: list[Row]
    at_least_decibels: float = 0
    batch_size: int = 32


OURS = "sknorm_images, transform in 4 calls"
SIMD = 'sknorm_images, engine="simd", in 4 calls'
JOBS = [n for n in (1, 2, 4, 8, 16, 32, 64) if n <= cpu_count()]
DECODING = Row("Pillow, decoding alone: the limit", limits.decoding)
BARE = Row("simplejpeg and cykooz-resizer alone", limits.bare)
LIMITS = [
    DECODING,
    Row("Pillow, decoding and resizing alone", limits.decoding_and_resizing),
    Row("Pillow and cykooz-resizer alone", limits.decoding_and_simd),
    BARE,
]

TABLES = [
    Table(
        "antialiased",
        "Files to standardised float32 arrays, antialiased",
        corpora.photos,
        1000,
        224,
        [
            *LIMITS,
            Row("sknorm_images, transform in one call", ours.transform),
            Row(OURS, ours.transform, {"calls": 4}),
            Row('sknorm_images, engine="simd", one call', ours.transform, {"engine": "simd"}),
            Row(SIMD, ours.transform, {"engine": "simd", "calls": 4}),
            Row("sknorm_images, PipelineDataset", ours.keras_batches),
            Row(
                'sknorm_images, PipelineDataset, engine="simd"',
                ours.keras_batches,
                {"engine": "simd"},
            ),
            Row("NVIDIA DALI on the CPU", peers.dali),
            Row("SPDL, FFmpeg in threads", peers.spdl),
            Row("torchvision v2 on tensors, DataLoader", peers.torchvision_tensors),
            Row("torchvision v2 on PIL images, DataLoader", peers.torchvision_pil),
            Row("tf.data, decode_jpeg and antialiased resize", peers.tf_data),
            Row("OpenCV, INTER_AREA, in threads", peers.opencv),
            Row("ImageDataGenerator, bilinear", peers.image_data_generator),
            Row("load_img and img_to_array, one by one", peers.copied_recipe),
        ],
        at_least_decibels=35,
    ),
    Table(
        "plain",
        "The same, without antialiasing, beside ours with it",
        corpora.photos,
        1000,
        224,
        [
            DECODING,
            Row(OURS, ours.transform, {"calls": 4}),
            Row(SIMD, ours.transform, {"engine": "simd", "calls": 4}),
            Row(
                "image_dataset_from_directory and Normalization",
                peers.image_dataset_from_directory,
            ),
            Row("OpenCV, INTER_LINEAR, in threads", peers.opencv_linear),
        ],
        at_least_decibels=25,
    ),
    Table(
        "fit",
        "Statistics of files",
        corpora.photos,
        1000,
        224,
        [
            *LIMITS,
            Row("sknorm_images, fit", ours.fit),
            Row('sknorm_images, fit, engine="simd"', ours.fit, {"engine": "simd"}),
            Row("Normalization.adapt, not antialiased, float32", peers.keras_adapt),
        ],
    ),
    Table(
        "large",
        "Images of 12 megapixels to standardised float32 arrays",
        corpora.large_photos,
        64,
        224,
        [
            Row("reducing_gap=None", ours.transform, {"reducing_gap": None}),
            Row("sknorm_images, as it is", ours.transform),
            Row('sknorm_images, engine="simd"', ours.transform, {"engine": "simd"}),
            Row("Pillow, decoding alone, full size", limits.decoding),
            Row("NVIDIA DALI on the CPU", peers.dali),
            Row("SPDL, FFmpeg in threads", peers.spdl),
            Row("torchvision v2 on tensors, DataLoader", peers.torchvision_tensors),
            Row("tf.data, decode_jpeg and antialiased resize", peers.tf_data),
        ],
        at_least_decibels=35,
        batch_size=4,
    ),
    Table(
        "mixed",
        "Photos of many sizes, qualities and samplings to standardised float32 arrays",
        corpora.mixed_photos,
        400,
        224,
        [
            Row("Pillow, decoding alone, full size", limits.decoding),
            BARE,
            Row(OURS, ours.transform, {"calls": 4}),
            Row(SIMD, ours.transform, {"engine": "simd", "calls": 4}),
            Row("NVIDIA DALI on the CPU", peers.dali),
            Row("SPDL, FFmpeg in threads", peers.spdl),
            Row("torchvision v2 on tensors, DataLoader", peers.torchvision_tensors),
            Row("tf.data, decode_jpeg and antialiased resize", peers.tf_data),
            Row("OpenCV, INTER_AREA, in threads", peers.opencv),
        ],
        at_least_decibels=35,
    ),
    Table(
        "thumbnails",
        "Thumbnails of 96 x 96 to standardised float32 arrays of 64 x 64",
        corpora.thumbnails,
        4000,
        64,
        [
            DECODING,
            BARE,
            Row("sknorm_images, transform", ours.transform),
            Row('sknorm_images, engine="simd"', ours.transform, {"engine": "simd"}),
            Row(
                'sknorm_images, engine="simd", in processes',
                ours.transform,
                {"engine": "simd", "backend": "loky"},
            ),
            Row("NVIDIA DALI on the CPU", peers.dali),
            Row("SPDL, FFmpeg in threads", peers.spdl),
            Row("torchvision v2 on tensors, DataLoader", peers.torchvision_tensors),
            Row("tf.data, decode_jpeg and antialiased resize", peers.tf_data),
        ],
        at_least_decibels=35,
    ),
    Table(
        "scale",
        "A uint8 array in memory to a standardised float32 one, one thread",
        corpora.photos,
        250,
        224,
        [
            Row("(X - mean) / std, broadcast in float32", peers.broadcast, n_jobs=1),
            Row("ChannelStandardScaler.transform", ours.scale_array, n_jobs=1),
        ],
        at_least_decibels=99,
    ),
    Table(
        "fit-array",
        "Statistics of a uint8 array in memory, one thread",
        corpora.photos,
        250,
        224,
        [
            Row(
                "StandardScaler.partial_fit, flat, float64",
                peers.partial_fit_of_standard_scaler,
                n_jobs=1,
            ),
            Row("ChannelStandardScaler.fit", ours.fit_array, n_jobs=1),
        ],
    ),
    Table(
        "jobs-transform",
        "transform, by n_jobs",
        corpora.photos,
        1000,
        224,
        [Row(f"n_jobs={n}", ours.transform, {"calls": 4}, n_jobs=n) for n in JOBS],
    ),
    Table(
        "jobs-fit",
        "fit, by n_jobs",
        corpora.photos,
        1000,
        224,
        [Row(f"n_jobs={n}", ours.fit, n_jobs=n) for n in JOBS],
    ),
    *(
        Table(
            f"jobs-thumbnails-{method}",
            f"{method} of thumbnails of 96 x 96 to 64 x 64, in threads and in processes",
            corpora.thumbnails,
            4000,
            64,
            [
                Row(
                    f"{engine}, n_jobs={n}, {where}",
                    run,
                    {"engine": engine, "backend": backend},
                    n_jobs=n,
                )
                for engine in ("pillow", "simd")
                for n in JOBS
                for where, backend in (("threads", None), ("processes", "loky"))
                if backend is None or n > 1  # one job needs no other process
            ],
        )
        for method, run in (("fit", ours.fit), ("transform", ours.transform))
    ),
    Table(
        "files",
        "Few files and many",
        corpora.photos,
        1000,
        224,
        [
            Row("fit, a quarter of the files", ours.fit, times=0.25),
            Row("fit, all files", ours.fit, times=1),
            Row("fit, four times the files", ours.fit, times=4),
            Row("transform in one call, a quarter of the files", ours.transform, times=0.25),
            Row("transform in one call, all files", ours.transform, times=1),
            Row("transform in one call, four times the files", ours.transform, times=4),
        ],
    ),
]
