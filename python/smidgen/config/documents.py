"""Options as plain JSON values and back, strictly: what is unknown is refused."""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, cast

from smidgen.errors import InvalidConfigError

T = TypeVar("T")


def to_document(config: object) -> dict[str, Any]:
    """Returns a frozen dataclass as a JSON object; nested ones, enums and tuples included."""
    assert is_dataclass(config)
    return {field.name: _plain(getattr(config, field.name)) for field in fields(config)}


def from_document(kind: type[T], document: object) -> T:
    """Rebuilds what to_document wrote. Fields that are missing take their defaults.

    Args:
        kind: The dataclass.
        document: A JSON object.

    Raises:
        InvalidConfigError: a field is unknown, missing without a default, of another type or out
            of its range; the error names it.
    """
    return cast(T, _value(kind, document, ""))


def _plain(value: object) -> object:
    if isinstance(value, enum.Enum):
        return value.value
    if is_dataclass(value):
        return to_document(value)
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    return value


def _value(kind: Any, document: object, path: str) -> object:
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        if document is None:
            return None
        (kind,) = (choice for choice in typing.get_args(kind) if choice is not type(None))
        return _value(kind, document, path)
    if origin is tuple:
        return _tuple(typing.get_args(kind)[0], document, path)
    if is_dataclass(kind):
        return _dataclass(cast("type[object]", kind), document, path)
    if issubclass(kind, enum.Enum):
        return _enum(kind, document, path)
    return _scalar(kind, document, path)


def _dataclass(kind: type[Any], document: object, path: str) -> object:
    if not isinstance(document, Mapping):
        raise _mismatch(path, document, "an object")
    types_of = typing.get_type_hints(kind)
    unknown = sorted(str(name) for name in document if name not in types_of)
    if unknown:
        raise InvalidConfigError(
            f"{_join(path, unknown[0])} is not an option; expected {', '.join(types_of)}",
            reason="UNKNOWN_OPTION",
            field=_join(path, unknown[0]),
        )
    values = {
        name: _value(types_of[name], value, _join(path, name)) for name, value in document.items()
    }
    try:
        return kind(**values)
    except TypeError as error:
        raise _mismatch(path, document, "an object with all its fields") from error


def _tuple(kind: Any, document: object, path: str) -> tuple[object, ...]:
    if not isinstance(document, list):
        raise _mismatch(path, document, "a list")
    return tuple(_value(kind, entry, f"{path}[{i}]") for i, entry in enumerate(document))


def _enum(kind: type[enum.Enum], document: object, path: str) -> enum.Enum:
    choices = [member.value for member in kind]
    if document not in choices:
        raise _mismatch(path, document, f"one of {', '.join(map(str, choices))}")
    return kind(document)


def _scalar(kind: type[object], document: object, path: str) -> object:
    is_bool = isinstance(document, bool)
    if kind is float and isinstance(document, int | float) and not is_bool:
        try:
            return float(document)
        except OverflowError as error:
            raise _mismatch(path, document, "a number that a float can hold") from error
    if isinstance(document, kind) and is_bool == (kind is bool):
        return document
    raise _mismatch(path, document, f"a value of type {kind.__name__}")


def _mismatch(path: str, found: object, expected: str) -> InvalidConfigError:
    name = path or "the configuration"
    return InvalidConfigError(
        f"{name} is {str(found)[:80]!r}, expected {expected}",
        reason="INVALID_OPTION",
        field=name,
    )


def _join(path: str, name: str) -> str:
    return f"{path}.{name[:80]}" if path else name[:80]
