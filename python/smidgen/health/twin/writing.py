"""Writes the float twin of a program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from smidgen.errors import ProgramError
from smidgen.health.twin import attention, elementwise, layers, pooling, resizing
from smidgen.health.twin.errors import NoTwinError
from smidgen.health.twin.writer import TwinWriter
from smidgen.program import Program, verify

_RULES: Mapping[type[Any], Callable[[TwinWriter, Any], None]] = {
    **layers.RULES,
    **elementwise.RULES,
    **pooling.RULES,
    **resizing.RULES,
    **attention.RULES,
}


@dataclass(frozen=True, slots=True)
class FloatTwin:
    """A program in float.

    Attributes:
        program: Its outputs are the tensors of `names` that are no inputs.
        names: Which of its tensors, inputs among them, has the value of each wanted tensor of the
            program.
    """

    program: Program
    names: Mapping[str, str]


def float_twin(
    program: Program, watched: tuple[str, ...] = (), most_bytes: int | None = None
) -> FloatTwin:
    """Writes what a program would compute if its activations were neither rounded nor clipped.

    Weights are the program's, times their scales; activations that were fused into steps stay. What
    a program knows as tables is interpolated. So its answers differ from the program's by what the
    quantization of activations costs on these inputs, and by nothing else.

    Args:
        program: A verified program, whose health reference says which activations are fused.
        watched: Tensors whose values are wanted beside the outputs.
        most_bytes: Most memory of the twin's constants; None for no limit.

    Raises:
        NoTwinError: a step has no counterpart in float, or the twin would be too large.
    """
    writer = TwinWriter(program, most_bytes)
    for step in program.steps:
        _RULES.get(type(step), TwinWriter.copy)(writer, step)
    names = {name: writer.read(name) for name in (*program.outputs, *watched)}
    outputs = tuple(dict.fromkeys(n for n in names.values() if n not in program.inputs))
    twin = writer.finish(outputs)
    try:
        verify(twin)
    except ProgramError as error:
        raise NoTwinError(error.message) from error
    return FloatTwin(twin, names)
