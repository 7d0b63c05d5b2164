"""What users write, for mypy in strict mode and pyright to check: nothing here runs.

A wrong call is followed by the comment that both checkers need to let it pass; where they
would pass it anyway, they complain about the comment.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import sknorm_images
from sknorm_images import (
    ChannelHistogram,
    ChannelMinMaxScaler,
    ChannelMoments,
    ChannelStandardScaler,
    ImageDecodeError,
    ImageDecodeWarning,
    ImageFlattener,
    JpegLoader,
    LazyImages,
    NewerVersionWarning,
    Resizer,
    check_images,
    load_image_folder,
    make_image_pipeline,
    merge_scalers,
    save_images,
)
from sknorm_images.distributed import to_dask_array
from sknorm_images.keras import PipelineDataset, normalization_layer
from sknorm_images.plotting import ChannelHistogramDisplay, ImageGridDisplay


def folders(directory: Path) -> None:
    photos = load_image_folder(directory, class_names=["cat", "dog"])
    np.asarray(photos.filenames)
    filenames, _ = load_image_folder(str(directory), return_X_y=True)
    unknown: bool = len(filenames) > 3
    load_image_folder(directory, return_X_y=unknown)
    found = check_images(filenames, loader=JpegLoader(), verify="header", n_jobs=-1, verbose=1)
    np.asarray(found.readable)
    load_image_folder(3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def loading(paths: list[Path], upload: bytes, photo: Image.Image) -> None:
    loader = JpegLoader(color_mode="grayscale", formats=("JPEG", "PNG"), n_jobs=2, verbose=1)
    assert_type(loader.fit(paths), JpegLoader)
    images = loader.transform([*paths, upload, photo])
    assert_type(images, LazyImages)
    assert_type(images[0], NDArray[np.uint8])
    assert_type(images[2:5], LazyImages)
    assert_type(images[np.array([1, 2])], LazyImages)
    assert_type(images.shape, tuple[int, ...])
    assert_type(images.filenames, list[str])
    assert_type(len(images), int)
    np.asarray(save_images(images, "photos.npy", overwrite=True, chunk_size=8))
    save_images(images)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    assert_type(iter(images), Iterator[NDArray[np.uint8]])
    np.asarray(images).mean(axis=(1, 2))
    for position, error in images.failures.items():
        assert_type(position, int)
        assert_type(error, ImageDecodeError | OSError)
    JpegLoader("rgb")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    JpegLoader(n_jobs="all")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def resizing(images: LazyImages, array: NDArray[np.uint8]) -> None:
    resizer = Resizer((224, 224), interpolation="bicubic", aspect_ratio="crop", engine="simd")
    assert_type(resizer.fit(images).transform(images), LazyImages)
    assert_type(Resizer(64, reducing_gap=None).transform([array, array]), LazyImages)
    Resizer(size="224x224")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def scaling(images: LazyImages, weights: list[float]) -> None:
    standard = ChannelStandardScaler(mean=[123.7, 116.3, 103.5], std=58.4, dtype=np.float64)
    assert_type(standard.fit(images, sample_weight=weights), ChannelStandardScaler)
    scaled = standard.transform(images)
    scaled.mean()
    standard.inverse_transform(scaled)[0]
    minmax = ChannelMinMaxScaler((-1, 1), clip=True, quantile_range=(1.0, 99.0))
    assert_type(minmax.partial_fit(images).partial_fit(images), ChannelMinMaxScaler)
    minmax.fit_transform(images)
    ChannelMinMaxScaler(per_image="channel", data_range=[[0, 0, 0], [255, 255, 255]])
    ChannelStandardScaler([1, 2, 3])  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    assert_type(ImageFlattener().fit(images).transform(images), NDArray[Any])


def merging(here: ChannelStandardScaler, there: ChannelMinMaxScaler) -> None:
    merged = merge_scalers([here, ChannelStandardScaler()])
    assert_type(merged, ChannelStandardScaler)
    make_image_pipeline().set_params(scale=merged)
    assert_type(merge_scalers((there, there)), ChannelMinMaxScaler)
    merge_scalers(3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def clusters(paths: list[str]) -> None:
    pipeline = make_image_pipeline(64).fit(paths)
    to_dask_array(pipeline, paths, chunks=100)[:10].compute()
    to_dask_array(pipeline, paths, chunks=(1, 2))
    to_dask_array(pipeline, paths, chunks="auto")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def following(callback: object) -> None:
    JpegLoader().set_callbacks(callback)
    ChannelStandardScaler().set_callbacks(callback).fit(np.zeros((2, 4, 4, 3)))
    ImageFlattener().set_callbacks()


def pipelines(paths: list[str]) -> None:
    pipeline = make_image_pipeline(64, "minmax", on_error="blank", n_jobs=-1)
    pipeline.fit(paths).transform(paths)
    make_image_pipeline((64, 64), ChannelStandardScaler(per_image="image"))
    make_image_pipeline(scalar="minmax")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]


def statistics(pixels: NDArray[np.uint8]) -> None:
    histogram = ChannelHistogram.of(pixels) + ChannelHistogram.of(pixels)
    assert_type(histogram, ChannelHistogram)
    assert_type(histogram.mean, NDArray[np.float64])
    assert_type(histogram.percentile(50), NDArray[np.float64])
    assert_type(ChannelMoments.of(pixels.astype(float)).n_samples, int)
    np.add(histogram + 1, 0)  # type: ignore[operator] # pyright: ignore[reportOperatorIssue]


def errors(
    error: ImageDecodeError, warning: ImageDecodeWarning, newer: NewerVersionWarning
) -> None:
    assert_type((error.source, error.reason, error.position), tuple[str, str, int | None])
    assert_type(warning.failures, dict[int, Exception])
    assert_type(warning.n_images, int)
    assert_type(newer.saved_version, str)
    assert_type(sknorm_images.__version__, str)


def flipped(
    x: NDArray[np.float32], y: NDArray[np.int64], random: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Mirror about half of the batches."""
    return (x[:, :, ::-1] if random.random() < 0.5 else x), y


def training(paths: list[str], y: list[int]) -> None:
    pipeline = make_image_pipeline((64, 64)).fit(paths)
    dataset = PipelineDataset(
        pipeline, paths, y, batch_size=16, shuffle=True, seed=0, augment=flipped
    )
    assert_type(len(dataset), int)
    np.asarray(dataset[0][0])
    normalization_layer(pipeline[-1])
    normalization_layer("standard")  # pyright: ignore[reportArgumentType] - mypy sees Any
    PipelineDataset(pipeline, paths, label_mode=None, sample_weight="balanced")
    PipelineDataset(pipeline, paths, batch_size="all")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def pictures(paths: list[str], pixels: NDArray[np.uint8]) -> None:
    pipeline = make_image_pipeline((64, 64)).fit(paths)
    histograms = ChannelHistogramDisplay.from_estimator(pipeline)
    assert_type(histograms, ChannelHistogramDisplay)
    histograms.figure_.savefig("histograms.png")
    ChannelHistogramDisplay(ChannelHistogram.of(pixels), pipeline[-1]).plot()
    assert_type(ImageGridDisplay.from_estimator(pipeline, paths, n_images=6), ImageGridDisplay)
    ImageGridDisplay.from_images(pipeline.transform(paths), pipeline[-1])
    ImageGridDisplay.from_images(pixels, n_images="all")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
