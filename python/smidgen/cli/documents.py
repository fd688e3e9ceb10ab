"""Turns messages of the protocol into plain values for JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
"""What a JSON document holds."""


def to_document(message: Message) -> dict[str, Json]:
    """Lists a message's fields by name.

    Unlike protobuf's own JSON mapping, 64-bit integers are numbers, times RFC 3339, durations
    seconds, and fields without a value are there unless their absence means something.
    """
    return {
        field.name: _field(field, getattr(message, field.name))
        for field in message.DESCRIPTOR.fields
        if not field.has_presence or message.HasField(field.name)
    }


def finite(value: Json) -> Json:
    """Replaces what JSON cannot say, NaN and infinities, by null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [finite(item) for item in value]
    return value


def _field(field: Any, value: Any) -> Json:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return dict(value)
    if field.is_repeated:
        return [_value(field, item) for item in value]
    return _value(field, value)


def _value(field: Any, value: Any) -> Json:
    if isinstance(value, Timestamp):
        return value.ToJsonString()
    if isinstance(value, Duration):
        return value.ToNanoseconds() / 1e9
    if isinstance(value, Message):
        return to_document(value)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else int(value)
    return cast(Json, value)
