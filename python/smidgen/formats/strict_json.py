"""A strict reader of JSON: no duplicate keys, no NaN, no number beyond int64, no deep nesting."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import NoReturn, TypeAlias

from smidgen.errors import InvalidModelError, SmidgenError

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_INT64_DIGITS = 20
_MAX_DEPTH = 64
_MAX_VALUES = 1_500_000  # 32 MiB of a real program have fewer; one of them takes up to 200 bytes


class JsonReason(StrEnum):
    """Why a JSON text is refused."""

    DUPLICATE_KEY = "JSON_DUPLICATE_KEY"
    INTEGER_RANGE = "JSON_INTEGER_RANGE"
    MALFORMED = "JSON_MALFORMED"
    NOT_FINITE = "JSON_NOT_FINITE"
    TOO_DEEP = "JSON_TOO_DEEP"
    TOO_LARGE = "JSON_TOO_LARGE"


class _Refused(ValueError):
    def __init__(self, reason: JsonReason, found: str) -> None:
        super().__init__(found)
        self.reason = reason


def parse_json(
    data: bytes | memoryview,
    *,
    label: str,
    max_depth: int = _MAX_DEPTH,
    max_values: int = _MAX_VALUES,
    error: type[SmidgenError] = InvalidModelError,
) -> JsonValue:
    """Parses UTF-8 JSON text.

    Args:
        data: The text.
        label: What the text is called in error messages.
        max_depth: How deep arrays and objects may nest.
        max_values: How many values there may be, each of which takes more memory than text.
        error: The error class to raise, with a reason that starts with JSON_.
    """
    try:
        text = _decode(bytes(data))
        _check_structure(bytes(data), max_depth, max_values)
        value: JsonValue = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_int=_int64,
            parse_float=_finite,
        )
    except _Refused as refused:
        raise error(f"{label}: {refused}.", reason=refused.reason.value) from None
    except ValueError as malformed:
        raise error(
            f"{label} is not JSON: {malformed}.", reason=JsonReason.MALFORMED.value
        ) from None
    return value


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as undecodable:
        found = f"the text is not UTF-8 at byte {undecodable.start}"
        raise _Refused(JsonReason.MALFORMED, found) from None


def _check_structure(data: bytes, max_depth: int, max_values: int) -> None:
    """Refuses deep and large texts before memory is spent on what they hold."""
    structure = _STRING.sub(b"", data)
    # Each comma and opening bracket brings one value at most, and there may be one without any.
    count = 1 + sum(map(structure.count, (b",", b"[", b"{")))
    if count > max_values:
        raise _Refused(JsonReason.TOO_LARGE, f"it has more than {max_values} values")
    depth = 0
    for bracket in structure.translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > max_depth:
            found = f"arrays and objects nest deeper than {max_depth} levels"
            raise _Refused(JsonReason.TOO_DEEP, found)


def _unique(pairs: Iterable[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    result: dict[str, JsonValue] = {}
    for key, value in pairs:
        if key in result:
            found = f"the key {key[:64]!r} occurs twice in one object"
            raise _Refused(JsonReason.DUPLICATE_KEY, found)
        result[key] = value
    return result


def _refuse_constant(text: str) -> NoReturn:
    raise _Refused(JsonReason.NOT_FINITE, f"{text} is not a JSON number")


def _int64(text: str) -> int:
    value = int(text) if len(text) <= _INT64_DIGITS else 1 << 63
    if not -(1 << 63) <= value < 1 << 63:
        raise _Refused(JsonReason.INTEGER_RANGE, f"the integer {text[:32]} does not fit 64 bits")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _Refused(JsonReason.NOT_FINITE, f"the number {text[:32]} does not fit a double")
    return value
