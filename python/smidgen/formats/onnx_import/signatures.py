"""What an operator of ONNX takes at all, by the tables of the onnx package."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from onnx import defs

from smidgen.graph.arguments import ArgumentError


@cache
def _signature(operator: str, opset: int) -> tuple[frozenset[str], int] | None:
    """Returns the names of attributes and the most operands; None if there is no such operator."""
    if not defs.has(operator):
        return None
    try:
        schema = defs.get_schema(operator, opset)
    except defs.SchemaError:  # it came with a later version
        return None
    return frozenset(schema.attributes), schema.max_input


def check_signature(operator: str, opset: int, attributes: Iterable[str], operands: int) -> None:
    """Refuses what would else be passed over in silence, and might have changed what is computed.

    Raises:
        ArgumentError: The operator takes no such attribute, or not so many operands.
    """
    signature = _signature(operator, opset)
    if signature is None:
        return
    known, most = signature
    for name in attributes:
        if name not in known:
            raise ArgumentError(f"it takes no attribute {name[:64]!r} in opset {opset}")
    if operands > most:
        raise ArgumentError(f"it has {operands} operands, expected at most {most}")
