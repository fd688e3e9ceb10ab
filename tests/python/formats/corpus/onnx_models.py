"""Hostile ONNX files: each is a good model with one thing wrong, or bytes written by hand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    SparseTensorProto,
    StringStringEntryProto,
    TensorProto,
    TypeProto,
    helper,
    numpy_helper,
)

from smidgen.formats.onnx_import import OnnxReason as R

Edit = Callable[[ModelProto], object]
UNSUPPORTED = "UNSUPPORTED_OPERATOR"
F32, I64 = TensorProto.FLOAT, TensorProto.INT64


def good_model() -> ModelProto:
    """Returns the model that the others are made of: x [N, 3] to relu(x @ w + b) [N, 2]."""
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["y"], name="gemm"),
        helper.make_node("Relu", ["y"], ["z"], name="relu"),
    ]
    weights = [
        numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(3, 2), "w"),
        numpy_helper.from_array(np.ones(2, np.float32), "b"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", F32, ["N", 3])],
        [helper.make_tensor_value_info("z", F32, ["N", 2])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def edited(edit: Edit) -> bytes:
    """Returns the bytes of the good model after an edit."""
    model = good_model()
    edit(model)
    return model.SerializeToString()


def tensor(edit: Callable[[TensorProto], object]) -> bytes:
    """Returns the good model after an edit of its weight w."""
    return edited(lambda model: edit(model.graph.initializer[0]))


def of(*nodes: NodeProto, weights: tuple[TensorProto, ...] = (), output: str = "z") -> bytes:
    """Returns a model of other nodes over the input x [N, 3]."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", F32, ["N", 3])],
        [helper.make_tensor_value_info(output, F32, None)],
        list(weights),
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def _external(location: str) -> bytes:
    def edit(weight: TensorProto) -> None:
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.append(StringStringEntryProto(key="location", value=location))

    return tensor(edit)


def _with_branch(attribute: str) -> bytes:
    """Returns a model with a node that holds a graph."""
    branch = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["i"])],
        "branch",
        [],
        [helper.make_tensor_value_info("i", F32, ["N", 3])],
    )
    names = {"If": ("then_branch", "else_branch"), "Loop": ("body",), "Scan": ("body",)}
    graphs = dict.fromkeys(names[attribute], branch)
    return of(helper.make_node(attribute, ["x"], ["z"], **graphs))


def _attribute(**fields: Any) -> bytes:
    """Returns the good model with an attribute on its Relu."""

    def edit(model: ModelProto) -> None:
        model.graph.node[1].attribute.append(AttributeProto(name="a", **fields))

    return edited(edit)


def _typed(kind: int, dims: tuple[int, ...], **elements: Any) -> bytes:
    """Returns the good model with a weight of which elements are given one by one."""

    def edit(weight: TensorProto) -> None:
        weight.CopyFrom(TensorProto(name="w", data_type=kind, dims=dims, **elements))

    return tensor(edit)


def _sparse(model: ModelProto) -> None:
    model.graph.sparse_initializer.append(
        SparseTensorProto(values=model.graph.initializer[0], dims=[3, 2])
    )


def _function(model: ModelProto) -> None:
    inner = [helper.make_node("Relu", ["a"], ["b"])]
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("local", "F", ["a"], ["b"], inner, opsets))


def _input_type(kind: TypeProto) -> bytes:
    return edited(lambda model: model.graph.input[0].type.CopyFrom(kind))


_FLOATS = helper.make_tensor_type_proto(F32, [3])
_NODE_FIELD, _GRAPH_FIELD = 1 << 3 | 2, 7 << 3 | 2


def _varint(number: int) -> bytes:
    groups = []
    while number >= 0x80:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def _message(tag: int, payload: bytes) -> bytes:
    return _varint(tag) + _varint(len(payload)) + payload


def _nested(depth: int) -> bytes:
    """Returns nodes with attributes with graphs with nodes, many times over."""
    graph = b""
    for _ in range(depth):
        graph = _message(_NODE_FIELD, _message(5 << 3 | 2, _message(6 << 3 | 2, graph)))
    return _message(_GRAPH_FIELD, graph)


def _good() -> bytes:
    return good_model().SerializeToString()


def _weight_fields(extra: bytes) -> bytes:
    """Returns the good model with a third tensor of hand-written fields."""
    return _good() + _message(_GRAPH_FIELD, _message(5 << 3 | 2, extra))


def _only_weight(extra: bytes, size: int = 3) -> bytes:
    """Returns a graph of one tensor and nothing else."""
    header = b"\x08" + _varint(size) + b"\x10\x07" + _message(8 << 3 | 2, b"w")
    graph = _message(_GRAPH_FIELD, _message(5 << 3 | 2, header + extra))
    return b"\x08\x08" + graph + _message(8 << 3 | 2, b"\x10\x11")


def _squares() -> bytes:
    """Returns a model that squares a size of its input a hundred times."""
    names = [f"s{index}" for index in range(101)]
    nodes = [
        helper.make_node("Constant", [], ["s0"], value_ints=[1 << 31]),
        *(helper.make_node("Mul", [a, a], [b]) for a, b in pairwise(names)),
    ]
    return of(*nodes, output="s100")


def _doubled_shapes() -> bytes:
    names = [f"s{index}" for index in range(31)]
    joins = [helper.make_node("Concat", [a, a], [b], axis=0) for a, b in pairwise(names)]
    return of(helper.make_node("Shape", ["x"], ["s0"]), *joins, output="s30")


def _filled() -> bytes:
    """Returns a model with a hundred constants of 16 MB each."""
    size = numpy_helper.from_array(np.array([1 << 22]), "size")
    nodes = [helper.make_node("ConstantOfShape", ["size"], [f"c{i}"]) for i in range(100)]
    return of(*nodes, weights=(size,), output="x")


def _joined() -> bytes:
    """Returns a model that joins a tensor of 1 MB with itself 4000 times."""
    data = numpy_helper.from_array(np.zeros(1 << 18, np.float32), "w")
    return of(helper.make_node("Concat", ["w"] * 4000, ["z"], axis=0), weights=(data,))


def _gathered() -> bytes:
    """Returns a model that picks a row of 1 MB 4000 times."""
    data = numpy_helper.from_array(np.zeros((1, 1 << 18), np.float32), "w")
    places = numpy_helper.from_array(np.zeros(4000, np.int64), "i")
    return of(helper.make_node("Gather", ["w", "i"], ["z"]), weights=(data, places))


def _tiled() -> bytes:
    """Returns a model that repeats a tensor 64 times along each of two axes."""
    data = numpy_helper.from_array(np.zeros((512, 512), np.float32), "w")
    counts = numpy_helper.from_array(np.array([64, 64]), "n")
    return of(helper.make_node("Tile", ["w", "n"], ["z"]), weights=(data, counts))


def _split() -> bytes:
    """Returns a model that takes an input of 2^31 - 1 columns apart."""
    node = helper.make_node("Split", ["x"], ["a", "b"], axis=1, num_outputs=(1 << 31) - 1)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", F32, ["N", (1 << 31) - 1])],
        [helper.make_tensor_value_info("a", F32, None)],
    )
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def _many_nodes() -> bytes:
    nodes = b"".join([_message(_NODE_FIELD, b"")] * 8_001)
    return b"\x08\x08" + _message(_GRAPH_FIELD, nodes)


def _unknown_nodes() -> bytes:
    """Returns a model with 4,000 nodes of one operator that is not supported."""
    return of(*(helper.make_node("Nothing", ["x"], [f"y{i}"]) for i in range(4_000)))


def _many_paddings() -> bytes:
    """Returns a model with 2,000 reflections in 32 KiB, each of which means 63 operations."""
    amounts = numpy_helper.from_array(np.array([0, 30, 0, 31]), "p")
    columns = numpy_helper.from_array(np.arange(40) % 3, "columns")
    wide = helper.make_node("Gather", ["x", "columns"], ["r"], axis=1)
    nodes = [helper.make_node("Pad", ["r", "p"], [f"r{i}"], mode="reflect") for i in range(2_000)]
    return of(wide, *nodes, weights=(amounts, columns), output="r1999")


def _many_attributes() -> bytes:
    attribute = _message(5 << 3 | 2, b"")
    node = _message(_NODE_FIELD, attribute * 50_001)
    return b"\x08\x08" + _message(_GRAPH_FIELD, node)


def _claimed(count: int) -> bytes:
    """Returns a tensor that claims many elements and has three."""
    return _only_weight(_message(7 << 3 | 2, b"\x01\x01\x01"), count)


MEMORY = "*/_ORT_MEM_ADDR_/*"
ONNX_MODELS: dict[str, tuple[Callable[[], bytes], str]] = {
    # wire format
    "nothing": (lambda: b"", R.MALFORMED),
    "text": (lambda: b"#!/bin/sh\n", R.MALFORMED),
    "no graph": (lambda: b"\x08\x08", R.MALFORMED),
    "two graphs": (lambda: _good() + _message(_GRAPH_FIELD, b""), R.MALFORMED),
    "cut off": (lambda: _good()[:-3], R.MALFORMED),
    "trailing byte": (lambda: _good() + b"\x00", R.MALFORMED),
    "trailing half of a tag": (lambda: _good() + b"\x80", R.MALFORMED),
    "trailing archive": (lambda: _good() + b"PK\x05\x06" + b"\0" * 18, R.UNKNOWN_FIELD),
    "group": (lambda: _good() + b"\x0b\x0c", R.MALFORMED),
    "end of a group": (lambda: _good() + b"\x0c", R.MALFORMED),
    "wire type 6": (lambda: _good() + b"\x0e", R.MALFORMED),
    "field 0": (lambda: _good() + b"\x00\x01", R.MALFORMED),
    "number of 11 bytes": (lambda: _good() + b"\x08" + b"\x80" * 10 + b"\x01", R.MALFORMED),
    "number of 70 bits": (lambda: _good() + b"\x08" + b"\xff" * 9 + b"\x7f", R.MALFORMED),
    "tag of ten bytes": (
        lambda: _good() + b"\x88" + b"\x80" * 8 + b"\x00\x08",
        R.MALFORMED,
    ),
    "length beyond the file": (lambda: _good() + b"\x12\xff\xff\xff\x7f", R.MALFORMED),
    "name that is not UTF-8": (
        lambda: _good().replace(b"gemm", b"\xff\xfe\xfd\xfc"),
        R.MALFORMED,
    ),
    "text that is not UTF-8": (lambda: _good() + b"\x12\x01\xff", R.MALFORMED),
    "version as text": (lambda: _good() + b"\x0a\x01\x08", R.MALFORMED),
    "graph as number": (lambda: _good() + b"\x38\x01", R.MALFORMED),
    "raw data as number": (lambda: _weight_fields(b"\x48\x01"), R.MALFORMED),
    "unknown field": (lambda: _good() + b"\xf8\x3f\x01", R.UNKNOWN_FIELD),
    "unknown field of a tensor": (
        lambda: _only_weight(_message(99 << 3 | 2, b"x")),
        R.UNKNOWN_FIELD,
    ),
    # versions
    "IR version 6": (lambda: edited(lambda m: setattr(m, "ir_version", 6)), R.UNSUPPORTED_VERSION),
    "IR version 99": (
        lambda: edited(lambda m: setattr(m, "ir_version", 99)),
        R.UNSUPPORTED_VERSION,
    ),
    "no IR version": (lambda: edited(lambda m: m.ClearField("ir_version")), R.UNSUPPORTED_VERSION),
    "no opset": (lambda: edited(lambda m: m.ClearField("opset_import")), R.UNSUPPORTED_VERSION),
    "opset 12": (
        lambda: edited(lambda m: setattr(m.opset_import[0], "version", 12)),
        R.UNSUPPORTED_VERSION,
    ),
    "opset 99": (
        lambda: edited(lambda m: setattr(m.opset_import[0], "version", 99)),
        R.UNSUPPORTED_VERSION,
    ),
    "negative opset": (
        lambda: edited(lambda m: setattr(m.opset_import[0], "version", -1)),
        R.UNSUPPORTED_VERSION,
    ),
    "two opsets": (
        lambda: edited(lambda m: m.opset_import.append(helper.make_opsetid("ai.onnx", 17))),
        R.UNSUPPORTED_VERSION,
    ),
    # what could run, or is elsewhere
    "custom domain": (
        lambda: edited(lambda m: setattr(m.graph.node[1], "domain", "com.example")),
        R.CUSTOM_DOMAIN,
    ),
    "operators of a runtime": (
        lambda: edited(lambda m: setattr(m.graph.node[1], "domain", "com.microsoft")),
        R.CUSTOM_DOMAIN,
    ),
    "function": (lambda: edited(_function), R.FUNCTIONS),
    "if": (lambda: _with_branch("If"), R.CONTROL_FLOW),
    "loop": (lambda: _with_branch("Loop"), R.CONTROL_FLOW),
    "scan": (lambda: _with_branch("Scan"), R.CONTROL_FLOW),
    "graphs as attribute": (lambda: _attribute(graphs=[GraphProto()]), R.CONTROL_FLOW),
    "training": (lambda: edited(lambda m: m.training_info.add()), R.TRAINING_INFO),
    "data in another file": (lambda: _external("weights.bin"), R.EXTERNAL_DATA),
    "data in a file above": (lambda: _external("../../etc/passwd"), R.EXTERNAL_DATA),
    "data in an absolute file": (lambda: _external("/etc/passwd"), R.EXTERNAL_DATA),
    "data in memory": (lambda: _external(MEMORY), R.EXTERNAL_DATA),
    "location without data_location": (
        lambda: tensor(
            lambda w: w.external_data.append(StringStringEntryProto(key="location", value="w"))
        ),
        R.EXTERNAL_DATA,
    ),
    "data_location without location": (
        lambda: tensor(lambda w: setattr(w, "data_location", TensorProto.EXTERNAL)),
        R.EXTERNAL_DATA,
    ),
    "attribute in another file": (
        lambda: _attribute(
            t=TensorProto(
                data_location=TensorProto.EXTERNAL,
                external_data=[StringStringEntryProto(key="location", value=MEMORY)],
            )
        ),
        R.EXTERNAL_DATA,
    ),
    "attributes in another file": (
        lambda: _attribute(tensors=[TensorProto(data_location=TensorProto.EXTERNAL)]),
        R.EXTERNAL_DATA,
    ),
    # kinds
    "sparse weight": (lambda: edited(_sparse), R.SPARSE_TENSOR),
    "sparse attribute": (
        lambda: _attribute(sparse_tensor=SparseTensorProto()),
        R.SPARSE_TENSOR,
    ),
    "type as attribute": (lambda: _attribute(tp=_FLOATS), R.UNSUPPORTED_TYPE),
    "reference as attribute": (lambda: _attribute(ref_attr_name="x"), R.UNSUPPORTED_TYPE),
    "sequence": (
        lambda: _input_type(helper.make_sequence_type_proto(_FLOATS)),
        R.UNSUPPORTED_TYPE,
    ),
    "map": (lambda: _input_type(helper.make_map_type_proto(I64, _FLOATS)), R.UNSUPPORTED_TYPE),
    "optional": (
        lambda: _input_type(helper.make_optional_type_proto(_FLOATS)),
        R.UNSUPPORTED_TYPE,
    ),
    "sparse input": (
        lambda: _input_type(helper.make_sparse_tensor_type_proto(F32, [3])),
        R.UNSUPPORTED_TYPE,
    ),
    "sequence as output": (
        lambda: edited(
            lambda m: m.graph.output[0].type.CopyFrom(helper.make_sequence_type_proto(_FLOATS))
        ),
        R.UNSUPPORTED_TYPE,
    ),
    "sequence within": (
        lambda: edited(
            lambda m: m.graph.value_info.add(name="y").type.CopyFrom(
                helper.make_sequence_type_proto(_FLOATS)
            )
        ),
        R.UNSUPPORTED_TYPE,
    ),
    "input of texts": (
        lambda: _input_type(helper.make_tensor_type_proto(TensorProto.STRING, ["N", 3])),
        R.UNSUPPORTED_TYPE,
    ),
    "input without a type": (lambda: _input_type(TypeProto()), R.UNSUPPORTED_TYPE),
    # tensors
    "weight of texts": (
        lambda: _typed(TensorProto.STRING, (1,), string_data=[b"x"]),
        R.UNSUPPORTED_TYPE,
    ),
    "weight of complex numbers": (
        lambda: _typed(TensorProto.COMPLEX64, (1,), float_data=[1, 1]),
        R.UNSUPPORTED_TYPE,
    ),
    "weight of no type": (lambda: _typed(0, (1,)), R.UNSUPPORTED_TYPE),
    "weight of type 77": (lambda: _typed(77, (1,)), R.UNSUPPORTED_TYPE),
    "segment": (lambda: tensor(lambda w: w.segment.MergeFromString(b"\x08\x01")), R.BAD_TENSOR),
    "raw and single elements": (lambda: tensor(lambda w: w.float_data.extend([1.0])), R.BAD_TENSOR),
    "raw and texts": (lambda: tensor(lambda w: w.string_data.append(b"")), R.BAD_TENSOR),
    "elements in the wrong field": (
        lambda: _typed(F32, (1,), int32_data=[1]),
        R.BAD_TENSOR,
    ),
    "elements in two fields": (
        lambda: _typed(F32, (1,), float_data=[1], double_data=[1]),
        R.BAD_TENSOR,
    ),
    "elements in two pieces": (
        lambda: _only_weight(_message(7 << 3 | 2, b"\x01") * 2),
        R.BAD_TENSOR,
    ),
    "elements packed and not": (
        lambda: _only_weight(_message(7 << 3 | 2, b"\x01\x01") + b"\x38\x01"),
        R.BAD_TENSOR,
    ),
    "no elements": (lambda: _typed(F32, (3, 2)), R.BAD_TENSOR),
    "too few raw bytes": (lambda: tensor(lambda w: setattr(w, "raw_data", b"1234")), R.BAD_TENSOR),
    "too many raw bytes": (
        lambda: tensor(lambda w: setattr(w, "raw_data", b"\0" * 25)),
        R.BAD_TENSOR,
    ),
    "too many elements": (lambda: _typed(F32, (1,), float_data=[1, 2]), R.BAD_TENSOR),
    "half an element": (
        lambda: _only_weight(b"\x10\x01" + _message(4 << 3 | 2, b"12345")),
        R.BAD_TENSOR,
    ),
    "element without end": (lambda: _only_weight(_message(7 << 3 | 2, b"\x01\x80")), R.MALFORMED),
    "element of 11 bytes": (
        lambda: _only_weight(_message(7 << 3 | 2, b"\x80" * 10 + b"\x01")),
        R.MALFORMED,
    ),
    "elements that do not begin": (
        lambda: _only_weight(_message(7 << 3 | 2, b"\x80" * 9)),
        R.MALFORMED,
    ),
    "number beyond its type": (
        lambda: _typed(TensorProto.INT8, (1,), int32_data=[200]),
        R.BAD_TENSOR,
    ),
    "bits beyond 16": (
        lambda: _typed(TensorProto.FLOAT16, (1,), int32_data=[1 << 20]),
        R.BAD_TENSOR,
    ),
    "truth value of 2": (
        lambda: tensor(
            lambda w: w.CopyFrom(
                TensorProto(name="w", data_type=TensorProto.BOOL, dims=[1], raw_data=b"\x02")
            )
        ),
        R.BAD_TENSOR,
    ),
    "negative dimension": (lambda: tensor(lambda w: w.dims.__setitem__(0, -3)), R.BAD_TENSOR),
    "nine dimensions": (lambda: tensor(lambda w: w.dims.extend([1] * 7)), R.BAD_TENSOR),
    "huge dimension": (lambda: tensor(lambda w: w.dims.__setitem__(0, 1 << 40)), R.TOO_LARGE),
    "dimensions that overflow": (
        lambda: tensor(lambda w: (w.ClearField("dims"), w.dims.extend([1 << 20] * 4))),
        R.TOO_LARGE,
    ),
    "dimension that is beyond the cap, of no bytes": (
        lambda: _typed(F32, (0, 1 << 40), float_data=[]),
        R.BAD_TENSOR,
    ),
    "elements beyond the cap": (lambda: _typed(TensorProto.STRING, (1 << 34,)), R.UNSUPPORTED_TYPE),
    "NaN": (
        lambda: tensor(lambda w: setattr(w, "raw_data", np.full(6, np.nan, "<f4").tobytes())),
        R.BAD_WEIGHT,
    ),
    "infinity": (
        lambda: tensor(lambda w: setattr(w, "raw_data", np.full(6, np.inf, "<f4").tobytes())),
        R.BAD_WEIGHT,
    ),
    "double beyond float32": (
        lambda: _typed(TensorProto.DOUBLE, (3, 2), double_data=[1e300] * 6),
        R.BAD_WEIGHT,
    ),
    # graph
    "weight twice": (
        lambda: edited(lambda m: m.graph.initializer.append(m.graph.initializer[0])),
        R.DUPLICATE_VALUE,
    ),
    "weight without a name": (lambda: tensor(lambda w: w.ClearField("name")), R.DUPLICATE_VALUE),
    "value defined twice": (
        lambda: edited(lambda m: m.graph.node.append(m.graph.node[1])),
        R.DUPLICATE_VALUE,
    ),
    "input twice": (
        lambda: edited(lambda m: m.graph.input.append(m.graph.input[0])),
        R.DUPLICATE_VALUE,
    ),
    "node that defines an input": (
        lambda: of(helper.make_node("Relu", ["x"], ["x"]), output="x"),
        R.DUPLICATE_VALUE,
    ),
    "node that defines a weight": (
        lambda: edited(lambda m: m.graph.node[1].output.__setitem__(0, "w")),
        R.DUPLICATE_VALUE,
    ),
    "undefined value": (
        lambda: edited(lambda m: m.graph.node[1].input.__setitem__(0, "nothing")),
        R.UNDEFINED_VALUE,
    ),
    "not in order": (lambda: edited(lambda m: m.graph.node.reverse()), R.UNDEFINED_VALUE),
    "cycle": (
        lambda: of(
            helper.make_node("Relu", ["z"], ["y"]),
            helper.make_node("Relu", ["y"], ["z"]),
        ),
        R.UNDEFINED_VALUE,
    ),
    "own output": (lambda: of(helper.make_node("Relu", ["z"], ["z"])), R.UNDEFINED_VALUE),
    "no input": (lambda: edited(lambda m: m.graph.ClearField("input")), R.BAD_SIGNATURE),
    "output of integers that are floats": (
        lambda: edited(lambda m: setattr(m.graph.output[0].type.tensor_type, "elem_type", I64)),
        R.TYPE_MISMATCH,
    ),
    "no output": (lambda: edited(lambda m: m.graph.ClearField("output")), R.BAD_SIGNATURE),
    "undefined output": (
        lambda: edited(lambda m: setattr(m.graph.output[0], "name", "nothing")),
        R.BAD_SIGNATURE,
    ),
    "constant output": (
        lambda: edited(lambda m: setattr(m.graph.output[0], "name", "w")),
        R.BAD_SIGNATURE,
    ),
    "input without a shape": (
        lambda: _input_type(helper.make_tensor_type_proto(F32, None)),
        R.BAD_SIGNATURE,
    ),
    "input of extent 0": (
        lambda: _input_type(helper.make_tensor_type_proto(F32, ["N", 0])),
        R.BAD_SIGNATURE,
    ),
    "input of negative extent": (
        lambda: _input_type(helper.make_tensor_type_proto(F32, ["N", -3])),
        R.BAD_SIGNATURE,
    ),
    "input of nine axes": (
        lambda: _input_type(helper.make_tensor_type_proto(F32, ["N", *[1] * 8])),
        R.BAD_SIGNATURE,
    ),
    "dynamic width": (
        lambda: _input_type(helper.make_tensor_type_proto(F32, ["N", "W"])),
        R.DYNAMIC_SHAPE_UNSUPPORTED,
    ),
    "name of 256 characters": (
        lambda: edited(lambda m: setattr(m.graph.input[0], "name", "x" * 256)),
        R.BAD_NAME,
    ),
    "name with a control character": (
        lambda: edited(lambda m: setattr(m.graph.input[0], "name", "x\x1b[2J")),
        R.BAD_NAME,
    ),
    "attribute of another kind": (
        lambda: of(helper.make_node("Softmax", ["x"], ["z"], axis="1")),
        R.BAD_ATTRIBUTE,
    ),
    "attribute twice": (
        lambda: edited(
            lambda m: m.graph.node[1].attribute.extend(
                [helper.make_attribute("a", 1), helper.make_attribute("a", 2)]
            )
        ),
        R.BAD_ATTRIBUTE,
    ),
    **{
        f"{operator} of nothing": (
            lambda operator=operator: of(helper.make_node(operator, [], ["z"])),
            R.BAD_ATTRIBUTE,
        )
        for operator in (
            "Gather",
            "Unsqueeze",
            "Squeeze",
            "Slice",
            "Reshape",
            "Range",
            "Where",
            "Concat",
            "Transpose",
        )
    },
    "Gather by nothing": (
        lambda: of(
            helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Gather", ["s"], ["z"])
        ),
        R.BAD_ATTRIBUTE,
    ),
    "Slice of a shape between several": (
        lambda: of(
            helper.make_node("Shape", ["x"], ["s"]),
            helper.make_node("Slice", ["s", "i", "i"], ["z"]),
            weights=(numpy_helper.from_array(np.array([0, 1]), "i"),),
        ),
        R.BAD_ATTRIBUTE,
    ),
    "Range from several numbers": (
        lambda: of(
            helper.make_node("Range", ["i", "i", "i"], ["z"]),
            weights=(numpy_helper.from_array(np.array([1, 2]), "i"),),
        ),
        R.BAD_ATTRIBUTE,
    ),
    **{
        f"{operator} of {axes}": (
            lambda operator=operator, axes=axes: of(
                helper.make_node(operator, ["x", "i"], ["z"]),
                weights=(numpy_helper.from_array(np.array(axes), "i"),),
            ),
            R.BAD_ATTRIBUTE,
        )
        for operator, axes in (
            ("Unsqueeze", [2, 2, 2]),
            ("Unsqueeze", [2, -1, 4]),
            ("Squeeze", [1, -1]),
            ("ReduceSum", [1, -1]),
        )
    },
    "Transpose that names an axis twice": (
        lambda: of(helper.make_node("Transpose", ["x"], ["z"], perm=[0, 0])),
        R.BAD_ATTRIBUTE,
    ),
    "Transpose of 40,000 axes": (
        lambda: of(helper.make_node("Transpose", ["x"], ["z"], perm=range(40_000))),
        R.BAD_ATTRIBUTE,
    ),
    "shapes that do not fit": (lambda: tensor(lambda w: w.dims.reverse()), R.SHAPE_MISMATCH),
    "unknown operator": (lambda: of(helper.make_node("Exec", ["x"], ["z"])), UNSUPPORTED),
    # bombs
    "deep messages": (lambda: _nested(40), R.TOO_LARGE),
    "deep and endless messages": (lambda: _nested(2000), R.TOO_LARGE),
    "more nodes than the cap": (_many_nodes, R.TOO_LARGE),
    "nodes that mean many operations": (_many_paddings, R.TOO_LARGE),
    "more attributes than the cap": (_many_attributes, R.TOO_LARGE),
    "more empty fields than the cap": (lambda: _good() + b"\x72\x00" * 200_000, R.TOO_LARGE),
    "packed attribute": (
        lambda: _attribute(ints=[1] * 50_001),
        R.TOO_LARGE,
    ),
    "small tensor that claims many elements": (lambda: _claimed(1 << 30), R.TOO_LARGE),
    "small tensor that claims several elements": (lambda: _claimed(1 << 20), R.BAD_TENSOR),
    "squares of a size": (_squares, R.BAD_ATTRIBUTE),
    "doubled shapes": (_doubled_shapes, UNSUPPORTED),
    "constants of zeros": (_filled, UNSUPPORTED),
    "joined constants": (_joined, UNSUPPORTED),
    "gathered constants": (_gathered, UNSUPPORTED),
    "repeated constants": (_tiled, UNSUPPORTED),
    "split into 2^31 parts": (_split, UNSUPPORTED),
    "many unsupported nodes": (_unknown_nodes, UNSUPPORTED),
    "a quantized model": (
        lambda: of(
            helper.make_node("QuantizeLinear", ["x", "s"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "s"], ["z"]),
            weights=(numpy_helper.from_array(np.float32(0.5), "s"),),
        ),
        R.QUANTIZED_MODEL,
    ),
}

QUANTIZED_MODELS: dict[str, tuple[bytes | Callable[[], bytes], str]] = {
    "scales of blocks": (
        lambda: of(
            helper.make_node("QuantizeLinear", ["x", "s"], ["q"], axis=1),
            helper.make_node("DequantizeLinear", ["q", "s"], ["z"], axis=1),
            weights=(numpy_helper.from_array(np.full(3, 0.5, np.float32), "s"),),
        ),
        R.UNSUPPORTED_QUANTIZATION,
    ),
}
