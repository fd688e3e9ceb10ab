"""The protobuf wire format, as far as it is needed to look at a message before it is parsed.

Source: protobuf's "Encoding" guide. A message is a sequence of fields, each a number, a wire type
and a value. Groups, which protobuf gave up long ago, are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from smidgen.formats.onnx_import.reasons import OnnxReason, refusal

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MOST_VARINT_BYTES = 10


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message.

    Attributes:
        number: Which field it is.
        payload: Its bytes, where it is a text, bytes or a message; None where it is a number.
        encoded: All of it: tag, length and payload.
    """

    number: int
    payload: memoryview | None
    encoded: memoryview


def fields(message: memoryview) -> Iterator[Field]:
    """Yields the fields of a message in order.

    Raises:
        InvalidModelError: ONNX_MALFORMED, it is not a message.
    """
    position = 0
    while position < len(message):
        start = position
        tag, position = _varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        if number == 0:
            raise _malformed("a field has the number 0")
        payload = None
        if wire_type == _VARINT:
            _, position = _varint(message, position)
        elif wire_type == _LENGTH:
            length, position = _varint(message, position)
            payload = message[position : position + length]
            position += length
        elif wire_type in (_FIXED32, _FIXED64):
            position += 4 if wire_type == _FIXED32 else 8
        else:
            raise _malformed(f"a field has the wire type {wire_type}")
        if position > len(message):
            raise _malformed("a field is longer than what it is in")
        yield Field(number, payload, message[start:position])


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(message[position : position + _MOST_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise _malformed("a number does not end")


def _malformed(found: str) -> Exception:
    return refusal(OnnxReason.MALFORMED, f"it is not an ONNX file: {found}.")
