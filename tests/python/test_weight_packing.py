"""int4 weights in artifacts: one packed form of each weight, and no other is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fuzz.artifacts import seal, take_apart
from smidgen.artifact import decode_artifact, encode_artifact
from smidgen.config import LayerPrecision, WeightBits
from smidgen.engine import Engine, available_isas
from smidgen.errors import ArtifactError, ProgramError
from smidgen.program import WeightPacking, interpret, verify
from smidgen.weight_grid import weight_grid
from smidgen.weight_packing import PackedWeight, pack, unpack
from tests.python.program.small_programs import int4_program, with_constant

DATA = Path(__file__).resolve().parent.parent / "data"


@settings(max_examples=100, deadline=None)
@given(
    st.tuples(st.integers(1, 4), st.integers(1, 90), st.integers(1, 3)),
    st.sampled_from([0, 32, 64]),
    st.integers(0, 2**32 - 1),
)
def test_every_grid_survives_packing(
    shape: tuple[int, int, int], group_size: int, seed: int
) -> None:
    weight = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    precision = LayerPrecision(WeightBits.INT4, group_size)
    quantized = weight_grid(weight, None, None, precision).quantize(weight)
    packed = PackedWeight(WeightPacking(group_size), shape)
    stored = pack("w", packed.packing, quantized)
    row = shape[1] * shape[2]
    groups = -(-row // group_size) if group_size else 0
    assert stored.shape == (shape[0], (row + 1) // 2 + groups)
    assert unpack("w", packed, stored).tobytes() == quantized.tobytes()


def test_bytes_by_hand() -> None:
    weight = np.array([[7, -7, 1], [0, 0, 0]], np.int8)
    assert pack("w", WeightPacking(0), weight).tolist() == [[0x97, 0x01], [0, 0]]
    # The smallest multiplier: 3 for [21, -6, 3], and 1 for zeros.
    weight = np.array([[21, -6, 3], [0, 0, 0]], np.int8)
    assert pack("w", WeightPacking(32), weight).tolist() == [[0xE7, 0x01, 3], [0, 0, 1]]


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=5, max_size=5), st.sampled_from([0, 32]))
def test_what_is_read_is_what_would_be_written(row: bytes, group_size: int) -> None:
    stored = np.frombuffer(row, np.uint8)[None, : 5 if group_size else 4]
    packed = PackedWeight(WeightPacking(group_size), (1, 7))
    try:
        weight = unpack("w", packed, stored)
    except ProgramError:
        return
    assert pack("w", packed.packing, weight).tobytes() == stored.tobytes()


@pytest.mark.parametrize(
    ("row", "group_size"),
    [
        ([0x08], 0),  # -8
        ([0x10], 0),  # a nibble more than there are weights
        ([0x01, 0], 32),  # multiplier 0
        ([0x07, 19], 32),  # multiplier too large
        ([0x02, 2], 32),  # 4 = 2 * 2 = 4 * 1, of which the smaller multiplier fits
        ([0x00, 2], 32),  # zeros have 1
    ],
)
def test_other_forms_are_refused(row: list[int], group_size: int) -> None:
    packed = PackedWeight(WeightPacking(group_size), (1, 1))
    with pytest.raises(ProgramError):
        unpack("w", packed, np.array([row], np.uint8))


@pytest.mark.parametrize(
    ("weight", "problem"),
    [
        (np.full((2, 3), 8, np.int8), "group 0 of channel 0"),
        (np.array([[1, 7], [7, -128]], np.int8), "group 0 of channel 1"),
        (np.ones(3, np.int8), "expected int8 weights"),
        (np.ones((2, 2), np.int32), "expected int8 weights"),
    ],
)
def test_programs_with_other_weights_are_invalid(weight: NDArray[Any], problem: str) -> None:
    program = replace(with_constant(int4_program(), "x", weight), packing={"x": WeightPacking(0)})
    with pytest.raises(ProgramError, match=problem):
        verify(program)


def test_multiples_need_groups() -> None:
    program = with_constant(int4_program(), "l.w", 2 * int4_program().constants["l.w"])
    with pytest.raises(ProgramError, match=r"l\.w is packed"):
        encode_artifact(program)


def test_packed_names_must_exist() -> None:
    with pytest.raises(ProgramError, match="packed weight x is not among the constants"):
        verify(replace(int4_program(), packing={"x": WeightPacking(0)}))


def test_engine_runs_what_was_packed() -> None:
    program = decode_artifact(encode_artifact(int4_program()))
    assert program.packing == int4_program().packing
    image = np.random.default_rng(0).standard_normal((3, 3, 8, 8)).astype(np.float32)
    expected = interpret(int4_program(), {"image": image})["logits"]
    for isa in available_isas():
        found = Engine(program, isa=isa).run({"image": image})["logits"]
        np.testing.assert_array_equal(found, expected, err_msg=isa)


def edited(change: dict[str, Any], constants: dict[str, NDArray[Any]] | None = None) -> bytes:
    """Returns the golden int4 artifact with another packing of its first layer, and sealed."""
    metadata, stored = take_apart(DATA / "artifact-v3-int4.smidgen")
    metadata["program"]["packing"]["c.w"] |= change
    return seal(metadata, stored | (constants or {}))


def test_sealing_again_changes_nothing() -> None:
    assert decode_artifact(edited({})).packing == int4_program().packing


@pytest.mark.parametrize(
    "change",
    [
        {"group_size": 0},
        {"group_size": 33},
        {"group_size": True},
        {"group_size": 2**70},
        {"shape": [8, 27]},
        {"shape": [8, 3, 3, 4]},
        {"shape": [8, 0, 3, 3]},
        {"shape": [-8, -27]},
        {"shape": [216]},
        {"shape": [2**31 - 1] * 8},
        {"shape": [8, *([1] * 7), 27]},
        {"shape": "8"},
        {"bits": 4},
    ],
)
def test_other_packings_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError):
        decode_artifact(edited(change))


@pytest.mark.parametrize("packing", [[], {"x": {"group_size": 0, "shape": [1, 1]}}, {"c.w": 1}])
def test_packings_of_another_form_are_refused(packing: object) -> None:
    metadata, stored = take_apart(DATA / "artifact-v3-int4.smidgen")
    metadata["program"]["packing"] = packing
    with pytest.raises(ArtifactError):
        decode_artifact(seal(metadata, stored))


def test_truncated_and_overlong_weights_are_refused() -> None:
    _, stored = take_apart(DATA / "artifact-v3-int4.smidgen")
    weight = stored["c.w"]
    for other in (weight[:, :-1], weight[:-1], np.repeat(weight, 2, axis=1), weight.view(np.int8)):
        with pytest.raises(ArtifactError, match=r"packed weight c\.w"):
            decode_artifact(edited({}, {"c.w": np.ascontiguousarray(other)}))
