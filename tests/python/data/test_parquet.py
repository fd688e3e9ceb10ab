"""Parquet files of images become shards with the same images, or are refused for a reason."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from smidgen.data.limits import ImageLimits
from smidgen.data.parquet import as_archive, write_shard
from smidgen.data.web_dataset import read_web_dataset
from smidgen.errors import InvalidDatasetError
from tests.python.data.image_files import encode, pictures

PICTURES = pictures(70)
IMAGES = [encode(picture) for picture in PICTURES]


def _write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=50, **options)
    return path


def _structures(images: list[bytes]) -> list[dict[str, object]]:
    return [{"bytes": image, "path": f"{number}.png"} for number, image in enumerate(images)]


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
@pytest.mark.parametrize("form", [_structures, list])
def test_images_and_classes_are_those_of_the_rows(
    tmp_path: Path, form: Callable[[list[bytes]], Any], compression: str
) -> None:
    columns = {"image": form(IMAGES), "label": list(range(70)), "width": [12] * 70}
    path = _write(tmp_path / "a.parquet", columns, compression=compression)
    assert write_shard(path, tmp_path / "a.tar") == 70
    images = read_web_dataset(tmp_path / "a.tar")
    images.check_headers()
    assert images.labels is not None
    np.testing.assert_array_equal(images.labels, np.arange(70))
    for number, picture in enumerate(PICTURES):
        np.testing.assert_array_equal(images.picture(number, 3), picture)


def test_jpeg_images_keep_their_bytes(tmp_path: Path) -> None:
    image = encode(PICTURES[0], "JPEG")
    write_shard(_write(tmp_path / "a.parquet", {"image": [image]}), tmp_path / "a.tar")
    assert image in (tmp_path / "a.tar").read_bytes()
    assert read_web_dataset(tmp_path / "a.tar").labels is None


def test_equal_files_give_equal_shards(tmp_path: Path) -> None:
    shards = [tmp_path / "a.tar", tmp_path / "b.tar"]
    for shard in shards:
        write_shard(_write(tmp_path / "a.parquet", {"image": IMAGES}), shard)
    assert shards[0].read_bytes() == shards[1].read_bytes()


@pytest.mark.parametrize("none", [None, -1])
def test_classes_of_null_or_minus_one_are_none(tmp_path: Path, none: int | None) -> None:
    columns = {"image": IMAGES[:2], "label": pa.array([none, none], pa.int64())}
    write_shard(_write(tmp_path / "a.parquet", columns), tmp_path / "a.tar")
    assert read_web_dataset(tmp_path / "a.tar").labels is None


def test_columns_are_taken_by_their_names(tmp_path: Path) -> None:
    columns = {"img": IMAGES[:2], "mask": IMAGES[2:4], "fine": [7, 8], "label": [0, 1]}
    path = _write(tmp_path / "a.parquet", columns)
    write_shard(path, tmp_path / "a.tar", image_column="mask", label_column="fine")
    images = read_web_dataset(tmp_path / "a.tar")
    assert images.labels is not None
    assert images.labels.tolist() == [7, 8]
    np.testing.assert_array_equal(images.picture(0, 3), PICTURES[2])


@pytest.mark.parametrize(
    ("columns", "options", "reason", "text"),
    [
        ({"a": [1]}, {}, "PARQUET_BAD_COLUMN", "0 columns of bytes among 'a'"),
        ({"a": IMAGES[:1], "b": IMAGES[:1]}, {}, "PARQUET_BAD_COLUMN", "2 columns of bytes"),
        ({"a": IMAGES[:1]}, {"image_column": "x"}, "PARQUET_BAD_COLUMN", "0 columns 'x'"),
        ({"a": [1]}, {"image_column": "a"}, "PARQUET_BAD_COLUMN", "type int64, expected binary"),
        ({"a": IMAGES[:1], "label": ["cat"]}, {}, "PARQUET_BAD_COLUMN", "expected integers"),
        ({"a": IMAGES[:1], "label": [-2]}, {}, "DATASET_BAD_LABEL", "the class -2"),
        ({"a": IMAGES[:1], "label": [1 << 40]}, {}, "DATASET_BAD_LABEL", "1099511627776"),
        ({"a": pa.array([], pa.binary())}, {}, "DATASET_EMPTY", "no images"),
        ({"a": [IMAGES[0], None]}, {}, "PARQUET_BAD_IMAGE", "Row 1 has no image"),
        ({"a": [b"GIF89a"]}, {}, "IMAGE_UNKNOWN_FORMAT", "Row 0"),
        (
            {"a": IMAGES[:1]},
            {"limits": ImageLimits(encoded_bytes=9)},
            "PARQUET_BAD_IMAGE",
            "at most 9 bytes",
        ),
        ({"a": IMAGES[:3]}, {"limits": ImageLimits(members=2)}, "DATASET_TOO_LARGE", "more than 2"),
    ],
)
def test_other_files_are_refused(
    tmp_path: Path, columns: dict[str, Any], options: dict[str, Any], reason: str, text: str
) -> None:
    path = _write(tmp_path / "a.parquet", columns)
    with pytest.raises(InvalidDatasetError, match=text) as refusal:
        write_shard(path, tmp_path / "a.tar", **options)
    assert refusal.value.reason == reason
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("cut", [0, 3, 40, 2000, -1])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, cut: int) -> None:
    path = _write(tmp_path / "a.parquet", {"image": IMAGES})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InvalidDatasetError) as refusal:
        write_shard(path, tmp_path / "a.tar")
    assert refusal.value.reason == "PARQUET_MALFORMED"


def test_flipped_bits_are_refused_or_are_within_an_image(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.parquet", {"image": IMAGES[:8], "label": list(range(8))})
    good, chance = path.read_bytes(), np.random.default_rng(3)
    for place in chance.integers(0, len(good), 150):
        path.write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
        with suppress(InvalidDatasetError):
            assert write_shard(path, tmp_path / "a.tar") == 8


def test_a_file_that_is_not_there_is_said_to_be_that(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_shard(tmp_path / "a.parquet", tmp_path / "a.tar")


def test_other_files_are_their_own_archives(tmp_path: Path) -> None:
    with as_archive(tmp_path / "a.zip") as archive:
        assert archive == tmp_path / "a.zip"
    path = _write(tmp_path / "a.parquet", {"image": IMAGES})
    with as_archive(path) as archive:
        assert read_web_dataset(archive).sample_count == 70
    assert not archive.exists()
