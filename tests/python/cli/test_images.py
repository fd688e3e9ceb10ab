"""Images on the command line: converted with, and inferred from, without a server."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from smidgen.config import Extent, Preprocessing
from smidgen.data.preprocess import preprocess
from smidgen.data.web_dataset import read_web_dataset
from tests.python.cli.conftest import Smidgen
from tests.python.data.image_files import encode, pictures, write_shard

IMAGES = pictures(40, 10, 13)
LABELS = np.arange(40) % 2
PREPROCESSING = Preprocessing(resize=Extent(8, 8), mean=(0.5,), std=(0.25,))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Writes a net, a shard, a preprocessing and two images."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(net.eval(), (torch.zeros(2, 3, 8, 8),), dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "net.pt2")
    write_shard(tmp_path / "shard.tar", IMAGES, LABELS)
    document = {"resize": [8, 8], "mean": [0.5], "std": [0.25]}
    (tmp_path / "images.json").write_text(json.dumps(document))
    for number in (0, 1):
        (tmp_path / f"{number}.png").write_bytes(encode(IMAGES[number]))
    return tmp_path


def test_an_artifact_takes_the_images_it_was_made_with(offline: Smidgen, files: Path) -> None:
    shard, artifact, out = files / "shard.tar", files / "net.smidgen", files / "out.npz"
    options = ("--preprocessing", files / "images.json", "--evaluation-dataset", shard)
    training = ("--train", shard, "--epochs", 1, "--fine-tune-epochs", 0, "--flip")
    conversion = ("convert", "--local", files / "net.pt2", "--calibration", shard, *options)
    report = offline(*conversion, *training, "--out", artifact, "--json").document["report"]
    assert report["parity"]["max_difference"] == 0
    assert report["float_accuracy"] is not None

    told = offline("inspect", artifact, "--json").document["preprocessing"]
    assert (told["resize"], told["mean"]) == ([8, 8], [0.5])
    assert "resize 8 x 8" in offline("inspect", artifact).out

    images = ("--image", files / "0.png", "--image", files / "1.png")
    assert offline("infer", "--local", artifact, *images, "--out", out, "--json").code == 0
    with np.load(out) as found:
        of_images = next(iter(found.values()))
    samples = [preprocess(i, PREPROCESSING, Extent(8, 8), "it") for i in IMAGES[:2]]
    np.save(files / "arrays.npy", np.stack(samples))
    arrays = files / "arrays.npy"
    assert offline("infer", "--local", artifact, arrays, "--out", out, "--json").code == 0
    with np.load(out) as found:
        np.testing.assert_array_equal(next(iter(found.values())), of_images)

    (files / "bad.png").write_bytes(b"GIF89a")
    refused = offline("infer", "--local", artifact, "--image", files / "bad.png", "--json")
    assert (refused.code, refused.error["reason"]) == (2, "IMAGE_UNKNOWN_FORMAT")


def test_a_parquet_file_becomes_a_shard(offline: Smidgen, files: Path) -> None:
    columns = {"image": [encode(image) for image in IMAGES], "label": LABELS}
    pq.write_table(pa.table(columns), files / "a.parquet")
    command = ("shard", files / "a.parquet", files / "a.tar")
    told = offline(*command, "--json").document
    size = (files / "a.tar").stat().st_size
    assert told == {"path": str(files / "a.tar"), "sample_count": 40, "size_bytes": size}
    images = read_web_dataset(files / "a.tar")
    assert images.labels is not None
    np.testing.assert_array_equal(images.labels, LABELS)
    np.testing.assert_array_equal(images.picture(39, 3), IMAGES[39])

    refused = offline(*command, "--image-column", "label", "--json")
    assert (refused.code, refused.error["reason"]) == (2, "PARQUET_BAD_COLUMN")


def test_a_preprocessing_is_recorded_without_evaluation(offline: Smidgen, files: Path) -> None:
    images = ("--preprocessing", files / "images.json", "--equalize")
    conversion = ("convert", "--local", files / "net.pt2", "--calibration", files / "shard.tar")
    assert offline(*conversion, *images, "--out", files / "net.smidgen", "--json").code == 0
    told = offline("inspect", files / "net.smidgen", "--json").document["preprocessing"]
    assert (told["resize"], told["std"]) == ([8, 8], [0.25])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "INVALID_CONFIG"),
        ("{", "JSON_MALFORMED"),
        ('{"resize": 8}', "INVALID_CONFIG"),
        ('{"sharpen": 1}', "INVALID_CONFIG"),
    ],
)
def test_other_preprocessings_are_refused(
    offline: Smidgen, files: Path, text: str, reason: str
) -> None:
    (files / "images.json").write_text(text)
    options = ("--preprocessing", files / "images.json", "--out", files / "net.smidgen")
    shard = files / "shard.tar"
    command = ("convert", "--local", files / "net.pt2", "--calibration", shard, *options, "--json")
    ended = offline(*command)
    assert (ended.code, ended.error["reason"]) == (2, reason)


@pytest.mark.parametrize(
    ("options", "reason"),
    [((), "PREPROCESSING_MISSING"), (("--train", "SHARD", "--flip"), "PREPROCESSING_MISSING")],
)
def test_images_need_a_preprocessing(
    offline: Smidgen, files: Path, options: tuple[str, ...], reason: str
) -> None:
    shard = files / "shard.tar"
    given = [shard if option == "SHARD" else option for option in options]
    command = ("convert", "--local", files / "net.pt2", "--calibration", shard, *given)
    ended = offline(*command, "--out", files / "net.smidgen", "--json")
    assert (ended.code, ended.error["reason"]) == (2, reason)


def test_inputs_come_from_one_place(offline: Smidgen, files: Path) -> None:
    for given in ((), (files / "shard.tar", "--image", files / "0.png")):
        ended = offline("infer", "net", *given, "--json")
        assert (ended.code, ended.error["reason"]) == (2, "INFER_SOURCE_INVALID")
