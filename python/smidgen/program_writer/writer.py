"""What all rules write with: the tensors of a program under construction and their forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from smidgen import program as steps
from smidgen.config.precision import LayerPrecision, WeightBits
from smidgen.forms import Form, assign_forms
from smidgen.free_name import free_name
from smidgen.functional import quantize
from smidgen.lookup_tables import requantizing_table
from smidgen.passes.operators import SOURCE_KINDS, Kind, clamp_of, kind_of
from smidgen.program import Program
from smidgen.program.step_fields import requested_shape
from smidgen.program_builder import ProgramBuilder
from smidgen.qparams import QParams
from smidgen.tensor_spec import TensorSpec

FLOAT32 = "float32"
Shape = tuple[int | None, ...]


class ProgramWriter:
    """A program that grows by the steps of one node after the other.

    Rules read operands in the form that they need, and the steps from one form to the other are
    written where they are first needed, once for each value.

    Attributes:
        graph: The fused graph.
        qparams: Parameters of the quantized values by node name.
        precisions: Precision of the convolutions and linear layers by node name.
    """

    def __init__(
        self,
        graph: fx.GraphModule,
        qparams: Mapping[str, QParams],
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        precisions: Mapping[str, LayerPrecision],
    ) -> None:
        self.graph = graph
        self.qparams = qparams
        self.precisions = precisions
        self._forms = assign_forms(graph)
        self._builder = ProgramBuilder()
        self._inputs = tuple(spec.name for spec in inputs)
        self._taken = set(self._inputs)
        self._outputs = tuple(self._take(spec.name) for spec in outputs)
        self._names: dict[tuple[str, Form], str] = {}
        self._written: dict[str, str] = {}
        self._output_of = self._plain_outputs()

    def form(self, node: fx.Node) -> Form:
        """Returns the form in which a node's value is made."""
        return self._forms.writes[node.name]

    def add(self, step: steps.Step) -> None:
        """Appends a step."""
        self._builder.step(step)

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        """Adds a constant and returns its name."""
        return self._builder.constant(name, value)

    def weight(self, node: fx.Node, value: NDArray[np.int8]) -> str:
        """Adds a layer's weight, which files pack if it is int4, and returns its name."""
        name = self.constant(f"{node.name}.weight", value)
        precision = self.precisions[node.name]
        if precision.weights is WeightBits.INT4:
            self._builder.pack(name, steps.WeightPacking(precision.group_size))
        return name

    def read(self, node: fx.Node, form: Form) -> str:
        """Returns the tensor that holds a node's value in a form."""
        key = (node.name, form)
        if key not in self._names:
            self._names[key] = self._converted(node, form)
        return self._names[key]

    def define(self, node: fx.Node) -> str:
        """Declares the tensor of a node's value, in the form in which it is made."""
        form = self.form(node)
        name = self._output_of.get(node.name) or self._take(node.name)
        self._names[node.name, form] = name
        return self._declare(name, node, form)

    def plain(self, node: fx.Node, role: str, shape: Shape, *, dtype: str = FLOAT32) -> str:
        """Declares a plain tensor for a value on the way to a node's."""
        name = self._take(f"{node.name}.{role}")
        return self._builder.plain_tensor(name, shape, dtype)

    def plain_constant(self, node: fx.Node, role: str, value: NDArray[np.generic]) -> str:
        """Adds a constant as a tensor that steps can read."""
        output = self.plain(node, role, value.shape, dtype=value.dtype.name)
        self.add(steps.ConstantTensor(output, self.constant(f"{output}.value", value)))
        return output

    def requantized(self, part: fx.Node, target: fx.Node) -> str:
        """Returns an operand in another node's scale, which a table gives where it differs."""
        wanted, found = self.qparams[target.name], self.qparams[part.name]
        source = self.read(part, Form.QUANTIZED)
        if wanted == found:
            return source
        output = self._builder.quantized_tensor(
            self._take(f"{part.name}_for_{target.name}"), shape_of(part), wanted
        )
        table = self.constant(f"{output}.table", requantizing_table(found, wanted))
        self.add(steps.Lookup(source, output, table))
        return output

    def once(self, key: str, write: Callable[[], str]) -> str:
        """Returns the tensor that `write` gives; a second call with the key writes nothing."""
        if key not in self._written:
            self._written[key] = write()
        return self._written[key]

    def clamp(self, node: fx.Node) -> tuple[int, int]:
        """Returns qmin and qmax of a node's fused activation."""
        qparams = self.qparams[node.name]
        low, high = quantize(
            torch.tensor(clamp_of(self.graph, node), dtype=torch.float32).numpy(),
            qparams.scale,
            qparams.zero_point,
        )
        return int(low), int(high)

    def add_input(self, node: fx.Node) -> None:
        """Declares an input of the program."""
        name = str(node.meta["input_name"])
        self._names[node.name, Form.PLAIN] = self._declare(name, node, Form.PLAIN)

    def add_outputs(self, node: fx.Node) -> None:
        """Writes what is left to do for the outputs of the program."""
        for name, value in zip(self._outputs, output_nodes(node), strict=True):
            if self._names.get((value.name, Form.PLAIN)) == name:
                continue
            self._declare(name, value, Form.PLAIN)
            if self.form(value) is Form.QUANTIZED:
                self.add(steps.Dequantize(self.read(value, Form.QUANTIZED), name))
            else:  # an input or constant, or the same value a second time
                source = self.read(value, Form.PLAIN)
                self.add(steps.Reshape(source, name, requested_shape(shape_of(value))))

    def finish(self, lineage: Mapping[str, str]) -> Program:
        """Returns the program."""
        return self._builder.finish(self._inputs, self._outputs, lineage)

    def _plain_outputs(self) -> dict[str, str]:
        """Returns the output that each plain value is, where it is made under that name."""
        found: dict[str, str] = {}
        (output,) = (node for node in self.graph.graph.nodes if kind_of(node) is Kind.OUTPUT)
        for name, value in zip(self._outputs, output_nodes(output), strict=True):
            if kind_of(value) not in SOURCE_KINDS and self.form(value) is Form.PLAIN:
                found.setdefault(value.name, name)
        return found

    def _converted(self, node: fx.Node, form: Form) -> str:
        """Writes the step that gives a value in the form in which it was not made."""
        if kind_of(node) is Kind.CONSTANT:
            return self._constant_tensor(node, form)
        if form is Form.PLAIN:
            output = self._declare(self._take(f"{node.name}_plain"), node, form)
            self.add(steps.Dequantize(self.read(node, Form.QUANTIZED), output))
            return output
        source = self.read(node, Form.PLAIN)
        name = node.name if kind_of(node) is Kind.INPUT else f"{node.name}_quantized"
        output = self._declare(self._take(name), node, form)
        self.add(steps.Quantize(source, output))
        return output

    def _constant_tensor(self, node: fx.Node, form: Form) -> str:
        value = getattr(self.graph, str(node.target)).detach().numpy()
        output = self._declare(self._take(f"{node.name}_{form.value}"), node, form)
        if form is Form.QUANTIZED:
            qparams = self.qparams[node.name]
            value = quantize(value, qparams.scale, qparams.zero_point)
        self.add(steps.ConstantTensor(output, self.constant(f"{output}.value", value)))
        return output

    def _declare(self, name: str, node: fx.Node, form: Form) -> str:
        if form is Form.QUANTIZED:
            return self._builder.quantized_tensor(name, shape_of(node), self.qparams[node.name])
        return self._builder.plain_tensor(name, shape_of(node), node.meta.get("dtype", FLOAT32))

    def _take(self, name: str) -> str:
        name = free_name(name, self._taken)
        self._taken.add(name)
        return name


def shape_of(node: fx.Node) -> Shape:
    """Returns the shape of a node's value."""
    return tuple(node.meta["shape"])


def output_nodes(node: fx.Node) -> tuple[fx.Node, ...]:
    """Returns the nodes that an output node returns, in order."""
    values = node.args[0]
    return (values,) if isinstance(values, fx.Node) else tuple(values)  # type: ignore[arg-type]
