"""The steps of nodes that read and write bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen import program as steps
from smidgen.formats.onnx_import.quantized.attention import Attention
from smidgen.formats.onnx_import.quantized.functions import clamp_bounds
from smidgen.formats.onnx_import.quantized.operands import INT8_OFFSET, QuantizedConstant
from smidgen.formats.onnx_import.quantized.plan import Target
from smidgen.formats.onnx_import.quantized.weights import (
    Layer,
    UnsupportedWeightsError,
    as_stored,
    layer_integers,
)
from smidgen.formats.onnx_import.quantized.writer import Writer
from smidgen.graph import operations as ops
from smidgen.graph.exported import ExportedNode
from smidgen.graph.operations import Shape
from smidgen.program.step_fields import (
    both_ends,
    pixel_ratio,
    reached_padding,
    requested_shape,
)
from smidgen.program.steps import Padding

_IMAGE_RANK = 4  # of what linear steps do not read, as their channels lie innermost


def write_exact(writer: Writer, node: ExportedNode) -> None:
    """Writes a value that bytes hold without rounding."""
    match node.operation:
        case ops.Quantized() as operation:
            target = Target(writer.plan.exact[node.output], operation.qmin, operation.qmax)
            writer.name_bytes(node.output, writer.as_target(node.inputs[0], target))
        case ops.Tabulated(name):
            table = np.asarray(writer.weights[name], np.uint8)
            source, qparams = writer.bytes_of(node.inputs[0]), writer.plan.exact[node.output]
            is_same = qparams == writer.plan.exact[node.inputs[0]]
            if is_same and np.array_equal(table, np.arange(256)):
                writer.name_bytes(node.output, source)
                return
            writer.name_bytes(node.output, writer.lookup(source, node.shape, table, qparams))
        case ops.Constant(name):
            values = writer.constants[name].values
            offset = INT8_OFFSET if values.dtype == np.int8 else 0
            shifted = (values.astype(np.int16) + offset).astype(np.uint8)
            output = writer.define_bytes(node)
            stored = writer.constant(f"{output}.value", shifted.reshape(shifted.shape or (1,)))
            writer.add(steps.ConstantTensor(output, stored))
        case ops.Dropout():
            writer.name_bytes(node.output, writer.bytes_of(node.inputs[0]))
        case _:
            sources = [writer.bytes_of(value) for value in node.inputs]
            shapes = [writer.plan.shapes[value] for value in node.inputs]
            writer.add(moving_step(node, sources, shapes, writer.define_bytes(node)))


def write_target(writer: Writer, node: ExportedNode, target: Target) -> None:
    """Writes a value as the bytes that QuantizeLinear makes of it."""
    if writer.plan.is_layer(node):
        _write_layer(writer, node, target)
        return
    is_only_bytes = node.output not in writer.plan.plain
    bounds = clamp_bounds(node.operation)
    if bounds != clamp_bounds(ops.Add()) and is_only_bytes:
        made = writer.as_target(node.inputs[0], target.narrowed(*bounds))
        writer.name_target(node.output, target, made)
    elif writer.plan.commutes(node, target) and is_only_bytes:
        sources = [writer.as_target(value, target) for value in node.inputs]
        if isinstance(node.operation, ops.Dropout):
            writer.name_target(node.output, target, sources[0])
            return
        shapes = [writer.plan.shapes[value] for value in node.inputs]
        output = writer.define_target(node, target)
        writer.add(moving_step(node, sources, shapes, output))


def moving_step(  # noqa: PLR0911 - one for each
    node: ExportedNode, sources: Sequence[str], shapes: Sequence[Shape], output: str
) -> steps.Step:
    """Returns the step of a node that moves values of any type."""
    source = sources[0]
    match node.operation:
        case ops.Transpose(permutation):
            return steps.Transpose(source, output, permutation)
        case ops.Slice(axis, start, stop, step):
            return steps.Slice(source, output, axis, start, stop, step)
        case ops.Expand():
            return steps.Expand(source, output, requested_shape(node.shape))
        case ops.Pad(pads, value):
            return steps.Pad(source, output, pads, float(np.float32(value)))
        case ops.Concat(axis):
            return steps.Concat(tuple(sources), output, axis)
        case ops.MaxPool() as pool:
            padding = pool_padding(pool, shapes[0], node.shape)
            return steps.MaxPool2d(source, output, pool.kernel, pool.stride, padding, pool.dilation)
        case ops.Resize() as resize:
            ratio = tuple(_ratio(resize, shapes[0], axis) for axis in (0, 1))
            fields = (resize.mode, resize.size, ratio, resize.align_corners)
            return steps.Resize(source, output, *fields)
        case _:
            return steps.Reshape(source, output, requested_shape(node.shape))


def _write_layer(writer: Writer, node: ExportedNode, target: Target) -> None:
    operation = node.operation
    if isinstance(operation, ops.Conv2d | ops.ConvTranspose2d | ops.Linear):
        if isinstance(operation, ops.Linear) and len(node.shape) == _IMAGE_RANK:
            _write_linear_of_images(writer, node, target)
            return
        source = writer.bytes_of(node.inputs[0])
        constants = layer_constants(writer, node, operation)
        output = writer.define_target(node, target)
        writer.add(_layer_step(operation, source, output, constants, target))
        return
    read = [writer.bytes_of(value) for value in node.inputs[:3]]
    if isinstance(operation, ops.Resize):
        _write_interpolation(writer, node, target)
        return
    output = writer.define_target(node, target)
    bounds = (target.qmin, target.qmax)
    match operation:
        case ops.Add():
            writer.add(steps.Add(read[0], read[1], output, *bounds))
        case ops.Multiply():
            writer.add(steps.Multiply(read[0], read[1], output, *bounds))
        case ops.GlobalAveragePool():
            writer.add(steps.GlobalAveragePool(read[0], output, *bounds))
        case ops.AveragePool() as pool:
            padding = both_ends(pool.padding)
            fields = (pool.kernel, pool.stride, padding, pool.count_include_pad, *bounds)
            writer.add(steps.AveragePool2d(read[0], output, *fields))
        case Attention() as attention:
            _write_attention(writer, node, attention, output)
        case _:
            raise AssertionError(f"{operation} is no layer")


def layer_constants(
    writer: Writer,
    node: ExportedNode,
    layer: Layer,
    order: Callable[[NDArray[np.int8]], NDArray[np.int8]] = lambda weight: weight,
) -> tuple[str, str, str]:
    """Adds weight, weight scales and bias of a layer and returns their names.

    Args:
        writer: Where to.
        node: The node of the layer.
        layer: The layer.
        order: Puts the stored weight into another order.

    Raises:
        UnsupportedWeightsError: They are others than the engine computes with.
    """
    weight = writer.constants.get(layer.weight)
    if weight is None:
        raise UnsupportedWeightsError("reads quantized values and has weights that are not")
    bias: QuantizedConstant | NDArray[Any] | None = None
    if layer.bias is not None:
        bias = writer.constants.get(layer.bias, np.asarray(writer.weights[layer.bias]))
    source = writer.plan.exact[node.inputs[0]]
    integers = layer_integers(layer, weight, bias, source)
    name = node.label or f"value.{node.output}"
    stored = np.ascontiguousarray(order(as_stored(layer, integers.weight)))
    return (
        writer.constant(f"{name}.weight", stored),
        writer.constant(f"{name}.weight_scale", integers.weight_scale),
        writer.constant(f"{name}.bias", integers.bias),
    )


def _layer_step(
    layer: Layer, source: str, output: str, constants: tuple[str, str, str], target: Target
) -> steps.Step:
    bounds = (target.qmin, target.qmax)
    match layer:
        case ops.Conv2d(_, _, stride, padding, dilation, groups):
            places = (stride, both_ends(padding), dilation)
            return steps.Conv2d(source, output, *constants, *places, groups, *bounds)
        case ops.ConvTranspose2d(_, _, stride, padding, more, dilation, groups):
            ends = both_ends(padding)
            return steps.ConvTranspose2d(
                source, output, *constants, stride, ends, more, dilation, groups, *bounds
            )
        case _:
            return steps.Linear(source, output, *constants, *bounds)


def _write_linear_of_images(writer: Writer, node: ExportedNode, target: Target) -> None:
    """Writes a linear layer of four axes, of which it joins two."""
    assert isinstance(node.operation, ops.Linear)
    number = node.inputs[0]
    joined, made = (_joined(writer.plan.shapes[number]), _joined(node.shape))
    rows = writer.new_bytes(node, "rows", joined, writer.plan.exact[number])
    writer.add(steps.Reshape(writer.bytes_of(number), rows, requested_shape(joined)))
    constants = layer_constants(writer, node, node.operation)
    products = writer.new_bytes(node, "products", made, target.qparams)
    writer.add(_layer_step(node.operation, rows, products, constants, target))
    output = writer.define_target(node, target)
    writer.add(steps.Reshape(products, output, requested_shape(node.shape)))


def _joined(shape: Shape) -> Shape:
    return (shape[0], (shape[1] or 1) * (shape[2] or 1), shape[3])


def _write_interpolation(writer: Writer, node: ExportedNode, target: Target) -> None:
    """Writes an interpolation in the scale of what it reads, and a change of scale behind it."""
    number = node.inputs[0]
    own = Target(writer.plan.exact[number])
    output = writer.new_bytes(node, "interpolated", node.shape, own.qparams)
    shapes = [writer.plan.shapes[number]]
    writer.add(moving_step(node, [writer.bytes_of(number)], shapes, output))
    writer.name_target(
        node.output, target, writer.rescaled(output, node.shape, own.qparams, target)
    )


def _write_attention(writer: Writer, node: ExportedNode, attention: Attention, output: str) -> None:
    query, key, value = (writer.bytes_of(number) for number in node.inputs[:3])
    masks = [writer.plain(number) for number in node.inputs[3:]]
    offsets = attention.offsets
    writer.add(
        steps.Attention(
            query=query,
            key=key,
            value=value,
            output=output,
            heads=attention.heads,
            head_size=attention.head_size,
            scale=float(np.float32(attention.scale)),
            mask=masks[0] if masks else None,
            query_offset=offsets[0],
            key_offset=offsets[1],
            value_offset=offsets[2],
        )
    )


def pool_padding(pool: ops.MaxPool, source: Shape, target: Shape) -> Padding:
    """Returns the padding of a max pool; one that rounds its extent up reads past the end."""
    return reached_padding(
        source, target, kernel=pool.kernel, stride=pool.stride, padding=pool.padding,
        dilation=pool.dilation,
    )  # fmt: skip


def _ratio(resize: ops.Resize, source: Shape, axis: int) -> float:
    scale = None if resize.scales is None else resize.scales[axis]
    return pixel_ratio(
        source[axis + 2] or 1, resize.size[axis], scale, align_corners=resize.align_corners
    )
