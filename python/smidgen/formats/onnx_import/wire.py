"""The protobuf wire format, as far as it is needed to look at a message before it is parsed.

Source: protobuf's "Encoding" guide. A message is a sequence of fields, each a number, a wire type
and a value. Groups, which protobuf gave up long ago, are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smidgen.formats.onnx_import.reasons import OnnxReason
from smidgen.formats.refusal import refusal

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_MOST_VARINT_BYTES = 10
_MOST_VARINT = (1 << 64) - 1
_BLOCK = 1 << 20


class Field(NamedTuple):
    """One field of a message. A tuple, for a file may have a quarter of a million of them.

    Attributes:
        number: Which field it is.
        wire_type: How its value is written: VARINT, FIXED64, LENGTH or FIXED32.
        payload: Its bytes, where it is a text, bytes or a message; None where it is a number.
        start: Where it begins in the message, with its tag.
        end: Where it ends.
    """

    number: int
    wire_type: int
    payload: memoryview | None
    start: int
    end: int


def fields(message: memoryview) -> Iterator[Field]:
    """Yields the fields of a message in order.

    Raises:
        InvalidModelError: ONNX_MALFORMED, it is not a message.
    """
    position, end = 0, len(message)
    while position < end:
        start = position
        tag, position = message[start], start + 1
        if tag >= 0x80:  # nearly all are of one byte, and there may be very many of them
            tag, position = _varint(message, start)
        number, wire_type = tag >> 3, tag & 7
        if number == 0:
            raise _malformed("a field has the number 0")
        payload = None
        if wire_type == VARINT:
            _, position = _varint(message, position)
        elif wire_type == LENGTH:
            length, position = _varint(message, position)
            payload = message[position : position + length]
            position += length
        elif wire_type in (FIXED32, FIXED64):
            position += 4 if wire_type == FIXED32 else 8
        else:
            raise _malformed(f"a field has the wire type {wire_type}")
        if position > end:
            raise _malformed("a field is longer than what it is in")
        yield Field(number, wire_type, payload, start, position)


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    # Nearly all are of one byte, which needs no loop.
    if position < len(message) and message[position] < 0x80:
        return message[position], position + 1
    value = 0
    for index, byte in enumerate(message[position : position + _MOST_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if value > _MOST_VARINT:
                raise _malformed("a number does not fit 64 bits")
            return value, position + index + 1
    raise _malformed("a number does not end")


def unpack_varints(payload: memoryview, count: int) -> NDArray[np.int64]:
    """Returns packed integers; a negative one is written as what two's complement makes of it.

    Args:
        payload: The integers one after the other.
        count: How many there should be; where there are others, fewer or one more are returned.

    Raises:
        InvalidModelError: ONNX_MALFORMED, the last of them does not end, or one has too many bytes.
    """
    numbers = np.empty(min(count, len(payload)) + 1, np.int64)
    filled = position = 0
    while position < len(payload) and filled < len(numbers):
        block = np.frombuffer(payload[position : position + _BLOCK], np.uint8)
        found, used = _unpack_block(block)
        found = found[: len(numbers) - filled]
        numbers[filled : filled + len(found)] = found
        filled += len(found)
        position += used
    return numbers[:filled]


def _unpack_block(block: NDArray[np.uint8]) -> tuple[NDArray[np.int64], int]:
    """Returns the integers that a block has whole, and how many bytes they are."""
    ends = np.flatnonzero(block < 0x80)
    if not len(ends):
        raise _malformed("a number does not end")
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _MOST_VARINT_BYTES or len(block) - 1 - ends[-1] >= _MOST_VARINT_BYTES:
        raise _malformed("a number does not end")
    numbers = np.zeros(len(ends), np.uint64)
    for place in range(int(lengths.max())):
        reaching = np.flatnonzero(lengths > place)
        digits = block[starts[reaching] + place] & np.uint8(0x7F)
        numbers[reaching] |= digits.astype(np.uint64) << np.uint64(7 * place)
    return numbers.view(np.int64), int(ends[-1]) + 1


def _malformed(found: str) -> Exception:
    return refusal(OnnxReason.MALFORMED, f"it is not an ONNX file: {found}.")
