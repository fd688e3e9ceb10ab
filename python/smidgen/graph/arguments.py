"""Binding the arguments of an ATen operator to its schema. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from functools import cache
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from smidgen.graph.operations import BOOL, FLOAT32, INT64, Pair, Shape

MAX_EXTENT = (1 << 31) - 1
JOINED_SAMPLES = "samples that are joined with another axis or behind one"
"""What is told of a Joined value where an operator cannot read one."""
SAMPLES_FIRST = (
    "expected the samples along its first axis alone: transpose or reshape it so in the model"
)
"""What is told of an output that is Joined."""
_MOST_FLOAT = float(np.finfo(np.float32).max)


class ArgumentError(ValueError):
    """An argument does not fit the operator's schema."""


class UnsupportedCase(Exception):
    """An operator that is supported is used in a way that is not."""


class TooManyConstants(UnsupportedCase):
    """Constants would take more memory than a model needs, whether an output needs them or not."""


class TooManyOperations(Exception):
    """A model is of more operations than any program has: few calls of a file may mean many."""


@cache
def name_of(dtype: np.dtype[Any]) -> str:
    """Returns what an element type is called; NumPy puts the name together anew each time."""
    return dtype.name


@dataclass(frozen=True, slots=True)
class Activation:
    """A value of the graph.

    Attributes:
        number: The value's number.
        shape: Its shape.
        storage: Number of the memory it lives in; values that are views of each other share it.
        dtype: Its element type.
        copy: Number of the last operator that may have copied it into memory of its own, so that
            writing to the one may or may not write to the other; 0 if none did.
        within: Memory that its own is a part of, the nearest first.
    """

    number: int
    shape: Shape
    storage: int
    dtype: str = FLOAT32
    copy: int = 0
    within: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Weight:
    """A parameter, buffer or constant by its name. The shape is that before transposition."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    is_transposed: bool = False
    array: NDArray[Any] = field(default_factory=lambda: np.empty(0), compare=False, repr=False)
    is_parameter: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A value that follows from the file alone, known while the graph is read."""

    array: NDArray[Any]

    @property
    def dtype(self) -> str:
        """Its element type."""
        return name_of(self.array.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.array.shape


@dataclass(frozen=True, slots=True)
class Statistic:
    """The next value of a buffer of a batch normalization."""

    buffer: str


@dataclass(frozen=True, slots=True)
class PoolIndices:
    """Where the greatest elements of windows stand; the second output of a pool.

    Attributes:
        source: The images [N, C, H, W].
        window: Height and width of windows that lie side by side, or None for others.
    """

    source: Activation
    window: Pair | None


class BatchSize(Enum):
    """The symbolic batch size."""

    BATCH_SIZE = "batch size"


@dataclass(frozen=True, slots=True)
class BatchRange:
    """The numbers of the samples, 0 to the batch size without it, along one axis of several.

    Attributes:
        rank: Number of axes; all but one have one element.
        axis: The axis of the numbers.
    """

    rank: int = 1
    axis: int = 0


@dataclass(frozen=True, slots=True)
class BatchMultiple:
    """The batch size times a number above 1."""

    factor: int


@dataclass(frozen=True, slots=True)
class Joined:
    """A value [N, ...] whose samples are not along the first axis of the file's tensor alone.

    A file's [N * k, ...] is a value [N, k, ...] with the axes ((0, 1), (2,), ...), and its
    [S, N, ...] a value [N, S, ...] with the axes ((1,), (0,), (2,), ...).

    Attributes:
        value: The value.
        axes: For each axis of the file the axes of the value that it runs over, the last one
            fastest; none for an axis of one element that the value does not have.
    """

    value: Activation
    axes: tuple[tuple[int, ...], ...]

    @property
    def dtype(self) -> str:
        """Its element type."""
        return self.value.dtype


BATCH_SIZE = BatchSize.BATCH_SIZE
Size: TypeAlias = "int | BatchSize | BatchMultiple"
Tensor: TypeAlias = "Activation | Weight | Constant"
Operand: TypeAlias = (
    "Tensor | Joined | BatchRange | Statistic | PoolIndices | BatchSize | BatchMultiple | int"
)


@dataclass(frozen=True, slots=True)
class TypeNumber:
    """A scalar type, layout or memory format; only the scalar type is looked at."""

    kind: str
    name: str


Value: TypeAlias = (
    "bool | int | float | str | Tensor | Joined | BatchRange | Statistic | PoolIndices | BatchSize"
    " | BatchMultiple | TypeNumber | tuple[Value, ...] | None"
)


class Type(StrEnum):
    """The types of parameters that the supported operators have."""

    TENSOR = "Tensor"
    OPTIONAL_TENSOR = "Tensor?"
    TENSORS = "Tensor[]"
    OPTIONAL_TENSORS = "Tensor?[]"
    INT = "int"
    SIZE = "SymInt"
    NUMBER_OR_SIZE = "Scalar | SymInt"
    INTS = "int[]"
    OPTIONAL_INTS = "int[]?"
    SIZES = "SymInt[]"
    OPTIONAL_SIZES = "SymInt[]?"
    PAIR = "int[2]"
    FLOAT = "float"
    OPTIONAL_NUMBER = "Scalar?"
    OPTIONAL_FLOATS = "float[]?"
    BOOL = "bool"
    STRING = "str"
    TENSOR_OR_NUMBER = "Tensor | Scalar"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an operator; required if it has no default."""

    name: str
    type: Type
    default: Value = None
    is_required: bool = True


def required(name: str, type_: Type) -> Parameter:
    """Makes a parameter that every call must give."""
    return Parameter(name, type_)


def optional(name: str, type_: Type, default: Value = None) -> Parameter:
    """Makes a parameter with a default."""
    return Parameter(name, type_, default, is_required=False)


class Known(Protocol):
    """What is known of a model while its calls are read."""

    def as_weight(self, value: Weight | Constant) -> Weight:
        """Makes a weight of a constant."""

    def repeated(self, value: Activation) -> Weight | Constant | None:
        """Returns the constant [1, ...] that a value repeats for each sample, or None."""


class Arguments:
    """The arguments of one call by name, each of its parameter's type.

    The accessors raise ArgumentError, or UnsupportedCase where torch would accept what is found.

    Args:
        parameters: The parameters of the operator.
        given: The arguments that the call states.
        known: What is known of the model so far; None where there is no model.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        given: Mapping[str, Value],
        known: Known | None = None,
    ) -> None:
        self._known = known
        types = {parameter.name: parameter.type for parameter in parameters}
        for name, value in given.items():
            if name not in types:
                raise ArgumentError(f"it has the unknown argument {name[:64]!r}")
            if _fits(types[name], value):
                continue
            if isinstance(value, BatchSize | BatchMultiple):
                raise UnsupportedCase(
                    f"its argument {name!r} is the batch size, expected {types[name]}: no result "
                    "may depend on how many samples there are"
                )
            raise ArgumentError(f"its argument {name!r} is no {types[name]}")
        for parameter in parameters:
            if parameter.is_required and parameter.name not in given:
                raise ArgumentError(f"it has no argument {parameter.name!r}")
        defaults = {parameter.name: parameter.default for parameter in parameters}
        self._values: dict[str, Value] = {**defaults, **given}

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def activation(self, name: str) -> Activation:
        """Returns a tensor that is computed from the inputs."""
        value = self._values[name]
        if not isinstance(value, Activation):
            raise UnsupportedCase(f"{name} must be computed from the inputs, found a constant")
        return value

    def tensor(self, name: str) -> Tensor:
        """Returns a tensor, computed or constant."""
        return self._plain(self._values[name], name)

    def _plain(self, value: Value, name: str) -> Tensor:
        if isinstance(value, Joined):
            raise UnsupportedCase(JOINED_SAMPLES)
        if not isinstance(value, Activation | Weight | Constant):
            raise UnsupportedCase(f"{name} must be a plain tensor")
        if isinstance(value, Weight) and value.is_transposed:
            raise UnsupportedCase(f"{name} must not be a transposed weight")
        if value.dtype not in (FLOAT32, INT64, BOOL):
            raise UnsupportedCase(f"{name} has the element type {value.dtype}")
        if 0 in value.shape:
            raise UnsupportedCase(f"{name} is empty")
        return value

    def constant(self, name: str) -> Weight | Constant | None:
        """Returns a tensor's values: those of one sample where it is the same for each; or None."""
        value = self.tensor(name)
        if not isinstance(value, Activation):
            return value
        return None if self._known is None else self._known.repeated(value)

    def activations(self, name: str) -> tuple[Activation, ...]:
        """Returns a list of tensors that are computed from the inputs."""
        value = self._values[name]
        items = value if isinstance(value, tuple) else ()
        found = tuple(item for item in items if isinstance(item, Activation))
        if not found or len(found) != len(items):
            raise UnsupportedCase(f"{name} must all be computed from the inputs")
        return found

    def tensors(self, name: str) -> tuple[Tensor, ...]:
        """Returns a list of at least one tensor, computed or constant."""
        value = self._values[name]
        items = value if isinstance(value, tuple) else ()
        if not items:
            raise ArgumentError(f"its argument {name!r} is an empty list")
        return tuple(self._plain(item, name) for item in items)

    def weight(self, name: str) -> Weight:
        """Returns a float32 parameter, buffer or constant."""
        value = self._values[name]
        if isinstance(value, Constant) and self._known is not None:
            value = self._known.as_weight(value)
        if not isinstance(value, Weight):
            raise UnsupportedCase(f"{name} must be a constant weight")
        if value.dtype != FLOAT32:
            raise UnsupportedCase(f"{name} has the element type {value.dtype}, expected float32")
        if 0 in value.shape:
            raise UnsupportedCase(f"{name} is empty")
        return value

    def new_weight(self, array: NDArray[Any]) -> str:
        """Adds an array that follows from weights to the weights and returns its name."""
        if self._known is None:
            raise UnsupportedCase("a weight that has to be computed")
        return self._known.as_weight(Constant(array)).name

    def plain_weight(self, name: str) -> str:
        """Returns the name of a weight that is not transposed."""
        weight = self.weight(name)
        if weight.is_transposed:
            raise UnsupportedCase(f"{name} must not be transposed")
        return weight.name

    def optional_weight(self, name: str) -> str | None:
        """Returns the name of a weight, or None if there is none."""
        return None if self._values[name] is None else self.plain_weight(name)

    def integer(self, name: str) -> int:
        """Returns an integer."""
        value = self._values[name]
        if not isinstance(value, int):
            raise ArgumentError(f"its argument {name!r} is no integer")
        return value

    def integers(self, name: str) -> tuple[int, ...]:
        """Returns a list of integers; one integer counts as a list."""
        value = self._values[name]
        items = value if isinstance(value, tuple) else (value,)
        return tuple(item for item in items if isinstance(item, int))

    def sizes(self, name: str) -> tuple[int | BatchSize, ...]:
        """Returns a list of extents."""
        value = self._values[name]
        items = value if isinstance(value, tuple) else ()
        if any(isinstance(item, BatchMultiple) for item in items):
            raise UnsupportedCase(f"{name} has a multiple of the batch size")
        return tuple(item for item in items if isinstance(item, int | BatchSize))

    def pair(self, name: str) -> Pair:
        """Returns two integers, of which the file may state one for both."""
        items = self.integers(name)
        if len(items) not in (1, 2):
            raise ArgumentError(f"it has {len(items)} numbers {name!r}, expected two")
        if any(abs(item) > MAX_EXTENT for item in items):
            raise ArgumentError(f"its argument {name!r} is beyond {MAX_EXTENT}")
        return items[0], items[-1]

    def number(self, name: str) -> float:
        """Returns a finite number that float32 holds."""
        value = self._values[name]
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise ArgumentError(f"its argument {name!r} is not a finite number")
        if abs(value) > _MOST_FLOAT:
            raise UnsupportedCase(f"{name} is {value}, beyond float32")
        return float(value)

    def numbers(self, name: str) -> tuple[float, ...]:
        """Returns a list of finite numbers."""
        value = self._values[name]
        items = value if isinstance(value, tuple) else ()
        found = tuple(float(item) for item in items if isinstance(item, int | float))
        if not all(map(math.isfinite, found)):
            raise ArgumentError(f"its argument {name!r} has a number that is not finite")
        return found

    def optional_number(self, name: str) -> float | None:
        """Returns a finite number or None."""
        return None if self._values[name] is None else self.number(name)

    def flag(self, name: str) -> bool:
        """Returns true or false."""
        return self._values[name] is True


def _is_int(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TENSORS = (Activation, Joined, Weight, Constant, BatchRange, Statistic, PoolIndices)


def _is_tensor(value: Value) -> bool:
    return isinstance(value, _TENSORS)


def _fits(expected: Type, value: Value) -> bool:  # noqa: PLR0911, PLR0912 - one line for each type
    items = value if isinstance(value, tuple) else None
    match expected:
        case Type.TENSOR:
            return _is_tensor(value)
        case Type.OPTIONAL_TENSOR:
            return value is None or _is_tensor(value)
        case Type.TENSORS:
            return items is not None and all(map(_is_tensor, items))
        case Type.OPTIONAL_TENSORS:
            return items is not None and all(x is None or _is_tensor(x) for x in items)
        case Type.INT:
            return _is_int(value)
        case Type.SIZE:
            return _is_int(value) or isinstance(value, BatchSize | BatchMultiple)
        case Type.NUMBER_OR_SIZE:
            return _is_number(value) or isinstance(value, BatchSize | BatchMultiple)
        case Type.INTS | Type.PAIR:
            return _is_int(value) or (items is not None and all(map(_is_int, items)))
        case Type.OPTIONAL_INTS:
            return value is None or _fits(Type.INTS, value)
        case Type.OPTIONAL_SIZES:
            return value is None or _fits(Type.SIZES, value)
        case Type.OPTIONAL_FLOATS:
            return value is None or (items is not None and all(map(_is_number, items)))
        case Type.SIZES:
            return items is not None and all(
                _is_int(item) or isinstance(item, BatchSize | BatchMultiple) for item in items
            )
        case Type.FLOAT:
            return _is_number(value)
        case Type.OPTIONAL_NUMBER:
            return value is None or _is_number(value)
        case Type.BOOL:
            return isinstance(value, bool)
        case Type.STRING:
            return isinstance(value, str)
        case Type.TENSOR_OR_NUMBER:
            return _is_tensor(value) or _is_number(value)
        case Type.IGNORED:
            return True
