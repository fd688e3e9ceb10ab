"""Builds a torch graph from an exported model.

Every name in the graph is made here: inputs `x0`, `x1`, ...; nodes and their modules `v0`, `v1`,
... in the order of the model. The same model gives the same names.

Metadata of a node: "op", its OpKind; "shape", its shape with None for the batch size;
"module_path", the module, and "source", the line that it came from, for display. Inputs have
"input_name" and "shape"; the output node has "output_names".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import fx, nn

from smidgen.graph import modules
from smidgen.graph import operations as ops
from smidgen.graph.exported import ExportedModel, ExportedNode
from smidgen.graph.modules import Clamp, LastAxisBatchNorm
from smidgen.graph.operations import OpKind, Shape

_UNARY_MODULES: Mapping[OpKind, Callable[[], nn.Module]] = {
    OpKind.RELU: nn.ReLU,
    OpKind.RELU6: nn.ReLU6,
    OpKind.SIGMOID: nn.Sigmoid,
    OpKind.HARDSIGMOID: nn.Hardsigmoid,
    OpKind.HARDSWISH: nn.Hardswish,
    OpKind.SILU: nn.SiLU,
    OpKind.TANH: nn.Tanh,
}
_FUNCTIONS: Mapping[OpKind, Callable[..., torch.Tensor]] = {
    OpKind.ADD: torch.add,
    OpKind.SUB: torch.sub,
    OpKind.MULTIPLY: torch.mul,
    OpKind.DIV: torch.div,
    OpKind.MINIMUM: torch.minimum,
    OpKind.MAXIMUM: torch.maximum,
    OpKind.AND: torch.logical_and,
    OpKind.OR: torch.logical_or,
    OpKind.NOT: torch.logical_not,
    OpKind.MATMUL: torch.matmul,
    OpKind.WHERE: torch.where,
}
"""What needs no arguments but its operands."""


def build_graph(model: ExportedModel) -> fx.GraphModule:
    """Builds a graph of real modules with copies of the model's weights, in evaluation mode.

    Weights that the model ties stay tied: their modules share one parameter. What the model does
    not train, such as kernels that blur, needs no gradient.

    Args:
        model: The model as it was read.
    """
    return _Builder(model).build()


class _Builder:
    def __init__(self, model: ExportedModel) -> None:
        self._model = model
        self._root = nn.Module()
        self._graph = fx.Graph()
        self._parameters: dict[tuple[str, bool], nn.Parameter] = {}
        self._buffers: dict[str, torch.Tensor] = {}
        self._values: dict[int, fx.Node] = {}

    def build(self) -> fx.GraphModule:
        for index, spec in enumerate(self._model.inputs):
            placeholder = self._graph.placeholder(f"x{index}")
            placeholder.meta |= {"input_name": spec.name, "shape": spec.shape, "dtype": spec.dtype}
            self._values[index] = placeholder
        for index, node in enumerate(self._model.nodes):
            self._values[node.output] = self._add(f"v{index}", node)
        results = tuple(self._values[value] for value in self._model.output_values)
        output = self._graph.output(results[0] if len(results) == 1 else results)
        output.meta["output_names"] = tuple(spec.name for spec in self._model.outputs)
        self._graph.lint()
        return fx.GraphModule(self._root, self._graph, class_name="FloatGraph").eval()

    def _add(self, name: str, node: ExportedNode) -> fx.Node:
        inputs = tuple(self._values[value] for value in node.inputs)
        operation = node.operation
        match operation:
            case ops.Constant(weight):
                result = self._constant(name, weight)
            case _ if operation.kind in _FUNCTIONS:
                result = self._call(name, _FUNCTIONS[operation.kind], inputs)
            case ops.Concat(axis):
                result = self._call(name, torch.cat, (list(inputs), axis))
            case ops.Flatten():
                result = self._call(name, torch.flatten, (*inputs, 1))
            case ops.Reshape(shape):
                sizes = tuple(-1 if extent is None else extent for extent in shape)
                result = self._call(name, torch.reshape, (*inputs, sizes))
            case ops.Expand(shape):
                sizes = tuple(-1 if extent is None else extent for extent in shape)
                result = self._call(name, torch.broadcast_to, (*inputs, sizes))
            case _:
                self._root.add_module(name, self._module(operation, node.shape))
                result = self._graph.create_node("call_module", name, inputs, {}, name)
        result.meta |= {
            "op": operation.kind,
            "shape": node.shape,
            "dtype": node.dtype,
            "module_path": node.module_path,
            "source": node.source,
        }
        return result

    def _constant(self, name: str, weight: str) -> fx.Node:
        """Makes a value of a weight; a parameter if it is float, though not all are trained."""
        array = self._model.weights[weight]
        if array.dtype == np.float32:
            self._root.register_parameter(name, self._parameter(weight))
        else:
            self._root.register_buffer(name, torch.from_numpy(np.array(array, order="C")))
        return self._graph.create_node("get_attr", name, (), {}, name)

    def _call(
        self,
        name: str,
        function: Callable[..., torch.Tensor],
        arguments: tuple[fx.node.Argument, ...],
    ) -> fx.Node:
        return self._graph.create_node("call_function", function, arguments, {}, name)

    def _module(self, operation: ops.Operation, shape: Shape) -> nn.Module:  # noqa: PLR0911 - same
        match operation:
            case ops.Conv2d():
                return self._conv2d(operation)
            case ops.ConvTranspose2d():
                return self._conv_transpose2d(operation)
            case ops.Linear():
                return self._linear(operation)
            case ops.BatchNorm():
                return self._batch_norm(operation, rank=len(shape))
            case ops.Dropout(p, whole_channels):
                return nn.Dropout2d(p) if whole_channels else nn.Dropout(p)
            case ops.Embedding():
                return self._embedding(operation)
            case ops.GroupNorm():
                return self._group_norm(operation, shape)
            case ops.PRelu():
                return self._prelu(operation)
            case ops.LayerNorm():
                return self._layer_norm(operation, shape)
            case ops.MaxPool() | ops.AveragePool() | ops.GlobalAveragePool():
                return _pool(operation)
            case _:
                return _activation(operation)

    def _conv2d(self, operation: ops.Conv2d) -> nn.Conv2d:
        weight = self._parameter(operation.weight)
        height, width = weight.shape[2:]
        # On the meta device no memory is taken and no random number drawn for what is replaced.
        module = nn.Conv2d(
            weight.shape[1] * operation.groups, weight.shape[0], (height, width),
            operation.stride, operation.padding, operation.dilation, operation.groups,
            bias=operation.bias is not None, device="meta",
        )  # fmt: skip
        module.weight = weight
        if operation.bias is not None:
            module.bias = self._parameter(operation.bias)
        return module

    def _conv_transpose2d(self, operation: ops.ConvTranspose2d) -> nn.ConvTranspose2d:
        weight = self._parameter(operation.weight)
        height, width = weight.shape[2:]
        module = nn.ConvTranspose2d(
            weight.shape[0], weight.shape[1] * operation.groups, (height, width),
            operation.stride, operation.padding, operation.output_padding, operation.groups,
            bias=operation.bias is not None, dilation=operation.dilation, device="meta",
        )  # fmt: skip
        module.weight = weight
        if operation.bias is not None:
            module.bias = self._parameter(operation.bias)
        return module

    def _linear(self, operation: ops.Linear) -> nn.Linear:
        weight = self._parameter(operation.weight, is_transposed=operation.is_transposed)
        outputs, inputs = weight.shape
        module = nn.Linear(inputs, outputs, bias=operation.bias is not None, device="meta")
        module.weight = weight
        if operation.bias is not None:
            module.bias = self._parameter(operation.bias)
        return module

    def _batch_norm(self, operation: ops.BatchNorm, *, rank: int) -> nn.Module:
        mean, variance = self._buffer(operation.running_mean), self._buffer(operation.running_var)
        has_affine = operation.weight is not None and operation.bias is not None
        module_class = (
            LastAxisBatchNorm
            if operation.channels_last
            else nn.BatchNorm2d
            if rank == 4
            else nn.BatchNorm1d
        )
        module = module_class(len(mean), operation.eps, operation.momentum, affine=has_affine)
        if operation.weight is not None and operation.bias is not None:
            module.weight = self._parameter(operation.weight)
            module.bias = self._parameter(operation.bias)
        module.running_mean, module.running_var = mean, variance
        return module

    def _embedding(self, operation: ops.Embedding) -> nn.Embedding:
        table = self._parameter(operation.weight)
        module = nn.Embedding(table.shape[0], table.shape[1], device="meta")
        module.weight = table
        return module

    def _group_norm(self, operation: ops.GroupNorm, shape: Shape) -> nn.GroupNorm:
        channels = shape[1]
        assert channels is not None, "the shape rule has seen the channels"
        has_affine = operation.weight is not None or operation.bias is not None
        module = nn.GroupNorm(operation.groups, channels, operation.eps, affine=has_affine)
        if operation.weight is not None:
            module.weight = self._parameter(operation.weight)
        if operation.bias is not None:
            module.bias = self._parameter(operation.bias)
        return module

    def _prelu(self, operation: ops.PRelu) -> nn.PReLU:
        slopes = self._parameter(operation.weight)
        module = nn.PReLU(len(slopes))
        module.weight = slopes
        return module

    def _layer_norm(self, operation: ops.LayerNorm, shape: Shape) -> nn.LayerNorm:
        features = shape[-1]
        assert features is not None, "the shape rule has seen the last axis"
        # One of the two alone is filled up with what changes nothing.
        module = nn.LayerNorm(
            features, operation.eps, elementwise_affine=operation.weight is not None
            or operation.bias is not None,
        )  # fmt: skip
        if operation.weight is not None:
            module.weight = self._parameter(operation.weight)
        if operation.bias is not None:
            module.bias = self._parameter(operation.bias)
        return module

    def _parameter(self, name: str, *, is_transposed: bool = False) -> nn.Parameter:
        key = (name, is_transposed)
        if key not in self._parameters:
            tensor = self._copy(name)
            contiguous = tensor.t().contiguous() if is_transposed else tensor
            is_trained = name in self._model.parameters
            self._parameters[key] = nn.Parameter(contiguous, requires_grad=is_trained)
        return self._parameters[key]

    def _buffer(self, name: str) -> torch.Tensor:
        if name not in self._buffers:
            self._buffers[name] = self._copy(name)
        return self._buffers[name]

    def _copy(self, name: str) -> torch.Tensor:
        return torch.from_numpy(np.array(self._model.weights[name], np.float32, order="C"))


def _pool(operation: ops.MaxPool | ops.AveragePool | ops.GlobalAveragePool) -> nn.Module:
    match operation:
        case ops.MaxPool(kernel, stride, padding, dilation, ceil_mode):
            return nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=ceil_mode)
        case ops.AveragePool(kernel, stride, padding, ceil_mode, count_include_pad):
            return nn.AvgPool2d(kernel, stride, padding, ceil_mode, count_include_pad)
        case ops.GlobalAveragePool():
            return nn.AdaptiveAvgPool2d(1)


def _activation(operation: ops.Operation) -> nn.Module:  # noqa: PLR0911 - one for each
    match operation:
        case ops.Unary(kind):
            return _UNARY_MODULES[kind]() if kind in _UNARY_MODULES else modules.Function(kind)
        case ops.Pow(exponent):
            return modules.Pow(exponent)
        case ops.Clamp(minimum, maximum):
            return Clamp(minimum, maximum)
        case ops.Gelu(approximate):
            return nn.GELU(approximate)
        case ops.LeakyRelu(negative_slope):
            return nn.LeakyReLU(negative_slope)
        case ops.Elu(alpha):
            return nn.ELU(alpha)
        case _:
            return _tensor_module(operation)


def _tensor_module(operation: ops.Operation) -> nn.Module:  # noqa: PLR0911 - one for each
    match operation:
        case ops.Resize(mode, size, scales, align_corners):
            return modules.Resize(mode, size, scales, align_corners=align_corners)
        case ops.LogSoftmax(axis):
            return nn.LogSoftmax(axis)
        case ops.Pad(pads, value):
            return modules.Pad(pads, value)
        case ops.Softmax(axis):
            return nn.Softmax(axis)
        case ops.ScaledDotProductAttention(scale, is_causal):
            return modules.ScaledDotProductAttention(scale, is_causal=is_causal)
        case ops.Compare(function):
            return modules.Compare(function)
        case ops.Cast(dtype):
            return modules.Cast(dtype)
        case ops.Reduce(function, axes, keep_dims):
            return modules.Reduce(function, axes, keep_dims=keep_dims)
        case ops.Transpose(permutation):
            return modules.Transpose(permutation)
        case ops.Slice(axis, start, stop, step):
            return modules.Slice(axis, start, stop, step)
        case _:
            raise AssertionError(f"{operation.kind} has no case here")
