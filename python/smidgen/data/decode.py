"""Decodes JPEG and PNG images with Pillow, which is imported nowhere else.

Image decoders are C code on bytes of somebody else: the service calls this only in processes apart
from the server.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from smidgen.data.image_header import ImageReason, check_structure, read_image_header
from smidgen.data.limits import DEFAULT_LIMITS, ImageLimits
from smidgen.errors import InvalidDatasetError, SmidgenError
from smidgen.extras import require_images


def decode_image(
    data: bytes,
    channels: int,
    name: str,
    *,
    limits: ImageLimits = DEFAULT_LIMITS,
    error: type[SmidgenError] = InvalidDatasetError,
) -> NDArray[np.uint8]:
    """Decodes one image; transparency, orientation tags and color profiles are ignored.

    Args:
        data: A JPEG or PNG file.
        channels: 3 for red, green and blue, 1 for grey.
        name: What to call the image in errors.
        limits: Caps on it.
        error: The error class to raise for an image that is refused, with an ImageReason.

    Returns:
        [height, width, channels].

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    require_images()
    if len(data) > limits.encoded_bytes:
        raise error(
            f"{name} has {len(data)} bytes, expected at most {limits.encoded_bytes}. "
            "Compress it more.",
            reason=ImageReason.TOO_LARGE.value,
        )
    header = read_image_header(
        lambda offset, length: data[offset : offset + length], name, limits=limits, error=error
    )
    check_structure(data, header, name, limits=limits, error=error)
    return as_channels(_decode(data, header.kind.value, name, error), channels)


def as_channels(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Makes grey images of coloured ones by the luma of ITU-R BT.601, and coloured ones of grey.

    Shapes: pixels [..., 1 or 3]. Returns [..., channels].
    """
    if pixels.shape[-1] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=-1)
    wide = pixels.astype(np.uint32)
    luma = (19595 * wide[..., 0] + 38470 * wide[..., 1] + 7471 * wide[..., 2] + 32768) >> 16
    return luma.astype(np.uint8)[..., None]


def _decode(data: bytes, kind: str, name: str, error: type[SmidgenError]) -> NDArray[np.uint8]:
    from PIL import Image  # noqa: PLC0415  (an optional extra)

    try:
        with Image.open(io.BytesIO(data), formats=(kind,)) as image:
            mode = "L" if image.mode in ("1", "L", "LA") else "RGB"
            pixels = np.asarray(image.convert(mode))
    except MemoryError:
        raise
    except Exception as found:  # the decoders raise whatever their parsers run into
        raise error(
            f"{name} cannot be decoded ({type(found).__name__}). Save it again.",
            reason=ImageReason.MALFORMED.value,
        ) from found
    return pixels.reshape(*pixels.shape[:2], -1)
