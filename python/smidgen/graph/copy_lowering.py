"""Calls that give their input itself, a copy of it, or nothing. Needs no torch."""

from __future__ import annotations

from smidgen.graph import operations as ops
from smidgen.graph.arguments import Arguments, Constant, TypeNumber, UnsupportedCase
from smidgen.graph.lowered import Computed, Forwarded, Lowered, Nothing
from smidgen.graph.operations import BOOL, FLOAT32, INT64


def forward(arguments: Arguments) -> Lowered:
    """aten.alias.default and aten.detach.default."""
    return Forwarded(arguments.tensor("self"))


def contiguous(arguments: Arguments) -> Lowered:
    """aten.contiguous.default, which copies what is not in order."""
    value = arguments.tensor("self")
    is_copy = isinstance(value, Constant) and not value.array.flags.c_contiguous
    return Forwarded(value, is_copy=is_copy)


def clone(arguments: Arguments) -> Lowered:
    """aten.clone.default."""
    return Forwarded(arguments.tensor("self"), is_copy=True)


def to_dtype(arguments: Arguments) -> Lowered:
    """aten.to.dtype, aten.to.device and aten.to.dtype_layout."""
    dtype, value = arguments["dtype"], arguments.tensor("self")
    name = dtype.name if isinstance(dtype, TypeNumber) else value.dtype
    name = INT64 if name == "int32" else name  # a position that int32 holds is no other in int64
    if name == value.dtype:
        return Forwarded(value, is_copy=arguments.flag("copy"))
    if name not in (FLOAT32, INT64, BOOL):
        raise UnsupportedCase(f"a change of the element type to {name}")
    return Computed((ops.Cast(name),), (value,))


def nothing(arguments: Arguments) -> Lowered:
    """Assertions: what they assert is checked here in any case."""
    return Nothing()
