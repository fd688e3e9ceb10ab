"""Caps on images and on the archives that hold them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Caps, each checked before the memory it bounds is allocated or the time is spent.

    Attributes:
        file_bytes: Size of an archive.
        members: Files in an archive.
        encoded_bytes: Size of one encoded image.
        side: Height and width of one image.
        pixels: Pixels of one image.
        header_bytes: Bytes of one image up to where its size stands.
        segments: Segments of a JPEG up to there.
        chunks: Chunks of a PNG.
        scans: Scans of a JPEG.
        scanned_pixels: Scans of a JPEG times its pixels: each may cost a pass over all of them.
    """

    file_bytes: int = 4 << 30
    members: int = 500_000
    encoded_bytes: int = 32 << 20
    side: int = 16_384
    pixels: int = 1 << 25
    header_bytes: int = 1 << 20
    segments: int = 512
    chunks: int = 8192
    scans: int = 64
    scanned_pixels: int = 1 << 29


DEFAULT_LIMITS = ImageLimits()
