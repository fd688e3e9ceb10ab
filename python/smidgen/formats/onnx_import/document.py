"""An ONNX file taken apart: the graph without its tensors, and the tensors where they lie.

The onnx package parses bytes and tells what an operator takes (signatures), and nothing else of it
is used: no loading of external data, no hub, no checker. Before it parses, every message is walked
in place: fields that no known version has are refused, and what would be parsed is counted, for a
few bytes of a file become a hundred in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto

from smidgen.formats.limits import Limits
from smidgen.formats.onnx_import.reasons import OnnxReason
from smidgen.formats.onnx_import.tensors import TensorRecord, refuse_external, tensor_record
from smidgen.formats.onnx_import.wire import FIXED32, FIXED64, LENGTH, VARINT, Field, fields
from smidgen.formats.refusal import refusal

_M = TypeVar("_M", bound=Message)

_MOST_DEPTH = 16
_GRAPH_DEPTH = 1
_LEVELS_OF_IF = 3  # the node, its attribute and the graph in it
_GRAPH = ModelProto.DESCRIPTOR.fields_by_name["graph"].number
_INITIALIZER = GraphProto.DESCRIPTOR.fields_by_name["initializer"].number
_NODE = GraphProto.DESCRIPTOR.fields_by_name["node"].number

# How each type of field is written; numbers of repeated fields also packed, one after the other.
_WIRE_TYPES: Mapping[int, int] = {
    FieldDescriptor.TYPE_INT32: VARINT,
    FieldDescriptor.TYPE_INT64: VARINT,
    FieldDescriptor.TYPE_UINT64: VARINT,
    FieldDescriptor.TYPE_ENUM: VARINT,
    FieldDescriptor.TYPE_FLOAT: FIXED32,
    FieldDescriptor.TYPE_DOUBLE: FIXED64,
    FieldDescriptor.TYPE_STRING: LENGTH,
    FieldDescriptor.TYPE_BYTES: LENGTH,
    FieldDescriptor.TYPE_MESSAGE: LENGTH,
}
_LEAST_BYTES: Mapping[int, int] = {VARINT: 1, FIXED32: 4, FIXED64: 8}

LEAST_OPSET, MOST_OPSET = 13, 28
_LEAST_IR, _MOST_IR = 7, 14
_DEFAULT_DOMAINS = ("", "ai.onnx")

BRANCHES = ("else_branch", "then_branch")
"""The graphs of an If, by whether its condition holds."""


@dataclass(frozen=True, slots=True)
class OnnxDocument:
    """A file whose structure is sound.

    Attributes:
        graph: The graph without initializers.
        opset: Version of the operators.
        initializers: The tensors by name.
        producer: What wrote the file, by its own account.
    """

    graph: GraphProto
    opset: int
    initializers: Mapping[str, TensorRecord]
    producer: str = ""


def parse_document(data: memoryview, limits: Limits) -> OnnxDocument:
    """Takes a file apart.

    Args:
        data: The whole file, which must not change.
        limits: Caps.

    Raises:
        InvalidModelError: With an ONNX_ reason.
    """
    walk = _Walk(limits)
    kept = _Stretches(data)
    initializers: list[memoryview] = []
    graphs = 0
    for field in walk.message(data, ModelProto.DESCRIPTOR, 0):
        if field.number != _GRAPH or field.payload is None:
            kept.add(field)
            continue
        graphs += 1
        graph_parts = _Stretches(field.payload)
        for part in walk.message(field.payload, GraphProto.DESCRIPTOR, _GRAPH_DEPTH):
            if part.number != _INITIALIZER or part.payload is None:
                graph_parts.add(part)
                continue
            initializers.append(part.payload)
            if len(initializers) > limits.entries:
                found = f"it has more than {limits.entries} tensors."
                raise refusal(OnnxReason.TOO_LARGE, found)
    if graphs != 1:
        raise refusal(OnnxReason.MALFORMED, f"it is not an ONNX file: it has {graphs} graphs.")
    model = _parse(ModelProto(), kept.joined())
    graph = _parse(GraphProto(), graph_parts.joined())
    opset = _check_model(model)
    _check_graph(graph)
    tensors = _initializers(initializers)
    return OnnxDocument(graph, opset, tensors, model.producer_name)


class _Stretches:
    """Fields of a message, kept as the stretches that those beside each other make.

    Args:
        message: The message, which hundreds of thousands of views would outweigh by far.
    """

    def __init__(self, message: memoryview) -> None:
        self._message = message
        self._bounds: list[int] = []  # where a stretch begins and ends, one after the other

    def add(self, field: Field) -> None:
        """Keeps a field behind those kept so far."""
        if self._bounds and self._bounds[-1] == field.start:
            self._bounds[-1] = field.end
        else:
            self._bounds += (field.start, field.end)

    def joined(self) -> bytes:
        """Returns all that was kept."""
        bounds = iter(self._bounds)
        return b"".join(self._message[start:end] for start, end in zip(bounds, bounds, strict=True))


@dataclass(frozen=True, slots=True)
class _FieldKind:
    """What a field of a kind of message must be like; protobuf takes long to tell each of it.

    Attributes:
        name: Its name.
        wire_type: How one value of it is written.
        is_text: It is a text, and so must be UTF-8.
        is_repeated: It may have more values than one.
        inner: The descriptor of the messages that it holds; None where it holds others.
        is_node: It is a node of a graph.
    """

    name: str
    wire_type: int
    is_text: bool
    is_repeated: bool
    inner: Any
    is_node: bool


@cache
def _field_kinds(kind: Any) -> Mapping[int, _FieldKind]:
    """Returns the fields that a kind of message has, by their numbers."""
    return {
        number: _FieldKind(
            descriptor.name,
            _WIRE_TYPES[descriptor.type],
            descriptor.type == FieldDescriptor.TYPE_STRING,
            bool(descriptor.is_repeated),
            descriptor.message_type,
            kind is GraphProto.DESCRIPTOR and number == _NODE,
        )
        for number, descriptor in kind.fields_by_number.items()
    }


class _Walk:
    """Looks at every field once, so that nothing is parsed that was not counted."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._fields = 0
        self._nodes = 0

    def message(
        self, data: memoryview, kind: Any, depth: int, *, is_initializer: bool = False
    ) -> Iterator[Field]:
        """Yields the fields of a message, each after a look at all that it holds.

        Args:
            data: The message.
            kind: Its descriptor.
            depth: How deep it lies.
            is_initializer: It is a tensor whose packed elements protobuf does not see.
        """
        if depth > _MOST_DEPTH:
            raise refusal(
                OnnxReason.TOO_LARGE,
                f"its messages nest deeper than {_MOST_DEPTH} levels, of which each If within "
                f"another takes {_LEVELS_OF_IF}. Export the model without control flow.",
            )
        known = _field_kinds(kind)
        for field in fields(data):
            field_kind = known.get(field.number)
            if field_kind is None:
                raise refusal(
                    OnnxReason.UNKNOWN_FIELD,
                    f"a {kind.name} has the unknown field {field.number}.",
                )
            elements = _elements(field_kind, field)
            self._count(field_kind, 1 if is_initializer else elements)
            inner = field_kind.inner
            # The fields of the graph itself are walked by whoever asked for those of the model.
            is_graph = kind is ModelProto.DESCRIPTOR and field.number == _GRAPH
            if inner is not None and field.payload and not is_graph:
                # Tensors of a branch are parsed by protobuf like all else, so they are counted.
                is_tensor = (
                    kind is GraphProto.DESCRIPTOR
                    and field.number == _INITIALIZER
                    and depth == _GRAPH_DEPTH
                )
                for _ in self.message(field.payload, inner, depth + 1, is_initializer=is_tensor):
                    pass
            yield field

    def _count(self, field_kind: _FieldKind, elements: int) -> None:
        self._fields += elements
        self._nodes += field_kind.is_node
        if self._nodes > self._limits.nodes:
            raise refusal(OnnxReason.TOO_LARGE, f"it has more than {self._limits.nodes} nodes.")
        if self._fields > self._limits.fields:
            raise refusal(OnnxReason.TOO_LARGE, f"it has more than {self._limits.fields} fields.")


def _elements(field_kind: _FieldKind, field: Field) -> int:
    """Returns how many values a field may hold: 1, or more where they are packed.

    Raises:
        InvalidModelError: ONNX_MALFORMED, it is not written as its type is; protobuf would keep it
            aside as a field that it does not know.
    """
    expected = field_kind.wire_type
    if field.wire_type == expected:
        if field_kind.is_text:
            _check_text(field, field_kind.name)
        return 1
    if field.payload is None or not field_kind.is_repeated:
        found = f"its field {field_kind.name} has the wire type {field.wire_type}"
        raise refusal(OnnxReason.MALFORMED, f"it is not an ONNX file: {found}.")
    return 1 + len(field.payload) // _LEAST_BYTES[expected]


def _check_text(field: Field, name: str) -> None:
    """Checks what protobuf only does when the text is looked at, by an error of another kind."""
    try:
        str(field.payload or b"", "utf-8")
    except UnicodeDecodeError:
        found = f"its field {name} is not UTF-8"
        raise refusal(OnnxReason.MALFORMED, f"it is not an ONNX file: {found}.") from None


def _parse(message: _M, data: bytes) -> _M:
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise refusal(
            OnnxReason.MALFORMED, "it is not an ONNX file: protobuf refuses it."
        ) from None
    return message


def _check_model(model: ModelProto) -> int:
    if not _LEAST_IR <= model.ir_version <= _MOST_IR:
        raise refusal(
            OnnxReason.UNSUPPORTED_VERSION,
            f"it has IR version {model.ir_version}, expected {_LEAST_IR} to {_MOST_IR}.",
        )
    if len(model.functions):
        raise refusal(OnnxReason.FUNCTIONS, "it has functions. Inline them and save it again.")
    if len(model.training_info):
        raise refusal(OnnxReason.TRAINING_INFO, "it has training information.")
    opsets = [entry.version for entry in model.opset_import if entry.domain in _DEFAULT_DOMAINS]
    if len(opsets) != 1 or not LEAST_OPSET <= opsets[0] <= MOST_OPSET:
        shown = ", ".join(map(str, opsets)) or "none"
        raise refusal(
            OnnxReason.UNSUPPORTED_VERSION,
            f"it has opset {shown}, expected one from {LEAST_OPSET} to {MOST_OPSET}.",
        )
    return opsets[0]


def _check_graph(graph: GraphProto) -> None:
    if len(graph.sparse_initializer):
        raise refusal(OnnxReason.SPARSE_TENSOR, "it has sparse tensors.")
    for stated in (*graph.input, *graph.output, *graph.value_info):
        if stated.type.WhichOneof("value") not in (None, "tensor_type"):
            found = f"{stated.name[:80]!r} is a sequence, map, optional or sparse tensor."
            raise refusal(OnnxReason.UNSUPPORTED_TYPE, found)
    for node in graph.node:
        if node.domain not in _DEFAULT_DOMAINS:
            raise refusal(
                OnnxReason.CUSTOM_DOMAIN,
                f"the node {node.name[:80]!r} is {node.op_type[:80]!r} of the domain "
                f"{node.domain[:80]!r}, expected operators of ONNX itself.",
            )
        for attribute in node.attribute:
            _check_attribute(node, attribute)


def _check_attribute(node: NodeProto, attribute: AttributeProto) -> None:
    label = f"the attribute {attribute.name[:80]!r} of the node {node.name[:80]!r}"
    if node.op_type == "If" and attribute.name in BRANCHES and attribute.HasField("g"):
        _check_branch(attribute.g, label)
    elif attribute.HasField("g") or len(attribute.graphs):
        raise refusal(
            OnnxReason.CONTROL_FLOW,
            f"{label} is a graph, as of {node.op_type[:80]!r}. Export the model without control "
            "flow.",
        )
    if attribute.HasField("sparse_tensor") or len(attribute.sparse_tensors):
        raise refusal(OnnxReason.SPARSE_TENSOR, f"{label} is a sparse tensor.")
    if attribute.HasField("tp") or len(attribute.type_protos) or attribute.ref_attr_name:
        raise refusal(OnnxReason.UNSUPPORTED_TYPE, f"{label} is a type or a reference.")
    for tensor in (attribute.t, *attribute.tensors):
        refuse_external(tensor, label)


def _check_branch(branch: GraphProto, label: str) -> None:
    """Checks a graph that runs in place of an If, if its condition is known: see importer."""
    if len(branch.input) or len(branch.initializer):
        raise refusal(
            OnnxReason.CONTROL_FLOW,
            f"{label} is a graph with inputs or tensors of its own. Export the model without "
            "control flow.",
        )
    _check_graph(branch)


def _initializers(tensors: list[memoryview]) -> dict[str, TensorRecord]:
    found: dict[str, TensorRecord] = {}
    for data in tensors:
        record = tensor_record(data)
        name = record.header.name
        if not name or name in found:
            raise refusal(
                OnnxReason.DUPLICATE_VALUE, f"the tensor {name[:80]!r} is there twice or unnamed."
            )
        found[name] = record
    return found
