"""Decoders from JSON values to typed records, to be combined into the table of a schema.

A decoder is a function from a JSON value to a typed one. It raises Mismatch, which gathers the path
to the value on its way out, so that nothing is paid for paths while all is well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import TypeAlias, TypeVar

from smidgen.formats.strict_json import JsonValue

T = TypeVar("T")
Decoder: TypeAlias = Callable[[JsonValue], T]


class Mismatch(ValueError):
    """A value does not have the form that the schema gives it.

    Attributes:
        keys: The way to the value, innermost key first.
    """

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.keys: list[str] = []

    def describe(self) -> str:
        """Returns the path and what was found there."""
        return f"{'.'.join(reversed(self.keys))[:200]}: {self}"


def _kind(value: JsonValue) -> str:
    return "null" if value is None else type(value).__name__


def integer(value: JsonValue) -> int:
    """Decodes an integer; true and false are none."""
    if type(value) is not int:
        raise Mismatch(f"found {_kind(value)}, expected an integer")
    return value


def boolean(value: JsonValue) -> bool:
    """Decodes true or false."""
    if not isinstance(value, bool):
        raise Mismatch(f"found {_kind(value)}, expected true or false")
    return value


def true(value: JsonValue) -> None:
    """Decodes the true that stands for none."""
    if value is not True:
        raise Mismatch(f"found {_kind(value)}, expected true")


def number(value: JsonValue) -> float:
    """Decodes a float, which the exporter may write as an integer or as one of three words."""
    if isinstance(value, str) and value in ("Infinity", "-Infinity", "NaN"):
        return float(value.replace("Infinity", "inf"))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Mismatch(f"found {_kind(value)}, expected a number")
    return float(value)


def string(max_length: int) -> Decoder[str]:
    """Makes a decoder of strings up to a length."""

    def decode(value: JsonValue) -> str:
        if not isinstance(value, str):
            raise Mismatch(f"found {_kind(value)}, expected a string")
        if len(value) > max_length:
            raise Mismatch(
                f"found a string of {len(value)} characters, at most {max_length} allowed"
            )
        return value

    return decode


def nullable(decoder: Decoder[T]) -> Decoder[T | None]:
    """Makes a decoder that lets null through."""
    return lambda value: None if value is None else decoder(value)


def list_of(item: Decoder[T], max_length: int) -> Decoder[tuple[T, ...]]:
    """Makes a decoder of lists up to a length."""

    def decode(value: JsonValue) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise Mismatch(f"found {_kind(value)}, expected a list")
        if len(value) > max_length:
            raise Mismatch(f"found {len(value)} items, at most {max_length} allowed")
        items: list[T] = []
        for index, element in enumerate(value):
            try:
                items.append(item(element))
            except Mismatch as mismatch:
                mismatch.keys.append(str(index))
                raise
        return tuple(items)

    return decode


def map_of(item: Decoder[T], max_length: int) -> Decoder[dict[str, T]]:
    """Makes a decoder of objects whose keys are free, up to a number of keys."""

    def decode(value: JsonValue) -> dict[str, T]:
        if not isinstance(value, dict):
            raise Mismatch(f"found {_kind(value)}, expected an object")
        if len(value) > max_length:
            raise Mismatch(f"found {len(value)} keys, at most {max_length} allowed")
        items: dict[str, T] = {}
        for key, element in value.items():
            try:
                items[key] = item(element)
            except Mismatch as mismatch:
                mismatch.keys.append(key)
                raise
        return items

    return decode


def record(
    build: Callable[..., T],
    fields: Mapping[str, Decoder[object]],
    *,
    optional: Set[str] = frozenset(),
    ignore_unknown: bool = False,
) -> Decoder[T]:
    """Makes a decoder of objects with exactly these fields; optional ones may be absent.

    Args:
        build: Called with the decoded fields by name.
        fields: A decoder for each field.
        optional: The fields that `build` has defaults for.
        ignore_unknown: Skip other keys instead of refusing them.
    """

    def decode(value: JsonValue) -> T:
        if not isinstance(value, dict):
            raise Mismatch(f"found {_kind(value)}, expected an object")
        decoded: dict[str, object] = {}
        for key, element in value.items():
            decoder = fields.get(key)
            if decoder is None:
                if ignore_unknown:
                    continue
                raise Mismatch(f"found the unknown key {key[:64]!r}")
            try:
                decoded[key] = decoder(element)
            except Mismatch as mismatch:
                mismatch.keys.append(key)
                raise
        if len(decoded) < len(fields):
            missing = sorted(fields.keys() - decoded.keys() - optional)
            if missing:
                raise Mismatch(f"the key {missing[0]!r} is missing")
        return build(**decoded)

    return decode


def union(members: Mapping[str, Decoder[T]]) -> Decoder[T]:
    """Makes a decoder of objects with exactly one key, which tells the type of its value."""

    def decode(value: JsonValue) -> T:
        if not isinstance(value, dict) or len(value) != 1:
            raise Mismatch("expected an object with exactly one key")
        ((key, element),) = value.items()
        decoder = members.get(key)
        if decoder is None:
            raise Mismatch(f"found the unknown alternative {key[:64]!r}")
        try:
            return decoder(element)
        except Mismatch as mismatch:
            mismatch.keys.append(key)
            raise

    return decode
