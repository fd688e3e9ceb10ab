"""Reads an ONNX model into the graph of a float model, without running anything of it."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, TensorProto, ValueInfoProto

from smidgen.formats.limits import DEFAULT_LIMITS, Limits
from smidgen.formats.onnx_import.call import Rule, plain
from smidgen.formats.onnx_import.document import OnnxDocument, parse_document
from smidgen.formats.onnx_import.importer import OnnxImporter
from smidgen.formats.onnx_import.reasons import OnnxReason
from smidgen.formats.onnx_import.rules import RULES
from smidgen.formats.onnx_import.rules.elementwise import COMPUTED_IN
from smidgen.formats.onnx_import.tensors import decode_tensor, stated_bytes, type_name
from smidgen.formats.refusal import refusal, refuse_not_finite
from smidgen.graph.arguments import Activation, Weight, name_of
from smidgen.graph.assembly import input_specs, output_specs, renumber
from smidgen.graph.exported import ExportedModel
from smidgen.graph.operations import BOOL, FLOAT32, INT64, Shape, weight_names
from smidgen.graph.shapes import show
from smidgen.regular_file import open_regular

_DTYPES: Mapping[int, str] = {
    TensorProto.FLOAT: FLOAT32,
    TensorProto.INT64: INT64,
    TensorProto.BOOL: BOOL,
}
FLOAT_OUTPUTS: Mapping[int, str] = {
    number: COMPUTED_IN.get(number, "") for number in TensorProto.DataType.values() if number
}
"""What an output has to be computed in for each element type that a file may state of it."""

QUANTIZED_OUTPUTS: Mapping[int, str] = {
    number: FLOAT_OUTPUTS[number] for number in (TensorProto.FLOAT, TensorProto.BOOL)
}
"""The same of quantized models, whose integers stand for reals."""

_MOST_NAME = 255
_MOST_SHOWN = 16
_SPARE_BYTES = 256 << 20  # small integers become int64

AsWeight = Callable[[str, NDArray[Any]], Weight]


def plain_weight(name: str, array: NDArray[Any]) -> Weight:
    """Returns a tensor of the file in an element type that the graph has."""
    weight = plain(Weight(name, name_of(array.dtype), array.shape, array=array))
    assert isinstance(weight, Weight)
    # A file does not tell parameters from buffers.
    return replace(weight, is_parameter=weight.dtype == FLOAT32)


def read_onnx(path: Path, *, limits: Limits = DEFAULT_LIMITS) -> ExportedModel:
    """Reads an ONNX file, opset 13 or later, of one graph without control flow.

    Nothing in the file is used as a path: tensors in other files are refused. The weights are views
    of the mapped file where its alignment allows, so it must not change while the model is in use.

    Args:
        path: The file.
        limits: Caps on what it may hold.

    Raises:
        InvalidModelError: With an ONNX_ reason: the file is not acceptable.
        UnsupportedOperatorError: The graph has operators that are not supported; names all.
    """
    data = mapped(path, limits)
    return ModelReader(parse_document(data, limits), data, limits).read()


def mapped(path: Path, limits: Limits) -> memoryview:
    """Returns a whole file, mapped.

    Raises:
        InvalidModelError: It is empty or larger than the limits allow.
    """
    size = path.stat().st_size
    if size > limits.file_bytes:
        found = f"it has {size} bytes, expected at most {limits.file_bytes}."
        raise refusal(OnnxReason.TOO_LARGE, found)
    if size == 0:
        raise refusal(OnnxReason.MALFORMED, "the file is empty. Export the model again.")
    with open_regular(path) as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


class ModelReader:
    """Reads the model of one file.

    Args:
        document: The file taken apart.
        data: The file.
        limits: Caps.
        rules: What the operators mean.
        as_weight: Makes weights of the tensors.
        stated: What outputs have to be computed in for the element types that are stated of them;
            others are not looked at.
    """

    def __init__(
        self,
        document: OnnxDocument,
        data: memoryview,
        limits: Limits,
        rules: Mapping[str, Rule] = RULES,
        as_weight: AsWeight = plain_weight,
        *,
        stated: Mapping[int, str] = FLOAT_OUTPUTS,
    ) -> None:
        self._stated = stated
        self._rules = rules
        self._as_weight = as_weight
        self._document = document
        self._graph: GraphProto = document.graph
        self._data = data
        self._limits = limits

    def read(self) -> ExportedModel:
        """Returns the model; see read_onnx for what it raises."""
        weights = self._weights()
        importer = OnnxImporter(self._document.opset, weights, self._limits, self._rules)
        stated = [value for value in self._graph.input if value.name not in weights]
        if not stated:
            raise refusal(OnnxReason.BAD_SIGNATURE, "it has no inputs.")
        inputs = [importer.add_input(value.name, *self._input_type(value)) for value in stated]
        importer.run(list(self._graph.node))
        outputs = self._outputs(importer)
        nodes, output_values = renumber(importer.assembly.nodes, outputs, len(inputs))
        arrays: dict[str, NDArray[np.generic]] = {
            name: weight.array for name, weight in weights.items()
        }
        arrays |= importer.assembly.constants
        used = {name for node in nodes for name in weight_names(node.operation)}
        refuse_not_finite(arrays, used, OnnxReason.BAD_WEIGHT)
        parameters = [
            weights[name].array for name in used & weights.keys() if weights[name].is_parameter
        ]
        is_dynamic = any(value.shape[:1] == (None,) for value in inputs)
        names = [_name(value.name) for value in stated]
        return ExportedModel(
            inputs=input_specs(names, inputs, nodes, arrays),
            outputs=output_specs([_name(value.name) for value in self._graph.output], outputs),
            nodes=nodes,
            output_values=output_values,
            weights={name: arrays[name] for name in arrays if name in used},
            parameters=importer.assembly.trained.names & used,
            parameter_count=sum(array.size for array in parameters),
            parameter_bytes=sum(array.nbytes for array in parameters),
            batch_range=(1, None) if is_dynamic else None,
            sha256=hashlib.sha256(self._data).hexdigest(),
        )

    def _weights(self) -> dict[str, Weight]:
        weights: dict[str, Weight] = {}
        self._check_total()
        for name, record in self._document.initializers.items():
            array = decode_tensor(record, _name(name), self._limits)
            weights[name] = self._as_weight(name, array)
        return weights

    def _check_total(self) -> None:
        """Refuses, before any tensor is decoded, what would take much more memory than the file."""
        total = sum(map(stated_bytes, self._document.initializers.values()))
        if total > self._limits.logical_ratio * len(self._data) + _SPARE_BYTES:
            found = f"its tensors take {total} bytes in a file of {len(self._data)}."
            raise refusal(OnnxReason.TOO_LARGE, found)

    def _input_type(self, value: ValueInfoProto) -> tuple[Shape, str]:
        name, kind = _name(value.name), value.type.WhichOneof("value")
        tensor = value.type.tensor_type
        if kind != "tensor_type" or tensor.elem_type not in _DTYPES:
            found = f"of {type_name(tensor.elem_type)}" if kind == "tensor_type" else "no tensor"
            raise refusal(
                OnnxReason.UNSUPPORTED_TYPE,
                f"the input {name!r} is {found}, expected a tensor of FLOAT, INT64 or BOOL. "
                "Export the model with such an input and convert it in forward.",
            )
        dimensions = tensor.shape.dim
        if not tensor.HasField("shape") or not dimensions:
            raise refusal(
                OnnxReason.BAD_SIGNATURE, f"the input {name!r} has no shape, or is one number."
            )
        shape: list[int | None] = []
        for axis, dimension in enumerate(dimensions):
            if dimension.WhichOneof("value") == "dim_value":
                if not 1 <= dimension.dim_value <= self._limits.extent:
                    found = f"the input {name!r} has an extent of {dimension.dim_value}."
                    raise refusal(OnnxReason.BAD_SIGNATURE, found)
                shape.append(dimension.dim_value)
            elif axis == 0:
                shape.append(None)
            else:
                shown = dimension.dim_param[:80] or "?"
                found = (
                    f"axis {axis} of the input {name!r} is dynamic, of the size {shown!r}. Only "
                    "the first axis of inputs may be dynamic, the same one for all: leave it out "
                    "of dynamic_axes or dynamic_shapes of the exporter, so that it has the size of "
                    "the example."
                )
                raise refusal(OnnxReason.DYNAMIC_SHAPE_UNSUPPORTED, found)
        if len(shape) > self._limits.rank:
            raise refusal(OnnxReason.BAD_SIGNATURE, f"the input {name!r} has {len(shape)} axes.")
        return tuple(shape), _DTYPES[tensor.elem_type]

    def _outputs(self, importer: OnnxImporter) -> Sequence[Activation]:
        if not len(self._graph.output):
            raise refusal(OnnxReason.BAD_SIGNATURE, "it has no outputs.")
        outputs = [importer.output(stated.name) for stated in self._graph.output]
        for stated, found in zip(self._graph.output, outputs, strict=True):
            self._check_type(stated, found.dtype)
            _check_stated(stated, found.shape)
        return outputs

    def _check_type(self, stated: ValueInfoProto, dtype: str) -> None:
        """Refuses the output of a file that states another element type of it."""
        number = stated.type.tensor_type.elem_type
        if self._stated.get(number, dtype) != dtype:
            raise refusal(
                OnnxReason.TYPE_MISMATCH,
                f"the output {_name(stated.name)!r} is stated to be of {type_name(number)}, but is "
                f"{dtype}. Export the model again, or correct the type of its output.",
            )


def _check_stated(stated: ValueInfoProto, shape: Shape) -> None:
    """Refuses the output of a file that states another shape of it.

    What it states of the samples is not looked at where their number is dynamic: that of the input
    decides, and files whose input was made dynamic afterwards keep the one of the example here.
    """
    tensor = stated.type.tensor_type
    extents = [
        extent.dim_value if extent.WhichOneof("value") == "dim_value" else None
        for extent in tensor.shape.dim
    ]
    is_fitting = len(extents) == len(shape) and all(
        None in (extent, found) or extent == found
        for extent, found in zip(extents, shape, strict=True)
    )
    if tensor.HasField("shape") and not is_fitting:
        shown = ", ".join(
            "?" if extent is None else str(extent) for extent in extents[:_MOST_SHOWN]
        )
        more = ", ..." if len(extents) > _MOST_SHOWN else ""
        raise refusal(
            OnnxReason.SHAPE_MISMATCH,
            f"the output {_name(stated.name)!r} is stated to be [{shown}{more}], but is "
            f"{show(shape)}. Export the model again, or leave out the shapes of its outputs.",
        )


def _name(name: str) -> str:
    if not 0 < len(name) <= _MOST_NAME or not name.isprintable():
        raise refusal(
            OnnxReason.BAD_NAME, f"a tensor has the name {name[:80]!r}, expected printable text."
        )
    return name
