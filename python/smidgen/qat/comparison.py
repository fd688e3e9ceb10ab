"""How far the fake-quantized model and the engine are apart, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from smidgen.engine import Engine
from smidgen.functional import dequantize
from smidgen.passes.operators import module_of
from smidgen.program import DType, Program, Quantize, TensorInfo
from smidgen.qat.fake_quantize import FakeQuantize, Requantize
from smidgen.qparams import UINT8_MAX
from smidgen.report import Distance

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class FreeRun:
    """What the fake-quantized model computes when it is left to itself.

    Attributes:
        layers: The distance of each layer from the engine, by node name.
        output: The first output.
    """

    layers: Mapping[str, Distance]
    output: NDArray[Any]


def compare_fake_quantized(
    prepared: fx.GraphModule, program: Program, samples: Arrays
) -> Mapping[str, Distance]:
    """Compares each layer of a fake-quantized graph with the engine, on the engine's own inputs.

    A layer's sums are exact in the engine and rounded in float32 here, which may move a value over
    the middle between two levels: the layers of one model are at most one level apart. Errors do
    not add up, as every layer reads what the engine's layer reads, so that what is further apart
    is at fault itself.

    Args:
        prepared: What prepare_qat returns, in eval mode.
        program: The program that was converted from it.
        samples: One array for each input of the program.

    Returns:
        The distance of each fake-quantized value from the engine's, by node name.
    """
    return compare_layers(prepared, program, Engine(program).run_all(samples))


def compare_layers(
    prepared: fx.GraphModule, program: Program, values: Arrays
) -> Mapping[str, Distance]:
    """Does what compare_fake_quantized does, with the values that the engine has computed."""
    comparison = _Comparison(prepared, program, values, is_forced=True)
    comparison.run_on_inputs()
    return comparison.layers


def run_freely(prepared: fx.GraphModule, program: Program, values: Arrays) -> FreeRun:
    """Compares layers that read what the layers before them gave; differences spread.

    Args:
        prepared: What prepare_qat returns, in eval mode.
        program: The program that was converted from it.
        values: What the engine computed, inputs included.
    """
    comparison = _Comparison(prepared, program, values, is_forced=False)
    output = comparison.run_on_inputs()
    first: torch.Tensor = output if isinstance(output, torch.Tensor) else output[0]
    return FreeRun(comparison.layers, first.numpy())


class _Comparison(fx.Interpreter):
    """Runs a fake-quantized graph beside the engine's values."""

    def __init__(
        self, prepared: fx.GraphModule, program: Program, values: Arrays, *, is_forced: bool
    ) -> None:
        super().__init__(prepared)
        self.layers: dict[str, Distance] = {}
        self._program = program
        self._values = values
        self._is_forced = is_forced
        self._quantized = {
            step.input: step.output for step in program.steps if isinstance(step, Quantize)
        }
        self._output_of = _outputs_by_node(prepared, program)

    def run_on_inputs(self) -> Any:
        """Runs the graph on the program's inputs and returns its outputs."""
        inputs = [torch.from_numpy(np.array(self._values[name])) for name in self._program.inputs]
        with torch.inference_mode():
            return self.run(*inputs)

    def run_node(self, n: fx.Node) -> Any:
        """Runs a node; where its value is rounded, compares it with the engine's."""
        value = super().run_node(n)
        if self._rounds(n):
            tensor = self._rounded_tensor(n.all_input_nodes[0])
            if tensor is not None:
                return self._compared(n.all_input_nodes[0].name, tensor, value)
        elif self._is_forced and not any(self._rounds(user) for user in n.users):
            return self._plain_value(n, value)
        return value

    def _rounds(self, node: fx.Node) -> bool:
        assert isinstance(self.module, fx.GraphModule)
        return isinstance(module_of(self.module, node), FakeQuantize | Requantize)

    def _plain_tensor(self, node: fx.Node) -> str:
        default = str(node.meta["input_name"]) if node.op == "placeholder" else node.name
        return self._output_of.get(node.name, default)

    def _rounded_tensor(self, node: fx.Node) -> TensorInfo | None:
        """Returns the uint8 tensor of a node's value."""
        plain = self._plain_tensor(node)
        names = (self._quantized.get(plain), f"{node.name}_quantized", node.name)
        for name in names:
            tensor = None if name is None else self._program.tensors.get(name)
            if tensor is not None and tensor.dtype is DType.UINT8:
                return tensor
        return None

    def _compared(self, layer: str, tensor: TensorInfo, value: torch.Tensor) -> torch.Tensor:
        assert tensor.scale is not None
        engine = dequantize(self._values[tensor.name], tensor.scale, tensor.zero_point)
        self.layers[layer] = distance(value.numpy(), engine, tensor.scale)
        return torch.from_numpy(engine) if self._is_forced else value

    def _plain_value(self, node: fx.Node, value: Any) -> Any:
        """Returns the engine's value where the engine has the same in float32."""
        name = self._plain_tensor(node)
        found = self._values.get(name)
        is_same = (
            isinstance(value, torch.Tensor)
            and found is not None
            and found.dtype == np.float32
            and found.shape == tuple(value.shape)
        )
        return torch.from_numpy(np.array(found)) if is_same else value


def distance(fake: NDArray[np.float32], engine: NDArray[np.float32], scale: float) -> Distance:
    """Measures how far real values are apart.

    Args:
        fake: What the fake-quantized layer gives.
        engine: What the engine's uint8 values mean.
        scale: The engine's.

    Returns:
        Values that are not equal count as differing, those of a scale that is wrong in the last
        bit too; max_lsb is in whole levels, at most all. Of two shapes all values differ, by all
        levels.
    """
    if fake.shape != engine.shape:
        return Distance(max_lsb=UINT8_MAX, differing=engine.size, elements=engine.size)
    apart = np.abs(fake.astype(np.float64) - engine)
    return Distance(
        max_lsb=min(round(float(apart.max(initial=0.0)) / scale), UINT8_MAX),
        differing=int(np.count_nonzero(apart)),
        elements=apart.size,
    )


def _outputs_by_node(graph: fx.GraphModule, program: Program) -> dict[str, str]:
    """Returns the program's output that holds each node's plain value."""
    (output,) = (node for node in graph.graph.nodes if node.op == "output")
    values = output.args[0]
    nodes = (values,) if isinstance(values, fx.Node) else tuple(values)
    found: dict[str, str] = {}
    for node, name in zip(nodes, program.outputs, strict=True):
        found.setdefault(node.name, name)
    return found
