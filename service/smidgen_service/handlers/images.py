"""Images of an Infer request, as the input of the version that runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smidgen.config import Extent, ImageLayout, Preprocessing
from smidgen.data.decode import as_channels
from smidgen.data.limits import DEFAULT_LIMITS
from smidgen.data.preprocess import check_takes_images, is_resized, model_extent, preprocess
from smidgen.errors import InvalidTensorError
from smidgen.tensor_spec import TensorSpec
from smidgen_service.errors import FailedPreconditionError
from smidgen_service.handlers.decoding import ImageDecoder
from smidgen_service.handlers.tensors import RawTensor
from smidgen_service.threads import Threads

_BRIEF_VALUES = 1 << 18
"""Values that are looked up in some 0.2 ms: an image of 224 x 224 pixels, not two."""


@dataclass(frozen=True, slots=True)
class RawImages:
    """Images as they crossed the wire: encoded, or as pixels.

    Attributes:
        encoded: Image files.
        pixels: Images without a file around them.
        input_name: The input that they are for, if the request says so.
    """

    encoded: Sequence[bytes | memoryview]
    pixels: RawTensor | None
    input_name: str = ""

    @property
    def count(self) -> int:
        """The number of images."""
        if self.pixels is not None:
            return self.pixels.shape[0] if self.pixels.shape else 0
        return len(self.encoded)

    def with_pixels(self, data: bytes | memoryview) -> RawImages:
        """Returns other pixels of the same shape."""
        assert self.pixels is not None
        return RawImages(self.encoded, self.pixels.with_values(data), self.input_name)


class ImageInputs:
    """Makes inputs of images.

    Args:
        decoder: Decodes.
        threads: For preprocessing pixels.
        most_bytes: Most bytes of all samples of a request.
    """

    def __init__(self, decoder: ImageDecoder, threads: Threads, *, most_bytes: int) -> None:
        self._decoder = decoder
        self._threads = threads
        self._most_bytes = most_bytes

    async def arrays(
        self,
        images: RawImages,
        preprocessing: Preprocessing | None,
        specs: Sequence[TensorSpec],
        version_name: str,
    ) -> dict[str, NDArray[np.generic]]:
        """Returns the input by its name.

        Raises:
            FailedPreconditionError: the version does not record a preprocessing.
            InvalidTensorError: an image is refused, or there are too many.
        """
        if preprocessing is None:
            raise FailedPreconditionError(
                f"{version_name} does not say how images become its input; convert with a "
                "preprocessing, or send tensors",
                reason="PREPROCESSING_MISSING",
                resource_name=version_name,
            )
        spec = check_takes_images(specs, preprocessing)
        if images.input_name not in ("", spec.name):
            raise InvalidTensorError(
                f"the model has no input {images.input_name[:80]!r}; images are for {spec.name!r}",
                reason="INPUT_UNKNOWN",
                field="inputs",
                tensor=images.input_name[:80],
            )
        extent = model_extent(preprocessing, spec)
        shape = self._shape(images.count, preprocessing, extent, spec)
        if images.pixels is not None:
            pixels = check_pixels(images.pixels)
            if _is_brief(pixels, preprocessing):
                array = _preprocess_all(pixels, preprocessing, extent)
            else:
                array = await self._threads.run(_preprocess_all, pixels, preprocessing, extent)
        else:
            samples = await self._decoder.decode(images.encoded, preprocessing, extent)
            array = np.frombuffer(samples, np.float32)
        return {spec.name: array.reshape(shape)}

    def _shape(
        self, count: int, preprocessing: Preprocessing, extent: Extent, spec: TensorSpec
    ) -> tuple[int, ...]:
        sample = (preprocessing.channels, extent.height, extent.width)
        if preprocessing.layout is ImageLayout.NHWC:
            sample = (extent.height, extent.width, preprocessing.channels)
        found = 4 * count * math.prod(sample)
        if found > self._most_bytes:
            raise InvalidTensorError(
                f"{count} images make {found} bytes of samples, expected at most "
                f"{self._most_bytes}; send fewer at a time",
                reason="INFERENCE_TOO_LARGE",
                field="images",
            )
        if not spec.accepts_shape((count, *sample)):
            raise InvalidTensorError(
                f"there are {count} images, expected {spec.shape[0] or 'at least 1'}",
                reason="TENSOR_SHAPE_MISMATCH",
                field="images",
            )
        return (count, *sample)


def check_pixels(tensor: RawTensor) -> NDArray[np.uint8]:
    """Returns pixels [N, height, width, 1 or 3] as a view of the bytes.

    Raises:
        InvalidTensorError: type, shape or length does not fit.
    """
    found = "[" + ", ".join(map(str, tensor.shape)) + "]"
    if tensor.dtype != "uint8":
        raise InvalidTensorError(
            f"pixels have type {tensor.dtype}, expected uint8",
            reason="TENSOR_DTYPE_MISMATCH",
            field="pixels",
        )
    most = DEFAULT_LIMITS.side
    if (
        len(tensor.shape) != 4
        or tensor.shape[3] not in (1, 3)
        or min(tensor.shape) < 1
        or max(tensor.shape[1:3]) > most
    ):
        raise InvalidTensorError(
            f"pixels have shape {found}, expected samples, height, width and 1 or 3 channels, "
            f"with sides of 1 to {most}",
            reason="TENSOR_SHAPE_MISMATCH",
            field="pixels",
        )
    if len(tensor.data) != math.prod(tensor.shape):
        raise InvalidTensorError(
            f"pixels of shape {found} have {len(tensor.data)} bytes of data, expected "
            f"{math.prod(tensor.shape)}",
            reason="TENSOR_LENGTH_MISMATCH",
            field="pixels",
        )
    return np.frombuffer(tensor.data, np.uint8).reshape(tensor.shape)


def _is_brief(pixels: NDArray[np.uint8], preprocessing: Preprocessing) -> bool:
    """Tells whether pixels become samples in less time than a thread takes to begin."""
    _, height, width, _ = pixels.shape
    return pixels.size <= _BRIEF_VALUES and not is_resized(height, width, preprocessing)


def _preprocess_all(
    pixels: NDArray[np.uint8], preprocessing: Preprocessing, extent: Extent
) -> NDArray[np.float32]:
    samples = [
        preprocess(
            as_channels(image, preprocessing.channels),
            preprocessing,
            extent,
            f"Image {index}",
            error=InvalidTensorError,
        )
        for index, image in enumerate(pixels)
    ]
    # Copied where there are several.
    return np.stack(samples) if len(samples) != 1 else samples[0][np.newaxis]
