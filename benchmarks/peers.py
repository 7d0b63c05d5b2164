"""What people use today, each as its own documentation recommends.

All get the same cores, as many threads or processes as these, the constants of the task and
its batches; none is kept from anything it does by default. Only the copied recipe works on one
file after another, as it does wherever it was copied to.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from benchmarks.contender import Batches, NotInstalledError, Task, contender, in_memory

# Antialiased


@contender("keras", divides_by=255.0)
def copied_recipe(task: Task) -> Batches:
    """The loop of many tutorials: load_img and img_to_array, one after another."""
    from keras.utils import img_to_array, load_img

    size = (task.size, task.size)

    def batches() -> Iterator[np.ndarray]:
        images = [
            img_to_array(load_img(path, target_size=size, interpolation="bilinear"))
            for path in task.files
        ]
        yield np.stack(images) / 255.0

    return batches


@contender("tensorflow", "pandas")
def image_data_generator(task: Task) -> Batches:
    """Keras' ImageDataGenerator, centred and scaled by featurewise statistics."""
    import pandas as pd
    import tensorflow as tf

    generator = tf.keras.preprocessing.image.ImageDataGenerator(
        featurewise_center=True, featurewise_std_normalization=True
    )
    generator.mean, generator.std = task.constants
    flow = generator.flow_from_dataframe(
        pd.DataFrame({"filename": task.files}),
        target_size=(task.size, task.size),
        class_mode=None,
        batch_size=task.batch_size,
        shuffle=False,
        interpolation="bilinear",
    )

    def batches() -> Iterator[np.ndarray]:
        with ThreadPoolExecutor(task.n_jobs) as threads:  # as model.fit's workers do
            yield from threads.map(flow.__getitem__, range(len(flow)))

    return batches


@contender("tensorflow")
def tf_data(task: Task) -> Batches:
    """tf.data with decode_jpeg, and TensorFlow's antialiased resize."""
    import tensorflow as tf

    mean, std = task.constants

    def load(path: Any) -> Any:
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        image = tf.image.resize(image, (task.size, task.size), antialias=True)
        return (image - mean) / std

    dataset = tf.data.Dataset.from_tensor_slices(task.files)
    dataset = dataset.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(task.batch_size)
    dataset = dataset.prefetch(tf.data.AUTOTUNE)
    return lambda: iter(dataset)


class Photos:
    """Map-style dataset for PyTorch's DataLoader."""

    def __init__(self, files: list[str], load: Any) -> None:
        self.files = files
        self.load = load

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> Any:
        return self.load(self.files[i])


def _torch_batches(task: Task, load: Any) -> Batches:
    from torch.utils.data import DataLoader

    loader = DataLoader(
        Photos(task.files, load),
        batch_size=task.batch_size,
        num_workers=task.n_jobs,
        persistent_workers=True,
    )
    return lambda: iter(loader)


def _read_tensor(path: str) -> Any:
    from torchvision.io import ImageReadMode, decode_image

    return decode_image(path, mode=ImageReadMode.RGB, apply_exif_orientation=True)


def _read_pil(path: str) -> Image.Image:
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def _torch_steps(task: Task, first: Any) -> Any:
    import torch
    from torchvision.transforms import v2

    return v2.Compose(
        [
            first,
            v2.Resize((task.size, task.size), antialias=True),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([m / 255 for m in task.mean], [s / 255 for s in task.std]),
        ]
    )


@contender("torch", "torchvision")
def torchvision_tensors(task: Task) -> Batches:
    """Decoder and transforms v2 of torchvision on uint8 tensors, in worker processes."""
    return _torch_batches(task, _torch_steps(task, _read_tensor))


@contender("torch", "torchvision")
def torchvision_pil(task: Task) -> Batches:
    """Pillow's decoder and transforms v2 on its images, in worker processes."""
    return _torch_batches(task, _torch_steps(task, _read_pil))


@contender("nvidia.dali")
def dali(task: Task) -> Batches:
    """NVIDIA DALI's pipeline on the CPU."""
    from nvidia.dali import fn, pipeline_def, types

    @pipeline_def(batch_size=task.batch_size, num_threads=task.n_jobs, device_id=None)
    def steps() -> Any:
        files, _ = fn.readers.file(files=task.files, pad_last_batch=True)
        images = fn.decoders.image(files, device="cpu", output_type=types.RGB)
        images = fn.resize(
            images, size=(task.size, task.size), interp_type=types.INTERP_TRIANGULAR
        )
        return fn.crop_mirror_normalize(
            images,
            mean=list(task.mean),
            std=list(task.std),
            output_layout="HWC",
            dtype=types.FLOAT,
        )

    pipeline = steps()
    pipeline.build()

    def batches() -> Iterator[np.ndarray]:
        for _ in range(0, len(task.files), task.batch_size):
            [images] = pipeline.run()
            yield images.as_array()

    return batches


@contender("spdl.io", "spdl.pipeline")
def spdl(task: Task) -> Batches:
    """SPDL's pipeline of threads: FFmpeg decodes and resizes, NumPy standardises batches."""
    import spdl.io
    from spdl.pipeline import PipelineBuilder

    try:  # its extension is imported at the first use
        spdl.io.demux_image(task.files[0])
    except RuntimeError as error:
        if "Failed to import libspdl" not in str(error):
            raise
        raise NotInstalledError("FFmpeg's shared libraries, which spdl-io loads") from error
    mean, std = task.constants
    # FFmpeg's bilinear filter is antialiased, unlike its fast_bilinear.
    steps = spdl.io.get_video_filter_desc(
        scale_width=task.size, scale_height=task.size, scale_algo="bilinear", scale_mode=None
    )

    def load(files: list[str]) -> np.ndarray:
        buffer = spdl.io.load_image_batch(files, width=None, height=None, filter_desc=steps)
        batch = np.subtract(spdl.io.to_numpy(buffer), mean)
        return np.divide(batch, std, out=batch)

    def batches() -> Iterator[np.ndarray]:
        pipeline = (
            PipelineBuilder()
            .add_source(task.files)
            .aggregate(task.batch_size)
            .pipe(load, concurrency=task.n_jobs, output_order="input")
            .add_sink(task.n_jobs)
            .build(num_threads=task.n_jobs)
        )
        with pipeline.auto_stop():
            yield from pipeline

    return batches


@contender("cv2")
def opencv(task: Task) -> Batches:
    """OpenCV in threads, with INTER_AREA, which its documentation advises for shrinking."""
    import cv2

    return _opencv_batches(task, cv2.INTER_AREA)


# Plain: these pick or mix the nearest pixels, which is less work, and aliases.


@contender("cv2")
def opencv_linear(task: Task) -> Batches:
    """OpenCV in threads, with INTER_LINEAR, its default."""
    import cv2

    return _opencv_batches(task, cv2.INTER_LINEAR)


def _opencv_batches(task: Task, interpolation: int) -> Batches:
    import cv2

    cv2.setNumThreads(1)  # the threads are those below
    mean, factors = (*task.mean, 0), (*(1 / std for std in task.std), 0)

    def load(first: int) -> np.ndarray:
        files = task.files[first : first + task.batch_size]
        batch = np.empty((len(files), task.size, task.size, 3), np.float32)
        for path, out in zip(files, batch, strict=True):
            image = cv2.imread(path, cv2.IMREAD_COLOR_RGB)
            image = cv2.resize(image, (task.size, task.size), interpolation=interpolation)
            image = cv2.subtract(image, mean, dtype=cv2.CV_32F)
            cv2.multiply(image, factors, dst=out)
        return batch

    def batches() -> Iterator[np.ndarray]:
        with ThreadPoolExecutor(task.n_jobs) as threads:
            yield from threads.map(load, range(0, len(task.files), task.batch_size))

    return batches


@contender("tensorflow")
def image_dataset_from_directory(task: Task) -> Batches:
    """Keras' image_dataset_from_directory and a Normalization layer."""
    import keras
    import tensorflow as tf

    dataset = _directory(task)
    layer = keras.layers.Normalization(
        mean=np.float32(task.mean), variance=np.square(np.float32(task.std))
    )
    dataset = dataset.map(layer, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.prefetch(tf.data.AUTOTUNE)
    return lambda: iter(dataset)


def _directory(task: Task) -> Any:
    import keras

    [folder] = {Path(path).parent for path in task.files}  # which holds these files alone
    dataset = keras.utils.image_dataset_from_directory(
        folder,
        labels=None,
        shuffle=False,
        batch_size=task.batch_size,
        image_size=(task.size, task.size),
        verbose=False,
    )
    return dataset.take(-(-len(task.files) // task.batch_size))


# Statistics


@contender("tensorflow")
def keras_adapt(task: Task) -> Batches:
    """Normalization.adapt on image_dataset_from_directory."""
    import keras

    dataset = _directory(task)

    def batches() -> tuple[()]:
        keras.layers.Normalization().adapt(dataset)
        return ()

    return batches


# Arrays in memory


@contender()
def broadcast(task: Task) -> Batches:
    """Standardise a uint8 array by NumPy's broadcasting, in float32."""
    images = in_memory(task)
    mean, std = task.constants
    return lambda: [(images - mean) / std]


@contender("sklearn")
def partial_fit_of_standard_scaler(task: Task) -> Batches:
    """scikit-learn's StandardScaler.partial_fit on flattened pixels, made float64 before."""
    from sklearn.preprocessing import StandardScaler

    pixels = in_memory(task).reshape(-1, 3).astype(np.float64)

    def batches() -> tuple[()]:
        StandardScaler().partial_fit(pixels)
        return ()

    return batches
