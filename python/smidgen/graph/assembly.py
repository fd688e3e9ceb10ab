"""Puts a model together from the meanings of its calls. Needs no torch.

Every reader of a model format walks its own file, says what each call means by the operator table,
and leaves to an Assembly what is the same for all: values get numbers, constants are folded,
reshapings of reshapings collapse, weights that are read as values become constants of the graph.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from smidgen.graph.arguments import (
    Activation,
    Constant,
    Joined,
    Operand,
    Tensor,
    TooManyConstants,
    TooManyOperations,
    UnsupportedCase,
    Weight,
    name_of,
)
from smidgen.graph.constant_folding import evaluate
from smidgen.graph.constant_limit import MOST_CONSTANT_ELEMENTS
from smidgen.graph.dtypes import infer_dtype
from smidgen.graph.exported import ExportedNode
from smidgen.graph.lowered import Computed, Forwarded, Lowered, Reshaped, Several
from smidgen.graph.operations import (
    BOOL,
    FLOAT32,
    INT64,
    Compare,
    Embedding,
    Expand,
    Flatten,
    Operation,
    Reshape,
    Shape,
    Slice,
    Transpose,
)
from smidgen.graph.operations import Constant as ConstantOperation
from smidgen.graph.repetition import addition, for_one_sample, without_repetition, zeros
from smidgen.graph.shapes import ShapeError, infer_shape, show
from smidgen.graph.trained_values import TrainedValues
from smidgen.tensor_spec import TensorSpec

MOST_OPERATIONS = 1 << 13
"""Operations of one model, twice the steps that a program may have.

Not fewer, for exporters write one step as many operations: layer normalization as nine, GELU as
five, attention as ten and more, all of which passes find only in the whole graph. Published models
of these forms have up to 2,500. Each takes about 0.2 ms, however many stand before it.
"""

_MOST_PARTS_WITHIN_PARTS = 8
"""Parts of parts beyond share the memory of what they are parts of."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a call stands in the file, for display alone.

    Attributes:
        label: The call's name in the file.
        module_path: The module that it came from; may be empty.
        source: The line of the user's program that it came from; may be empty.
    """

    label: str
    module_path: str = ""
    source: str = ""


class Assembly:
    """The operations of one model, call by call.

    Args:
        weights: The parameters, buffers and constants of the file.

    Attributes:
        nodes: The operations so far, in an order in which they can run.
        constants: Arrays that came to the weights, by their new names.
        trained: Which weights follow from parameters.
    """

    def __init__(self, weights: Iterable[Weight]) -> None:
        weights = list(weights)
        arrays = {weight.name: weight.array for weight in weights}
        self._weight_arrays = arrays
        self._weight_shapes = {name: array.shape for name, array in arrays.items()}
        self._constant_values: dict[str | int, Activation] = {}
        self._weights_of_constants: dict[int, Weight] = {}
        self._constant_elements = 0
        self._charged: set[int] = set()
        self._origins: dict[int, Activation] = {}
        self._next_number = 0
        self._next_storage = 0
        self._copies = 0
        self._kept_alive: list[Tensor] = []  # so that no id() is given twice
        self._batch_source: Activation | None = None
        self._repeated: dict[int, Weight | Constant] = {}
        self._zeros: dict[tuple[int, str], Activation] = {}
        self._transposed: dict[tuple[int, int, int, tuple[int, ...]], Activation] = {}
        self.trained = TrainedValues(
            (weight.name for weight in weights if weight.is_parameter), self._constant_in
        )
        self.nodes: list[ExportedNode] = []
        self.constants: dict[str, NDArray[np.generic]] = {}

    def new_activation(self, shape: Shape, dtype: str) -> Activation:
        """Returns a new value in memory of its own: an input, or what is not understood."""
        number = self._next_number
        self._next_number += 1
        value = Activation(number, shape, self._new_storage(), dtype)
        if self._batch_source is None and shape[:1] == (None,):
            self._batch_source = value
        return value

    def apply(self, origin: Origin, lowered: Lowered) -> list[Operand | None]:
        """Adds what a call means and returns its outputs; None for those that cannot be used.

        Raises:
            UnsupportedCase: It is legal and not supported.
            ShapeError: The operations cannot read such values.
            TooManyOperations: With those before there are more than MOST_OPERATIONS.
        """
        if isinstance(lowered, Computed):
            result = self._compute(origin, lowered, {})
            first = lowered.inputs[0]
            if isinstance(first, Activation) and isinstance(result, Activation):
                if lowered.is_part and len(first.within) < _MOST_PARTS_WITHIN_PARTS:
                    result = replace(result, within=(first.storage, *first.within))
                elif lowered.is_part or lowered.shares_storage:
                    result = _in_memory_of(first, result)
            return [result, *lowered.statistics]
        if isinstance(lowered, Several):
            return [self.apply(origin, part)[0] for part in lowered.parts]
        if isinstance(lowered, Reshaped):
            return [self._reshape(origin, lowered)]
        if isinstance(lowered, Forwarded):
            operand = lowered.operand
            if lowered.is_copy and isinstance(operand, Activation):
                operand = replace(operand, storage=self._new_storage(), copy=0, within=())
            if lowered.is_copy and isinstance(operand, Constant):
                operand = Constant(operand.array.copy())
            if isinstance(operand, Constant):
                self.charge(operand)
            return [operand]
        return []

    def _compute(
        self, origin: Origin, lowered: Computed, done: dict[int, Activation | Constant]
    ) -> Activation | Constant:
        """Adds the operations of a value once, however often it is read."""
        if id(lowered) not in done:
            done[id(lowered)] = self._compute_anew(origin, lowered, done)
        return done[id(lowered)]

    def _compute_anew(
        self, origin: Origin, lowered: Computed, done: dict[int, Activation | Constant]
    ) -> Activation | Constant:
        inputs: list[Tensor] = [
            self._compute(origin, value, done) if isinstance(value, Computed) else value
            for value in lowered.inputs
        ]
        result: Activation | Constant
        for operation in lowered.operations:
            if any(isinstance(value, Activation) for value in inputs):
                result = self._apply(origin, operation, inputs)
            elif isinstance(operation, Expand) and None in operation.shape:
                folded = self._fold(Expand(tuple(n or 1 for n in operation.shape)), inputs)
                result = self._repeat(origin, folded)
            else:
                result = self._fold(operation, inputs)
            inputs = [result]
        return result

    def _apply(self, origin: Origin, operation: Operation, inputs: Sequence[Tensor]) -> Activation:
        """Adds an operation on values of which at least one is computed from the inputs."""
        sources = [
            self._repeated.get(value.number) if isinstance(value, Activation) else None
            for value in inputs
        ]
        if any(source is not None for source in sources):
            constants = [
                value if isinstance(value, Weight | Constant) else source
                for value, source in zip(inputs, sources, strict=True)
            ]
            folded = self._fold_repeated(operation, constants)
            if folded is not None:
                return self._repeat(origin, folded)
            inputs = without_repetition(operation, inputs, sources)
        values = [self.as_activation(origin, value) for value in inputs]
        return self._append(origin, operation, values)

    def _fold_repeated(
        self, operation: Operation, inputs: Sequence[Weight | Constant | None]
    ) -> Constant | None:
        """Evaluates an operation on constants that each sample repeats; None if that is not all."""
        known = [value for value in inputs if value is not None]
        single = for_one_sample(operation)
        if len(known) != len(inputs) or single is None:
            return None
        try:
            folded = self._fold(single, known)
        except UnsupportedCase:
            return None
        return folded if folded.shape[:1] == (1,) else None

    def _repeat(self, origin: Origin, constant: Weight | Constant) -> Activation:
        """Makes a value [N, ...] of a constant [1, ...]."""
        rank, dtype = len(constant.shape), constant.dtype
        if (rank, dtype) not in self._zeros:
            source = self._batch_source
            if source is None:
                raise UnsupportedCase("a constant repeated for each sample of no input")
            picked: Activation = source
            for operation in zeros(source, rank, dtype):
                operands = (picked, picked) if isinstance(operation, Compare) else (picked,)
                picked = self._append(origin, operation, operands)
            self._zeros[rank, dtype] = picked
        value = self.as_activation(origin, constant)
        self.trained.keep(constant)
        result = self._append(origin, addition(dtype), (value, self._zeros[rank, dtype]))
        self._repeated[result.number] = constant
        return result

    def _fold(self, operation: Operation, inputs: Sequence[Tensor]) -> Constant:
        """Evaluates an operation on constants."""
        arrays = [value.array for value in inputs if isinstance(value, Weight | Constant)]
        shape = infer_shape(operation, [array.shape for array in arrays], self._weight_shapes)
        if not isinstance(operation, Slice | Transpose):  # which are views and take no memory
            self._count(math.prod(extent or 1 for extent in shape))
        array = evaluate(operation, arrays, self._weight_arrays)
        if name_of(array.dtype) not in (FLOAT32, INT64, BOOL):
            raise UnsupportedCase(f"a constant of {array.dtype}")
        result = Constant(array)
        self._charged.add(id(result))
        self._kept_alive.append(result)
        return result

    def charge(self, constant: Constant) -> None:
        """Counts the elements of a constant that a call has made; once for each constant.

        Raises:
            UnsupportedCase: There are too many elements of constants in all.
        """
        if id(constant) in self._charged:
            return
        self._count(constant.array.size)
        self._charged.add(id(constant))
        self._kept_alive.append(constant)

    def _count(self, elements: int) -> None:
        self._constant_elements += elements
        if self._constant_elements > MOST_CONSTANT_ELEMENTS:
            raise TooManyConstants(f"more than {MOST_CONSTANT_ELEMENTS} constant elements")

    def as_activation(self, origin: Origin, value: Tensor) -> Activation:
        """Makes a value of the graph of a weight or constant; the same one for the same."""
        if isinstance(value, Activation):
            return value
        key = value.name if isinstance(value, Weight) else id(value)
        if key not in self._constant_values:
            array = without_infinity(value.array)
            is_named = isinstance(value, Weight) and array is value.array
            name = value.name if is_named else f"constant:{len(self.constants)}"  # type: ignore[union-attr]
            self._add_array(name, array.reshape(value.shape or (1,)), value)
            self._constant_values[key] = self._append(
                origin, ConstantOperation(name), (), dtype=value.dtype
            )
        return self._constant_values[key]

    def as_weight(self, value: Weight | Constant) -> Weight:
        """Makes a weight of a constant, which operators with weights need."""
        if isinstance(value, Weight):
            return value
        if id(value) not in self._weights_of_constants:
            name = f"constant:{len(self.constants)}"
            self._add_array(name, value.array, value)
            self._weights_of_constants[id(value)] = Weight(
                name, value.dtype, value.shape, array=value.array
            )
        return self._weights_of_constants[id(value)]

    def transposed(self, origin: Origin, value: Activation, order: Sequence[int]) -> Activation:
        """Returns a value with its axes in another order, the same one if asked again."""
        if list(order) == list(range(len(value.shape))):
            return value
        key = (value.number, value.storage, value.copy, tuple(order))
        if key not in self._transposed:
            lowered = Computed((Transpose(tuple(order)),), (value,), shares_storage=True)
            (result,) = self.apply(origin, lowered)
            assert isinstance(result, Activation)
            self._transposed[key] = result
        return self._transposed[key]

    def perhaps_copied(self, value: Activation) -> Activation:
        """Returns a value that an operator has copied where it did not lie in order."""
        self._copies += 1
        return replace(value, copy=self._copies)

    def weight_array(self, name: str) -> NDArray[np.generic]:
        """Returns the elements of a weight or constant that an operation names."""
        return self._weight_arrays[name]

    def _constant_in(self, value: object) -> Weight | Constant | None:
        if isinstance(value, Joined):
            value = value.value
        return self.repeated(value) if isinstance(value, Activation) else None

    def repeated(self, value: Activation) -> Weight | Constant | None:
        """Returns the constant [1, ...] that a value repeats for each sample, or None."""
        return self._repeated.get(value.number)

    def _add_array(self, name: str, array: NDArray[np.generic], source: Tensor) -> None:
        self.constants[name] = array
        self._weight_arrays[name] = array
        self._weight_shapes[name] = array.shape
        self._kept_alive.append(source)
        self.trained.name(name, source)

    def _reshape(self, origin: Origin, lowered: Reshaped) -> Activation | Constant:
        """Reshapes what was there before any other reshaping, so that chains of them collapse."""
        shape, source = lowered.shape, lowered.input
        if not isinstance(source, Activation):
            extents = [1 if extent is None else extent for extent in shape]
            if min(extents, default=1) < 1 or math.prod(extents) != source.array.size:
                raise ShapeError(f"the shape {show(source.shape)} is reshaped to {show(shape)}")
            reshaped = Constant(source.array.reshape(extents))
            if not np.may_share_memory(reshaped.array, source.array):
                self.charge(reshaped)  # transposed elements are copied
            return reshaped
        if shape == source.shape:
            return source
        if source.number in self._repeated and shape[:1] == (None,):
            repeated = self._repeated[source.number]
            reshaped = Constant(repeated.array.reshape([n or 1 for n in shape]))
            return _in_memory_of(source, self._repeat(origin, reshaped))
        before = self._origins.get(source.number, source)
        if shape == before.shape:
            return replace(source, number=before.number, shape=shape)
        is_flat = len(shape) == 2 <= len(before.shape) and shape[0] == before.shape[0]
        operation: Operation = Flatten() if is_flat else Reshape(shape)
        result = self._append(origin, operation, (before,))
        self._origins[result.number] = before
        return _in_memory_of(source, result)

    def _append(
        self,
        origin: Origin,
        operation: Operation,
        inputs: Sequence[Activation],
        *,
        dtype: str | None = None,
    ) -> Activation:
        if len(self.nodes) >= MOST_OPERATIONS:
            raise TooManyOperations(f"more than {MOST_OPERATIONS} operations")
        shapes = [value.shape for value in inputs]
        shape = infer_shape(operation, shapes, self._weight_shapes)
        found = dtype or infer_dtype(operation, [value.dtype for value in inputs])
        result = self.new_activation(shape, found)
        self.nodes.append(
            ExportedNode(
                operation,
                tuple(value.number for value in inputs),
                result.number,
                result.shape,
                origin.label,
                origin.module_path,
                result.dtype,
                origin.source,
            )
        )
        return result

    def _new_storage(self) -> int:
        self._next_storage += 1
        return self._next_storage


def _in_memory_of(source: Activation, result: Activation) -> Activation:
    return replace(result, storage=source.storage, within=source.within)


def without_infinity(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Returns floats with the lowest finite one in place of minus infinity.

    Masks hold it for scores that they leave out. Beside any other score both have no weight.
    """
    if array.dtype != np.float32 or not np.isneginf(array).any():  # type: ignore[arg-type]
        return array
    return np.maximum(array, np.finfo(np.float32).min)  # type: ignore[no-any-return]


def renumber(
    nodes: Sequence[ExportedNode], outputs: Sequence[Activation], input_count: int
) -> tuple[tuple[ExportedNode, ...], tuple[int, ...]]:
    """Drops the nodes that no output needs, and numbers what is left without gaps.

    Returns:
        The nodes, and the numbers of the outputs.
    """
    needed = {value.number for value in outputs}
    for node in reversed(nodes):
        if node.output in needed:
            needed.update(node.inputs)
    kept = [node for node in nodes if node.output in needed]
    numbers = {number: number for number in range(input_count)}
    numbers |= {node.output: input_count + index for index, node in enumerate(kept)}
    renumbered = tuple(
        replace(
            node,
            inputs=tuple(numbers[value] for value in node.inputs),
            output=numbers[node.output],
        )
        for node in kept
    )
    return renumbered, tuple(numbers[value.number] for value in outputs)


def input_specs(
    names: Sequence[str],
    inputs: Sequence[Activation],
    nodes: Sequence[ExportedNode],
    weights: Mapping[str, NDArray[np.generic]],
) -> tuple[TensorSpec, ...]:
    """Returns what a model's inputs are; of indices also how many rows there are to select."""
    counts: list[int | None] = [None] * len(inputs)
    for node in nodes:
        if isinstance(node.operation, Embedding) and node.inputs[0] < len(inputs):
            rows = weights[node.operation.weight].shape[0]
            counts[node.inputs[0]] = min(counts[node.inputs[0]] or rows, rows)
    return tuple(
        TensorSpec(name, value.dtype, value.shape, count)
        for name, value, count in zip(names, inputs, counts, strict=True)
    )


def output_specs(names: Sequence[str], outputs: Sequence[Activation]) -> tuple[TensorSpec, ...]:
    """Returns what a model's outputs are."""
    return tuple(
        TensorSpec(name, value.dtype, value.shape)
        for name, value in zip(names, outputs, strict=True)
    )
