"""Steps on uint8 tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from onnx import TensorProto

from smidgen.formats.onnx_export.functions import find_function
from smidgen.formats.onnx_export.qdq_graph import QdqGraph, Sums
from smidgen.formats.onnx_export.rules.rule import Rule
from smidgen.functional import U8
from smidgen.program import (
    Add,
    AveragePool2d,
    Conv2d,
    Dequantize,
    GlobalAveragePool,
    Linear,
    Lookup,
    MaxPool2d,
    Multiply,
    Quantize,
)
from smidgen.qparams import LARGEST_SCALE, SMALLEST_SCALE


def _quantize(graph: QdqGraph, step: Quantize) -> None:
    graph.quantize(graph.real(step.input), step.output)


def _dequantize(graph: QdqGraph, step: Dequantize) -> None:
    graph.dequantize(step.input, step.output)


def _conv2d(graph: QdqGraph, step: Conv2d) -> None:
    graph.write(
        "Conv",
        [graph.real(step.input), graph.layer_weight(step), graph.layer_bias(step)],
        step.output,
        clamp=(step.qmin, step.qmax),
        kernel_shape=graph.program.constants[step.weight].shape[2:],
        strides=step.stride,
        pads=step.padding,
        dilations=step.dilation,
        group=step.groups,
    )


def _linear(graph: QdqGraph, step: Linear) -> None:
    """Gemm for [N, I]; MatMul for tensors of other ranks, which Gemm does not take."""
    clamp = (step.qmin, step.qmax)
    x, bias = graph.real(step.input), graph.layer_bias(step)
    if len(graph.program.tensor(step.input).shape) == 2:
        inputs = [x, graph.layer_weight(step), bias]
        graph.write("Gemm", inputs, step.output, clamp=clamp, transB=1)
    else:
        product = graph.node("MatMul", [x, graph.layer_weight(step, transpose=True)])
        graph.write("Add", [product, bias], step.output, clamp=clamp)


def _add(graph: QdqGraph, step: Add) -> None:
    """Writes a sum in units of the output's scale, where one rounding is what the step does.

    Runtimes replace a float Add between quantized tensors by kernels that round elsewhere. They
    have none for Sum, and Round makes the product with the scale and its quotient exact.
    """
    operands = (step.lhs, step.rhs)
    scale = np.float32(graph.scale_of(step.output))
    ratios = [np.float32(graph.scale_of(name)) / scale for name in operands]
    are_scales = all(SMALLEST_SCALE <= ratio <= LARGEST_SCALE for ratio in ratios)
    if graph.sums is Sums.FUSED or not are_scales:
        inputs = [graph.real(name) for name in operands]
        graph.write("Add", inputs, step.output, clamp=(step.qmin, step.qmax))
        return
    inputs = [
        graph.dequantize_in(name, ratio) for name, ratio in zip(operands, ratios, strict=True)
    ]
    units = graph.node("Round", [graph.node("Sum", inputs)])
    real = graph.node("Mul", [units, graph.number(float(scale))])
    graph.quantize(real, step.output, step.qmin, step.qmax)


def _multiply(graph: QdqGraph, step: Multiply) -> None:
    inputs = [graph.real(step.lhs), graph.real(step.rhs)]
    graph.write("Mul", inputs, step.output, clamp=(step.qmin, step.qmax))


def _average_pool(graph: QdqGraph, step: AveragePool2d) -> None:
    graph.write(
        "AveragePool",
        [graph.real(step.input)],
        step.output,
        clamp=(step.qmin, step.qmax),
        kernel_shape=step.kernel,
        strides=step.stride,
        pads=step.padding,
        count_include_pad=int(step.count_include_pad),
    )


def _global_average_pool(graph: QdqGraph, step: GlobalAveragePool) -> None:
    inputs = [graph.real(step.input)]
    graph.write("GlobalAveragePool", inputs, step.output, clamp=(step.qmin, step.qmax))


def _max_pool(graph: QdqGraph, step: MaxPool2d) -> None:
    graph.write(
        "MaxPool",
        [graph.real(step.input)],
        step.output,
        kernel_shape=step.kernel,
        strides=step.stride,
        pads=step.padding,
        dilations=step.dilation,
    )


def _lookup(graph: QdqGraph, step: Lookup) -> None:
    """A function that ONNX has, or else a Gather from the table."""
    table = cast("U8", graph.program.constants[step.table])
    function = find_function(graph.program, step.input, step.output, table)
    if function is not None:
        graph.quantize(function(graph, graph.real(step.input)), step.output)
        return
    index = graph.node("Cast", [step.input], to=TensorProto.INT32)
    values = graph.constant(step.table, np.asarray(table))
    graph.node("Gather", [values, index], step.output, axis=0)


RULES: Mapping[type[Any], Rule] = {
    Quantize: _quantize,
    Dequantize: _dequantize,
    Conv2d: _conv2d,
    Linear: _linear,
    Add: _add,
    Multiply: _multiply,
    AveragePool2d: _average_pool,
    GlobalAveragePool: _global_average_pool,
    MaxPool2d: _max_pool,
    Lookup: _lookup,
}
