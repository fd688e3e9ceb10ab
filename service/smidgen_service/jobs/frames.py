"""What server and worker say to each other: a JSON object, and raw bytes behind it.

A frame is the length of the JSON (4 bytes), the length of the bytes (8 bytes), both little endian,
then the JSON, then the bytes. Nothing in a frame is ever executed.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

_PREFIX = struct.Struct("<IQ")
_MOST_HEADER_BYTES = 64 << 20
_MOST_PAYLOAD_BYTES = 1 << 30


class FrameError(Exception):
    """The other side sent something that is not a frame."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message.

    Attributes:
        kind: What it is about.
        fields: Its JSON object.
        payload: The raw bytes, often none.
    """

    kind: str
    fields: Mapping[str, Any]
    payload: bytes = b""


def encode(kind: str, fields: Mapping[str, Any], payload_bytes: int = 0) -> bytes:
    """Returns a frame up to its payload, which the caller writes behind it."""
    header = json.dumps({**fields, "kind": kind}, allow_nan=True).encode()
    return _PREFIX.pack(len(header), payload_bytes) + header


async def read(stream: asyncio.StreamReader) -> Frame | None:
    """Reads a frame; None at the end of the stream, also in the middle of a frame."""
    try:
        header_bytes, payload_bytes = _lengths(await stream.readexactly(_PREFIX.size))
        header = await stream.readexactly(header_bytes)
        payload = await stream.readexactly(payload_bytes)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return _decode(header, payload)


def read_blocking(stream: BinaryIO) -> Frame | None:
    """Reads a frame as `read` does."""
    prefix = stream.read(_PREFIX.size)
    if len(prefix) < _PREFIX.size:
        return None
    header_bytes, payload_bytes = _lengths(prefix)
    header = stream.read(header_bytes)
    payload = stream.read(payload_bytes)
    if len(header) < header_bytes or len(payload) < payload_bytes:
        return None
    return _decode(header, payload)


def write_blocking(
    stream: BinaryIO, kind: str, fields: Mapping[str, Any], payload: bytes = b""
) -> None:
    """Writes a frame and flushes it."""
    stream.write(encode(kind, fields, len(payload)))
    stream.write(payload)
    stream.flush()


def _lengths(prefix: bytes) -> tuple[int, int]:
    header_bytes, payload_bytes = _PREFIX.unpack(prefix)
    if header_bytes > _MOST_HEADER_BYTES or payload_bytes > _MOST_PAYLOAD_BYTES:
        raise FrameError(f"frame of {header_bytes} + {payload_bytes} bytes is too long")
    return header_bytes, payload_bytes


def _decode(header: bytes, payload: bytes) -> Frame:
    try:
        fields = json.loads(header)
        return Frame(kind=str(fields["kind"]), fields=fields, payload=payload)
    except (ValueError, KeyError, TypeError) as error:
        raise FrameError("the header of a frame is not a JSON object with a kind") from error
