"""What a call of an ATen operator gives: new values, or what was there already. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from smidgen.graph import operations as ops
from smidgen.graph.arguments import Operand, PoolIndices, Statistic, Tensor
from smidgen.graph.operations import Shape


@dataclass(frozen=True, slots=True)
class Computed:
    """A new value: the operations one after the other, the first on `inputs`.

    Where all inputs are constants, so is the value, and it is evaluated at once.

    Attributes:
        operations: At least one.
        inputs: What the first of them reads; values that must be computed for it among them.
        shares_storage: The file's operator may return its first input itself.
        is_part: It is one of several parts of its first input, which have no element in common.
        statistics: The operator's further outputs; None for those that cannot be used.
    """

    operations: tuple[ops.Operation, ...]
    inputs: tuple[Tensor | Computed, ...]
    shares_storage: bool = False
    is_part: bool = False
    statistics: tuple[Statistic | PoolIndices | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Reshaped:
    """The same elements in another shape, perhaps in the same memory."""

    input: Tensor
    shape: Shape


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The first input itself, or a copy of it."""

    operand: Operand
    is_copy: bool = False


@dataclass(frozen=True, slots=True)
class Nothing:
    """The call has no output and no effect."""


@dataclass(frozen=True, slots=True)
class Several:
    """A value for each output of the call."""

    parts: tuple[Computed | Reshaped | Forwarded, ...]


Lowered: TypeAlias = "Computed | Reshaped | Forwarded | Several | Nothing"
