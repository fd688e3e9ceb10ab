"""Edits of protobuf messages that keep them well-formed."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from fuzz.recipe import Recipe

_INTEGERS = [0, 1, 2, 3, 4, 6, 7, 8, 10, 13, 16, 17, 255, 2**31 - 1, -1, -(2**31), 2**40, 2**63 - 1]
_REALS = [0.0, 1.0, -1.0, 0.5, 1e-30, 1e30, float("inf"), float("nan")]
_TEXTS = ["", "x", "w", "y", "Relu", "ai.onnx", "com.example", "axis", "same_upper", "\x00", "é"]
_MOST_EDITS = 8


def edit_message(message: Message, recipe: Recipe) -> None:
    """Changes a message in place, at a few places."""
    for _ in range(_MOST_EDITS):
        _edit_once(recipe.pick(_messages(message)), recipe)
        if recipe.is_over:
            return


def _messages(message: Message) -> list[Message]:
    found = [message]
    for inner in found:
        for field, value in inner.ListFields():
            if field.message_type is not None:
                found.extend(value if field.is_repeated else [value])
    return found


def _edit_once(message: Message, recipe: Recipe) -> None:
    """Changes one field: one that is set, or now and then any."""
    present = [field for field, _ in message.ListFields()]
    fields: list[Any] = present if present and recipe.below(4) else list(message.DESCRIPTOR.fields)
    field: Any = recipe.pick(fields)
    if recipe.below(8) == 0:
        message.ClearField(field.name)
    elif field.is_repeated:
        _edit_items(getattr(message, field.name), field, recipe)
    elif field.message_type is not None:
        getattr(message, field.name).SetInParent()
    else:
        setattr(message, field.name, _value(field, recipe))


def _edit_items(items: Any, field: Any, recipe: Recipe) -> None:
    choice, at = recipe.below(4), recipe.below(max(len(items), 1))
    if choice == 0 and len(items):
        del items[at]
    elif field.message_type is not None:
        added = items.add()
        if len(items) > 1 and choice != 1:
            added.CopyFrom(items[at])
    elif choice == 1 and len(items):
        items[at] = _value(field, recipe)
    else:
        items.append(_value(field, recipe))


def _value(field: Any, recipe: Recipe) -> Any:  # noqa: PLR0911 - one line for each type
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
            return recipe.pick(_REALS)
        case FieldDescriptor.CPPTYPE_ENUM:
            return recipe.pick(field.enum_type.values).number
        case FieldDescriptor.CPPTYPE_INT32:
            return max(min(recipe.pick(_INTEGERS), 2**31 - 1), -(2**31))
        case FieldDescriptor.CPPTYPE_UINT64:
            return abs(recipe.pick(_INTEGERS))
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_STRING:
            return recipe.pick(_TEXTS)
        case FieldDescriptor.CPPTYPE_STRING:
            return recipe.take(recipe.below(9))
        case _:
            return recipe.pick(_INTEGERS)
