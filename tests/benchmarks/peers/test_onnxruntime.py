"""What ONNX Runtime must run in integers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from benchmarks.peers import NotIntegerError
from benchmarks.peers.onnxruntime import expect_integer_products

FLOATS = numpy_helper.from_array(np.ones((4, 4), np.float32), "floats")
INTEGERS = numpy_helper.from_array(np.ones((4, 4), np.int8), "integers")


def graph(*nodes: NodeProto, constants: Sequence[TensorProto]) -> GraphProto:
    return helper.make_graph(nodes, "graph", [], [], list(constants))


def test_a_product_with_float_weights_is_refused_by_name() -> None:
    node = helper.make_node("Conv", ["x", "floats"], ["y"], name="stem")
    with pytest.raises(NotIntegerError, match="float32: Conv stem"):
        expect_integer_products(graph(node, constants=[FLOATS]))


def test_a_product_with_dequantized_weights_is_refused() -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["integers", "scale"], ["weights"]),
        helper.make_node("MatMul", ["x", "weights"], ["y"], name="last"),
    ]
    with pytest.raises(NotIntegerError, match="MatMul last"):
        expect_integer_products(graph(*nodes, constants=[INTEGERS]))


def test_integer_kernels_and_products_of_activations_are_right() -> None:
    nodes = [
        helper.make_node("QLinearConv", ["x", "xs", "xz", "integers"], ["y"]),
        helper.make_node("MatMul", ["query", "key"], ["scores"]),
    ]
    expect_integer_products(graph(*nodes, constants=[INTEGERS, FLOATS]))
