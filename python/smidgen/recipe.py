"""Writes programs of one model that differ in the precision of its layers alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import fx

from smidgen.config import Activations
from smidgen.config.precision import LayerPrecision
from smidgen.convert import convert_graph
from smidgen.passes import keep_in_float, quantize_dynamically
from smidgen.precision import float_layers
from smidgen.profile import ActivationRange
from smidgen.program import Program
from smidgen.qat.prepare import prepare_fused
from smidgen.quantizable import Quantizable
from smidgen.tensor_spec import TensorSpec


@dataclass(frozen=True, slots=True)
class Written:
    """A program and what it was written from.

    Attributes:
        program: The program.
        graph: The fused graph with each layer in the form in which it runs.
        ranges: The range of each quantized activation.
        precisions: The precision of each layer by node name.
    """

    program: Program
    graph: fx.GraphModule
    ranges: Mapping[str, ActivationRange]
    precisions: Mapping[str, LayerPrecision]


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that programs are written from, but the precision of layers.

    Attributes:
        start: Weights and ranges.
        inputs: The model's inputs in order.
        outputs: The model's outputs in order.
        activations: How the inputs of linear layers get their scale.
        lineage: Where the programs come from.
    """

    start: Quantizable
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    activations: Activations
    lineage: Mapping[str, str]

    def write(self, precisions: Mapping[str, LayerPrecision]) -> Written:
        """Writes the program with these precisions by node name.

        Raises:
            UnsupportedOperatorError: nodes cannot be converted; the message names all of them.
            CalibrationError: a range is missing.
        """
        ranges = self.start.ranges
        graph = keep_in_float(self.start.graph, float_layers(precisions))
        if self.activations is Activations.DYNAMIC:
            graph = quantize_dynamically(graph)
        program = convert_graph(
            graph,
            ranges,
            inputs=self.inputs,
            outputs=self.outputs,
            lineage=self.lineage,
            precision=precisions,
        )
        return Written(program, graph, ranges, precisions)

    def simulate(
        self, precisions: Mapping[str, LayerPrecision], *, as_trained: bool
    ) -> fx.GraphModule | None:
        """Returns the fake-quantized graph with these precisions, in eval mode.

        None for dynamic activations, which fake quantization does not simulate.

        Args:
            precisions: By node name.
            as_trained: Whether they are those of the training, if there was one.
        """
        if self.activations is Activations.DYNAMIC:
            return None
        if as_trained and self.start.prepared is not None:
            return self.start.prepared
        return prepare_fused(self.start.graph, self.start.ranges, precisions).eval()
