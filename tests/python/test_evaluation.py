"""Accuracy and batching."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from smidgen.classification import correct_count
from smidgen.data.opening import source_of
from smidgen.evaluation import Arrays, accuracy, batches
from smidgen.formats.dataset import Dataset
from smidgen.tensor_spec import TensorSpec

DYNAMIC = (TensorSpec("x", "float32", (None, 3)),)
FIXED = (TensorSpec("x", "float32", (4, 3)),)


def test_first_of_equal_logits_counts() -> None:
    logits = np.array([[1, 1, 0], [0, 2, 2], [0, 0, 1]], np.float32)
    assert correct_count(logits, np.array([0, 2, 2])) == 2


@pytest.mark.parametrize("specs", [DYNAMIC, FIXED], ids=["dynamic", "fixed"])
def test_every_sample_counts_once(specs: tuple[TensorSpec, ...]) -> None:
    labels = np.random.default_rng(0).integers(0, 3, 10)
    x = np.eye(3, dtype=np.float32)[labels]
    x[:3] = np.roll(x[:3], 1, axis=1)
    sizes = []

    def predict(batch: Arrays) -> NDArray[np.float32]:
        sizes.append(len(batch["x"]))
        return batch["x"]

    source = source_of(Dataset({"x": x, "labels": labels}, 10), specs)
    assert accuracy(predict, source, specs) == 0.7
    assert sizes == ([10] if specs is DYNAMIC else [4, 4, 4])


def test_short_batch_is_filled_with_its_last_sample() -> None:
    x = np.arange(15, dtype=np.float32).reshape(5, 3)
    *_, (start, stop, last) = batches(source_of(Dataset({"x": x}, 5), FIXED), FIXED)
    assert (start, stop) == (4, 5)
    assert np.array_equal(last["x"], np.repeat(x[4:], 4, axis=0))
