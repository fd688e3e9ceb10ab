"""Messages that hurt: hostile values in every field, and bytes that are no message at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from fuzz.recipe import Recipe

_BITS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_INTEGERS = [
    0,
    1,
    -1,
    2,
    3,
    7,
    8,
    100,
    1000,
    -1000,
    2**31 - 1,
    -(2**31),
    2**53 + 1,
    2**63,
    -(2**63),
]
_REALS = [
    *(0.0, 1.0, -1.0, 0.5, -0.0, 1e-300, 1e308, -1e308),
    *(float("inf"), float("-inf"), float("nan")),
]
_TEXTS = [
    *(
        "",
        " ",
        "a",
        "-",
        "A",
        "é",
        "\x00",
        "\r\nx: y",
        "\u202e",
        "\U0001f600" * 70,
        "'; DROP TABLE",
    ),
    *("models/", "models/a/b", "models/none", "models/../none", "../../etc/passwd", "%s%n{0}{x!r}"),
    *("x" * 5000, "/" * 300, "0" * 64, "f" * 64, "-1", "1e999", "9" * 400, "nan", "١٢٣"),
    *("calibrations/none", "jobs/none", "datasets/none", "uploads/none", "versions/1", "AAAA"),
    "'; DROP TABLE models; --",
    "123e4567-e89b-42d3-a456-426614174000",
]
_ENUMS = [-(2**31), -1, 0, 1, 2, 3, 4, 999, 2**31 - 1]
_MOST_DEPTH = 5
_DEEP = 400


def drawn(kind: Descriptor, recipe: Recipe, names: Sequence[str], depth: int = 0) -> Message:
    """Returns a message of hostile values, some of them names of what there is."""
    message = GetMessageClass(kind)()
    for field in kind.fields:
        if depth < _MOST_DEPTH and recipe.below(3):
            put(message, field, recipe, names, depth)
    return message


def edit(message: Message, recipe: Recipe, names: Sequence[str]) -> None:
    """Changes one or two fields of a message, however deep, in place."""
    for _ in range(1 + recipe.below(2)):
        inner = recipe.pick(_messages(message))
        fields: list[Any] = list(inner.DESCRIPTOR.fields)
        if not fields:
            continue
        field = recipe.pick(fields)
        if recipe.below(5) == 0:
            inner.ClearField(field.name)
        else:
            put(inner, field, recipe, names, 0)


def put(message: Message, field: Any, recipe: Recipe, names: Sequence[str], depth: int) -> None:
    """Sets a field, or adds to it, whatever its type."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        _put_entry(getattr(message, field.name), field, recipe, names, depth)
    elif field.is_repeated:
        items = getattr(message, field.name)
        for _ in range(recipe.pick([1, 1, 2, 3, 40])):
            if field.message_type is None:
                items.append(_scalar(field, recipe, names))
            else:
                items.add().CopyFrom(drawn(field.message_type, recipe, names, depth + 1))
    elif field.message_type is not None:
        inner = drawn(field.message_type, recipe, names, depth + 1)
        getattr(message, field.name).CopyFrom(inner)
    else:
        setattr(message, field.name, _scalar(field, recipe, names))


def no_message(recipe: Recipe) -> bytes:
    """Returns bytes that are a message of hardly any type."""
    number = 1 + recipe.below(15)
    made: Sequence[bytes] = (
        recipe.take(1 + recipe.below(64)),
        _nested(number, _DEEP),
        b"\x0b" * _DEEP,  # groups that begin and do not end
        bytes([number << 3 | 2, 2, 0xFF, 0xFE]),  # text that is not UTF-8
        b"\x0a\xff\xff\xff\xff\x0f",  # four gigabytes, of which none follows
        b"\x08" + b"\xff" * 10 + b"\x01",  # a number that is too long
        bytes([recipe.below(256)]) * (1 + recipe.below(2000)),
    )
    return recipe.pick(made)


def broken(encoded: bytes, recipe: Recipe) -> bytes:
    """Returns an encoded message cut off, or with bits flipped, or with bytes put in."""
    changed = bytearray(encoded or b"\x0a\x01a")
    match recipe.below(3):
        case 0:
            del changed[recipe.below(len(changed)) :]
        case 1:
            for _ in range(1 + recipe.below(8)):
                changed[recipe.below(len(changed))] ^= 1 << recipe.below(8)
        case _:
            at = recipe.below(len(changed) + 1)
            changed[at:at] = recipe.take(1 + recipe.below(8))
    return bytes(changed)


def _put_entry(entries: Any, field: Any, recipe: Recipe, names: Sequence[str], depth: int) -> None:
    key_field, value_field = (field.message_type.fields_by_name[n] for n in ("key", "value"))
    key = _scalar(key_field, recipe, names)
    if value_field.message_type is None:
        entries[key] = _scalar(value_field, recipe, names)
    else:
        entries[key].CopyFrom(drawn(value_field.message_type, recipe, names, depth + 1))


def _scalar(field: Any, recipe: Recipe, names: Sequence[str]) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return recipe.pick(names if names and recipe.below(2) else _TEXTS)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return recipe.pick([recipe.take(recipe.below(40)), bytes(4), bytes(70_000), b""])
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return bool(recipe.below(2))
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return recipe.pick(_ENUMS)
    if field.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return recipe.pick(_REALS)
    least, most = _BITS[field.cpp_type]
    return min(max(recipe.pick(_INTEGERS), least), most)


def _messages(message: Message) -> list[Message]:
    found = [message]
    for inner in found:
        for field, value in inner.ListFields():
            if field.message_type is None or field.message_type.GetOptions().map_entry:
                continue
            found.extend(value if field.is_repeated else [value])
    return found


def _nested(number: int, depth: int) -> bytes:
    """Returns messages in the field `number` of each other."""
    data = b""
    for _ in range(depth):
        length, size = len(data), bytearray()
        while length >= 0x80:
            size.append(length & 0x7F | 0x80)
            length >>= 7
        size.append(length)
        data = bytes([number << 3 | 2]) + bytes(size) + data
    return data
