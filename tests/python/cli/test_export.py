"""`smidgen export` writes files that other runtimes read."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import smidgen
from smidgen import extras
from smidgen.artifact import load_artifact, save_artifact
from smidgen.formats.onnx_export import read_metadata
from smidgen.program import Add, DType, Program, TensorInfo, interpret
from tests.python.cli.conftest import Smidgen
from tests.python.formats.onnx_export.onnx_sessions import EXACT_PRODUCTS
from tests.python.formats.pt2_files import export


@pytest.fixture
def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Hardswish(), nn.Flatten(), nn.Linear(72, 3)).eval()


@pytest.fixture
def pt2(net: nn.Module, tmp_path: Path) -> Path:
    return export(tmp_path / "net.pt2", net, torch.zeros(2, 1, 8, 8))


@pytest.fixture
def artifact(pt2: Path, tmp_path: Path) -> Path:
    save_artifact(smidgen.quantize(pt2, samples(32)).program, tmp_path / "net.smidgen")
    return tmp_path / "net.smidgen"


def samples(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 1, 8, 8)).astype(np.float32)


def outputs_of(path: Path, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(*EXACT_PRODUCTS)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def test_an_artifact_becomes_a_quantized_model(offline: Smidgen, artifact: Path) -> None:
    out = artifact.with_name("net.onnx")
    document = offline("export", artifact, "--onnx", out, "--json").document
    data = out.read_bytes()
    assert document == {
        "path": str(out),
        "kind": "qdq",
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    model = onnx.load(out)
    digest = hashlib.sha256(artifact.read_bytes()).hexdigest()
    assert read_metadata(model)["artifact_sha256"] == digest
    assert "QuantizeLinear" in {node.op_type for node in model.graph.node}
    inputs = {"input": samples(8)}
    (found,) = outputs_of(out, inputs)
    program = load_artifact(artifact)
    expected = np.asarray(interpret(program, inputs)[program.outputs[0]])
    spread = float(expected.max() - expected.min())
    np.testing.assert_allclose(found, expected, atol=0.02 * spread)


def test_sums_are_written_exactly_or_as_runtimes_fuse_them(
    offline: Smidgen, tmp_path: Path
) -> None:
    tensors = {
        name: TensorInfo(name, DType.UINT8, (None, 8), scale)
        for name, scale in (("a", 0.125), ("b", 0.25), ("y", 0.375))
    }
    program = Program(("a", "b"), ("y",), tensors, (Add("a", "b", "y"),), {})
    artifact, out = tmp_path / "sum.smidgen", tmp_path / "sum.onnx"
    save_artifact(program, artifact)
    kinds = []
    for options in ([], ["--fused-sums"]):
        assert offline("export", artifact, "--onnx", out, *options).code == 0
        kinds.append({node.op_type for node in onnx.load(out).graph.node})
    assert {"Sum", "Round"} <= kinds[0]
    assert "Add" not in kinds[0]
    assert "Add" in kinds[1]
    assert not {"Sum", "Round"} & kinds[1]


def test_a_pt2_file_becomes_a_float_model(
    offline: Smidgen, net: nn.Module, pt2: Path, tmp_path: Path
) -> None:
    out = tmp_path / "float.onnx"
    assert offline("export", pt2, "--onnx", out, "--json").document["kind"] == "float"
    x = torch.randn(3, 1, 8, 8)
    (found,) = outputs_of(out, {"input": x.numpy()})
    np.testing.assert_allclose(found, net(x).detach().numpy(), atol=1e-4)
    digest = hashlib.sha256(pt2.read_bytes()).hexdigest()
    assert read_metadata(onnx.load(out))["lineage.model_sha256"] == digest

    again = tmp_path / "again.onnx"
    assert "float" in offline("export", out, "--onnx", again).out
    (same,) = outputs_of(again, {"input": x.numpy()})
    np.testing.assert_allclose(same, found, atol=1e-6)


def test_the_same_file_gives_the_same_bytes(
    offline: Smidgen, artifact: Path, tmp_path: Path
) -> None:
    digests = {
        offline("export", artifact, "--onnx", tmp_path / name, "--json").document["sha256"]
        for name in ("a.onnx", "b.onnx")
    }
    assert len(digests) == 1


def test_what_cannot_be_exported_is_refused_and_nothing_is_written(
    offline: Smidgen, pt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.pt2").write_text("no archive")
    refused = offline("export", tmp_path / "text.pt2", "--onnx", tmp_path / "x.onnx", "--json")
    assert refused.code == 2
    assert refused.error["reason"].startswith("ZIP_")
    nowhere = offline("export", pt2, "--onnx", tmp_path / "no" / "x.onnx", "--json")
    assert (nowhere.code, nowhere.error["reason"]) == (2, "FILE_UNUSABLE")
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda _: None)
    missing = offline("export", pt2, "--onnx", tmp_path / "x.onnx", "--json")
    assert (missing.code, missing.error["metadata"]["extra"]) == (2, "onnx")
    assert not (tmp_path / "x.onnx").exists()
