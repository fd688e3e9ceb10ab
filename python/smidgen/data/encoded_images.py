"""Encoded images in one file, by number: where each of them is, and its class.

Only places and classes are in memory, 16 bytes an image, or 28 in a zip archive; the images are
read from the file when they are asked for.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from array import array
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smidgen.data.decode import decode_image
from smidgen.data.image_header import ImageReason, read_image_header
from smidgen.data.limits import DEFAULT_LIMITS, ImageLimits
from smidgen.errors import InvalidDatasetError
from smidgen.regular_file import open_regular

UNLABELLED = -1
_NO_CHECKSUM = -1
_HEADER_BYTES = 1024


class ImagePlaces:
    """Collects where images are, as an archive is walked over.

    Args:
        path: The archive.
        limits: Caps.
        may_deflate: Whether images may be deflated in the file.
    """

    def __init__(
        self, path: Path, limits: ImageLimits = DEFAULT_LIMITS, *, may_deflate: bool = False
    ) -> None:
        self.path = path
        self.limits = limits
        self.may_deflate = may_deflate
        self.offsets = array("q")
        self.sizes = array("I")
        self.labels = array("i")
        self._packed_sizes = array("I")
        self._checksums = array("q")

    def __len__(self) -> int:
        return len(self.offsets)

    def add(
        self,
        offset: int,
        size: int,
        *,
        label: int,
        packed_size: int | None = None,
        crc: int = _NO_CHECKSUM,
    ) -> None:
        """Adds an image.

        Args:
            offset: Its first byte in the file.
            size: Its bytes.
            label: Its class, or UNLABELLED.
            packed_size: Its bytes in the file, where it is deflated there.
            crc: CRC-32 of what it inflates to, where it is deflated.

        Raises:
            InvalidDatasetError: It is too large.
        """
        if max(size, packed_size or 0) > self.limits.encoded_bytes:
            raise InvalidDatasetError(
                f"Image {len(self)} has {size} bytes, expected at most "
                f"{self.limits.encoded_bytes}. Compress it more.",
                reason=ImageReason.TOO_LARGE.value,
            )
        self.offsets.append(offset)
        self.sizes.append(size)
        self.labels.append(label)
        if self.may_deflate:
            self._packed_sizes.append(size if packed_size is None else packed_size)
            self._checksums.append(crc)

    def packed_size(self, index: int) -> int:
        """Returns an image's bytes in the file."""
        return self._packed_sizes[index] if self.may_deflate else self.sizes[index]

    def checksum(self, index: int) -> int | None:
        """Returns the CRC-32 of an image that is deflated in the file; None for all others."""
        crc = self._checksums[index] if self.may_deflate else _NO_CHECKSUM
        return None if crc == _NO_CHECKSUM else crc


class EncodedImages:
    """The images of an archive. The file must not change while they are in use.

    Attributes:
        labels: Class numbers [N] int64, or None where there are none.
        class_names: What the classes are called, where the archive says.

    Args:
        places: Where they are; at least one.
        class_names: Names of the classes by their number.

    Raises:
        InvalidDatasetError: DATASET_EMPTY, or DATASET_LABELS_INCOMPLETE.
    """

    def __init__(self, places: ImagePlaces, class_names: tuple[str, ...] = ()) -> None:
        if len(places) == 0:
            raise InvalidDatasetError(
                "The data set has no images. Write at least one sample.", reason="DATASET_EMPTY"
            )
        self._places = places
        self.class_names = class_names
        labels = np.frombuffer(places.labels, np.int32)
        labelled = int((labels != UNLABELLED).sum())
        if labelled not in (0, len(labels)):
            raise InvalidDatasetError(
                f"{labelled} of {len(labels)} images have a class. Give every image one, or none.",
                reason="DATASET_LABELS_INCOMPLETE",
                labelled=labelled,
                images=len(labels),
            )
        self.labels: NDArray[np.int64] | None = labels.astype(np.int64) if labelled else None
        self._digest: str | None = None

    @property
    def sample_count(self) -> int:
        """The number of images."""
        return len(self._places)

    def name(self, index: int) -> str:
        """Returns what to call an image in errors."""
        return f"Image {index} (at byte {self._places.offsets[index]} of the file)"

    def picture(self, index: int, channels: int) -> NDArray[np.uint8]:
        """Reads and decodes one image. Shape: [height, width, channels].

        Raises:
            InvalidDatasetError: With an ImageReason or a ZIP_ reason.
            MissingExtraError: Pillow is not installed.
        """
        data = self._read(index)
        return decode_image(data, channels, self.name(index), limits=self._places.limits)

    def check_headers(self) -> None:
        """Reads the header of every image, and decodes nothing.

        Raises:
            InvalidDatasetError: One is neither JPEG nor PNG, or too large.
        """
        with open_regular(self._places.path) as file:
            for index in range(self.sample_count):
                read_image_header(
                    self._taker(file.fileno(), index), self.name(index), limits=self._places.limits
                )

    def digest(self) -> str:
        """Returns the SHA-256 of the file, 64 hexadecimal digits."""
        if self._digest is None:
            with open_regular(self._places.path) as file:
                self._digest = hashlib.file_digest(file, "sha256").hexdigest()
        return self._digest

    def _taker(self, descriptor: int, index: int) -> Callable[[int, int], bytes]:
        places = self._places
        base, size = places.offsets[index], places.sizes[index]
        if places.checksum(index) is not None:
            return _inflating(_pread(descriptor, places, index), places.limits.header_bytes)
        start = os.pread(descriptor, min(size, _HEADER_BYTES), base)

        def take(offset: int, length: int) -> bytes:
            if offset + length <= len(start):
                return start[offset : offset + length]
            return os.pread(descriptor, max(min(length, size - offset), 0), base + offset)

        return take

    def _read(self, index: int) -> bytes:
        with open_regular(self._places.path) as file:
            data = _pread(file.fileno(), self._places, index)
        return data if self._places.checksum(index) is None else self._inflate(index, data)

    def _inflate(self, index: int, packed: bytes) -> bytes:
        size, stream = self._places.sizes[index], zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            # One byte more than stated tells an image that is too long from one that fits.
            data = stream.decompress(packed, size + 1)
        except zlib.error:
            raise self._damaged(index, "ZIP_BAD_DEFLATE") from None
        if len(data) != size or not stream.eof or stream.unused_data:
            raise self._damaged(index, "ZIP_BAD_SIZE")
        if zlib.crc32(data) != self._places.checksum(index):
            raise self._damaged(index, "ZIP_BAD_CRC")
        return data

    def _damaged(self, index: int, reason: str) -> InvalidDatasetError:
        return InvalidDatasetError(
            f"{self.name(index)} is not what the archive says of it. Write the file again.",
            reason=reason,
        )


def _inflating(packed: bytes, most: int) -> Callable[[int, int], bytes]:
    """Returns a function that inflates no more of an image than is asked for."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    data = bytearray()
    rest = packed

    def take(offset: int, length: int) -> bytes:
        nonlocal rest
        wanted = min(offset + length, most + _HEADER_BYTES)
        try:
            while len(data) < wanted and rest and not stream.eof:
                data.extend(stream.decompress(rest, max(wanted - len(data), _HEADER_BYTES)))
                rest = stream.unconsumed_tail
        except zlib.error:
            rest = b""
        return bytes(data[offset : offset + length])

    return take


def _pread(descriptor: int, places: ImagePlaces, index: int) -> bytes:
    return os.pread(descriptor, places.packed_size(index), places.offsets[index])
