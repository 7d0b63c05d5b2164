"""make_image_pipeline: the usual steps in one call."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline

from sknorm_images._common.published import published
from sknorm_images._common.wording import show_value
from sknorm_images._images.loader import JpegLoader
from sknorm_images._images.resizer import Resizer
from sknorm_images._scaling.minmax import ChannelMinMaxScaler
from sknorm_images._scaling.standard import ChannelStandardScaler

SCALERS = {"standard": ChannelStandardScaler, "minmax": ChannelMinMaxScaler}


@published("sknorm_images")
def make_image_pipeline(
    size: int | tuple[int, int] = (224, 224),
    scaler: Any = "standard",
    *,
    color_mode: str = "rgb",
    color_profile: str = "ignore",
    background: int | tuple[int, int, int] | None = None,
    interpolation: str = "bilinear",
    aspect_ratio: str = "ignore",
    engine: str = "pillow",
    protocols: tuple[str, ...] = ("file",),
    on_error: str = "raise",
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Pipeline:
    """Make the pipeline from paths of JPEG files to a normalised array.

    Parameters
    ----------
    size : tuple of two ints or int, default=(224, 224)
        ``(height, width)`` in pixels, for `Resizer`.
    scaler : {"standard", "minmax"} or transformer, default="standard"
        A `ChannelStandardScaler` or `ChannelMinMaxScaler` with its defaults, or any
        transformer of images.
    color_mode : {"rgb", "grayscale", "stored"}, default="rgb"
        For `JpegLoader`.
    color_profile : {"ignore", "srgb"}, default="ignore"
        For `JpegLoader`: how to treat colour profiles in files.
    background : int, (int, int, int) or None, default=None
        For `JpegLoader`: the colour behind transparent pixels.
    interpolation : {"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"}, \
            default="bilinear"
        For `Resizer`.
    aspect_ratio : {"ignore", "crop", "pad"}, default="ignore"
        For `Resizer`.
    engine : {"pillow", "simd"}, default="pillow"
        For `Resizer`: the library that resizes.
    protocols : tuple of str, default=("file",)
        For `JpegLoader`: protocols that paths and strings may use, such as ``("s3",)``.
    on_error : {"raise", "blank"}, default="raise"
        For `JpegLoader`.
    n_jobs : int or None, default=None
        For `JpegLoader`: the number of images that are decoded at once.
    verbose : int, default=0
        For `JpegLoader`: above 0, progress bars are shown.

    Returns
    -------
    sklearn.pipeline.Pipeline
        With steps named ``load``, ``resize`` and ``scale``, so that any other parameter is
        set as in ``pipeline.set_params(load__max_scans=10)``.

    Raises
    ------
    TypeError
        If `scaler` is neither a string nor a transformer.
    ValueError
        If `scaler` is another string. Other parameters are checked by `fit` and `transform`.

    See Also
    --------
    ImageFlattener : What comes next, for estimators that take tables.

    Examples
    --------
    >>> from sknorm_images import make_image_pipeline
    >>> pipeline = make_image_pipeline((96, 96), "minmax", n_jobs=2)
    >>> list(pipeline.named_steps)
    ['load', 'resize', 'scale']
    """
    known = ", ".join(map(repr, SCALERS))
    if isinstance(scaler, str):
        if scaler not in SCALERS:
            raise ValueError(
                f"scaler={show_value(scaler)} is not known. Pass {known} or a transformer."
            )
        scaler = SCALERS[scaler]()
    elif not (hasattr(scaler, "fit") and hasattr(scaler, "transform")):
        raise TypeError(
            f"scaler={show_value(scaler)} has no fit and transform, as a step of a pipeline "
            f"has. Pass {known} or a transformer."
        )
    loader = JpegLoader(
        color_mode=color_mode,
        color_profile=color_profile,
        background=background,
        protocols=protocols,
        on_error=on_error,
        n_jobs=n_jobs,
        verbose=verbose,
    )
    resizer = Resizer(
        size, interpolation=interpolation, aspect_ratio=aspect_ratio, engine=engine
    )
    return Pipeline([("load", loader), ("resize", resizer), ("scale", scaler)])
