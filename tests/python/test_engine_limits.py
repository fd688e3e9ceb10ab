"""Programs and inputs that would take absurd memory or time are refused before anything runs."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.engine import Engine
from smidgen.errors import InvalidTensorError
from smidgen.program import Conv2d, DType, Program, Quantize, TensorInfo, interpret

MIB = 1 << 20


def padding_program(*, channels: int = 1, padding: int = 4096, repeats: int = 1) -> Program:
    """Convolutions of one pixel whose padding makes their outputs huge."""
    extent = 1
    tensors = [
        TensorInfo("x", DType.FLOAT32, (None, 1, 1, 1)),
        TensorInfo("q", DType.UINT8, (None, 1, 1, 1), scale=1.0),
    ]
    steps: list[Quantize | Conv2d] = [Quantize("x", "q")]
    constants = {}
    for index in range(repeats):
        extent += 2 * padding
        inputs = tensors[-1].shape[1]
        assert inputs is not None
        name = f"c{index}"
        tensors.append(TensorInfo(name, DType.UINT8, (None, channels, extent, extent), scale=1.0))
        constants |= {
            f"{name}.weight": np.ones((channels, inputs, 1, 1), np.int8),
            f"{name}.scale": np.ones(channels, np.float32),
            f"{name}.bias": np.zeros(channels, np.int32),
        }
        steps.append(
            Conv2d(
                tensors[-2].name,
                name,
                f"{name}.weight",
                f"{name}.scale",
                f"{name}.bias",
                padding=(padding,) * 4,
            )
        )
    return Program(
        inputs=("x",),
        outputs=(tensors[-1].name,),
        tensors={tensor.name: tensor for tensor in tensors},
        steps=tuple(steps),
        constants=constants,
    )


@pytest.mark.parametrize("repeats", [1, 24])
def test_huge_activations_are_refused_before_they_are_allocated(repeats: int) -> None:
    engine = Engine(padding_program(channels=16, repeats=repeats), most_bytes=64 * MIB)
    with pytest.raises(InvalidTensorError, match=r"bytes of memory, at most 67108864") as caught:
        engine.run({"x": np.ones((1, 1, 1, 1), np.float32)})
    assert caught.value.reason == "INFERENCE_TOO_LARGE"


def test_huge_batch_is_refused_and_a_small_one_still_runs() -> None:
    program = padding_program(padding=8)
    engine = Engine(program, most_bytes=MIB)
    with pytest.raises(InvalidTensorError, match="send fewer or smaller samples"):
        engine.run({"x": np.ones((100_000, 1, 1, 1), np.float32)})
    small = {"x": np.ones((2, 1, 1, 1), np.float32)}
    np.testing.assert_array_equal(engine.run(small)["c0"], interpret(program, small)["c0"])


def test_endless_work_is_refused() -> None:
    engine = Engine(padding_program(padding=64), most_work=10_000)
    with pytest.raises(InvalidTensorError, match="operations, at most 10000") as caught:
        engine.run({"x": np.ones((1, 1, 1, 1), np.float32)})
    assert caught.value.reason == "INFERENCE_TOO_LARGE"


def test_plans_with_very_much_memory_are_not_kept() -> None:
    engine = Engine(padding_program(channels=5))  # 320 MiB
    engine.run({"x": np.ones((1, 1, 1, 1), np.float32)})
    assert engine.cached_plan_count == 0
