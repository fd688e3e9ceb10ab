"""Programs as torch.export writes them, made by hand: any graph, and no weights."""

from __future__ import annotations

import json
from typing import Any

from tests.python.formats.pt2_files import CONSTANTS, MODEL, WEIGHTS, Pt2File

BATCH = {"as_expr": {"expr_str": "Symbol('s0', positive=True, integer=True)", "hint": None}}
FLOAT32, INT64 = 7, 5


def tensor(*sizes: int | None, dtype: int = FLOAT32) -> dict[str, Any]:
    """Returns what a file states of a tensor; None is the batch size."""
    return {
        "dtype": dtype,
        "sizes": [BATCH if size is None else {"as_int": size} for size in sizes],
        "requires_grad": False,
        "device": {"type": "cpu", "index": None},
        "strides": [{"as_int": 1} for _ in sizes],
        "storage_offset": {"as_int": 0},
        "layout": 7,
    }


def ref(name: str) -> dict[str, Any]:
    """Returns a reference to a tensor."""
    return {"as_tensor": {"name": name}}


def call(operator: str, *outputs: str, **arguments: Any) -> dict[str, Any]:
    """Returns a call of an ATen operator; with several outputs, they are a list of tensors."""
    listed = [{"as_tensors": [{"name": name} for name in outputs]}]
    return {
        "target": f"torch.ops.aten.{operator}",
        "inputs": [{"name": key, "arg": value, "kind": 1} for key, value in arguments.items()],
        "outputs": [ref(outputs[0])] if len(outputs) == 1 else listed,
        "metadata": {},
        "is_hop_single_tensor_return": None,
        "name": outputs[0],
    }


def file_of(nodes: list[dict[str, Any]], values: dict[str, dict[str, Any]], output: str) -> Pt2File:
    """Returns a file of a graph with the one input `x` and one output."""
    document = {
        "graph_module": {
            "graph": {
                "inputs": [ref("x")],
                "outputs": [ref(output)],
                "nodes": nodes,
                "tensor_values": values,
                "sym_int_values": {},
                "sym_bool_values": {},
                "is_single_tensor_return": False,
                "custom_obj_values": {},
                "sym_float_values": {},
            },
            "signature": {
                "input_specs": [{"user_input": {"arg": ref("x")}}],
                "output_specs": [{"user_output": {"arg": ref(output)}}],
            },
            "module_call_graph": [],
            "metadata": {},
            "treespec_namedtuple_fields": {},
        },
        "opset_version": {"aten": 10},
        "range_constraints": {"s0": {"min_val": 1, "max_val": 64}},
        "schema_version": {"major": 8, "minor": 20},
        "verifiers": ["TRAINING"],
        "torch_version": "2.14.1",
        "guards_code": [],
    }
    return Pt2File(
        {
            "archive_format": b"pt2",
            "archive_version": b"0",
            "byteorder": b"little",
            ".data/version": b"6\n",
            MODEL: json.dumps(document).encode(),
            WEIGHTS: b'{"config": {}}',
            CONSTANTS: b'{"config": {}}',
        }
    )
