"""Large values at the edge of a message: taken out and put in without protobuf copying them.

A protobuf message is a row of fields, each a key and a value, and a field of bytes is its length
and the bytes. So the raw contents of a request can be views of the received bytes, and an answer
is what protobuf makes of the rest, followed by the fields of its raw contents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from smidgen_service.errors import InvalidArgumentError, TooLargeError, malformed_message

MOST_FIELDS = 1 << 13
"""Fields of a request: more than any model has inputs, outputs and parameters."""
MOST_HEAD_BYTES = 4 << 20
"""Bytes of a request beside its raw contents: what protobuf parses, value by value."""
_RAW_INPUT_CONTENTS_KEY = 7 << 3 | 2
_RAW_OUTPUT_CONTENTS_KEY = 6 << 3 | 2
_INFER_RESPONSE_KEY = 2 << 3 | 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}


def split_raw_contents(message: bytes) -> tuple[bytes, list[memoryview]]:
    """Returns a ModelInferRequest without its raw_input_contents, and these as views.

    Raises:
        InvalidArgumentError: the bytes are no message, or one of too many fields.
        TooLargeError: what is left is too large to be parsed value by value.
    """
    view = memoryview(message)
    kept: list[memoryview] = []
    contents: list[memoryview] = []
    start = 0
    for key, key_start, value_start, end in _fields(message):
        if key == _RAW_INPUT_CONTENTS_KEY:
            kept.append(view[start:key_start])
            contents.append(view[value_start:end])
            start = end
    kept.append(view[start:])
    head_bytes = sum(map(len, kept))
    if head_bytes > MOST_HEAD_BYTES:
        raise TooLargeError(
            f"the request has {head_bytes} bytes beside raw_input_contents, expected at most "
            f"{MOST_HEAD_BYTES}; send large tensors in raw_input_contents",
            reason="CONTENTS_TOO_LARGE",
            found=head_bytes,
            most=MOST_HEAD_BYTES,
        )
    return b"".join(kept), contents


def join_raw_contents(
    head: bytes, contents: Sequence[bytes | memoryview], *, is_in_stream: bool
) -> bytes:
    """Returns a ModelInferResponse with raw_output_contents, or the one of a stream that holds it.

    Args:
        head: The response without them.
        contents: The raw contents.
        is_in_stream: Whether it becomes the infer_response of a ModelStreamInferResponse.
    """
    pieces: list[bytes | memoryview] = [head]
    for content in contents:
        pieces += (_encoded(_RAW_OUTPUT_CONTENTS_KEY), _encoded(len(content)), content)
    if is_in_stream:
        size = sum(map(len, pieces))
        pieces[:0] = (_encoded(_INFER_RESPONSE_KEY), _encoded(size))
    return b"".join(pieces)


def _fields(message: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yields key, start of the key, start of the value and its end, of every field."""
    position, count = 0, 0
    while position < len(message):
        count += 1
        if count > MOST_FIELDS:
            raise _too_many_fields()
        key_start = position
        key, position = _varint(message, position)
        kind = key & 7
        size = _FIXED_BYTES.get(kind, 0)
        if kind == _BYTES:
            size, position = _varint(message, position)
        elif kind == _VARINT:
            size = _varint(message, position)[1] - position
        elif not size:
            raise malformed_message()  # groups, which nothing here has
        end = position + size
        if end > len(message) or not 0 < key >> 3 < 1 << 29:
            raise malformed_message()
        yield key, key_start, position, end
        position = end


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Returns a number of 7 bits a byte, least significant first, and where it ends."""
    value = shift = 0
    while position < len(data) and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise malformed_message()


def _encoded(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _too_many_fields() -> InvalidArgumentError:
    return InvalidArgumentError(
        f"the request has more than {MOST_FIELDS} fields, which no model needs; send fewer "
        "inputs, outputs and parameters",
        field="",
        reason="TOO_MANY_TENSORS",
    )
