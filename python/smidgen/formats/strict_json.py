"""A strict reader of JSON: no duplicate keys, no NaN, no number beyond int64, no deep nesting."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import NoReturn, TypeAlias

from smidgen.errors import InvalidModelError, SmidgenError

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
# A few strings and what stands around them: taking out all of a text at once would need a list with
# an entry for each, which is two gigabytes for 32 MiB of quotes.
_STRETCH = re.compile(rb'(?:[^"]++|"[^"\\]*+(?:\\.[^"\\]*+)*+"){1,10000}+', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_INT64_DIGITS = 20
_MAX_DEPTH = 64
# A program has 50 to 66 values for each operator, 27 of them objects, its weights included: one of
# 2,500 operators, as few published models have, 165,000 and 67,000. While they are built, an object
# takes up to 190 bytes, an item of one up to 220, and either up to two microseconds.
_MAX_OBJECTS = 200_000
_MAX_VALUES = 500_000
_PART_BYTES = 1 << 20
_MAX_UNICODE_BYTES = 8 << 20  # one character beyond Latin makes all of a text four times as large


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
    error: type[SmidgenError] = InvalidModelError,
) -> JsonValue:
    """Parses UTF-8 JSON text of up to 32 MiB, in at most 128 MiB of memory besides the text.

    Args:
        data: The text.
        label: What the text is called in error messages.
        error: The error class to raise, with a reason that starts with JSON_.
    """
    try:
        _check_structure(data)
        text = _decode(data)
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


def _decode(data: bytes | memoryview) -> str:
    if len(data) > _MAX_UNICODE_BYTES and not _is_ascii(data):
        found = f"it has {len(data)} bytes with others than ASCII, expected {_MAX_UNICODE_BYTES}"
        raise _Refused(JsonReason.TOO_LARGE, f"{found} at most, or escapes")
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as undecodable:
        found = f"the text is not UTF-8 at byte {undecodable.start}"
        raise _Refused(JsonReason.MALFORMED, found) from None


def _is_ascii(data: bytes | memoryview) -> bool:
    """Tells whether a text is ASCII, part by part, for only bytes tell it and quickly."""
    return all(
        bytes(data[start : start + _PART_BYTES]).isascii()
        for start in range(0, len(data), _PART_BYTES)
    )


def _check_structure(data: bytes | memoryview) -> None:
    """Refuses deep and large texts before memory is spent on what they hold."""
    objects, values, strings, depth, position = 0, 1, 0, 0, 0
    # A string without an end ends the loop; the parser gets no further either.
    while stretch := _STRETCH.match(data, position):
        structure, found = _STRING.subn(b"", stretch.group())
        strings += found
        objects += structure.count(b"{")
        # Each comma and opening bracket brings one value at most, and there may be one without any.
        values += sum(map(structure.count, (b",", b"[", b"{")))
        _check_count("objects", objects, _MAX_OBJECTS)
        _check_count("values", values, _MAX_VALUES)
        _check_count("strings", strings, 2 * _MAX_VALUES)  # a key beside each value
        depth = _check_depth(structure, depth)
        position = stretch.end()


def _check_count(what: str, count: int, most: int) -> None:
    if count > most:
        raise _Refused(JsonReason.TOO_LARGE, f"it has more than {most} {what}")


def _check_depth(structure: bytes, depth: int) -> int:
    for bracket in structure.translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > _MAX_DEPTH:
            found = f"arrays and objects nest deeper than {_MAX_DEPTH} levels"
            raise _Refused(JsonReason.TOO_DEEP, found)
    return depth


def _unique(pairs: Sequence[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    result = dict(pairs)
    if len(result) != len(pairs):
        again = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        found = f"the key {again[:64]!r} occurs twice in one object"
        raise _Refused(JsonReason.DUPLICATE_KEY, found)
    return result


def _refuse_constant(text: str) -> NoReturn:
    raise _Refused(JsonReason.NOT_FINITE, f"{text} is not a JSON number")


def _int64(text: str) -> int:
    if len(text) < _INT64_DIGITS - 1:
        return int(text)
    value = int(text) if len(text) <= _INT64_DIGITS else 1 << 63
    if not -(1 << 63) <= value < 1 << 63:
        raise _Refused(JsonReason.INTEGER_RANGE, f"the integer {text[:32]} does not fit 64 bits")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _Refused(JsonReason.NOT_FINITE, f"the number {text[:32]} does not fit a double")
    return value
