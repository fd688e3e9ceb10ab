"""The examples that need no server: what they print, write, and end with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from examples import pipeline_step, scikit_learn
from smidgen import Engine, load_artifact

ROOT = Path(__file__).resolve().parents[2]
TRANSFORMERS = ROOT / ".venv" / "transformers"
CLASSES, FEATURES = 4, 16


def test_scikit_learns_model_keeps_its_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    assert scikit_learn.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["scikit-learn", "int8"]
    before, after = (float(line.split()[-3].removesuffix("%")) for line in lines)
    assert before > 88
    assert after >= before - 1


def test_a_bert_keeps_its_vectors() -> None:
    if not TRANSFORMERS.exists() and "SMIDGEN_TEST_TRANSFORMERS" not in os.environ:
        pytest.skip("transformers is not installed; make setup-checks does")
    ended = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "encoder.py")],
        env={**os.environ, "PYTHONPATH": str(TRANSFORMERS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    cosines, _ = ended.stdout.splitlines()
    assert float(cosines.split()[-1]) > 0.99


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a net and data that it is right about."""
    folder = tmp_path_factory.mktemp("inputs")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(FEATURES, 32), nn.ReLU(), nn.Linear(32, CLASSES)).eval()
    samples = torch.randn(400, FEATURES)
    with torch.inference_mode():
        labels = net(samples).argmax(dim=1)
    np.savez(folder / "training.npz", inputs=samples[:100].numpy(), labels=labels[:100].numpy())
    np.savez(folder / "test.npz", inputs=samples[100:].numpy(), labels=labels[100:].numpy())
    batch = {0: torch.export.Dim("batch")}
    exported = torch.export.export(net, (samples[:2],), dynamic_shapes=(batch,))
    torch.export.save(exported, folder / "model.pt2")
    return folder


def step(inputs: Path, outputs: Path, *more: str) -> int:
    arguments = ["--model", str(inputs / "model.pt2")]
    arguments += ["--training", str(inputs / "training.npz")]
    arguments += ["--evaluation", str(inputs / "test.npz")]
    arguments += ["--artifact", str(outputs / "deep" / "model.smidgen")]
    arguments += ["--metrics", str(outputs / "metrics.json")]
    return pipeline_step.main([*arguments, *more])


def metrics(outputs: Path) -> dict[str, float]:
    document = json.loads((outputs / "metrics.json").read_text())
    return {one["name"]: one["numberValue"] for one in document["metrics"]}


def test_a_step_writes_artifact_and_metrics(inputs: Path, tmp_path: Path) -> None:
    assert step(inputs, tmp_path, "--max-drop", "0.05") == 0
    found = metrics(tmp_path)
    artifact = tmp_path / "deep" / "model.smidgen"
    assert found["is-accuracy-kept"] == 1
    assert found["accuracy-float"] == 1
    assert found["accuracy-int8"] >= 0.95
    assert found["bytes-int8"] == artifact.stat().st_size
    samples = np.load(inputs / "test.npz")
    (logits,) = Engine(load_artifact(artifact)).run({"input": samples["inputs"]}).values()
    right = float((logits.argmax(axis=1) == samples["labels"]).mean())
    assert right == found["accuracy-int8"]


def test_a_step_ends_in_1_where_the_accuracy_is_lost(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = np.load(inputs / "test.npz")
    small = tmp_path / "small"
    small.mkdir()
    for name in ("model.pt2", "test.npz"):
        (small / name).symlink_to(inputs / name)
    # Ranges that are far too narrow for the test's samples.
    np.savez(small / "training.npz", inputs=lost["inputs"][:8] / 50, labels=lost["labels"][:8])
    assert step(small, tmp_path, "--max-drop", "0.01") == 1
    assert metrics(tmp_path) == {"is-accuracy-kept": 0}
    assert not (tmp_path / "deep").exists()
    assert "accuracy" in capsys.readouterr().err


def test_a_step_ends_in_2_where_its_inputs_cannot_be_used(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert step(tmp_path, tmp_path) == 2
    assert "training.npz" in capsys.readouterr().err
    assert not (tmp_path / "metrics.json").exists()
