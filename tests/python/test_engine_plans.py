"""What the engine makes of programs: which steps disappear, and where tensors lie."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.engine import Engine
from smidgen.errors import InvalidTensorError
from smidgen.program import DType, GlobalAveragePool, Program, Quantize, Reshape, TensorInfo


@pytest.fixture
def pooled() -> Program:
    """A program that flattens the means of an image's channels."""
    tensors = [
        TensorInfo("image", DType.FLOAT32, (None, 4, 6, 6)),
        TensorInfo("quantized", DType.UINT8, (None, 4, 6, 6), scale=0.5),
        TensorInfo("mean", DType.UINT8, (None, 4, 1, 1), scale=0.5),
        TensorInfo("flat", DType.UINT8, (None, 4), scale=0.5),
    ]
    return Program(
        inputs=("image",),
        outputs=("flat",),
        tensors={tensor.name: tensor for tensor in tensors},
        steps=(
            Quantize("image", "quantized"),
            GlobalAveragePool("quantized", "mean"),
            Reshape("mean", "flat", (0, 4)),
        ),
        constants={},
    )


def test_reshape_that_moves_no_bytes_takes_no_step(pooled: Program) -> None:
    plan = Engine(pooled).describe_plan({"image": (2, 4, 6, 6)})
    assert [step.output for step in plan.steps] == ["quantized", "mean"]
    assert plan.steps[1].inputs == ("quantized",)
    assert plan.aliases == {"flat": "mean"}
    assert plan.slices == {}
    assert plan.arena_bytes > 2 * 4 * 6 * 6


def test_described_plan_serves_the_next_run(pooled: Program) -> None:
    engine = Engine(pooled)
    engine.describe_plan({"image": (2, 4, 6, 6)})
    assert engine.cached_plan_count == 1
    engine.run({"image": np.ones((2, 4, 6, 6), np.float32)})
    assert engine.cached_plan_count == 1


def test_shapes_that_do_not_fit_have_no_plan(pooled: Program) -> None:
    with pytest.raises(InvalidTensorError, match="rank 4"):
        Engine(pooled).describe_plan({"image": (2, 4)})


def test_untuned_engine_gives_the_same_values(pooled: Program) -> None:
    inputs = {"image": np.arange(144, dtype=np.float32).reshape(1, 4, 6, 6)}
    tuned, untuned = Engine(pooled), Engine(pooled, tune=False)
    np.testing.assert_array_equal(tuned.run(inputs)["flat"], untuned.run(inputs)["flat"])
