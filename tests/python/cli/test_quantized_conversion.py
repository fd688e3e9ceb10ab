"""`smidgen convert --local --quantized` takes the scales of the file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from smidgen.artifact import load_artifact
from smidgen.program import interpret
from tests.python.cli.conftest import Smidgen
from tests.python.formats.onnx_import.quantized_files import run_onnxruntime
from tests.python.formats.onnx_import.quantized_layers import INPUTS, layer


def test_the_artifact_gives_what_onnxruntime_gives(offline: Smidgen, tmp_path: Path) -> None:
    path, out = layer().save(tmp_path), tmp_path / "m.smidgen"

    page = tmp_path / "m.html"

    document = offline(
        *("convert", "--local", path, "--quantized", "--out", out, "--report", page, "--json")
    ).document

    assert document["report_page"] == {"path": str(page), "size_bytes": page.stat().st_size}
    assert document["sha256"] in page.read_text(encoding="utf-8")
    assert document["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert [node["op"] for node in document["report"]["nodes"]] == [
        "Quantize",
        "Linear",
        "Dequantize",
    ]
    x = np.random.default_rng(0).normal(size=(3, INPUTS)).astype(np.float32)
    program = load_artifact(out)
    found = interpret(program, {"x": x})[program.outputs[0]]
    np.testing.assert_array_equal(found, run_onnxruntime(path, x))


@pytest.mark.parametrize("option", [("--calibration", "x.npz"), ("--epochs", "2")])
def test_a_quantized_model_takes_no_samples(
    offline: Smidgen, tmp_path: Path, option: tuple[str, str]
) -> None:
    path, out = layer().save(tmp_path), tmp_path / "m.smidgen"

    result = offline("convert", "--local", path, "--quantized", "--out", out, *option)

    assert result.code == 2
    assert "keeps the scales" in result.err
    assert not out.exists()


def test_a_pt2_program_is_no_quantized_model(offline: Smidgen, tmp_path: Path) -> None:
    path, out = tmp_path / "dig.pt2", tmp_path / "m.smidgen"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    ended = offline("convert", "--local", path, "--quantized", "--out", out, "--json")
    assert ended.error["reason"] == "MODEL_FORMAT_MISMATCH"
    assert ended.error["message"] == (
        "A quantized ONNX model is expected, and the file is a .pt2 program, whose weights are "
        "floats; convert it as a float model, with samples to calibrate on"
    )
    assert not out.exists()


def test_an_artifact_is_no_quantized_model(offline: Smidgen, tmp_path: Path) -> None:
    made, out = tmp_path / "made.smidgen", tmp_path / "m.smidgen"
    offline("convert", "--local", layer().save(tmp_path), "--quantized", "--out", made)
    ended = offline("convert", "--local", made, "--quantized", "--out", out, "--json")
    assert ended.error["reason"] == "MODEL_FORMAT_MISMATCH"
    assert "a finished artifact; run it as it is" in ended.error["message"]
