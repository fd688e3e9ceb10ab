"""Brings decoded images to what a model takes, as the preprocessing says.

Calibration, training, evaluation and serving all call this, so that equal pixels give equal bytes.
docs/preprocessing.md is the definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from smidgen import _engine
from smidgen.config import Augmentation, Extent, ImageLayout, Preprocessing
from smidgen.data.augment import Draw, draw, place_part
from smidgen.data.resize import Window, resize
from smidgen.errors import InvalidDatasetError, SmidgenError
from smidgen.tensor_spec import TensorSpec

Pixels = NDArray[np.uint8]


def preprocess(
    pixels: Pixels,
    preprocessing: Preprocessing,
    extent: Extent,
    name: str,
    *,
    error: type[SmidgenError] = InvalidDatasetError,
) -> NDArray[np.float32]:
    """Makes one sample of an image.

    Args:
        pixels: [H, W, channels].
        preprocessing: What to do.
        extent: Height and width that the model takes.
        name: What to call the image in errors.
        error: The error class for an image of the wrong size, reason IMAGE_SIZE_MISMATCH.

    Returns:
        [channels, height, width], or [height, width, channels] with ImageLayout.NHWC.
    """
    return normalize(_fit(pixels, preprocessing, extent, name, error), preprocessing)


def augment(
    pixels: Pixels,
    preprocessing: Preprocessing,
    extent: Extent,
    name: str,
    *,
    augmentation: Augmentation,
    at: Draw,
) -> NDArray[np.float32]:
    """Makes one sample of an image for training, as preprocess does but for what is drawn."""
    drawn = draw(augmentation, at)
    if augmentation.least_area < 1.0:
        part = place_part(drawn, pixels.shape[0], pixels.shape[1])
        taken = pixels[part.top : part.bottom, part.left : part.right]
        fitted = resize(taken, extent.height, extent.width, preprocessing.resampling)
    else:
        fitted = _fit(pixels, preprocessing, extent, name, InvalidDatasetError)
    return normalize(fitted[:, ::-1] if drawn.is_flipped else fitted, preprocessing)


def check_takes_images(specs: Sequence[TensorSpec], preprocessing: Preprocessing) -> TensorSpec:
    """Returns the input of a model that takes images of this preprocessing: its only one.

    Raises:
        InvalidDatasetError: PREPROCESSING_MISMATCH.
    """
    if len(specs) != 1 or preprocessing.input not in ("", specs[0].name):
        found = ", ".join(spec.name for spec in specs)
        raise InvalidDatasetError(
            f"The model has the inputs {found}, expected one that takes images"
            f"{f', {preprocessing.input!r}' if preprocessing.input else ''}. "
            "Give the samples of such a model as arrays, without a preprocessing.",
            reason="PREPROCESSING_MISMATCH",
        )
    model_extent(preprocessing, specs[0])
    return specs[0]


def model_extent(preprocessing: Preprocessing, spec: TensorSpec) -> Extent:
    """Returns height and width of the images that an input takes.

    Raises:
        InvalidDatasetError: the input takes no images of this preprocessing.
    """
    channel_axis = 1 if preprocessing.layout is ImageLayout.NCHW else 3
    shape = spec.shape
    is_image = spec.dtype == "float32" and len(shape) == 4
    found = shape[channel_axis] if is_image else None
    if found in (1, 3) and found != preprocessing.channels:
        raise _unfit(
            spec,
            f"and the preprocessing makes {_kind(preprocessing.channels)} images; set its "
            f'"channels" to {found} for {_kind(found)} ones',
        )
    if found != preprocessing.channels:
        raise _unfit(
            spec,
            f"expected float32 in the layout {preprocessing.layout.upper()} with "
            f"{preprocessing.channels} channels",
        )
    height, width = (shape[axis] for axis in ((2, 3) if channel_axis == 1 else (1, 2)))
    wanted = preprocessing.extent
    if wanted is None and (height is None or width is None):
        raise _unfit(spec, "and the preprocessing no size; give a resize or a crop")
    extent = wanted or Extent(height or 1, width or 1)
    if height not in (None, extent.height) or width not in (None, extent.width):
        raise _unfit(spec, f"the preprocessing makes {extent.height} x {extent.width} pixels")
    return extent


def normalize(pixels: Pixels, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Scales pixels [height, width, channels] to floats, in the preprocessing's layout.

    Other threads run meanwhile.
    """
    is_first = preprocessing.layout is ImageLayout.NCHW
    height, width, channels = pixels.shape
    result = np.empty((channels, height, width) if is_first else pixels.shape, np.float32)
    table = _table(preprocessing, channels)
    _engine.look_up_pixels(np.ascontiguousarray(pixels), table, is_first, result)
    return result


@lru_cache(maxsize=64)
def _table(preprocessing: Preprocessing, channels: int) -> NDArray[np.float32]:
    """Returns what each of the 256 values becomes, for each channel: rounded once."""
    values = np.arange(256, dtype=np.float64) * preprocessing.scale
    mean = np.array(preprocessing.mean)[:, None]
    std = np.array(preprocessing.std)[:, None]
    table = ((values - mean) / std).astype(np.float32)
    return np.ascontiguousarray(np.broadcast_to(table, (channels, len(values))))


def _fit(
    pixels: Pixels,
    preprocessing: Preprocessing,
    extent: Extent,
    name: str,
    error: type[SmidgenError],
) -> Pixels:
    """Resizes and crops; only what the crop keeps is computed."""
    height, width = _resized(pixels.shape[0], pixels.shape[1], preprocessing)
    if (
        height < extent.height
        or width < extent.width
        or (preprocessing.crop is None and (height, width) != (extent.height, extent.width))
    ):
        raise error(
            f"{name} has {pixels.shape[0]} x {pixels.shape[1]} pixels, which gives "
            f"{height} x {width}; expected {extent.height} x {extent.width}. "
            "Add a resize to the preprocessing.",
            reason="IMAGE_SIZE_MISMATCH",
        )
    return resize(
        pixels,
        height,
        width,
        preprocessing.resampling,
        rows=_middle(height, extent.height),
        columns=_middle(width, extent.width),
    )


def is_resized(height: int, width: int, preprocessing: Preprocessing) -> bool:
    """Tells whether images of a size get another one before they are cropped."""
    return _resized(height, width, preprocessing) != (height, width)


def _resized(height: int, width: int, preprocessing: Preprocessing) -> tuple[int, int]:
    if preprocessing.resize is not None:
        return preprocessing.resize.height, preprocessing.resize.width
    side = preprocessing.shorter_side
    if side is None:
        return height, width
    shorter = min(height, width)
    return (2 * height * side + shorter) // (2 * shorter), (2 * width * side + shorter) // (
        2 * shorter
    )


def _middle(whole: int, part: int) -> Window:
    start = (whole - part) // 2
    return start, start + part


def _kind(channels: int | None) -> str:
    return "grey" if channels == 1 else "coloured"


def _unfit(spec: TensorSpec, expected: str) -> InvalidDatasetError:
    return InvalidDatasetError(
        f"The input {spec.name!r} is {spec.dtype} {spec.describe_shape()}, {expected}. "
        "Give the preprocessing that the model was trained with.",
        reason="PREPROCESSING_MISMATCH",
        input=spec.name,
    )
