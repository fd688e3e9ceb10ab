"""What the dataset of several others is, and which do not go together."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from smidgen.errors import InvalidDatasetError
from smidgen.formats.dataset import DatasetFormat
from smidgen.tensor_spec import TensorSpec
from smidgen_service.errors import InvalidArgumentError
from smidgen_service.handlers.shards import MOST_FILES, joined
from smidgen_service.store.records import DatasetFile, DatasetRecord

INPUTS = TensorSpec("inputs", "float32", (None, 3))
LABELS = TensorSpec("labels", "int64", (None,))


def shard(letter: str, count: int = 5) -> DatasetRecord:
    return DatasetRecord(
        letter, DatasetFormat.NPZ, letter * 64, 10 * count, count, (INPUTS, LABELS), 1
    )


def test_shards_add_up_in_order() -> None:
    found = joined("all", [shard("b"), shard("a", 7)], now=3)
    assert (found.id, found.format, found.create_time) == ("all", DatasetFormat.NPZ, 3)
    assert (found.sample_count, found.size_bytes) == (12, 120)
    assert found.arrays == (INPUTS, LABELS)
    assert found.files == (DatasetFile("b" * 64, 50), DatasetFile("a" * 64, 70))
    assert found.sha256 == hashlib.sha256(f"{'b' * 64}\0{'a' * 64}".encode()).hexdigest()
    assert joined("all", [shard("a", 7), shard("b")], now=3).sha256 != found.sha256


def test_one_shard_is_what_it_was() -> None:
    assert joined("all", [shard("a")], now=1) == replace(shard("a"), id="all")


def test_what_was_joined_is_joined_by_its_files() -> None:
    pair = joined("pair", [shard("a"), shard("b")], now=1)
    nested = joined("all", [pair, shard("c")], now=1)
    assert nested == joined("all", [shard("a"), shard("b"), shard("c")], now=1)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"format": DatasetFormat.SAFETENSORS}, "DATASET_FORMATS_DIFFER"),
        ({"arrays": (INPUTS,)}, "DATASET_LABELS_INCOMPLETE"),
        ({"arrays": (replace(INPUTS, shape=(None, 4)), LABELS)}, "DATASET_SHAPE_MISMATCH"),
        ({"arrays": (INPUTS, replace(LABELS, dtype="float32"))}, "DATASET_SHAPE_MISMATCH"),
    ],
)
def test_shards_that_differ_are_refused(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidDatasetError) as caught:
        joined("all", [shard("a"), replace(shard("b"), **fields)], now=1)
    assert caught.value.reason == reason


def test_files_are_counted_through_what_was_joined() -> None:
    half = joined("half", [shard("a")] * (MOST_FILES // 2), now=1)
    assert len(joined("all", [half, half], now=1).files) == MOST_FILES
    with pytest.raises(InvalidArgumentError, match="2001 files") as caught:
        joined("all", [half, half, shard("b")], now=1)
    assert caught.value.reason == "INVALID_SHARD_COUNT"
