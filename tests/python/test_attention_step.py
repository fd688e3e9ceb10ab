"""Attention as one step: exact everywhere, close to the formula in double precision, verified."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from smidgen.engine import Engine, available_isas
from smidgen.errors import InvalidTensorError, ProgramError
from smidgen.functional import attention
from smidgen.program import Attention, Program, interpret, verify
from tests.python.program.attention_programs import SCALE, attention_program

Array = NDArray[Any]


def arrays(program: Program, images: int, tokens: int, seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    features = program.tensor("x").shape[2]
    found: dict[str, Array] = {
        "x": rng.normal(size=(images, tokens, features)).astype(np.float32)  # type: ignore[arg-type]
    }
    if "mask" in program.inputs:
        _, _, rows, _ = program.tensor("mask").shape
        keep = rng.random((images, 1, rows or tokens, tokens)) > 0.3
        found["mask"] = np.where(keep, 0, np.finfo(np.float32).min).astype(np.float32)
    return found


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(
    ("tokens", "heads", "size", "mask"),
    [
        (1, 1, 1, None),
        (13, 3, 20, None),
        (16, 2, 16, (None, 1, 1, 16)),
        (33, 5, 7, (None, 1, 33, 33)),
        (70, 2, 64, (None, 1, 1, 70)),
        (129, 3, 24, (None, 1, 129, 129)),
    ],
)
def test_engine_equals_the_interpreter(
    isa: str, threads: int, tokens: int, heads: int, size: int, mask: tuple[int | None, ...] | None
) -> None:
    program = attention_program(tokens, heads, size, mask)
    inputs = arrays(program, 3, tokens)
    found = Engine(program, isa=isa, threads=threads).run(inputs)["y"]
    np.testing.assert_array_equal(found, interpret(program, inputs)["y"])


def test_is_close_to_attention_in_double_precision() -> None:
    program = attention_program(24, 4, 16, (None, 1, 1, 24))
    inputs = arrays(program, 2, 24)
    values = interpret(program, inputs)
    real = (values["qkv"].astype(np.float64) - 120) * SCALE
    query, key, value = real.reshape(2, 24, 3, 4, 16).transpose(2, 0, 3, 1, 4)
    scores = query @ key.swapaxes(2, 3) * 0.5 + inputs["mask"]
    weights = np.exp(scores - scores.max(axis=3, keepdims=True))
    weights /= weights.sum(axis=3, keepdims=True)
    expected = (weights @ value).swapaxes(1, 2).reshape(2, 24, 64)
    found = (values["y"].astype(np.float64) - 130) * SCALE
    # Half a step of the output, and half a step of 255 in each weight.
    assert np.abs(found - expected).max() < SCALE / 2 + 0.03
    assert (found - expected).std() < SCALE / 2


def test_weights_are_those_of_a_softmax_but_for_their_rounding() -> None:
    # One query of 2 and keys that fall by one; values tell the weights apart, one at a time.
    steps = np.float32(2048 / np.log(2))
    for multiplier in (0.002, 0.1, 1.0):
        query = np.full((1, 1, 256, 1), 2, np.uint8)
        key = np.arange(256, dtype=np.uint8)[::-1].reshape(1, 1, 256, 1)
        value = np.diag(np.full(256, 255)).astype(np.uint8)[None, None]
        found = attention(
            query, key, value, None, query_zero_point=0, value_zero_point=0, zero_point=0,
            score_multiplier=np.float32(multiplier * steps / 2), value_multiplier=np.float32(1),
        )[0, 0, 0]  # fmt: skip
        weights = 255 * np.exp(-multiplier * np.arange(256.0))
        assert np.abs(found - 255 * np.rint(weights) / np.rint(weights).sum()).max() <= 0.51


def test_a_mask_that_masks_nothing_changes_nothing() -> None:
    program = attention_program(40, 2, 16, (None, 1, 1, 40))
    inputs = arrays(program, 2, 40)
    inputs["mask"][:] = -0.0
    without = attention_program(40, 2, 16)
    np.testing.assert_array_equal(
        Engine(program).run(inputs)["y"], interpret(without, {"x": inputs["x"]})["y"]
    )


def test_flat_weights_over_many_tokens_keep_their_mean() -> None:
    program = attention_program(1000, 1, 4)
    x = np.zeros((1, 1000, 12), np.float32)
    x[:, :, 8:] = 1.0
    y = interpret(program, {"x": x})["y"]
    np.testing.assert_array_equal(y, 130 + 32)
    np.testing.assert_array_equal(Engine(program).run({"x": x})["y"], y)


def test_a_token_that_is_masked_has_no_weight() -> None:
    program = attention_program(8, 1, 4, (None, 1, 1, 8))
    inputs = arrays(program, 1, 8)
    inputs["mask"][..., :3] = np.finfo(np.float32).min
    changed = {**inputs, "x": inputs["x"].copy()}
    changed["x"][:, :3, 4:] += 1.0  # keys and values of masked tokens
    before, after = interpret(program, inputs)["y"], interpret(program, changed)["y"]
    np.testing.assert_array_equal(before, after)


def test_a_mask_of_infinities_gives_the_same_everywhere() -> None:
    program = attention_program(8, 2, 4, (None, 1, 8, 8))
    inputs = arrays(program, 1, 8)
    inputs["mask"][0, 0, 0] = -np.inf
    inputs["mask"][0, 0, 1, 2] = np.inf
    inputs["mask"][0, 0, 2, 3] = np.nan
    inputs["mask"][0, 0, 3, ::2] = -np.inf
    expected = interpret(program, inputs)["y"]
    for isa in available_isas():
        found = Engine(program, isa=isa).run(inputs, check_finite=False)["y"]
        np.testing.assert_array_equal(found, expected)


def test_the_engine_refuses_inputs_that_do_not_go_together() -> None:
    program = attention_program(None, 1, 4, (None, 1, 1, None))
    engine = Engine(program)
    inputs = arrays(program, 2, 6)
    assert engine.run(inputs)["y"].shape == (2, 6, 4)
    with pytest.raises(InvalidTensorError, match="mask of another shape"):
        engine.run({**inputs, "mask": inputs["mask"][..., :5]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads": 0}, "heads is 0"),
        ({"head_size": 2**20}, "head_size is 1048576"),
        ({"heads": 3}, "24 features from 32"),
        ({"key_offset": -1}, "features from -1"),
        ({"value_offset": 33}, "features from 33"),
        ({"scale": 0.1}, "expected a float32 value"),
        ({"scale": -0.5}, "expected a positive value"),
        ({"scale": 2.0**120}, "scores are multiplied"),
        ({"mask": "y"}, "reads y before"),
        ({"mask": "x"}, "has rank 3"),
        ({"query": "x"}, "x is float32"),
    ],
)
def test_a_step_that_breaks_a_rule_is_refused(change: dict[str, Any], message: str) -> None:
    program = attention_program(5, 2, 8)
    verify(program)
    quantize, attention = program.steps
    assert isinstance(attention, Attention)
    broken = dataclasses.replace(attention, **change)
    with pytest.raises(ProgramError, match=message):
        verify(dataclasses.replace(program, steps=(quantize, broken)))


def test_too_many_tokens_are_refused() -> None:
    with pytest.raises(ProgramError, match="do not fit int32"):
        verify(attention_program(33_026, 1, 1))
    verify(attention_program(33_025, 1, 1))
