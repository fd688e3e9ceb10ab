"""Samples that a file joins with another axis, and selections by the numbers of the samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, TensorProto

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

TOKENS = rng_array((3, 4, 6))
CONSTANTS: dict[str, Array] = {
    "zero": np.array(0), "one": np.array(1), "two": np.array(2), "four": np.array(4),
    "first": np.array([0]), "axis1": np.array([1]), "axis2": np.array([2]), "last": np.array([-1]),
    "flat": np.array([-1, 6]), "back": np.array([-1, 4, 6]), "heads": np.array([-1, 3, 2]),
    "from_heads": np.array([-1, 4, 4, 3]), "places": np.arange(4)[None], 
    "picked": np.array([[3, 1]]),
    "w": rng_array((6, 4), 1), "b": rng_array((4,), 2), "row": rng_array((1, 6), 3),
    "s": rng_array((6,), 4), "m": rng_array((6,), 5), "v": np.abs(rng_array((6,), 6)) + 0.5,
    "rows": rng_array((4, 6), 7), "cube": rng_array((1, 1, 6), 8), "ends": np.array([2]),
    "widths": np.array([-1, 4, 4]), "ints": np.array([[5]]), "minus": np.array(-1),
    "eight": np.array(8), "huge": np.array(1 << 40),
}  # fmt: skip
FLAT = node("Reshape", ["x", "flat"], ["j"])
BACK = node("Reshape", ["z", "back"], ["y"])
HEADS = node("Reshape", ["x", "heads"], ["h"])
"""[N * 4, 3, 2]: a third axis joined with the samples."""
FROM_HEADS = node("Reshape", ["z", "back"], ["y"])


def places(factor: str = "four", offsets: str = "places") -> list[NodeProto]:
    """Returns the nodes of the places [N, k] that exporters write for mask[samples, places]."""
    return [
        node("Shape", ["x"], ["s0"]), node("Gather", ["s0", "zero"], ["n"]),
        node("Range", ["zero", "n", "one"], ["r"]), node("Unsqueeze", ["r", "axis1"], ["u"]),
        node("Mul", ["u", factor], ["p"]), node("Add", ["p", offsets], ["i"]),
    ]  # fmt: skip


ROWS = node("Flatten", ["x"], ["f"], axis=2)
"""[N * 4, 6]: the rows that places select from."""

CASES: dict[str, Sequence[NodeProto]] = {
    "functions": [FLAT, node("Tanh", ["j"], ["a"]), node("Erf", ["a"], ["c"]),
                  node("Clip", ["c", "", ""], ["d"]), node("HardSigmoid", ["d"], ["z"]), BACK],
    "constants": [FLAT, node("Mul", ["j", "row"], ["a"]), node("Sub", ["s", "a"], ["z"]), BACK],
    "both operands": [FLAT, node("Exp", ["j"], ["a"]), node("Div", ["j", "a"], ["z"]), BACK],
    "product and softmax": [FLAT, node("MatMul", ["j", "w"], ["a"]), node("Add", ["a", "b"], ["c"]),
                            node("Softmax", ["c"], ["z"]), node("Reshape", ["z", "widths"], ["y"])],
    "gemm": [FLAT, node("Gemm", ["j", "w", "b"], ["z"]), node("Reshape", ["z", "widths"], ["y"])],
    "batch norm": [FLAT, node("BatchNormalization", ["j", "s", "m", "m", "v"], ["z"]), BACK],
    "layer norm": [FLAT, node("LayerNormalization", ["j", "s", "m"], ["z"]), BACK],
    "transposed": [HEADS, node("Transpose", ["h"], ["a"], perm=[0, 2, 1]),
                   node("Softmax", ["a"], ["z"], axis=1), FROM_HEADS],
    "products of heads": [HEADS, node("Transpose", ["h"], ["a"], perm=[0, 2, 1]),
                          node("MatMul", ["h", "a"], ["c"]), node("MatMul", ["c", "h"], ["z"]),
                          FROM_HEADS],
    "cut": [HEADS, node("Slice", ["h", "first", "ends", "axis1"], ["a"]),
            node("Split", ["h"], ["c", "d", "e"], axis=1), node("Add", ["a", "d"], ["z"]),
            node("Reshape", ["z", "widths"], ["y"])],
    "axes that come and go": [
        FLAT, node("Unsqueeze", ["j", "axis1"], ["a"]), node("Unsqueeze", ["a", "last"], ["c"]),
        node("Squeeze", ["c", "axis1"], ["d"]), node("Squeeze", ["d", "last"], ["z"]), BACK],
    "reduced": [HEADS, node("ReduceMean", ["h"], ["z"], axes=[1]),
                node("ReduceSum", ["z", "last"], ["v0"], keepdims=0),
                node("Reshape", ["v0", "back4"], ["y"])],
    "chosen": [FLAT, node("Greater", ["j", "row"], ["c"]), node("Where", ["c", "j", "row"], ["z"]),
               BACK],
    "sizes of what is joined": [
        FLAT, node("Shape", ["j"], ["s0"]), node("Gather", ["s0", "zero"], ["n"]),
        node("Div", ["n", "four"], ["k"]), node("Unsqueeze", ["k", "first"], ["k1"]),
        node("Concat", ["k1", "four1", "last"], ["t"], axis=0), node("Reshape", ["j", "t"], ["y"])],
    "samples times a number": [
        node("Shape", ["x"], ["s0"]), node("Gather", ["s0", "first"], ["n"]),
        node("Mul", ["n", "four1"], ["k"]), node("Concat", ["k", "last"], ["t"], axis=0),
        node("Reshape", ["x", "t"], ["j"]), node("Neg", ["j"], ["z"]), BACK],
    "flattened, and flat again": [node("Flatten", ["x"], ["f"], axis=2),
                                  node("Flatten", ["f"], ["z"], axis=1), BACK],
    "all places": [*places(), ROWS, node("Gather", ["f", "i"], ["y"])],
    "some places": [*places(offsets="picked"), ROWS, node("Gather", ["f", "i"], ["y"])],
    "all rows in one axis": [*places(), ROWS, node("Gather", ["f", "i"], ["g"]),
                             node("Shape", ["i"], ["s1"]), node("Reshape", ["g", "flat"], ["a"]),
                             node("Concat", ["s1", "last"], ["t"], axis=0),
                             node("Reshape", ["a", "t"], ["y"])],
    "a constant of more axes": [FLAT, node("Add", ["j", "cube"], ["z"]), BACK],
    "an axis before the samples": [FLAT, node("Unsqueeze", ["j", "first"], ["z"]), BACK],
    "sequence first": [
        node("Transpose", ["x"], ["t"], perm=[1, 0, 2]), node("Add", ["t", "places1"], ["a"]),
        node("Softmax", ["a"], ["c"], axis=0), node("Gather", ["c", "picks"], ["d"], axis=0),
        node("Concat", ["d", "c"], ["e"], axis=0), node("Transpose", ["e"], ["y"], perm=[1, 2, 0])],
    "one of a sequence": [
        node("Transpose", ["x"], ["t"], perm=[1, 0, 2]), node("Gather", ["t", "two"], ["y"])],
    "own sample": [node("Shape", ["x"], ["s0"]), node("Gather", ["s0", "zero"], ["n"]),
                   node("Range", ["zero", "n", "one"], ["r"]), node("Gather", ["x", "r"], ["y"])],
}  # fmt: skip
MORE: dict[str, Array] = {
    "back4": np.array([-1, 4]), "four1": np.array([4]), "places1": rng_array((4, 1, 6), 9),
    "picks": np.array([3, 0, 1]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_graph_gives_what_onnxruntime_gives(name: str, tmp_path: Path) -> None:
    made = model(CASES[name], {"x": TOKENS}, CONSTANTS | MORE)
    (expected,) = run_onnxruntime(made, {"x": TOKENS})

    exported = read_model(made, tmp_path)
    (found,) = run_graph(exported, [TOKENS])

    assert exported.outputs[0].shape == (None, *expected.shape[1:])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


SCORES = {
    "x": rng_array((2, 3, 5, 5), 9),
    "mask": np.array([[1, 1, 0, 0, 1], [0, 0, 0, 0, 0]], np.int64),
}
MASK_CONSTANTS: dict[str, Array] = {
    "axes": np.array([1, 2]), "nought": np.float32(0), "lowest": np.array([-np.inf], np.float32),
}  # fmt: skip
MASK = [node("Cast", ["mask"], ["b"], to=TensorProto.BOOL), node("Unsqueeze", ["b", "axes"], ["c"])]
ADDED = node("Where", ["c", "nought", "lowest"], ["m"])
REST = [node("Softmax", ["a"], ["w"], axis=-1), node("IsNaN", ["w"], ["e"]),
        node("Where", ["e", "nought", "w"], ["y"])]  # fmt: skip
MASKS: dict[str, Sequence[NodeProto]] = {
    "added": [*MASK, ADDED, node("Add", ["x", "m"], ["a"]), *REST],
    "added to": [*MASK, ADDED, node("Add", ["m", "x"], ["a"]), *REST],
    "the other way round": [*MASK, node("Where", ["c", "lowest", "nought"], ["m"]),
                            node("Add", ["x", "m"], ["a"]), *REST],
}  # fmt: skip


@pytest.mark.parametrize("name", MASKS)
def test_masked_weights_are_those_of_onnxruntime(name: str, tmp_path: Path) -> None:
    made = model(MASKS[name], SCORES, MASK_CONSTANTS)
    (expected,) = run_onnxruntime(made, SCORES)
    # One sample leaves out every row.
    assert not expected[1 if name != "the other way round" else 0, :, :, 0].any()

    (found,) = run_graph(read_model(made, tmp_path), list(SCORES.values()))

    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


REFUSED: dict[str, tuple[str, Sequence[NodeProto]]] = {
    "joined with another axis": ("Softmax (an axis of the samples)", [
        HEADS, node("Softmax", ["h"], ["z"], axis=0), FROM_HEADS]),
    "the samples from behind": ("Softmax (an axis of the samples)", [
        HEADS, node("Softmax", ["h"], ["z"], axis=-3), FROM_HEADS]),
    "transposed samples": ("Reshape (samples [6, 4 * ?] viewed otherwise)", [
        FLAT, node("Transpose", ["j"], ["z"], perm=[1, 0]), BACK]),
    "a constant of as many rows": ("Add (a constant along samples", [
        FLAT, node("Add", ["j", "rows"], ["z"]), BACK]),
    "a sum over the samples": ("ReduceSum (an axis of the samples)", [
        FLAT, node("ReduceSum", ["j", "first"], ["z"]), BACK]),
    "a sum over all": ("ReduceSum (an axis of the samples)", [
        FLAT, node("ReduceSum", ["j"], ["z"]), BACK]),
    "joined otherwise": ("Reshape (samples [4 * ?, 6] viewed otherwise)", [
        FLAT, node("Reshape", ["j", "thirds"], ["y"])]),
    "different axes": ("Add (samples that are joined with different axes)", [
        FLAT, node("Reshape", ["x", "column"], ["h"]), node("Add", ["j", "h"], ["z"]), BACK]),
    "values that are not joined": ("Mul (samples that are joined with different axes)", [
        FLAT, node("ReduceSum", ["x", "axis1"], ["h"], keepdims=0), node("Mul", ["j", "h"], ["z"]),
        BACK]),
    "concatenated": ("Concat (an axis of the samples)", [
        FLAT, node("Concat", ["j", "j"], ["z"], axis=0), BACK]),
    "flattened with all": ("Flatten (flattening the samples, at axis 0)", [
        node("Flatten", ["x"], ["y"], axis=0)]),
    "places of other samples": ("Gather (places of other samples)", [
        *places("eight"), ROWS, node("Gather", ["f", "i"], ["y"])]),
    "places of the next sample": ("Gather (places of other samples)", [
        *places(offsets="ints"), ROWS, node("Gather", ["f", "i"], ["y"])]),
    "places of the sample before": ("Gather (places of other samples)", [
        *places(offsets="minus"), ROWS, node("Gather", ["f", "i"], ["y"])]),
    "places of fewer rows": ("Gather (places of other samples)", [
        *places("two", "zero"), ROWS, node("Gather", ["f", "i"], ["y"])]),
    "places of rows without samples": ("Gather (places of other samples)", [
        *places(), node("Gather", ["rows", "i"], ["y"])]),
    "places along another axis": ("Gather (the numbers of the samples along another axis)", [
        *places(), ROWS, node("Gather", ["f", "i"], ["y"], axis=1)]),
    "places times many": ("Mul (places beyond", [
        *places("huge"), ROWS, node("Gather", ["f", "i"], ["y"])]),
    "places times less than one": ("Mul (its use of the numbers of the samples)", [
        *places("minus"), ROWS, node("Gather", ["f", "i"], ["y"])]),
    "places times places": ("Mul (its use of the numbers of the samples)", [
        *places(), node("Mul", ["i", "i"], ["q"]), ROWS, node("Gather", ["f", "q"], ["y"])]),
    "places as numbers": ("Cast (its use of the numbers of the samples)", [
        *places(), node("Cast", ["i"], ["y"], to=TensorProto.FLOAT)]),
}  # fmt: skip
BAD: dict[str, Array] = {"thirds": np.array([-1, 3, 6]), "column": np.array([-1, 1])}


def _refusal(
    nodes: Sequence[NodeProto], inputs: Mapping[str, Array], constants: Mapping[str, Array],
    folder: Path,
) -> InvalidModelError | UnsupportedOperatorError:  # fmt: skip
    with pytest.raises((InvalidModelError, UnsupportedOperatorError)) as caught:
        read_model(model(nodes, inputs, constants), folder)
    assert isinstance(caught.value, InvalidModelError | UnsupportedOperatorError)
    return caught.value


@pytest.mark.parametrize("name", REFUSED)
def test_what_may_mix_samples_is_refused(name: str, tmp_path: Path) -> None:
    expected, nodes = REFUSED[name]

    error = _refusal(nodes, {"x": TOKENS}, CONSTANTS | MORE | BAD, tmp_path)

    assert error.reason == "UNSUPPORTED_OPERATOR"
    assert expected in error.message


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([*MASK, ADDED, node("Mul", ["x", "m"], ["y"])], "Mul (its use of a mask of minus"),
        ([*MASK, ADDED, node("Add", ["x", "m"], ["a"]), node("Relu", ["a"], ["y"])],
         "Relu (its use of scores that a mask"),
        ([*MASK, ADDED, node("Add", ["x", "m"], ["a"]), node("Softmax", ["a"], ["y"], axis=1)],
         "Softmax (its use of scores that a mask"),
        ([*MASK, ADDED, node("Add", ["x", "m"], ["a"]), *REST[:2],
          node("Where", ["e", "nought", "x"], ["y"])], "Where (its use of whether a mask"),
    ],
)  # fmt: skip
def test_other_uses_of_masks_are_refused(
    nodes: Sequence[NodeProto], expected: str, tmp_path: Path
) -> None:
    assert expected in _refusal(nodes, SCORES, MASK_CONSTANTS, tmp_path).message


def test_weights_of_masked_scores_are_numbers_where_no_row_is_empty(tmp_path: Path) -> None:
    scores = {**SCORES, "mask": np.array([[1, 1, 0, 0, 1], [0, 0, 0, 1, 0]], np.int64)}
    nodes = [*MASK, ADDED, node("Add", ["x", "m"], ["a"]), *REST[:1], node("Neg", ["w"], ["y"])]
    made = model(nodes, scores, MASK_CONSTANTS)
    (expected,) = run_onnxruntime(made, scores)
    (found,) = run_graph(read_model(made, tmp_path), list(scores.values()))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


def test_joined_samples_are_no_output(tmp_path: Path) -> None:
    made = model([FLAT], {"x": TOKENS}, CONSTANTS, outputs=("j",))
    with pytest.raises(InvalidModelError) as caught:
        read_model(made, tmp_path)
    assert caught.value.reason == "ONNX_BAD_SIGNATURE"
    assert "expected the samples along its first axis alone" in caught.value.message


def test_a_mask_is_no_output(tmp_path: Path) -> None:
    made = model([*MASK, ADDED], SCORES, MASK_CONSTANTS, outputs=("m",))
    with pytest.raises(InvalidModelError) as caught:
        read_model(made, tmp_path)
    assert caught.value.reason == "ONNX_BAD_SIGNATURE"
    assert "a mask of minus infinity" in caught.value.message
