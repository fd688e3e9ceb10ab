"""Calls on values whose samples are not the first axis of the file's tensor. Needs no torch.

Such values are Joined (see arrangement.py). What only names axes in another order or size adds no
operation; all else runs on the values [N, ...] with the axes that the file means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from smidgen.graph.arguments import (
    JOINED_SAMPLES,
    Activation,
    Joined,
    Operand,
    UnsupportedCase,
    Value,
)
from smidgen.graph.arrangement import Arranger, size
from smidgen.graph.assembly import Assembly, Origin
from smidgen.graph.joined_binding import BATCH_NORMS, bind_call
from smidgen.graph.layer_lowering import batch_norm_of_joined
from smidgen.graph.operator import Operator
from smidgen.graph.rearranging import REARRANGING, filled

_FILLING = frozenset({
    "new_ones.default", "new_zeros.default", "ones.default", "zeros.default", "full.default",
})  # fmt: skip
_COPYING = frozenset({
    "contiguous.default", "reshape.default", "flatten.using_ints", "reshape_as.default",
})  # fmt: skip
"""Operators that copy what does not lie in memory as they need it, and else return a view."""
_SIZE = "sym_size.int"


def apply(
    assembly: Assembly, origin: Origin, operator: Operator, arguments: Mapping[str, Value]
) -> list[Operand | None]:
    """Adds a call to a model, of which any argument may be Joined.

    What may be a copy of the value that it was made from is noted to be one.

    Args:
        assembly: The model.
        origin: Where the call stands.
        operator: What is called.
        arguments: What it is called with.

    Raises:
        UnsupportedCase: The operator may mix samples.
    """
    results = list(
        assembly.trained.through(
            arguments.values(), lambda: _applied(assembly, origin, operator, arguments)
        )
    )
    if operator.name not in _COPYING and arguments.get("memory_format") is None:
        return results
    return [
        replace(value, value=assembly.perhaps_copied(value.value))
        if isinstance(value, Joined)
        else assembly.perhaps_copied(value)
        if isinstance(value, Activation)
        else value
        for value in results
    ]


def _applied(
    assembly: Assembly, origin: Origin, operator: Operator, arguments: Mapping[str, Value]
) -> list[Operand | None]:
    rearrange, is_filling = REARRANGING.get(operator.name), operator.name in _FILLING
    has_joined = any(map(_has_joined, arguments.values()))
    if not has_joined and not rearrange and not is_filling:
        return assembly.apply(origin, operator.call(arguments, assembly))
    operator.check(arguments)
    arranger = Arranger(assembly, origin)
    moved = rearrange(arranger, arguments) if rearrange else None
    if is_filling:
        moved = filled(arranger, operator, arguments)
    if moved is not None:
        return [moved]
    if not has_joined:
        return assembly.apply(origin, operator.call(arguments, assembly))
    source = arguments.get("self")
    if operator.name == _SIZE and isinstance(source, Joined):
        axis = arguments.get("dim")
        return [size(source, axis if isinstance(axis, int) else 0)]
    if operator.is_in_place:
        raise UnsupportedCase(f"writing to {JOINED_SAMPLES}")
    call = bind_call(arranger, operator, arguments)
    if operator.name in BATCH_NORMS:
        operator = replace(operator, lower=batch_norm_of_joined)
    results = assembly.apply(origin, operator.call(call.arguments, assembly))
    return [
        arranger.plain(Joined(value, call.axes_of(value)))
        if isinstance(value, Activation)
        else value
        for value in results
    ]


def _has_joined(value: Value) -> bool:
    if isinstance(value, tuple):
        return any(isinstance(item, Joined) for item in value)
    return isinstance(value, Joined)
