"""Preprocessings and augmentations."""

from __future__ import annotations

from smidgen.config import Augmentation, Extent, ImageLayout, Preprocessing, Resampling
from smidgen.errors import InvalidConfigError
from smidgen.v1 import preprocessing_pb2 as pb

_RESAMPLINGS = {
    pb.RESAMPLING_UNSPECIFIED: Resampling.BILINEAR,
    pb.RESAMPLING_BILINEAR: Resampling.BILINEAR,
    pb.RESAMPLING_BICUBIC: Resampling.BICUBIC,
}
_LAYOUTS = {
    pb.IMAGE_LAYOUT_UNSPECIFIED: ImageLayout.NCHW,
    pb.IMAGE_LAYOUT_NCHW: ImageLayout.NCHW,
    pb.IMAGE_LAYOUT_NHWC: ImageLayout.NHWC,
}


def preprocessing_from_message(message: pb.Preprocessing) -> Preprocessing:
    """Returns a preprocessing, with defaults where the message has none.

    Raises:
        InvalidConfigError: a value is out of its range, or an enum unknown.
    """
    defaults = Preprocessing()
    resampling = _RESAMPLINGS.get(message.resampling)
    layout = _LAYOUTS.get(message.layout)
    if resampling is None or layout is None:
        raise InvalidConfigError(
            "the preprocessing has a resampling or a layout that this server does not know",
            field="preprocessing",
        )
    return Preprocessing(
        input=message.input,
        channels=message.channels or defaults.channels,
        resize=_extent(message.resize) if message.HasField("resize") else None,
        shorter_side=message.shorter_side or None,
        crop=_extent(message.crop) if message.HasField("crop") else None,
        resampling=resampling,
        scale=message.scale or defaults.scale,
        mean=tuple(message.mean[:4]) or defaults.mean,
        std=tuple(message.std[:4]) or defaults.std,
        layout=layout,
    )


def augmentation_from_message(message: pb.Augmentation) -> Augmentation:
    """Returns an augmentation, with defaults where the message has none.

    Raises:
        InvalidConfigError: a value is out of its range.
    """
    return Augmentation(flip=message.flip, least_area=message.least_area or 1.0)


def _extent(message: pb.ImageExtent) -> Extent:
    return Extent(message.height, message.width)
