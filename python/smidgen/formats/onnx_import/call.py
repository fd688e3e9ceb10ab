"""One call of an ONNX operator, with its operands and attributes, and how to say what it means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, NodeProto, TensorProto

from smidgen.formats.limits import Limits
from smidgen.formats.onnx_import.tensors import TensorRecord, decode_tensor
from smidgen.graph import arrangement, joining
from smidgen.graph.arguments import (
    BATCH_SIZE,
    JOINED_SAMPLES,
    Activation,
    ArgumentError,
    BatchMultiple,
    BatchRange,
    Constant,
    Joined,
    Operand,
    Size,
    Tensor,
    UnsupportedCase,
    Value,
    Weight,
)
from smidgen.graph.assembly import Assembly, Origin
from smidgen.graph.operations import BOOL, FLOAT32, INT64, Shape
from smidgen.graph.operator_table import PREFIX, find_operator

MOST_EXTENTS = 4096
_MOST_INTEGER = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Extents:
    """A vector or number of integers, of which some may be the batch size: what Shape gives.

    Attributes:
        items: The integers.
        is_scalar: Whether it is one number and not a vector.
    """

    items: tuple[Size, ...]
    is_scalar: bool = False

    def __post_init__(self) -> None:
        if len(self.items) > MOST_EXTENTS:
            raise UnsupportedCase(f"a shape of {len(self.items)} numbers")
        factors = (item.factor if isinstance(item, BatchMultiple) else item for item in self.items)
        if any(isinstance(item, int) and abs(item) > _MOST_INTEGER for item in factors):
            raise ArgumentError("it gives an integer beyond 64 bits")

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape as a tensor."""
        return () if self.is_scalar else (len(self.items),)


@dataclass(frozen=True, slots=True)
class IfBatchIs:
    """A truth value that is known for each batch size: whether it is a number, 1 or more."""

    number: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Truth values of which at least one depends on the batch size."""

    items: tuple[bool | IfBatchIs, ...]


@dataclass(frozen=True, slots=True)
class SamplePlaces:
    """Integers factor * n + offset, with n the number of the sample: places among joined samples.

    Attributes:
        factor: How many places a sample has.
        offsets: int64 [1, ...]; the integers have the batch size in place of the 1.
    """

    factor: int
    offsets: Constant

    @property
    def shape(self) -> Shape:
        """The shape of the integers."""
        return (None, *self.offsets.shape[1:])


class Foreign:
    """A value that only rules of its own understand; to all others it is not supported.

    Attributes:
        shown: What it is, for messages.
    """

    shown: ClassVar[str] = "integers that QuantizeLinear gives"

    @property
    def tensor(self) -> Tensor | None:
        """What rules that do not know it read; None if they cannot."""
        return None


Input: TypeAlias = "Tensor | Joined | Extents | Comparison | BatchRange | SamplePlaces | Foreign"


@dataclass(frozen=True, slots=True)
class Call:
    """A node and what it reads.

    Attributes:
        node: The node.
        opset: The version of the operators.
        inputs: Its operands in order; None for those left out.
        assembly: What has been imported so far.
        limits: Caps.
    """

    node: NodeProto
    opset: int
    inputs: tuple[Input | None, ...]
    assembly: Assembly
    limits: Limits
    attributes: dict[str, AttributeProto] = field(default_factory=dict)

    @property
    def origin(self) -> Origin:
        """Where the call stands, for display."""
        return Origin(label_of(self.node))

    @property
    def output_count(self) -> int:
        """How many outputs the node states, named or not."""
        return len(self.node.output)

    def aten(self, target: str, /, **arguments: Value) -> list[Operand | None]:
        """Adds a call of an operator of the table and returns its outputs.

        Args:
            target: Its name without the prefix torch.ops.aten.
            arguments: What it is called with.
        """
        operator = find_operator(PREFIX + target)
        assert operator is not None, target
        return joining.apply(self.assembly, self.origin, operator, arguments)

    def one(self, target: str, /, **arguments: Value) -> Tensor:
        """Adds a call and returns its first output, which is a tensor."""
        result = self.one_value(target, **arguments)
        if isinstance(result, Joined):
            raise UnsupportedCase(JOINED_SAMPLES)
        return result

    def one_value(self, target: str, /, **arguments: Value) -> Tensor | Joined:
        """Adds a call and returns its first output, of which samples may be joined."""
        result = self.aten(target, **arguments)[0]
        if not isinstance(result, Activation | Joined | Weight | Constant):
            raise UnsupportedCase("what it is used for")
        return result

    def has(self, index: int) -> bool:
        """Tells whether an operand is given."""
        return self._given(index) is not None

    def _given(self, index: int) -> Input | None:
        return self.inputs[index] if index < len(self.inputs) else None

    def operand(self, index: int) -> Input:
        """Returns an operand of any kind."""
        value = self._given(index)
        if value is None:
            raise ArgumentError(f"it has no operand {index}")
        return value

    def input(self, index: int) -> Tensor:
        """Returns an operand as a tensor."""
        value = self.operand(index)
        if isinstance(value, Extents):
            return as_constant(value)
        if isinstance(value, BatchRange | SamplePlaces):
            raise UnsupportedCase("its use of the numbers of the samples")
        if isinstance(value, Comparison):
            raise UnsupportedCase("its use of a comparison of the batch size")
        if isinstance(value, Joined):
            raise UnsupportedCase(JOINED_SAMPLES)
        if isinstance(value, Foreign):
            if value.tensor is None:
                raise UnsupportedCase(f"its use of {value.shown}")
            return value.tensor
        return value

    def value(self, index: int) -> Tensor | Joined:
        """Returns an operand as a tensor, of which the samples may be joined with another axis.

        What is done with it goes through `aten`, which knows what that means.
        """
        value = self.operand(index)
        return value if isinstance(value, Joined) else self.input(index)

    def optional_input(self, index: int) -> Tensor | None:
        """Returns an operand, or None where it is left out."""
        return self.input(index) if self.has(index) else None

    def shape(self, index: int) -> Shape:
        """Returns the shape of an operand."""
        return self.input(index).shape

    def array(self, index: int) -> NDArray[Any]:
        """Returns a constant operand."""
        value = self.input(index)
        if isinstance(value, Activation):
            raise UnsupportedCase(f"its operand {index} is not constant")
        array = value.array
        return array.T if isinstance(value, Weight) and value.is_transposed else array

    def sizes(self, index: int) -> tuple[Size, ...]:
        """Returns an operand of integers, of which some may be the batch size."""
        value = self.operand(index)
        if isinstance(value, Extents):
            return value.items
        return self.integers_in(index)

    def integers_in(self, index: int) -> tuple[int, ...]:
        """Returns a constant operand of integers."""
        array = self.array(index)
        if array.dtype.kind != "i" or array.ndim > 1 or array.size > MOST_EXTENTS:
            raise ArgumentError(f"its operand {index} is no vector of integers")
        return tuple(map(int, array.reshape(-1)))

    def axes(self, index: int) -> tuple[int, ...] | None:
        """Returns axes, an operand or in old models an attribute; None where they are left out."""
        return self.integers_in(index) if self.has(index) else self.integers("axes")

    def one_integer_in(self, index: int) -> int:
        """Returns a constant operand of one integer."""
        found = self.integers_in(index)
        if len(found) != 1:
            raise ArgumentError(f"its operand {index} is not one integer")
        return found[0]

    def number_in(self, index: int) -> float:
        """Returns a constant operand of one number."""
        array = self.array(index)
        if array.size != 1:
            raise ArgumentError(f"its operand {index} is not one number")
        return float(array.reshape(-1)[0])

    def integer(self, name: str, default: int | None = None) -> int:
        """Returns an attribute that is an integer."""
        found = self._attribute(name, AttributeProto.INT, default is None)
        if found is not None:
            return int(found.i)
        assert default is not None
        return default

    def number(self, name: str, default: float) -> float:
        """Returns an attribute that is a number."""
        found = self._attribute(name, AttributeProto.FLOAT)
        return default if found is None else float(found.f)

    def integers(self, name: str) -> tuple[int, ...] | None:
        """Returns an attribute of integers, or None where it is left out."""
        found = self._attribute(name, AttributeProto.INTS)
        return None if found is None else tuple(found.ints)

    def numbers(self, name: str) -> tuple[float, ...] | None:
        """Returns an attribute of numbers, or None where it is left out."""
        found = self._attribute(name, AttributeProto.FLOATS)
        return None if found is None else tuple(found.floats)

    def text(self, name: str, default: str) -> str:
        """Returns an attribute that is a text."""
        found = self._attribute(name, AttributeProto.STRING)
        if found is None:
            return default
        return bytes(found.s).decode("utf-8", "replace")

    def tensor_attribute(self, name: str) -> NDArray[Any] | None:
        """Returns an attribute that is a tensor, or None where it is left out."""
        found = self._attribute(name, AttributeProto.TENSOR)
        if found is None:
            return None
        header = TensorProto()
        header.CopyFrom(found.t)
        raw = memoryview(header.raw_data) if header.HasField("raw_data") else None
        header.ClearField("raw_data")
        return decode_tensor(TensorRecord(header, raw), label_of(self.node), self.limits)

    def _attribute(self, name: str, kind: int, is_required: bool = False) -> AttributeProto | None:
        found = self.attributes.get(name)
        if found is None:
            if is_required:
                raise ArgumentError(f"it has no attribute {name!r}")
            return None
        if found.type != kind:
            expected = AttributeProto.AttributeType.Name(kind)
            raise ArgumentError(f"its attribute {name!r} is no {expected}")
        return found


Result: TypeAlias = "Operand | Extents | Comparison | SamplePlaces | Foreign | None"
Rule: TypeAlias = Callable[[Call], "Sequence[Result]"]


def attributes_of(node: NodeProto) -> dict[str, AttributeProto]:
    """Returns a node's attributes by name."""
    found: dict[str, AttributeProto] = {}
    for attribute in node.attribute:
        if attribute.name in found:
            raise ArgumentError(f"it has the attribute {attribute.name[:64]!r} twice")
        found[attribute.name] = attribute
    return found


def label_of(node: NodeProto) -> str:
    """Returns a node's name for people."""
    name = (node.name or (node.output[0] if node.output else ""))[:120]
    return name if name.isprintable() else "".join(c for c in name if c.isprintable())


def out_of_range(index: int, extent: int) -> str:
    """Returns what is told of an index that no element of an axis has."""
    return (
        f"it gathers the element {index} of {extent}, expected one from {-extent} to {extent - 1}"
    )


def as_constant(extents: Extents) -> Constant:
    """Returns integers as a tensor.

    Raises:
        UnsupportedCase: One of them is the batch size.
    """
    items = [item for item in extents.items if isinstance(item, int)]
    if len(items) != len(extents.items):
        raise UnsupportedCase("its use of the batch size as data")
    return Constant(np.array(items[0] if extents.is_scalar else items, np.int64))


def as_extents(value: Input | None) -> Extents | None:
    """Returns a constant of few integers as such; None for what is no such constant."""
    if isinstance(value, Extents):
        return value
    if not isinstance(value, Constant | Weight) or value.dtype != INT64:
        return None
    if len(value.shape) > 1 or value.array.size > MOST_EXTENTS:
        return None
    return Extents(tuple(map(int, value.array.reshape(-1))), is_scalar=not value.shape)


def extents_of(shape: Shape) -> Extents:
    """Returns a shape as integers."""
    return Extents(tuple(BATCH_SIZE if extent is None else extent for extent in shape))


def extents_as_seen(value: Tensor | Joined) -> Extents:
    """Returns a tensor's shape as the file sees it, where samples are joined with an axis."""
    if not isinstance(value, Joined):
        return extents_of(value.shape)
    return Extents(arrangement.sizes(value))


def plain(value: Tensor) -> Tensor:
    """Returns a tensor in an element type that the graph has.

    Floats of other widths become float32, and integers int64: the graph computes in these.
    """
    if isinstance(value, Activation) or value.dtype in (FLOAT32, INT64, BOOL):
        return value
    kind = value.array.dtype.kind
    wanted = INT64 if kind in "iu" else FLOAT32
    with np.errstate(over="ignore"):  # what becomes infinite is refused later, if it is used
        converted = value.array.astype(wanted)
    converted.flags.writeable = False
    if isinstance(value, Weight):
        return replace(value, dtype=wanted, array=converted)
    return Constant(converted)
