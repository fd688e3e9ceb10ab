"""Writes the program of a planned model: its values as tensors, in the forms that are wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen import program as steps
from smidgen.formats.onnx_import.quantized.operands import QuantizedConstant
from smidgen.formats.onnx_import.quantized.plan import Plan, Target
from smidgen.functional import dequantize, quantize
from smidgen.graph.exported import ExportedModel, ExportedNode
from smidgen.graph.operations import FLOAT32, Shape
from smidgen.program import Program
from smidgen.program.step_fields import requested_shape
from smidgen.program_builder import ProgramBuilder
from smidgen.qparams import QParams
from smidgen.tensor_spec import TensorSpec

U8 = NDArray[np.uint8]


class Writer:
    """A program that grows node by node.

    Attributes:
        plan: In which forms values are wanted.
        constants: The integers of weights, where the file has integers.
        weights: All weights.
    """

    def __init__(
        self, exported: ExportedModel, plan: Plan, constants: Mapping[str, QuantizedConstant]
    ) -> None:
        self.plan = plan
        self.constants = constants
        self.weights = exported.weights
        self._builder = ProgramBuilder()
        self._taken = {spec.name for spec in (*exported.inputs, *exported.outputs)}
        self._counts: dict[str, int] = {}
        self._output_names: dict[int, str] = {}
        for number, spec in zip(exported.output_values, exported.outputs, strict=True):
            self._output_names.setdefault(number, spec.name)
        self._plain: dict[int, str] = {}
        self._bytes: dict[int, str] = {}
        self._targets: dict[tuple[int, Target], str] = {}
        self._inputs = tuple(spec.name for spec in exported.inputs)
        for number, spec in enumerate(exported.inputs):
            name = self._builder.plain_tensor(spec.name, spec.shape, spec.dtype)
            self._plain[number] = name

    def add(self, step: steps.Step) -> None:
        """Appends a step."""
        self._builder.step(step)

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Adds a constant under a free name like this one and returns it."""
        return self._builder.constant(self._take(name), values)

    def new_plain(self, node: ExportedNode, role: str, shape: Shape, dtype: str = FLOAT32) -> str:
        """Declares a plain tensor on the way to a node's value."""
        return self._builder.plain_tensor(self._take(f"{_name_of(node)}.{role}"), shape, dtype)

    def plain_constant(self, node: ExportedNode, role: str, values: NDArray[Any]) -> str:
        """Adds a constant as a tensor that steps can read."""
        shaped = values.reshape(values.shape or (1,))
        output = self.new_plain(node, role, shaped.shape, shaped.dtype.name)
        self.add(steps.ConstantTensor(output, self.constant(f"{output}.value", shaped)))
        return output

    def define_plain(self, node: ExportedNode) -> str:
        """Declares the tensor of a node's value as it is."""
        name = self._output_names.get(node.output) or self._take(_name_of(node))
        self._builder.plain_tensor(name, node.shape, node.dtype)
        self._plain[node.output] = name
        return name

    def define_bytes(self, node: ExportedNode) -> str:
        """Declares the tensor of an exact value."""
        name = self._new_bytes(_name_of(node), node.shape, self.plan.exact[node.output])
        self._bytes[node.output] = name
        return name

    def define_target(self, node: ExportedNode, target: Target) -> str:
        """Declares the tensor of bytes as which a value is wanted."""
        name = self._new_bytes(_name_of(node), node.shape, target.qparams)
        self._targets[node.output, target] = name
        return name

    def new_bytes(self, node: ExportedNode, role: str, shape: Shape, qparams: QParams) -> str:
        """Declares a tensor of bytes on the way to a node's value."""
        return self._new_bytes(f"{_name_of(node)}.{role}", shape, qparams)

    def name_bytes(self, number: int, tensor: str) -> None:
        """Says that a tensor holds an exact value."""
        self._bytes[number] = tensor

    def name_plain(self, number: int, tensor: str) -> None:
        """Says that a tensor holds a value as it is."""
        self._plain[number] = tensor

    def name_target(self, number: int, target: Target, tensor: str) -> None:
        """Says that a tensor holds a value as these bytes."""
        self._targets[number, target] = tensor

    def plain(self, number: int) -> str:
        """Returns the tensor of a value as it is; dequantizes an exact one, once."""
        if number not in self._plain:
            source = self._bytes[number]
            shape = self.plan.shapes[number]
            name = self._builder.plain_tensor(self._take(f"{source}.real"), shape, FLOAT32)
            self.add(steps.Dequantize(source, name))
            self._plain[number] = name
        return self._plain[number]

    def bytes_of(self, number: int) -> str:
        """Returns the tensor of an exact value."""
        return self._bytes[number]

    def as_target(self, number: int, target: Target) -> str:
        """Returns the tensor of a value as these bytes; writes it where it is not there yet."""
        key = (number, target)
        if key not in self._targets:
            self._targets[key] = self._converted(number, target)
        return self._targets[key]

    def shape_of(self, tensor: str) -> Shape:
        """Returns the shape of a tensor of the program."""
        return self._builder.shape_of(tensor)

    def lookup(self, source: str, shape: Shape, table: U8, qparams: QParams) -> str:
        """Adds a table of the bytes of a tensor and returns what it gives."""
        output = self._new_bytes(f"{source}.table", shape, qparams)
        self.add(steps.Lookup(source, output, self.constant(f"{output}.values", table)))
        return output

    def rescaled(self, source: str, shape: Shape, found: QParams, target: Target) -> str:
        """Returns the bytes of a tensor with other parameters; itself where they are the same."""
        every = np.arange(256, dtype=np.uint8)
        reals = dequantize(every, found.scale, found.zero_point)
        table = quantize(reals, target.qparams.scale, target.qparams.zero_point)
        table = np.clip(table, target.qmin, target.qmax)
        if found == target.qparams and np.array_equal(table, every):
            return source
        return self.lookup(source, shape, table, target.qparams)

    def finish(self, outputs: tuple[TensorSpec, ...], values: tuple[int, ...]) -> Program:
        """Writes the outputs and returns the program."""
        for spec, number in zip(outputs, values, strict=True):
            shape, dtype = self.plan.shapes[number], spec.dtype
            if self._plain.get(number) == spec.name:
                continue
            output = self._builder.plain_tensor(spec.name, shape, dtype)
            if number in self._bytes and number not in self._plain:
                self.add(steps.Dequantize(self._bytes[number], output))
                continue
            self.add(steps.Reshape(self.plain(number), output, requested_shape(shape)))
        names = tuple(spec.name for spec in outputs)
        return self._builder.finish(self._inputs, names, {})

    def _converted(self, number: int, target: Target) -> str:
        shape, qparams = self.plan.shapes[number], target.qparams
        if number in self.plan.exact:
            found = self.plan.exact[number]
            return self.rescaled(self._bytes[number], shape, found, target)
        if number in self.plan.functions:
            function = self.plan.functions[number]
            table = np.clip(function.table(qparams), target.qmin, target.qmax)
            return self.lookup(self._bytes[function.source], shape, table, qparams)
        source = self._plain[number]
        output = self._new_bytes(f"{source}.bytes", shape, qparams)
        self.add(steps.Quantize(source, output))
        if (target.qmin, target.qmax) == (0, 255):
            return output
        bounded = np.clip(np.arange(256), target.qmin, target.qmax).astype(np.uint8)
        return self.lookup(output, shape, bounded, qparams)

    def _new_bytes(self, name: str, shape: Shape, qparams: QParams) -> str:
        return self._builder.quantized_tensor(self._take(name), shape, qparams)

    def _take(self, name: str) -> str:
        """Returns a name that is free; a number makes it so."""
        found = name
        while found in self._taken:
            self._counts[name] = self._counts.get(name, 1) + 1
            found = f"{name}.{self._counts[name]}"
        self._taken.add(found)
        return found


def _name_of(node: ExportedNode) -> str:
    return node.label or f"value.{node.output}"
