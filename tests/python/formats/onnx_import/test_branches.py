"""An If whose condition follows from the file is the branch that it chooses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from smidgen.errors import InvalidModelError, UnsupportedOperatorError
from tests.python.formats.onnx_import.models import (
    Array,
    model,
    node,
    read_model,
    rng_array,
    run_graph,
    run_onnxruntime,
)

X = rng_array((2, 1, 4, 5))
CONSTANTS: dict[str, Array] = {
    "one": np.array([1]), "four": np.array([4]), "yes": np.array(True), "no": np.array([False]),
    "axis": np.array([1]), "zero": np.array([0]),
}  # fmt: skip


def branch(*nodes: NodeProto, outputs: Sequence[str] = ("b",)) -> GraphProto:
    stated = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    return helper.make_graph(list(nodes), "branch", [], stated)


def choice(
    condition: str, then: GraphProto, otherwise: GraphProto, outputs: Sequence[str] = ("y",)
) -> NodeProto:
    return node("If", [condition], outputs, then_branch=then, else_branch=otherwise)


SQUEEZE = branch(node("Squeeze", ["x", "axis"], ["b"]))
SAME = branch(node("Identity", ["x"], ["b"]))
DOUBLE = branch(node("Add", ["x", "x"], ["b"]))
NEGATIVE = branch(node("Neg", ["x"], ["c"]), node("Abs", ["c"], ["d"]), outputs=("c", "d"))
OF_BATCH = [node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["n"])]
OF_AXIS = [node("Shape", ["x"], ["s"]), node("Gather", ["s", "axis"], ["n"])]

CASES: dict[str, Sequence[NodeProto]] = {
    "an extent that is 1": [*OF_AXIS, node("Equal", ["n", "one"], ["c"]),
                            choice("c", SQUEEZE, SAME)],
    "an extent that is not 4": [*OF_AXIS, node("Equal", ["n", "four"], ["c"]),
                                choice("c", SAME, SQUEEZE)],
    "a truth value": [choice("yes", DOUBLE, SAME)],
    "a truth value of one axis": [choice("no", SAME, DOUBLE)],
    "several outputs": [
        choice("yes", NEGATIVE, NEGATIVE, ("v", "w")), node("Sub", ["w", "v"], ["y"])],
    "one within another": [choice("yes", branch(choice("no", SAME, DOUBLE, ("b",))), SAME)],
    "two with the same names inside": [
        choice("yes", DOUBLE, SAME, ("v",)), choice("yes", SQUEEZE, SAME, ("w",)),
        node("Squeeze", ["v", "axis"], ["z"]), node("Mul", ["z", "w"], ["y"])],
    "a branch with a constant": [choice("yes", branch(
        node("Constant", [], ["k"], value=numpy_helper.from_array(np.float32(3).reshape(()))),
        node("Mul", ["x", "k"], ["b"])), SAME)],
    "a batch size that is not 0": [*OF_BATCH, node("Equal", ["n", "zero"], ["c"]),
                                   choice("c", SAME, DOUBLE)],
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_chosen_branch_gives_what_onnxruntime_gives(name: str, tmp_path: Path) -> None:
    made = model(CASES[name], {"x": X}, CONSTANTS)
    (expected,) = run_onnxruntime(made, {"x": X})

    exported = read_model(made, tmp_path)
    (found,) = run_graph(exported, [X])

    assert exported.outputs[0].shape == (None, *expected.shape[1:])
    np.testing.assert_array_equal(found, expected)


def test_what_the_other_branch_holds_does_not_matter(tmp_path: Path) -> None:
    other = branch(node("Det", ["x"], ["b"]))
    exported = read_model(model([choice("yes", DOUBLE, other)], {"x": X}, CONSTANTS), tmp_path)

    np.testing.assert_array_equal(run_graph(exported, [X])[0], X + X)


def _refusal(
    nodes: Sequence[NodeProto], folder: Path
) -> InvalidModelError | UnsupportedOperatorError:
    with pytest.raises((InvalidModelError, UnsupportedOperatorError)) as caught:
        read_model(model(nodes, {"x": X}, CONSTANTS), folder)
    assert isinstance(caught.value, InvalidModelError | UnsupportedOperatorError)
    return caught.value


def _with_inputs() -> GraphProto:
    made = branch(node("Identity", ["i"], ["b"]))
    made.input.append(helper.make_tensor_value_info("i", TensorProto.FLOAT, None))
    return made


def _with_tensors() -> GraphProto:
    made = branch(node("Mul", ["x", "t"], ["b"]))
    made.initializer.append(numpy_helper.from_array(np.ones(1, np.float32), "t"))
    return made


def _endless(depth: int) -> GraphProto:
    return branch(choice("yes", _endless(depth - 1), SAME, ("b",))) if depth else SAME


REFUSED: dict[str, tuple[str, Sequence[NodeProto]]] = {
    "computed condition": ("ONNX_CONTROL_FLOW", [
        node("Greater", ["x", "x"], ["c"]), choice("c", SAME, SAME)]),
    "condition of several elements": ("ONNX_CONTROL_FLOW", [
        node("Concat", ["no", "no"], ["c"], axis=0), choice("c", SAME, SAME)]),
    "condition of another type": ("ONNX_CONTROL_FLOW", [choice("one", SAME, SAME)]),
    "condition of the batch size": ("ONNX_CONTROL_FLOW", [
        *OF_BATCH, node("Equal", ["n", "one"], ["c"]), choice("c", DOUBLE, SAME)]),
    "no condition": ("ONNX_CONTROL_FLOW", [choice("", SAME, SAME)]),
    "one branch": ("ONNX_BAD_ATTRIBUTE", [node("If", ["yes"], ["y"], then_branch=SAME)]),
    "another graph": ("ONNX_CONTROL_FLOW", [
        node("If", ["yes"], ["y"], then_branch=SAME, else_branch=SAME, body=SAME)]),
    "a branch of another operator": ("ONNX_CONTROL_FLOW", [
        node("Relu", ["x"], ["y"], then_branch=SAME)]),
    "fewer outputs": ("ONNX_BAD_ATTRIBUTE", [choice("yes", SAME, SAME, ("y", "z"))]),
    "inputs of a branch": ("ONNX_CONTROL_FLOW", [choice("yes", _with_inputs(), SAME)]),
    "tensors of a branch": ("ONNX_CONTROL_FLOW", [choice("no", _with_tensors(), SAME)]),
    "another domain": ("ONNX_CUSTOM_DOMAIN", [
        choice("no", branch(node("Relu", ["x"], ["b"], domain="org.other")), SAME)]),
    "loop in a branch": ("ONNX_CONTROL_FLOW", [
        choice("no", branch(node("Loop", ["", ""], ["b"], body=SAME)), SAME)]),
    "unsupported operator": ("UNSUPPORTED_OPERATOR", [
        choice("yes", branch(node("Det", ["x"], ["b"])), SAME)]),
    "name of another branch": ("ONNX_UNDEFINED_VALUE", [
        choice("yes", DOUBLE, SAME, ("v",)), node("Add", ["b", "v"], ["y"])]),
    "name that is there": ("ONNX_DUPLICATE_VALUE", [
        choice("yes", branch(node("Relu", ["x"], ["one"]), outputs=("one",)), SAME)]),
    "output that is not there": ("ONNX_UNDEFINED_VALUE", [
        choice("yes", branch(node("Relu", ["x"], ["k"])), SAME)]),
    "many levels": ("ONNX_TOO_LARGE", [choice("yes", _endless(12), SAME)]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_choice_of_the_file_is_refused(name: str, tmp_path: Path) -> None:
    reason, nodes = REFUSED[name]

    assert _refusal(nodes, tmp_path).reason == reason


def test_the_operator_in_a_branch_is_named(tmp_path: Path) -> None:
    _, nodes = REFUSED["unsupported operator"]

    assert "Det at b" in _refusal(nodes, tmp_path).message
