"""The bytes of protobuf messages: a row of fields, each a key and a value."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor

from smidgen_service.errors import InvalidArgumentError, malformed_message

BYTES = 2
"""The wire type of what has a length: strings, bytes and messages."""
MOST_FIELDS = 1 << 13
"""Fields of a request, those of its parts among them: more than any needs."""
_VARINT, _FIXED64, _FIXED32 = 0, 1, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}
_FREE_BYTES = 1 << 14
"""A message of no more bytes is parsed sooner than looked at."""


def check_field_count(message: bytes, kind: Descriptor) -> None:
    """Refuses messages that take long to parse, by the thousands of their fields, before they do.

    A message of 64 MiB may consist of 32 million empty parts, which protobuf makes objects of for
    seconds, with the interpreter's lock held.

    Args:
        message: The message.
        kind: What it is.

    Raises:
        InvalidArgumentError: it has more than MOST_FIELDS fields, or is no message.
    """
    if len(message) <= _FREE_BYTES:
        return
    count = 0
    unseen: list[tuple[int, int, Descriptor]] = [(0, len(message), kind)]
    while unseen:
        start, end, kind = unseen.pop()
        parts = kind.fields_by_number
        for key, _, value_start, value_end in fields(message, start, end):
            count += 1
            if count > MOST_FIELDS:
                raise _too_many_fields()
            field = parts.get(key >> 3) if key & 7 == BYTES else None
            if field is not None and field.message_type is not None:
                unseen.append((value_start, value_end, field.message_type))


def fields(
    message: bytes, start: int = 0, end: int | None = None
) -> Iterator[tuple[int, int, int, int]]:
    """Yields key, start of the key, start of the value and its end, of every field.

    Args:
        message: The bytes.
        start: Where the fields begin.
        end: Where they end; None for the end of the bytes.

    Raises:
        InvalidArgumentError: they are no fields.
    """
    position = start
    stop = len(message) if end is None else end
    while position < stop:
        key_start = position
        key, position = _varint(message, position, stop)
        kind = key & 7
        size = _FIXED_BYTES.get(kind, 0)
        if kind == BYTES:
            size, position = _varint(message, position, stop)
        elif kind == _VARINT:
            size = _varint(message, position, stop)[1] - position
        elif not size:
            raise malformed_message()  # groups, which nothing here has
        value_end = position + size
        if value_end > stop or not 0 < key >> 3 < 1 << 29:
            raise malformed_message()
        yield key, key_start, position, value_end
        position = value_end


def only_field(
    message: bytes, wanted: int, start: int = 0, end: int | None = None
) -> tuple[int, int] | None:
    """Returns where the value of a field begins and ends, None unless there is exactly one.

    Args:
        message: The bytes.
        wanted: The key of the field: 8 times its number, and its wire type.
        start: Where the fields begin.
        end: Where they end; None for the end of the bytes.

    Raises:
        InvalidArgumentError: they are no fields.
    """
    found = [value for key, _, *value in fields(message, start, end) if key == wanted]
    return (found[0][0], found[0][1]) if len(found) == 1 else None


def encoded(value: int) -> bytes:
    """Returns a number as 7 bits a byte, least significant first."""
    if value < 0x80:
        return bytes((value,))
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    if value < 0x200000:  # nanoseconds of short calls
        return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14))
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def with_size(value: bytes) -> bytes:
    """Returns the bytes of a field of bytes behind its key."""
    return encoded(len(value)) + value


def _varint(data: bytes, position: int, stop: int) -> tuple[int, int]:
    """Returns a number of 7 bits a byte, least significant first, and where it ends."""
    value = shift = 0
    while position < stop and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise malformed_message()


def _too_many_fields() -> InvalidArgumentError:
    return InvalidArgumentError(
        f"a message has more than {MOST_FIELDS} fields, those of its parts among them; send fewer "
        "at a time",
        field="",
        reason="TOO_MANY_FIELDS",
        most=MOST_FIELDS,
    )
