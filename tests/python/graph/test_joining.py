"""Calls on values whose samples are not the first axis of the file's tensor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from smidgen.graph.arguments import (
    BATCH_SIZE,
    Activation,
    ArgumentError,
    BatchMultiple,
    Constant,
    Joined,
    UnsupportedCase,
    Value,
)
from smidgen.graph.arrangement import as_seen, sizes
from smidgen.graph.assembly import Assembly, Origin, input_specs, output_specs, renumber
from smidgen.graph.build import build_graph
from smidgen.graph.exported import ExportedModel
from smidgen.graph.joining import apply
from smidgen.graph.operator_table import OPERATORS

BATCH, TOKENS, FEATURES = 3, 4, 6
X = "x"
"""Stands for the value of a test among the arguments of a call."""
SEQUENCE: Mapping[str, Value] = {"dim0": 0, "dim1": 1}
ROWS: Mapping[str, Value] = {"size": (-1, FEATURES)}
HEADS: Mapping[str, Value] = {"size": (TOKENS, BatchMultiple(2), 3)}
ARRANGED = {
    "sequence first": [("transpose.int", SEQUENCE)],
    "rows": [("view.default", ROWS)],
    "rows of a sequence": [
        ("transpose.int", SEQUENCE),
        ("view.default", {"size": (BatchMultiple(TOKENS), FEATURES)}),
    ],
    "heads": [
        ("transpose.int", SEQUENCE), ("view.default", HEADS), ("transpose.int", SEQUENCE),
    ],
}  # fmt: skip
"""Ways to arrange [N, 4, 6] otherwise, in calls."""
ROW = Constant(np.linspace(-1, 1, FEATURES, dtype=np.float32))
COLUMN = Constant(np.linspace(-1, 1, TOKENS, dtype=np.float32).reshape(TOKENS, 1, 1))
MATRIX = Constant(np.linspace(-1, 1, 30, dtype=np.float32).reshape(FEATURES, 5))
CASES: list[tuple[str, str, Mapping[str, Value]]] = [
    ("sequence first", "softmax.int", {"self": X, "dim": 0}),
    ("sequence first", "softmax.int", {"self": X, "dim": -1}),
    ("sequence first", "select.int", {"self": X, "dim": 0, "index": 2}),
    ("sequence first", "select.int", {"self": X, "dim": -1, "index": 2}),
    ("sequence first", "slice.Tensor", {"self": X, "start": 1, "end": 3}),
    ("sequence first", "split.Tensor", {"self": X, "split_size": 3}),
    ("sequence first", "mean.dim", {"self": X, "dim": (0, 2)}),
    ("sequence first", "mean.dim", {"self": X, "dim": (0,), "keepdim": True}),
    ("sequence first", "add.Tensor", {"self": X, "other": X}),
    ("sequence first", "mul.Tensor", {"self": X, "other": ROW}),
    ("sequence first", "sub.Tensor", {"self": COLUMN, "other": X}),
    ("sequence first", "matmul.default", {"self": X, "other": MATRIX}),
    ("sequence first", "cat.default", {"tensors": (X, X), "dim": 0}),
    ("sequence first", "cat.default", {"tensors": (X, X), "dim": 2}),
    ("sequence first", "unsqueeze.default", {"self": X, "dim": 0}),
    ("sequence first", "unsqueeze.default", {"self": X, "dim": -1}),
    ("sequence first", "flatten.using_ints", {"self": X}),
    ("sequence first", "unflatten.int", {"self": X, "dim": -1, "sizes": (2, -1)}),
    ("sequence first", "reshape_as.default", {"self": X, "other": X}),
    ("sequence first", "permute.default", {"self": X, "dims": (1, 2, 0)}),
    ("sequence first", "expand.default", {"self": X, "size": (2, -1, -1, 6)}),
    ("sequence first", "sym_size.int", {"self": X, "dim": 0}),
    ("sequence first", "zeros_like.default", {"self": X}),
    ("rows", "tanh.default", {"self": X}),
    ("rows", "softmax.int", {"self": X, "dim": 1}),
    ("rows", "add.Tensor", {"self": X, "other": 2.0}),
    ("rows", "unsqueeze.default", {"self": X, "dim": 0}),
    ("rows of a sequence", "matmul.default", {"self": X, "other": MATRIX}),
    ("rows of a sequence", "view.default", {"self": X, "size": (TOKENS, BATCH_SIZE, FEATURES)}),
    ("rows of a sequence", "view.default", {"self": X, "size": (2, -1, 2)}),
    ("heads", "view.default", {"self": X, "size": (BATCH_SIZE, 2, -1, 3)}),
    ("heads", "add.Tensor", {"self": X, "other": X}),
    ("heads", "softmax.int", {"self": X, "dim": 1}),
    ("heads", "linalg_vector_norm.default", {"self": X, "dim": (-1,), "keepdim": True}),
]
"""An arrangement, an operator and what it is called with."""


def _call(assembly: Assembly, name: str, arguments: Mapping[str, Value]) -> list[Value]:
    return [*apply(assembly, Origin(name), OPERATORS[name], arguments)]


def _filled(arguments: Mapping[str, Value], value: Value) -> dict[str, Value]:
    """Puts a value in the places of X."""
    return {
        key: tuple(value if item is X else item for item in found)
        if isinstance(found, tuple)
        else value if found is X else found
        for key, found in arguments.items()
    }  # fmt: skip


def _arranged(assembly: Assembly, how: str) -> Joined:
    value: Value = assembly.new_activation((None, TOKENS, FEATURES), "float32")
    for name, arguments in ARRANGED[how]:
        (value,) = _call(assembly, name, {"self": value, **arguments})
    assert isinstance(value, Joined)
    return value


def _in_torch(value: object) -> object:
    """Returns an argument as torch takes it."""
    if isinstance(value, tuple):
        return [_in_torch(item) for item in value]
    if isinstance(value, Constant):
        return torch.from_numpy(value.array)
    if value is BATCH_SIZE or isinstance(value, BatchMultiple):
        return BATCH * (value.factor if isinstance(value, BatchMultiple) else 1)
    return value


def _torch_call(name: str, arguments: Mapping[str, object]) -> object:
    base, overload = name.split(".")
    if base == "sym_size":
        return arguments["self"].size(arguments["dim"])  # type: ignore[attr-defined, index]
    operator = getattr(getattr(torch.ops.aten, base), overload)
    return operator(**{key: _in_torch(value) for key, value in arguments.items()})


def _computed(assembly: Assembly, result: Joined, x: torch.Tensor) -> torch.Tensor:
    """Runs a model and arranges what it gives as the file sees it."""
    nodes, numbers = renumber(assembly.nodes, [result.value], 1)
    inputs = [Assembly([]).new_activation((None, TOKENS, FEATURES), "float32")]
    model = ExportedModel(
        inputs=input_specs(["x"], inputs, nodes, assembly.constants),
        outputs=output_specs(["y"], [result.value]),
        nodes=nodes,
        output_values=numbers,
        weights=assembly.constants,
        parameters=frozenset(),
        parameter_count=0,
        parameter_bytes=0,
        batch_range=(1, None),
        sha256="",
    )
    found = build_graph(model)(x)
    order = [axis for group in result.axes for axis in group]
    numbers = tuple(
        size if isinstance(size, int) else int(str(_in_torch(size))) for size in sizes(result)
    )
    return found.permute(order).reshape(numbers)


@pytest.mark.parametrize(("how", "name", "arguments"), CASES)
def test_a_call_gives_what_torch_gives(how: str, name: str, arguments: Mapping[str, Value]) -> None:
    assembly = Assembly([])
    results = _call(assembly, name, _filled(arguments, _arranged(assembly, how)))

    x = torch.randn(BATCH, TOKENS, FEATURES, generator=torch.Generator().manual_seed(3))
    seen: object = x
    for step, given in ARRANGED[how]:
        seen = _torch_call(step.replace("view", "reshape"), {
            "self": seen, **{key.replace("size", "shape"): found for key, found in given.items()}
        })  # fmt: skip
    expected = _torch_call(
        name.replace("view", "reshape"),
        {
            key.replace("size", "shape") if name == "view.default" else key: found
            for key, found in _filled(arguments, seen).items()  # type: ignore[arg-type]
        },
    )
    expected = expected if isinstance(expected, list | tuple) else [expected]
    assert len(results) == len(expected)
    for result, wanted in zip(results, expected, strict=True):
        if not isinstance(wanted, torch.Tensor):
            assert result == wanted
            continue
        assert isinstance(result, Joined | Activation)
        joined = result if isinstance(result, Joined) else as_seen(result)
        torch.testing.assert_close(_computed(assembly, joined, x), wanted)


def test_constants_are_repeated_for_samples_behind_another_axis() -> None:
    assembly = Assembly([])
    assembly.new_activation((None, TOKENS, FEATURES), "float32")
    token = Constant(np.ones((1, 1, FEATURES), np.float32))
    for name, arguments in (
        ("expand.default", {"self": token, "size": (2, BATCH_SIZE, -1)}),
        ("repeat.default", {"self": token, "repeats": (1, BATCH_SIZE, 1)}),
        ("zeros.default", {"size": (5, BATCH_SIZE, FEATURES)}),
    ):
        (found,) = _call(assembly, name, arguments)
        assert isinstance(found, Joined)
        assert found.axes == ((1,), (0,), (2,))
    (found,) = _call(assembly, "zeros.default", {"size": (BatchMultiple(4), 1, 3)})
    assert isinstance(found, Joined)
    assert (found.value.shape, found.axes) == ((None, 4, 1, 3), ((0, 1), (2,), (3,)))


@pytest.mark.parametrize(
    ("how", "name", "arguments", "message"),
    [
        ("sequence first", "softmax.int", {"self": X, "dim": 1}, "an axis of the samples"),
        ("sequence first", "mean.dim", {"self": X, "dim": (0, 1)}, "an axis of the samples"),
        ("sequence first", "sum.dim_IntList", {"self": X}, "over all axes of joined samples"),
        ("sequence first", "cat.default", {"tensors": (X, X), "dim": 1}, "an axis of the samples"),
        ("sequence first", "bmm.default", {"self": X, "mat2": X}, "an axis of the samples"),
        ("sequence first", "relu_.default", {"self": X}, "writing to samples that are joined"),
        ("sequence first", "add.Tensor",
         {"self": X, "other": Constant(np.ones((3, 6), np.float32))}, "a constant along samples"),
        ("rows", "conv2d.default", {"input": X, "weight": MATRIX}, "samples that are joined"),
        ("rows", "batch_norm.default",
         {"input": X, "weight": None, "bias": None, "running_mean": None, "running_var": None,
          "training": False, "momentum": 0.1, "eps": 1e-5}, "without running statistics"),
        ("rows of a sequence", "view.default", {"self": X, "size": (BATCH_SIZE, 24)},
         r"samples \[4 \* \?, 6\] viewed otherwise"),
        ("heads", "matmul.default", {"self": MATRIX, "other": X}, "samples that are joined"),
    ],
)  # fmt: skip
def test_what_may_mix_samples_is_refused(
    how: str, name: str, arguments: Mapping[str, Value], message: str
) -> None:
    assembly = Assembly([])
    value = _arranged(assembly, how)
    if message == "samples that are joined" and name == "matmul.default":
        # The same samples elsewhere: rows of one are none of the other.
        arguments = {"self": _arranged_again(assembly, value), "other": X}
        message = "joined with different axes"
    with pytest.raises(UnsupportedCase, match=message):
        _call(assembly, name, _filled(arguments, value))


def _arranged_again(assembly: Assembly, value: Joined) -> Value:
    (found,) = _call(assembly, "view.default", {"self": value, "size": (BATCH_SIZE, 2, 4, 3)})
    return found


def test_arguments_that_do_not_fit_are_refused_before_anything_is_arranged() -> None:
    assembly = Assembly([])
    value = _arranged(assembly, "rows")
    for name, arguments in (
        ("softmax.int", {"dim": 1}),
        ("softmax.int", {"self": value, "dim": "last"}),
        ("permute.default", {"self": value, "dims": (0,)}),
        ("view.default", {"self": value}),
    ):
        with pytest.raises(ArgumentError):
            _call(assembly, name, arguments)
