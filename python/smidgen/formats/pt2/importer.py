"""From the graph as it is stated to operations over numbered values.

Names of the file are resolved here and survive only for display. Operators that write to their
first argument become functions: every name of the written value is bound to the new value, and
names of other views of the same memory may not be used any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from smidgen.errors import InvalidModelError
from smidgen.formats.pt2.dimensions import Dimensions
from smidgen.formats.pt2.memory import WrittenMemory, stale_view
from smidgen.formats.pt2.payload import DTYPES, STRIDED
from smidgen.formats.pt2.provenance import SourceLines, located, module_path, source_line
from smidgen.formats.pt2.reasons import Pt2Reason
from smidgen.formats.pt2.records import (
    Argument,
    Device,
    EnumValue,
    Opaque,
    RawGraph,
    RawNode,
    SymbolRef,
    TensorMeta,
    TensorRef,
)
from smidgen.formats.pt2.usage import unused_nodes
from smidgen.formats.refusal import refusal
from smidgen.formats.unsupported import UnsupportedOperators
from smidgen.graph import arrangement, joining
from smidgen.graph.arguments import (
    BATCH_SIZE,
    Activation,
    ArgumentError,
    BatchMultiple,
    BatchSize,
    Constant,
    Joined,
    Operand,
    Statistic,
    TooManyConstants,
    TooManyOperations,
    TypeNumber,
    UnsupportedCase,
    Value,
    Weight,
)
from smidgen.graph.assembly import Assembly, Origin
from smidgen.graph.batch_extents import computed_extent, factor_of
from smidgen.graph.operations import BOOL, FLOAT32, INT64, Shape
from smidgen.graph.operator import Operator
from smidgen.graph.operator_table import find_operator, supported_names
from smidgen.graph.shapes import ShapeError, show

_MOST_SECONDARY_OUTPUTS = 8  # of the flash attention operators
_VALUE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")
_EXTENT_ARITHMETIC = {
    f"_operator.{name}": name for name in ("mul", "floordiv", "add", "sub")
}  # of symbolic sizes
_MOST_WRITTEN_CONSTANTS = 256


@dataclass(frozen=True, slots=True)
class _Stale:
    """A view of a constant that an operator, the writer, has written to through another view."""

    writer: str


class _Unknown:
    """What an unsupported operator gives, of a type or shape that cannot be either."""


class _UnknownOperand(Exception):
    """An operator reads what an unsupported one gives, so that nothing can be said about it."""


_UNKNOWN = _Unknown()


class GraphImporter:
    """Imports one graph, node by node.

    Args:
        graph: The graph as it is stated.
        dimensions: Reads stated shapes.
        weights: The parameters, buffers and constants by their name in the graph.

    Attributes:
        assembly: What has been imported so far.
        unused: The numbers of the nodes that no output needs.
        source_lines: Where the nodes come from.
    """

    def __init__(
        self, graph: RawGraph, dimensions: Dimensions, weights: Mapping[str, Weight]
    ) -> None:
        self._graph = graph
        self.unused = unused_nodes(graph)
        self.source_lines = SourceLines(graph)
        self._dimensions = dimensions
        self.assembly = Assembly(weights.values())
        self._values: dict[str, Operand | _Stale | _Unknown | None] = {}
        self._written_constants = 0
        self._memory = WrittenMemory()
        self._unsupported = UnsupportedOperators(len(supported_names()))
        for name, weight in weights.items():
            self._define(name, weight)

    def add_input(self, name: str, shown_name: str) -> Activation:
        """Defines the next input of the user and returns it.

        Args:
            name: Its name in the graph.
            shown_name: Its name for people.
        """
        self._dimensions.check_input(self.meta(name), shown_name)
        shape = self._stated_shape(name)
        if not shape:
            raise refusal(
                Pt2Reason.UNSUPPORTED_SIGNATURE, f"the input {name!r} is a single number."
            )
        dtype = self._stated_dtype(name)
        if dtype == INT64 and DTYPES[self.meta(name).dtype][0] != INT64:
            found = f"the input {name!r} has the element type int32, expected int64."
            raise refusal(Pt2Reason.UNSUPPORTED_DTYPE, found)
        value = self.assembly.new_activation(shape, dtype)
        self._define(name, value)
        return value

    def run(self) -> None:
        """Imports all nodes.

        Raises:
            UnsupportedOperatorError: Names all operators that are not supported.
            InvalidModelError: With a PT2_ reason.
        """
        dead = self.unused
        for index, node in enumerate(self._graph.nodes):
            if index in dead:
                continue
            if find_operator(node.target) is None and node.target not in _EXTENT_ARITHMETIC:
                self._add_unsupported(node, "")
        for index, node in enumerate(self._graph.nodes):
            try:
                self._import(node, is_needed=index not in dead)
            except InvalidModelError as error:
                # What follows an unsupported operator may well look wrong; its cause is told.
                if not self._unsupported:
                    raise located(error, self.source_lines.of(node)) from None
                self._forget(node)
        self._unsupported.raise_if_any()
        self._check_all_defined()

    def value(self, name: str) -> Operand | None:
        """Returns what the name of an output stands for; None for a secondary output.

        Raises:
            InvalidModelError: There is no such value.
            UnsupportedOperatorError: It is a view of memory that was written to.
        """
        try:
            return self._resolve(name)
        except UnsupportedCase as case:
            source = self.source_lines.of_value(name)
            self._unsupported.add("output", name, "", str(case), source=source)
            self._unsupported.raise_if_any()
            raise

    def _import(self, node: RawNode, *, is_needed: bool = True) -> None:
        operator = find_operator(node.target)
        if operator is None and node.target not in _EXTENT_ARITHMETIC:
            self._define_as_stated(node)
            return
        try:
            arguments = dict(self._arguments(node))
            results = self._results(node, operator, arguments)
            if operator is not None and operator.is_in_place:
                self._rebind(node, arguments[operator.parameters[0].name], results[0])
        except _UnknownOperand:
            self._define_as_stated(node)
            return
        except UnsupportedCase as case:
            if is_needed or isinstance(case, TooManyConstants):
                self._add_unsupported(node, str(case))
            self._define_as_stated(node)
            return
        except TooManyOperations as error:
            found = f"at {_label(node)!r} its operators have come to mean {error}."
            raise refusal(Pt2Reason.TOO_LARGE, found, node=_label(node)) from None
        except (ArgumentError, ShapeError) as error:
            reason = (
                Pt2Reason.SHAPE_MISMATCH
                if isinstance(error, ShapeError)
                else Pt2Reason.BAD_ARGUMENT
            )
            found = f"the operator {node.target[:80]} at {_label(node)!r} is not valid: {error}."
            raise refusal(reason, found, node=_label(node)) from None
        self._define_outputs(node, results)

    def _results(
        self, node: RawNode, operator: Operator | None, arguments: Mapping[str, Value]
    ) -> list[Operand | None]:
        """Returns what a call gives; samples may be joined with another axis."""
        if operator is None:
            function = _EXTENT_ARITHMETIC[node.target]
            extent = computed_extent(function, [*arguments.values()])
            return [extent if isinstance(extent, int | BatchSize | BatchMultiple) else None]
        return joining.apply(self.assembly, _origin(node), operator, arguments)

    def _add_unsupported(self, node: RawNode, detail: str) -> None:
        self._unsupported.add(
            node.target,
            _label(node),
            module_path(node.metadata),
            detail,
            source=self.source_lines.of(node),
        )

    def _arguments(self, node: RawNode) -> Iterator[tuple[str, Value]]:
        seen: set[str] = set()
        for argument in node.inputs:
            if argument.name in seen:
                found = f"{_label(node)!r} has the argument {argument.name[:64]!r} twice."
                raise refusal(Pt2Reason.BAD_ARGUMENT, found)
            seen.add(argument.name)
            yield argument.name, self._operand(argument.arg, node)

    def _operand(self, argument: Argument, node: RawNode) -> Value:
        if isinstance(argument, TensorRef | SymbolRef):
            operand = self._resolve(argument.name)
            if operand is None:
                raise UnsupportedCase(f"its use of {argument.name!r}, a secondary output")
            return operand
        if isinstance(argument, EnumValue):
            name = DTYPES.get(argument.value, ("",))[0] if argument.kind == "scalar_type" else ""
            return TypeNumber(argument.kind, name)
        if isinstance(argument, Device):
            return TypeNumber("device", "")
        if isinstance(argument, Opaque):
            found = f"{_label(node)!r} has an argument of kind {argument.kind}."
            raise refusal(Pt2Reason.UNSUPPORTED_ARGUMENT, found)
        if isinstance(argument, tuple):
            return tuple(self._operand(item, node) for item in argument)
        return argument

    def _resolve(self, name: str) -> Operand | None:
        if name not in self._values:
            found = f"the value {name[:64]!r} is used and not defined before."
            raise refusal(Pt2Reason.UNDEFINED_VALUE, found)
        value = self._values[name]
        if isinstance(value, _Unknown):
            raise _UnknownOperand
        if isinstance(value, _Stale):
            raise UnsupportedCase(stale_view(name, value.writer))
        if isinstance(value, Activation):
            return self._memory.current(value, name)
        if isinstance(value, Joined):
            return replace(value, value=self._memory.current(value.value, name))
        return value

    def _rebind(self, node: RawNode, written: Value, result: Operand | None) -> None:
        """Makes all names of what was written to stand for the result."""
        if isinstance(written, Weight | Statistic) and isinstance(result, Statistic):
            return
        if isinstance(written, Weight | Constant) and result is written:
            return  # nothing was written: detach_ gives the value itself
        if isinstance(written, Constant) and isinstance(result, Constant | Activation):
            self._rebind_constant(node, written, result)
            return
        if not isinstance(written, Activation) or not isinstance(result, Activation):
            found = f"{_label(node)!r} writes to something that is not computed from the inputs."
            raise refusal(Pt2Reason.MUTATION_UNSUPPORTED, found)
        self._memory.write(written, result, self._writer(node))

    def _writer(self, node: RawNode) -> str:
        source = source_line(node.metadata)
        return f"{_label(node)!r} ({source})" if source else repr(_label(node))

    def _rebind_constant(
        self, node: RawNode, written: Constant, result: Constant | Activation
    ) -> None:
        """Binds all names of a constant to what was written over it."""
        self._written_constants += 1
        if self._written_constants > _MOST_WRITTEN_CONSTANTS:
            raise UnsupportedCase(f"more than {_MOST_WRITTEN_CONSTANTS} writes to constants")
        for name, value in self._values.items():
            if value is written:
                self._values[name] = result
            elif isinstance(value, Constant) and np.may_share_memory(value.array, written.array):
                self._values[name] = _Stale(self._writer(node))

    def _define_outputs(self, node: RawNode, results: Sequence[Operand | None]) -> None:
        names = list(_output_names(node))
        most = len(results) + _MOST_SECONDARY_OUTPUTS
        if not min(len(results), 1) <= len(names) <= most or (names and not results):
            found = f"{_label(node)!r} states {len(names)} outputs."
            raise refusal(Pt2Reason.BAD_ARGUMENT, found)
        for index, name in enumerate(names):
            result = results[index] if index < len(results) else None
            self._define(name, result)
            if result is not None:
                self._check_stated(name, result)

    def _define_as_stated(self, node: RawNode) -> None:
        """Defines the outputs of an unsupported operator, so that further ones are found."""
        for name in _output_names(node):
            try:
                value: Operand | _Unknown = self._as_stated(name)
            except InvalidModelError:
                value = _UNKNOWN
            self._define(name, value)

    def _as_stated(self, name: str) -> Activation | Joined:
        """Returns a new value of the shape that the file states, wherever it has the samples."""
        dtype = self._stated_dtype(name)
        sizes = [self._dimensions.size(size, name) for size in self.meta(name).sizes]
        places = [axis for axis, size in enumerate(sizes) if not isinstance(size, int)]
        if len(places) != 1 or sizes[0] == BATCH_SIZE:
            return self.assembly.new_activation(self._stated_shape(name), dtype)
        (place,) = places
        factor = factor_of(sizes[place]) or 1
        joined = () if factor == 1 else (factor,)
        numbers = [size for size in sizes if isinstance(size, int)]
        shape = (None, *numbers[:place], *joined, *numbers[place:])
        value = self.assembly.new_activation(shape, dtype)
        return arrangement.Lined(value, place, 0, len(joined)).seen(value)

    def _forget(self, node: RawNode) -> None:
        """Notes that nothing is known of the outputs of a node."""
        for name in _output_names(node):
            self._values.setdefault(name, _UNKNOWN)

    def _define(self, name: str, value: Operand | _Unknown | None) -> None:
        if not _VALUE_NAME.fullmatch(name):
            raise refusal(Pt2Reason.BAD_NAME, f"a value has the name {name[:64]!r}.")
        if name in self._values:
            raise refusal(Pt2Reason.DUPLICATE_VALUE, f"the value {name[:64]!r} is defined twice.")
        self._values[name] = value

    def _check_stated(self, name: str, value: Operand) -> None:
        if isinstance(value, Activation | Constant):
            stated, inferred = self._stated_shape(name), value.shape
            if stated != inferred:
                found = f"{name!r} is stated to be {show(stated)}, but is {show(inferred)}."
                raise refusal(Pt2Reason.SHAPE_MISMATCH, found)
            dtype = self._stated_dtype(name)
            if dtype != value.dtype:
                found = f"{name!r} is stated to be {dtype}, but is {value.dtype}."
                raise refusal(Pt2Reason.UNSUPPORTED_DTYPE, found)
        elif isinstance(value, Joined):
            self._check_joined(name, value)
        elif isinstance(value, BatchSize | BatchMultiple | int):
            extent = self._graph.sym_int_values.get(name)
            if extent is None or self._dimensions.size(extent, name) != value:
                found = f"the symbolic integer {name!r} is not stated to be what it is."
                raise refusal(Pt2Reason.SHAPE_MISMATCH, found)

    def _check_joined(self, name: str, value: Joined) -> None:
        stated = tuple(self._dimensions.size(size, name) for size in self.meta(name).sizes)
        if stated != arrangement.sizes(value) or self._stated_dtype(name) != value.dtype:
            found = f"{name!r} is not stated to be {arrangement.shown(value)}."
            raise refusal(Pt2Reason.SHAPE_MISMATCH, found)

    def _stated_shape(self, name: str) -> Shape:
        meta = self.meta(name)
        self._stated_dtype(name)
        if meta.layout != STRIDED:
            raise refusal(Pt2Reason.UNSUPPORTED_LAYOUT, f"{name!r} is not a dense tensor.")
        return self._dimensions.shape(meta, name)

    def _stated_dtype(self, name: str) -> str:
        number = self.meta(name).dtype
        dtype = DTYPES.get(number, (str(number),))[0]
        if dtype == "int32":
            return INT64  # no position or count that int32 holds is another in int64
        if dtype not in (FLOAT32, INT64, BOOL):
            found = f"{name!r} has the element type {dtype}, expected float32, int64 or bool."
            raise refusal(Pt2Reason.UNSUPPORTED_DTYPE, found)
        return dtype

    def meta(self, name: str) -> TensorMeta:
        """Returns what the file states of a tensor."""
        meta = self._graph.tensor_values.get(name)
        if meta is None:
            found = f"the tensor {name[:64]!r} has no entry in tensor_values."
            raise refusal(Pt2Reason.UNDEFINED_VALUE, found)
        return meta

    def _check_all_defined(self) -> None:
        stated = self._graph.tensor_values.keys() | self._graph.sym_int_values.keys()
        unused = sorted(stated - self._values.keys())
        if unused:
            found = f"{len(unused)} stated values are never defined, such as {unused[0][:64]!r}."
            raise refusal(Pt2Reason.UNUSED_VALUE, found)


def _origin(node: RawNode) -> Origin:
    metadata = node.metadata
    return Origin(_label(node), module_path(metadata), source_line(metadata))


def _label(node: RawNode) -> str:
    name = node.name or next(_output_names(node), "")
    return name if _VALUE_NAME.fullmatch(name) else ""


def _output_names(node: RawNode) -> Iterator[str]:
    for output in node.outputs:
        for item in output if isinstance(output, tuple) else (output,):
            if isinstance(item, TensorRef | SymbolRef):
                yield item.name
            elif item is not None:
                kind = type(item).__name__
                found = f"the operator {node.target[:80]} states an output of kind {kind}."
                raise refusal(Pt2Reason.UNSUPPORTED_ARGUMENT, found)
