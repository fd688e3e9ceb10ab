"""Hostile .pt2 files: each is a good file with one thing wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from smidgen.formats.pt2 import Pt2Reason
from tests.python.formats.pt2_files import CONSTANTS, MODEL, WEIGHTS, Edit, Pt2File, export

Change = Callable[[Pt2File], Pt2File]


class Net(nn.Module):
    """Convolution, batch normalization in training mode, pooling, dropout, addition and linear."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.nn.functional.relu(self.norm(self.conv(x)))
        y = torch.nn.functional.max_pool2d(y + y, 2)
        return self.fc(torch.nn.functional.dropout(y.mean([2, 3]), 0.5))


@cache
def good_file() -> Pt2File:
    """Returns the file that all others are made of."""
    with TemporaryDirectory() as folder:
        return Pt2File.read(export(Path(folder) / "m.pt2", Net(), torch.randn(2, 3, 6, 6)))


def program(edit: Edit) -> Change:
    return lambda file: file.edited(edit)


def graph(edit: Edit) -> Change:
    return program(lambda document: edit(document["graph_module"]["graph"]))


def module(edit: Edit) -> Change:
    return program(lambda document: edit(document["graph_module"]))


def node(operator: str, edit: Edit) -> Change:
    def apply(document: Any) -> None:
        target = f"torch.ops.aten.{operator}"
        edit(next(node for node in document["nodes"] if node["target"] == target))

    return graph(apply)


def argument(operator: str, name: str, value: Any) -> Change:
    """Sets an argument of the first node of an operator."""

    def apply(found: Any) -> None:
        kept = [item for item in found["inputs"] if item["name"] != name]
        found["inputs"] = [*kept, {"name": name, "arg": value, "kind": 1}]

    return node(operator, apply)


def meta(value: str, **fields: Any) -> Change:
    return graph(lambda document: document["tensor_values"][value].update(fields))


def weight(edit: Edit) -> Change:
    return lambda file: file.edited(lambda table: edit(table["config"]["conv.weight"]), WEIGHTS)


def weight_meta(**fields: Any) -> Change:
    return weight(lambda row: row["tensor_meta"].update(fields))


def entry(name: str, data: bytes | None) -> Change:
    return lambda file: file.replaced({name: data})


def tree(text: str) -> Change:
    def apply(document: Any) -> None:
        document["module_call_graph"][0]["signature"]["in_spec"] = text

    return module(apply)


def signature(edit: Edit) -> Change:
    return module(lambda document: edit(document["signature"]))


def expression(text: str) -> Change:
    size = {"as_expr": {"expr_str": text, "hint": None}}
    return graph(lambda document: document["tensor_values"]["x"]["sizes"].__setitem__(0, size))


def ints(*values: int) -> list[dict[str, int]]:
    return [{"as_int": value} for value in values]


def _swap_first_nodes(document: Any) -> None:
    nodes = document["nodes"]
    nodes[0], nodes[2] = nodes[2], nodes[0]


def _two_dtypes(table: Any) -> None:
    other = table["config"]["fc.bias"]
    other["path_name"] = table["config"]["fc.weight"]["path_name"]
    other["tensor_meta"]["dtype"] = 4


def _leaf(kind: Any, context: Any = "null", children: str = "[]") -> str:
    body = {"type": kind, "context": context, "children_spec": json.loads(children)}
    return json.dumps([1, body])


R = Pt2Reason
SYMBOL = "Symbol('s0', positive=True, integer=True)"
NESTED = '{"type": null, "context": null, "children_spec": []}'
for _ in range(20):
    NESTED = '{"type": "builtins.tuple", "context": "null", "children_spec": [' + NESTED + "]}"

PT2_MODELS: dict[str, tuple[Change, str]] = {
    # layout
    "root with dots": (entry("../other/extra/a", b""), "ZIP_BAD_NAME"),
    "second root": (lambda file: file.beside("other/extra/a"), R.MULTIPLE_ROOTS),
    "entry without a folder": (lambda file: file.beside("model"), R.BAD_LAYOUT),
    "no archive_format": (entry("archive_format", None), R.MISSING_ENTRY),
    "no archive_version": (entry("archive_version", None), R.MISSING_ENTRY),
    "no byteorder": (entry("byteorder", None), R.MISSING_ENTRY),
    "no model": (entry(MODEL, None), R.MISSING_ENTRY),
    "no weight table": (entry(WEIGHTS, None), R.MISSING_ENTRY),
    "no constant table": (entry(CONSTANTS, None), R.MISSING_ENTRY),
    "no container version": (entry(".data/version", None), R.MISSING_ENTRY),
    "other format": (entry("archive_format", b"pt3"), R.UNSUPPORTED_VERSION),
    "other version": (entry("archive_version", b"1"), R.UNSUPPORTED_VERSION),
    "big endian": (entry("byteorder", b"big"), R.UNSUPPORTED_VERSION),
    "old container": (entry(".data/version", b"3\n"), R.UNSUPPORTED_VERSION),
    "container version that is no number": (entry(".data/version", b"x"), R.UNSUPPORTED_VERSION),
    "long word": (entry("byteorder", b"little" * 9), R.TOO_LARGE),
    "code object of a GPU": (entry("models/a.cubin", b""), R.COMPILED_CODE),
    "shared library": (entry("models/a.so", b""), R.COMPILED_CODE),
    "two models": (entry("models/other.json", b"{}"), R.MULTIPLE_MODELS),
    "compiled code": (entry("data/aotinductor/m/a.so", b""), R.COMPILED_CODE),
    "executorch": (entry("data/executorch/m.pte", b""), R.COMPILED_CODE),
    "mtia": (entry("data/mtia/m", b""), R.COMPILED_CODE),
    "foreign weights": (entry("xl_model_weights/w", b""), R.COMPILED_CODE),
    "pickled weights": (entry("data/weights/model.pt", b""), R.PICKLE_FORBIDDEN),
    "pickled constants": (entry("data/constants/model.pt", b""), R.PICKLE_FORBIDDEN),
    "custom object": (entry("data/constants/custom_obj_0", b""), R.PICKLE_FORBIDDEN),
    "opaque object": (entry("data/constants/opaque_obj_0", b""), R.PICKLE_FORBIDDEN),
    "unknown entry": (entry("readme.txt", b""), R.UNKNOWN_ENTRY),
    "unknown record": (entry("data/weights/weight_x", b""), R.UNKNOWN_ENTRY),
    "unused record": (entry("data/weights/weight_99", b"0000"), R.WEIGHT_RECORD_MISMATCH),
    "legacy layout": (entry("serialized_exported_program.json", b"{}"), R.LEGACY_FORMAT),
    # version
    "schema 7": (program(lambda d: d["schema_version"].update(major=7)), R.UNSUPPORTED_VERSION),
    "schema 8.13": (program(lambda d: d["schema_version"].update(minor=13)), R.UNSUPPORTED_VERSION),
    "no schema": (program(lambda d: d.pop("schema_version")), R.UNSUPPORTED_VERSION),
    "schema that is text": (
        program(lambda d: d["schema_version"].update(minor="20")),
        R.UNSUPPORTED_VERSION,
    ),
    "a list": (entry(MODEL, b"[]"), R.UNSUPPORTED_VERSION),
    # text and schema
    "not JSON": (entry(MODEL, b"\x80\x04."), "JSON_MALFORMED"),
    "duplicate key": (entry(MODEL, b'{"a": 1, "a": 2}'), "JSON_DUPLICATE_KEY"),
    "too deep": (entry(MODEL, b"[" * 1000 + b"]" * 1000), "JSON_TOO_DEEP"),
    "NaN": (entry(MODEL, b'{"a": NaN}'), "JSON_NOT_FINITE"),
    "large integer": (entry(MODEL, b'{"a": 99999999999999999999}'), "JSON_INTEGER_RANGE"),
    "unknown key": (program(lambda d: d.update(surprise=1)), R.BAD_SCHEMA),
    "unknown key inside": (node("relu.default", lambda n: n.update(code="x")), R.BAD_SCHEMA),
    "missing key": (graph(lambda g: g.pop("nodes")), R.BAD_SCHEMA),
    "union of two": (
        argument("relu.default", "self", {"as_int": 1, "as_none": True}),
        R.BAD_SCHEMA,
    ),
    "empty union": (argument("relu.default", "self", {}), R.BAD_SCHEMA),
    "unknown alternative": (argument("relu.default", "self", {"as_code": 1}), R.BAD_SCHEMA),
    "number for text": (node("relu.default", lambda n: n.update(target=1)), R.BAD_SCHEMA),
    "text for number": (meta("x", dtype="float32"), R.BAD_SCHEMA),
    "true for number": (meta("x", dtype=True), R.BAD_SCHEMA),
    "list for object": (graph(lambda g: g.update(tensor_values=[])), R.BAD_SCHEMA),
    "object for list": (graph(lambda g: g.update(nodes={})), R.BAD_SCHEMA),
    "text for truth": (weight(lambda row: row.update(is_param="yes")), R.BAD_SCHEMA),
    "none that is false": (argument("relu.default", "self", {"as_none": False}), R.BAD_SCHEMA),
    "rank 9": (meta("x", sizes=ints(*[1] * 9)), R.BAD_SCHEMA),
    "long string": (node("relu.default", lambda n: n.update(target="t" * 600)), R.BAD_SCHEMA),
    "many arguments": (
        node("relu.default", lambda n: n.update(inputs=n["inputs"] * 65)),
        R.BAD_SCHEMA,
    ),
    # weights
    "pickled weight": (weight(lambda row: row.update(use_pickle=True)), R.PICKLE_FORBIDDEN),
    "no tensor_meta": (weight(lambda row: row.update(tensor_meta=None)), R.BAD_WEIGHT),
    "path as record": (weight(lambda row: row.update(path_name="../../etc/passwd")), R.BAD_WEIGHT),
    "constant as weight": (weight(lambda row: row.update(path_name="tensor_0")), R.BAD_WEIGHT),
    "missing record": (
        weight(lambda row: row.update(path_name="weight_77")),
        R.WEIGHT_RECORD_MISMATCH,
    ),
    "bad weight name": (
        lambda file: file.edited(
            lambda t: t["config"].update({"__import__('os')": t["config"].pop("fc.bias")}), WEIGHTS
        ),
        R.BAD_NAME,
    ),
    "complex weight": (weight_meta(dtype=10), R.UNSUPPORTED_DTYPE),
    "unknown type of weight": (weight_meta(dtype=99), R.UNSUPPORTED_DTYPE),
    "sparse weight": (weight_meta(layout=1), R.UNSUPPORTED_LAYOUT),
    "negative size": (weight_meta(sizes=ints(-4, 3, 3, 3)), R.BAD_WEIGHT),
    "negative stride": (weight_meta(strides=ints(27, 9, 3, -1)), R.BAD_WEIGHT),
    "symbolic offset": (
        weight_meta(storage_offset={"as_expr": {"expr_str": SYMBOL, "hint": None}}),
        R.BAD_WEIGHT,
    ),
    "symbolic stride": (
        weight_meta(strides=[{"as_expr": {"expr_str": SYMBOL, "hint": None}}, *ints(9, 3, 1)]),
        R.BAD_WEIGHT,
    ),
    "overlapping elements": (
        weight_meta(sizes=ints(50, 50), strides=ints(1, 1)),
        R.BAD_WEIGHT,
    ),
    "negative offset": (weight_meta(storage_offset={"as_int": -1}), R.BAD_WEIGHT),
    "symbolic size of weight": (
        weight_meta(sizes=[{"as_expr": {"expr_str": SYMBOL, "hint": None}}, *ints(3, 3, 3)]),
        R.BAD_WEIGHT,
    ),
    "sizes without strides": (weight_meta(strides=ints(9, 3, 1)), R.BAD_WEIGHT),
    "repeated elements": (weight_meta(strides=ints(0, 9, 3, 1)), R.BAD_WEIGHT),
    "size beyond the record": (weight_meta(sizes=ints(5, 3, 3, 3)), R.WEIGHT_OUT_OF_BOUNDS),
    "stride beyond the record": (weight_meta(strides=ints(28, 9, 3, 1)), R.WEIGHT_OUT_OF_BOUNDS),
    "offset beyond the record": (
        weight_meta(storage_offset={"as_int": 1}),
        R.WEIGHT_OUT_OF_BOUNDS,
    ),
    "stride that overflows": (
        weight_meta(strides=ints(2**62, 9, 3, 1)),
        R.WEIGHT_OUT_OF_BOUNDS,
    ),
    "size that overflows": (weight_meta(sizes=ints(2**31, 3, 3, 3)), R.TOO_LARGE),
    "elements that overflow": (weight_meta(sizes=ints(*[2**20] * 4)), R.TOO_LARGE),
    "empty record": (entry("data/weights/weight_0", b""), R.WEIGHT_OUT_OF_BOUNDS),
    "cut-off record": (entry("data/weights/weight_0", b"0" * 431), R.WEIGHT_OUT_OF_BOUNDS),
    "bloated record": (entry("data/weights/weight_0", b"0" * 432 * 5), R.BAD_WEIGHT),
    "two types on one record": (
        lambda file: file.edited(_two_dtypes, WEIGHTS).replaced({"data/weights/weight_5": None}),
        R.WEIGHT_RECORD_MISMATCH,
    ),
    "weight of NaN": (entry("data/weights/weight_0", b"\xff" * 432), R.BAD_WEIGHT),
    # names and values
    "bad value name": (
        node("relu.default", lambda n: n.update(outputs=[{"as_tensor": {"name": "a);import os"}}])),
        R.BAD_NAME,
    ),
    "undefined value": (
        argument("relu.default", "self", {"as_tensor": {"name": "nothing"}}),
        R.UNDEFINED_VALUE,
    ),
    "use before definition": (graph(_swap_first_nodes), R.UNDEFINED_VALUE),
    "own output": (
        argument("relu.default", "self", {"as_tensor": {"name": "relu"}}),
        R.UNDEFINED_VALUE,
    ),
    "double definition": (
        node("relu.default", lambda n: n.update(outputs=[{"as_tensor": {"name": "conv2d"}}])),
        R.DUPLICATE_VALUE,
    ),
    "input defined again": (
        node("relu.default", lambda n: n.update(outputs=[{"as_tensor": {"name": "x"}}])),
        R.DUPLICATE_VALUE,
    ),
    "value that nothing defines": (
        graph(lambda g: g["tensor_values"].update(ghost=g["tensor_values"]["x"])),
        R.UNUSED_VALUE,
    ),
    "many values that nothing defines": (
        graph(
            lambda g: g["tensor_values"].update(
                {f"ghost_{i}": g["tensor_values"]["x"] for i in range(500)}
            )
        ),
        R.UNUSED_VALUE,
    ),
    "value that is not described": (
        graph(lambda g: g["tensor_values"].pop("relu")),
        R.UNDEFINED_VALUE,
    ),
    "no output of a node": (node("relu.default", lambda n: n.update(outputs=[])), R.BAD_ARGUMENT),
    "output that is a number": (
        node("relu.default", lambda n: n.update(outputs=[{"as_int": 1}])),
        R.UNSUPPORTED_ARGUMENT,
    ),
    # arguments
    "graph as argument": (
        argument("relu.default", "self", {"as_graph": {"name": "g", "graph": {}}}),
        R.UNSUPPORTED_ARGUMENT,
    ),
    "operator as argument": (
        argument("relu.default", "self", {"as_operator": "torch.os.system"}),
        R.UNSUPPORTED_ARGUMENT,
    ),
    "custom object as argument": (
        argument("relu.default", "self", {"as_custom_obj": {"name": "o", "class_fqn": "c"}}),
        R.UNSUPPORTED_ARGUMENT,
    ),
    "complex argument": (
        argument("add.Tensor", "alpha", {"as_complex": {"real": 1, "imag": 0}}),
        R.UNSUPPORTED_ARGUMENT,
    ),
    "unknown argument": (argument("relu.default", "inplace", {"as_bool": True}), R.BAD_ARGUMENT),
    "missing argument": (node("relu.default", lambda n: n.update(inputs=[])), R.BAD_ARGUMENT),
    "argument twice": (
        node("relu.default", lambda n: n.update(inputs=n["inputs"] * 2)),
        R.BAD_ARGUMENT,
    ),
    "text for a tensor": (argument("relu.default", "self", {"as_string": "x"}), R.BAD_ARGUMENT),
    "text for a pair": (argument("conv2d.default", "stride", {"as_string": "2"}), R.BAD_ARGUMENT),
    "three strides": (argument("conv2d.default", "stride", {"as_ints": [1] * 3}), R.BAD_ARGUMENT),
    "text as argument of another kind": (
        argument("relu.default", "self", {"as_string_to_argument": {}}),
        R.UNSUPPORTED_ARGUMENT,
    ),
    "nested tensors as argument": (
        argument("relu.default", "self", {"as_nested_tensors": [[]]}),
        R.UNSUPPORTED_ARGUMENT,
    ),
    "symbolic float as argument": (
        argument("relu.default", "self", {"as_sym_float": {"as_name": "f"}}),
        R.UNSUPPORTED_ARGUMENT,
    ),
    "NaN eps": (argument("batch_norm.default", "eps", {"as_float": "NaN"}), R.BAD_ARGUMENT),
    "negative probability": (argument("dropout.default", "p", {"as_float": -0.1}), R.BAD_ARGUMENT),
    "NaN probability": (argument("dropout.default", "p", {"as_float": "NaN"}), R.BAD_ARGUMENT),
    "probability of 2": (argument("dropout.default", "p", {"as_float": 2.0}), R.BAD_ARGUMENT),
    "infinite eps": (
        argument("batch_norm.default", "eps", {"as_float": "Infinity"}),
        R.BAD_ARGUMENT,
    ),
    "negative eps": (argument("batch_norm.default", "eps", {"as_float": -1.0}), R.BAD_ARGUMENT),
    "momentum of 3": (
        argument("batch_norm.default", "momentum", {"as_float": 3.0}),
        R.BAD_ARGUMENT,
    ),
    "axis out of range": (argument("mean.dim", "dim", {"as_ints": [2, 9]}), R.BAD_ARGUMENT),
    "huge padding": (argument("conv2d.default", "padding", {"as_int": 2**40}), R.BAD_ARGUMENT),
    # shapes
    "stride 0": (argument("conv2d.default", "stride", {"as_int": 0}), R.SHAPE_MISMATCH),
    "dilation 0": (argument("conv2d.default", "dilation", {"as_int": 0}), R.SHAPE_MISMATCH),
    "negative padding": (argument("conv2d.default", "padding", {"as_int": -1}), R.SHAPE_MISMATCH),
    "groups that do not divide": (
        argument("conv2d.default", "groups", {"as_int": 2}),
        R.SHAPE_MISMATCH,
    ),
    "groups 0": (argument("conv2d.default", "groups", {"as_int": 0}), R.SHAPE_MISMATCH),
    "kernel 0": (argument("max_pool2d.default", "kernel_size", {"as_int": 0}), R.SHAPE_MISMATCH),
    "kernel beyond the image": (
        argument("max_pool2d.default", "kernel_size", {"as_int": 99}),
        R.SHAPE_MISMATCH,
    ),
    "padding beyond half the kernel": (
        argument("max_pool2d.default", "padding", {"as_int": 2}),
        R.SHAPE_MISMATCH,
    ),
    "other stride than stated": (
        argument("conv2d.default", "stride", {"as_int": 2}),
        R.SHAPE_MISMATCH,
    ),
    "other shape than inferred": (
        graph(lambda g: g["tensor_values"]["relu"]["sizes"].__setitem__(1, {"as_int": 5})),
        R.SHAPE_MISMATCH,
    ),
    "bias of other length": (
        argument("conv2d.default", "bias", {"as_tensor": {"name": "p_fc_bias"}}),
        R.SHAPE_MISMATCH,
    ),
    "matrix as kernel": (
        argument("conv2d.default", "weight", {"as_tensor": {"name": "p_fc_weight"}}),
        R.SHAPE_MISMATCH,
    ),
    "size 0": (meta("x", sizes=ints(0, 3, 6, 6)), R.SHAPE_MISMATCH),
    "batch fixed halfway": (
        graph(lambda g: g["tensor_values"]["relu"]["sizes"].__setitem__(0, {"as_int": 2})),
        R.SHAPE_MISMATCH,
    ),
    "input of bytes": (meta("x", dtype=1), R.UNSUPPORTED_DTYPE),
    "output of doubles": (meta("linear", dtype=8), R.UNSUPPORTED_DTYPE),
    "sparse value": (meta("relu", layout=1), R.UNSUPPORTED_LAYOUT),
    "code as size": (expression("__import__('os').abort()"), R.SYMBOLIC_EXPR_UNSUPPORTED),
    "plain sum as size": (expression("s0 + 1"), R.SYMBOLIC_EXPR_UNSUPPORTED),
    "deep size": (expression("Add(" * 50 + SYMBOL + ")" * 50), R.SYMBOLIC_EXPR_UNSUPPORTED),
    "even batch": (expression(f"Mul(Integer(2), {SYMBOL})"), R.DYNAMIC_SHAPE_UNSUPPORTED),
    "two symbols": (
        graph(
            lambda g: g["tensor_values"]["relu"]["sizes"].__setitem__(
                0, {"as_expr": {"expr_str": SYMBOL, "hint": None}}
            )
        ),
        R.DYNAMIC_SHAPE_UNSUPPORTED,
    ),
    "dynamic width": (
        graph(
            lambda g: g["tensor_values"]["x"]["sizes"].__setitem__(
                3, g["tensor_values"]["x"]["sizes"][0]
            )
        ),
        R.DYNAMIC_SHAPE_UNSUPPORTED,
    ),
    "empty range": (
        program(
            lambda d: [r.update(min_val=9, max_val=3) for r in d["range_constraints"].values()]
        ),
        R.BAD_SIGNATURE,
    ),
    "range of batches that cannot exist": (
        program(lambda d: [r.update(min_val=2**63 - 1) for r in d["range_constraints"].values()]),
        R.BAD_SIGNATURE,
    ),
    # signature
    "input without specification": (signature(lambda s: s["input_specs"].pop()), R.BAD_SIGNATURE),
    "specifications in other order": (
        signature(lambda s: s["input_specs"].reverse()),
        R.BAD_SIGNATURE,
    ),
    "output without specification": (signature(lambda s: s["output_specs"].pop()), R.BAD_SIGNATURE),
    "weight that is not in the table": (
        signature(lambda s: s["input_specs"][0]["parameter"].update(parameter_name="other")),
        R.BAD_SIGNATURE,
    ),
    "weight twice": (
        signature(lambda s: s["input_specs"][1]["parameter"].update(parameter_name="conv.weight")),
        R.BAD_SIGNATURE,
    ),
    "token": (
        signature(lambda s: s["input_specs"].append({"token": {"arg": {"name": "t"}}})),
        R.UNSUPPORTED_SIGNATURE,
    ),
    "custom object as input": (
        signature(lambda s: s["input_specs"].append({"custom_obj": {}})),
        R.UNSUPPORTED_SIGNATURE,
    ),
    "loss": (
        signature(lambda s: s["output_specs"].append({"loss_output": {"arg": {"name": "l"}}})),
        R.UNSUPPORTED_SIGNATURE,
    ),
    "mutated input": (
        signature(lambda s: s["output_specs"].append({"user_input_mutation": {}})),
        R.UNSUPPORTED_SIGNATURE,
    ),
    "mutated parameter": (
        signature(lambda s: s["output_specs"].append({"parameter_mutation": {}})),
        R.UNSUPPORTED_SIGNATURE,
    ),
    "constant as input": (
        signature(lambda s: s["input_specs"].append({"constant_input": {}})),
        R.UNSUPPORTED_SIGNATURE,
    ),
    "gradient to a parameter": (
        signature(lambda s: s["output_specs"].append({"gradient_to_parameter": {}})),
        R.UNSUPPORTED_SIGNATURE,
    ),
    "gradient to an input": (
        signature(lambda s: s["output_specs"].append({"gradient_to_user_input": {}})),
        R.UNSUPPORTED_SIGNATURE,
    ),
    "input that is a number": (
        module(
            lambda m: (
                m["signature"]["input_specs"].append({"user_input": {"arg": {"as_int": 1}}}),
                m["graph"]["inputs"].append({"as_int": 1}),
            )
        ),
        R.UNSUPPORTED_SIGNATURE,
    ),
    "symbolic truth values": (
        graph(lambda g: g.update(sym_bool_values={"b": {"as_bool": True}})),
        R.UNSUPPORTED_SIGNATURE,
    ),
    "symbolic floats": (
        graph(lambda g: g.update(sym_float_values={"f": {"as_float": 1.0}})),
        R.UNSUPPORTED_SIGNATURE,
    ),
    "custom objects": (
        graph(lambda g: g.update(custom_obj_values={"o": {"name": "o", "class_fqn": "c"}})),
        R.UNSUPPORTED_SIGNATURE,
    ),
    "named tuples": (
        module(lambda m: m.update(treespec_namedtuple_fields={"t": {"field_names": []}})),
        R.UNSUPPORTED_SIGNATURE,
    ),
    "buffer mutation of something else": (
        module(
            lambda m: (
                m["signature"]["output_specs"].append(
                    {
                        "buffer_mutation": {
                            "arg": {"name": "relu"},
                            "buffer_name": "norm.running_mean",
                        }
                    }
                ),
                m["graph"]["outputs"].append({"as_tensor": {"name": "relu"}}),
            )
        ),
        R.MUTATION_UNSUPPORTED,
    ),
    "two roots": (
        module(lambda m: m["module_call_graph"].append(m["module_call_graph"][0])),
        R.BAD_SIGNATURE,
    ),
    # trees
    "named tuple": (tree(_leaf("collections.namedtuple", "x")), R.BAD_TREE),
    "defaultdict": (tree(_leaf("collections.defaultdict", '{"__import__": 1}')), R.BAD_TREE),
    "enum": (
        tree(_leaf("builtins.dict", '[{"__enum__": true}]', f"[{json.loads('1')}]")),
        R.BAD_TREE,
    ),
    "deep tree": (tree(f"[1, {NESTED}]"), R.BAD_TREE),
    "protocol 2": (tree("[2, {}]"), R.BAD_TREE),
    "tree of text": (tree('[1, "x"]'), R.BAD_TREE),
    "tree that is no JSON": (tree("eval('1')"), "JSON_MALFORMED"),
    "tree without arguments": (tree(_leaf("builtins.tuple")), R.BAD_TREE),
    "leaf with children": (tree(_leaf(None, None, f"[{NESTED}]")), R.BAD_TREE),
}

PT2_MODELS |= {
    f"target {target}": (
        node("relu.default", lambda n, target=target: n.update(target=target)),
        "UNSUPPORTED_OPERATOR",
    )
    for target in (
        "torch.os.system",
        "os.system",
        "builtins.eval",
        "math.sqrt",
        "torch.ops.higher_order.cond",
        "torch.ops.aten.relu",
        "torch.ops.custom.relu.default",
        "_operator.add",
        "#ns:op",
    )
}
