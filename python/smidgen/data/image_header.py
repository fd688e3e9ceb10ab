"""What the first bytes of an encoded image say, read by rules of our own before anything decodes.

Formats: JPEG is ITU T.81, PNG is ISO/IEC 15948.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable
from dataclasses import dataclass

from smidgen.data.limits import DEFAULT_LIMITS, ImageLimits
from smidgen.errors import InvalidDatasetError, SmidgenError

Take = Callable[[int, int], bytes]
"""Returns so many bytes of an image from an offset on, fewer at its end."""

_PNG = b"\x89PNG\r\n\x1a\n"
_IHDR = struct.Struct(">L4s2L5BL")
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_OTHER_FRAMES = frozenset(range(0xC3, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _END_OF_IMAGE = 0xDA, 0xD9


class ImageKind(enum.StrEnum):
    """The image formats that are decoded, by the names that Pillow has for them."""

    JPEG = "JPEG"
    PNG = "PNG"


class ImageReason(enum.StrEnum):
    """Why an image is refused."""

    UNKNOWN_FORMAT = "IMAGE_UNKNOWN_FORMAT"
    MALFORMED = "IMAGE_MALFORMED"
    TOO_LARGE = "IMAGE_TOO_LARGE"
    TOO_COMPLEX = "IMAGE_TOO_COMPLEX"
    UNSUPPORTED_PIXELS = "IMAGE_UNSUPPORTED_PIXELS"


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Format and size of an image, within the limits."""

    kind: ImageKind
    height: int
    width: int


def read_image_header(
    take: Take,
    name: str,
    *,
    limits: ImageLimits = DEFAULT_LIMITS,
    error: type[SmidgenError] = InvalidDatasetError,
) -> ImageHeader:
    """Reads the header of a JPEG or PNG image.

    Args:
        take: Gives the image's bytes.
        name: What to call the image in errors.
        limits: Caps.
        error: The error class to raise, with an ImageReason.
    """
    reader = _Reader(name, limits, error)
    start = take(0, 33)
    if start.startswith(_PNG):
        return reader.png(start)
    if start.startswith(b"\xff\xd8\xff"):
        return reader.jpeg(take)
    raise reader.refusal(
        ImageReason.UNKNOWN_FORMAT, f"begins with {start[:8]!r}, expected a JPEG or a PNG"
    )


def check_structure(
    data: bytes,
    header: ImageHeader,
    name: str,
    *,
    limits: ImageLimits = DEFAULT_LIMITS,
    error: type[SmidgenError] = InvalidDatasetError,
) -> None:
    """Refuses images whose decoding would take far longer than their size says.

    Raises:
        SmidgenError: `error`, for too many scans or chunks.
    """
    reader = _Reader(name, limits, error)
    if header.kind is ImageKind.PNG:
        reader.count_chunks(data)
        return
    scans = data.count(b"\xff\xda")
    most = min(limits.scans, limits.scanned_pixels // (header.height * header.width))
    if scans > most:
        raise reader.refusal(
            ImageReason.TOO_COMPLEX,
            f"has {scans} scans of {header.height} x {header.width} pixels, expected at most "
            f"{most} of them",
        )


class _Reader:
    """Reads the header of one image."""

    def __init__(self, name: str, limits: ImageLimits, error: type[SmidgenError]) -> None:
        self._name = name
        self._limits = limits
        self._error = error

    def refusal(self, reason: ImageReason, found: str) -> SmidgenError:
        return self._error(
            f"{self._name} {found}. Save it again as an ordinary JPEG or PNG.", reason=reason.value
        )

    def png(self, start: bytes) -> ImageHeader:
        if len(start) < 33:
            raise self.refusal(ImageReason.MALFORMED, "is cut off in its header")
        length, kind, width, height, depth, color, packing, filters, interlace, _ = (
            _IHDR.unpack_from(start, 8)
        )
        if (length, kind) != (13, b"IHDR") or packing or filters or interlace > 1:
            raise self.refusal(ImageReason.MALFORMED, "has a malformed header")
        if color not in (0, 2, 3, 4, 6) or depth not in (1, 2, 4, 8):
            raise self.refusal(
                ImageReason.UNSUPPORTED_PIXELS,
                f"has pixels of color type {color} with {depth} bits, expected at most 8 bits",
            )
        return self._checked(ImageKind.PNG, height, width)

    def jpeg(self, take: Take) -> ImageHeader:
        position = 2
        for _ in range(self._limits.segments):
            head = take(position, 4) if position < self._limits.header_bytes else b""
            if len(head) < 4 or head[0] != 0xFF:
                break
            marker, length = head[1], int.from_bytes(head[2:], "big")
            if marker == 0xFF:  # a byte that fills
                position += 1
                continue
            if marker in _FRAMES:
                return self._frame(take(position + 4, 6))
            if marker in _OTHER_FRAMES:
                raise self.refusal(
                    ImageReason.UNSUPPORTED_PIXELS, "is lossless or hierarchical JPEG"
                )
            if marker in (0x00, 0x01, _SCAN, _END_OF_IMAGE) or 0xD0 <= marker < 0xD9 or length < 2:
                break
            position += 2 + length
        raise self.refusal(ImageReason.MALFORMED, "has no JPEG frame header where one is expected")

    def _frame(self, frame: bytes) -> ImageHeader:
        if len(frame) < 6:
            raise self.refusal(ImageReason.MALFORMED, "is cut off in its header")
        depth, height, width, components = struct.unpack(">B2HB", frame)
        if depth != 8 or components not in (1, 3):
            raise self.refusal(
                ImageReason.UNSUPPORTED_PIXELS,
                f"has {components} components of {depth} bits, expected 1 or 3 of 8 bits",
            )
        return self._checked(ImageKind.JPEG, height, width)

    def _checked(self, kind: ImageKind, height: int, width: int) -> ImageHeader:
        if height < 1 or width < 1:
            raise self.refusal(ImageReason.MALFORMED, "states that it has no pixels")
        if max(height, width) > self._limits.side or height * width > self._limits.pixels:
            raise self.refusal(
                ImageReason.TOO_LARGE,
                f"has {height} x {width} pixels, expected sides of at most {self._limits.side} "
                f"and at most {self._limits.pixels} pixels",
            )
        return ImageHeader(kind, height, width)

    def count_chunks(self, data: bytes) -> None:
        position = len(_PNG)
        for _ in range(self._limits.chunks):
            if position + 8 > len(data):
                raise self.refusal(ImageReason.MALFORMED, "is cut off between its chunks")
            length, kind = struct.unpack_from(">L4s", data, position)
            if kind == b"IEND":
                return
            position += 12 + length
        raise self.refusal(
            ImageReason.TOO_COMPLEX,
            f"has more chunks than the {self._limits.chunks} that are allowed",
        )
