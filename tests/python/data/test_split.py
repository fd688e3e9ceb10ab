"""The part of a data set that a training holds out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.config import QATConfig
from smidgen.data.opening import source_of
from smidgen.data.split import HeldOut, Split, evaluation_source, held_out_of
from smidgen.formats.dataset import Dataset
from smidgen.qat.data import make_samples, split_samples
from smidgen.tensor_spec import TensorSpec

SPECS = (TensorSpec("x", "float32", (None, 2)),)


def dataset(count: int) -> Dataset:
    arrays = {
        "x": np.arange(2 * count, dtype=np.float32).reshape(count, 2),
        "labels": np.arange(count),
    }
    return Dataset(arrays, count)


@given(st.integers(1, 300), st.floats(0.0, 0.5), st.integers(-(2**63), 2**63 - 1))
def test_every_sample_is_in_one_part(count: int, fraction: float, seed: int) -> None:
    split = Split(fraction, seed)
    training, held_out = split.places(count)
    assert sorted([*training, *held_out]) == list(range(count))
    assert len(held_out) == split.count(count)
    assert len(training) >= 1


@pytest.mark.parametrize(
    ("count", "fraction", "expected"), [(1, 0.5, 0), (2, 0.01, 1), (40, 0.2, 8), (40, 0.0, 0)]
)
def test_a_share_holds_one_sample_out_at_least(count: int, fraction: float, expected: int) -> None:
    assert Split(fraction, 3).count(count) == expected


def test_it_is_what_training_evaluates_on() -> None:
    config = QATConfig(evaluation_fraction=0.2, seed=7)
    data = dataset(40)
    part = held_out_of(data, config)
    assert part == HeldOut(data, Split(0.2, 7))
    source = evaluation_source(part, SPECS)
    _, held_out = split_samples(make_samples(source_of(data, SPECS), SPECS, config), config)
    assert held_out is not None
    assert source.labels is not None
    np.testing.assert_array_equal(source.labels, held_out.places)
    rows = source.rows(np.array([3, 0]))
    np.testing.assert_array_equal(rows.inputs["x"], data.arrays["x"][held_out.places[[3, 0]]])
    np.testing.assert_array_equal(rows.labels, held_out.places[[3, 0]])  # type: ignore[arg-type]
    assert (source.sample_count, source.has_labels, source.is_augmented) == (8, True, False)
    assert source.digest() != evaluation_source(data, SPECS).digest()
    assert source.digest() == evaluation_source(HeldOut(dataset(40), Split(0.2, 7)), SPECS).digest()


def test_nothing_may_be_held_out() -> None:
    assert held_out_of(dataset(40), QATConfig(evaluation_fraction=0.0)) is None
    assert held_out_of(dataset(1), QATConfig()) is None
