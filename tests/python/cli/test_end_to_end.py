"""The whole way through a real server: upload, dataset, calibrate, train-qat, convert, infer."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from smidgen.artifact import load_artifact
from smidgen.client import Client
from tests.python.cli.conftest import Smidgen

SAMPLES = 192


class Net(nn.Module):
    """Tells whether the left or the right half of an image is brighter."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1, stride=2)
        self.bn = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4 * 4 * 4, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.flatten(torch.relu(self.bn(self.conv(image))), 1))


def trained_net(images: torch.Tensor, labels: torch.Tensor) -> Net:
    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()
    return net.eval()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    torch.manual_seed(0)
    images = torch.randn(SAMPLES, 1, 8, 8)
    labels = (images[..., :4].mean((1, 2, 3)) > images[..., 4:].mean((1, 2, 3))).long()
    batch = torch.export.Dim("batch")
    net = trained_net(images, labels)
    exported = torch.export.export(net, (images[:2],), dynamic_shapes={"image": {0: batch}})
    torch.export.save(exported, folder / "halves.pt2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the exporter is the older one
        torch.onnx.export(
            net,
            (images[:2],),
            folder / "halves.onnx",
            input_names=["image"],
            output_names=["output"],
            dynamic_axes={"image": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
    np.savez(folder / "halves.npz", image=images.numpy(), labels=labels.numpy())
    return folder


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    data_dir = tmp_path_factory.mktemp("data")
    command = [sys.executable, "-m", "smidgen_service", "--port", "0", "--metrics-port", "0"]
    process = subprocess.Popen(
        [*command, "--data-dir", str(data_dir), "--log-level", "warning"], stderr=subprocess.PIPE
    )
    address = data_dir / "server.json"
    try:
        end = time.monotonic() + 60
        while not address.exists():
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < end, "the server did not write server.json"
            time.sleep(0.05)
        port = json.loads(address.read_text())["port"]
        with Client(f"127.0.0.1:{port}") as client:
            client.wait_ready(60)
        yield f"127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def test_a_model_goes_all_the_way(
    offline: Smidgen, target: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smidgen = offline
    monkeypatch.setenv("SMIDGEN_SERVER", target)
    data, artifact = files / "halves.npz", files / "halves.smidgen"

    model = smidgen("upload", files / "halves.pt2", "--json").document
    assert model["name"] == "models/halves"
    assert model["parameter_count"] == 4 * 9 + 4 + 8 + 128 + 2
    assert model["inputs"][0]["shape"] == [-1, 1, 8, 8]
    assert smidgen("upload", files / "halves.pt2", "--json").error["code"] == "ALREADY_EXISTS"

    dataset = smidgen("dataset", data, "halves", "--json").document
    assert dataset["sample_count"] == SAMPLES

    calibration = smidgen("calibrate", "halves", data, "--samples", 100, "--json").document
    assert (calibration["sample_count"], calibration["batch_count"]) == (100, 4)
    assert calibration["ranges"][0]["node"] == "image"
    with np.load(data) as arrays:
        images, labels = arrays["image"], arrays["labels"]
    assert calibration["ranges"][0]["min"] == pytest.approx(float(images[:100].min()))

    training = ("train-qat", "halves", "--calibration", calibration["name"], "--dataset", "halves")
    plan = smidgen(*training, "--validate-only", "--json").document["plan"]
    assert {node["op"]: node["is_quantized"] for node in plan["nodes"]}["conv2d"] is True
    job = smidgen(*training, "--epochs", 2, "--seed", 3, "--json").document
    assert job["state"] == "JOB_STATE_SUCCEEDED"
    assert job["train_qat"]["accuracy"] >= 0.9
    assert job["train_qat"]["step_count"] > 0
    watched = smidgen("jobs", "watch", job["name"], "--json").document
    assert [event["sequence"] for event in watched["events"]] == list(
        range(1, watched["job"]["last_sequence"] + 1)
    )

    conversion = ("convert", "halves", "--train-job", job["name"], "--out", artifact)
    converted = smidgen(*conversion, "--evaluation-dataset", "halves", "--json").document
    report = converted["convert"]["report"]
    assert converted["convert"]["model_version"] == "models/halves/versions/1"
    assert report["parity"]["max_difference"] == 0
    assert report["quantized_accuracy"] >= 0.9
    assert artifact.stat().st_size == converted["convert"]["size_bytes"]

    out = files / "remote.npz"
    served = smidgen("infer", "halves", data, "--out", out, "--json").document
    assert served["model_version"] == "models/halves/versions/1"
    (name,) = served["outputs"]
    with np.load(out) as arrays:
        remote = arrays[name]
    accuracy = float((remote.argmax(1) == labels).mean())
    assert accuracy == pytest.approx(report["quantized_accuracy"])
    assert smidgen("infer", "--local", artifact, data, "--out", out, "--json").code == 0
    with np.load(out) as arrays:
        np.testing.assert_array_equal(arrays[name], remote)

    refused = smidgen("alias", "set", "halves", "live", 1, "--max-drop", 0, "--expected", 1)
    assert (refused.code, "does not exist" in refused.err) == (1, True)
    alias = smidgen("alias", "set", "halves", "live", 1, "--max-drop", 0.5, "--json").document
    drop = report["float_accuracy"] - report["quantized_accuracy"]
    assert alias["moves"][0]["measured_drop"] == pytest.approx(drop)
    named = smidgen("infer", "halves", data, "--version", "live", "--out", out, "--json").document
    assert named["model_version"] == "models/halves/versions/1"
    undone = smidgen("alias", "rollback", "halves", "live", "--json")
    assert undone.error["reason"] == "ALIAS_NOTHING_TO_UNDO"
    assert smidgen("alias", "delete", "halves", "live").code == 0

    measured = smidgen("bench", "halves", "--runs", 5, "--json").document
    assert measured["isa"] == served["isa"]
    assert [entry["batch_size"] for entry in measured["measurements"]] == [1, 8]


def test_an_onnx_file_gives_what_the_pt2_file_gives(offline: Smidgen, files: Path) -> None:
    data, outputs = files / "halves.npz", []
    for model in ("halves.pt2", "halves.onnx"):
        artifact, out = files / f"{model}.smidgen", files / "local.npz"
        conversion = ("convert", "--local", files / model, "--calibration", data)
        report = offline(*conversion, "--out", artifact, "--json").document["report"]
        assert report["parity"]["max_difference"] == 0
        assert offline("infer", "--local", artifact, data, "--out", out, "--json").code == 0
        with np.load(out) as arrays:
            outputs.append(arrays["output"])
    spread = float(outputs[0].max() - outputs[0].min())
    np.testing.assert_allclose(outputs[1], outputs[0], atol=0.02 * spread)


def test_a_file_is_converted_without_a_server(offline: Smidgen, files: Path) -> None:
    data, artifact = files / "halves.npz", files / "local.smidgen"
    conversion = ("convert", "--local", files / "halves.pt2", "--calibration", data, "--out")
    document = offline(*conversion, artifact, "--evaluation-dataset", data, "--json").document
    assert document["size_bytes"] == artifact.stat().st_size
    assert document["report"]["parity"]["max_difference"] == 0
    assert document["report"]["quantized_accuracy"] >= 0.9
    int4 = ("--weights", "int4", "--override", "*=int4", "--group-size", 32)
    packed = offline(*conversion, artifact, *int4, "--json").document["report"]
    assert {node["weight_bits"] for node in packed["nodes"]} == {0, 4}
    page = files / "local.html"
    trained = offline(
        *conversion, artifact, "--train", data, "--epochs", 1, *int4, "--report", page
    )
    assert trained.code == 0
    text = page.read_text(encoding="utf-8")
    sha256 = hashlib.sha256(artifact.read_bytes()).hexdigest()
    for expected in (
        str(files / "halves.pt2"),
        sha256,
        "batches, method min max.",
        "Losses by step",
        "Held-out split by step, in percent",
        "All layers",
    ):
        assert expected in text
    assert "fine_tune epoch 2 100%" in trained.err
    assert load_artifact(artifact).packing
    measured = offline("bench", "--local", artifact, "--runs", 3, "--json").document
    assert measured["threads"] == 1
    assert measured["measurements"][0]["compute_median_ms"] is None
    refused = offline("infer", "--local", artifact, data, "--output-name", "nothing", "--json")
    assert (refused.code, refused.error["reason"]) == (2, "OUTPUT_UNKNOWN")
