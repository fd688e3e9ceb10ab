"""Encoded images as the input of a model that runs, with the bytes that training gave it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from smidgen.config import Extent, Preprocessing
from smidgen.data.decode import decode_image
from smidgen.data.preprocess import check_takes_images, model_extent, preprocess
from smidgen.errors import InvalidTensorError
from smidgen.tensor_spec import TensorSpec


def sample_images(
    images: Sequence[bytes], preprocessing: Preprocessing, specs: Sequence[TensorSpec]
) -> dict[str, NDArray[np.float32]]:
    """Returns the only input of a model by its name.

    Args:
        images: JPEG or PNG files, at least one.
        preprocessing: What to do to each of them.
        specs: The model's inputs.

    Raises:
        InvalidTensorError: An image is refused.
        InvalidDatasetError: The model takes no such images.
        MissingExtraError: Pillow is not installed.
    """
    spec = check_takes_images(specs, preprocessing)
    extent = model_extent(preprocessing, spec)
    return {spec.name: decode_samples(images, preprocessing, extent)}


def decode_samples(
    images: Sequence[bytes], preprocessing: Preprocessing, extent: Extent
) -> NDArray[np.float32]:
    """Decodes and preprocesses images, one after the other; only the samples are kept.

    Raises:
        InvalidTensorError: An image is refused.
        MissingExtraError: Pillow is not installed.
    """
    samples = []
    for index, data in enumerate(images):
        name = f"Image {index}"
        pixels = decode_image(data, preprocessing.channels, name, error=InvalidTensorError)
        samples.append(preprocess(pixels, preprocessing, extent, name, error=InvalidTensorError))
    return np.stack(samples)
