"""Which format a model file has, by its name and by its content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from smidgen import extras
from smidgen.artifact import save_artifact
from smidgen.errors import InvalidModelError, MissingExtraError
from smidgen.float_model import load_model
from smidgen.formats.model_file import ModelFormat, format_by_content, guess_format, read_model
from tests.python.formats.pt2_files import export
from tests.python.program.small_programs import every_step_program


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    """y = relu(x @ w), by hand."""
    weight = numpy_helper.from_array(np.eye(3, dtype=np.float32), "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Relu", ["z"], ["y"])]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])
    model = helper.make_model(
        helper.make_graph(nodes, "net", [x], [y], [weight]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def pt2_file(tmp_path: Path) -> Path:
    return export(tmp_path / "net.pt2", nn.Linear(3, 2).eval(), torch.zeros(2, 3))


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    save_artifact(every_step_program(), tmp_path / "net.smidgen")
    return tmp_path / "net.smidgen"


def test_content_tells_the_format(onnx_file: Path, pt2_file: Path, artifact: Path) -> None:
    assert format_by_content(onnx_file) is ModelFormat.ONNX
    assert format_by_content(pt2_file) is ModelFormat.PT2
    assert format_by_content(artifact) is ModelFormat.ARTIFACT


@pytest.mark.parametrize("data", [b"", b"PK", b"\x80\x04", b"#!/bin/sh\n", bytes(9), b"\xff" * 64])
def test_other_content_tells_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    assert format_by_content(tmp_path / "file") is None


def test_a_header_longer_than_the_file_is_no_artifact(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes((1 << 20).to_bytes(8, "little") + b'{"a": 1}')
    assert format_by_content(tmp_path / "file") is None


def test_a_file_of_another_name_goes_by_its_content(onnx_file: Path, tmp_path: Path) -> None:
    renamed = onnx_file.rename(tmp_path / "weights.bin")
    assert guess_format(renamed) is ModelFormat.ONNX


def test_content_that_says_nothing_leaves_it_to_the_name(tmp_path: Path) -> None:
    (tmp_path / "net.ONNX").write_bytes(b"\x00")
    assert guess_format(tmp_path / "net.ONNX") is ModelFormat.ONNX


def test_name_and_content_must_agree(pt2_file: Path, tmp_path: Path) -> None:
    renamed = pt2_file.rename(tmp_path / "net.onnx")
    with pytest.raises(InvalidModelError, match=r"ends in \.onnx and holds .* pt2") as caught:
        guess_format(renamed)
    assert caught.value.reason == "MODEL_FORMAT_MISMATCH"


def test_nothing_known_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.bin").write_bytes(b"x")
    with pytest.raises(InvalidModelError, match=r"\.pt2 or \.onnx or \.smidgen") as caught:
        guess_format(tmp_path / "net.bin")
    assert caught.value.reason == "MODEL_FORMAT_UNKNOWN"


def test_load_model_reads_either_format_whatever_its_name(
    onnx_file: Path, pt2_file: Path, tmp_path: Path
) -> None:
    model = load_model(onnx_file.rename(tmp_path / "stored"))
    x = torch.tensor([[1.0, -2.0, 3.0]])
    torch.testing.assert_close(model.graph(x), torch.tensor([[1.0, 0.0, 3.0]]))
    assert load_model(pt2_file.rename(tmp_path / "other")).exported.parameter_count == 8


def test_read_model_refuses_what_has_no_float_weights(artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError) as caught:
        read_model(artifact)
    assert caught.value.reason == "MODEL_HAS_NO_FLOAT_WEIGHTS"
    (tmp_path / "net").write_bytes(b"x")
    with pytest.raises(InvalidModelError) as caught:
        read_model(tmp_path / "net")
    assert caught.value.reason == "MODEL_FORMAT_UNKNOWN"


def test_the_stated_format_is_what_counts(pt2_file: Path) -> None:
    with pytest.raises(InvalidModelError) as caught:
        read_model(pt2_file, ModelFormat.ONNX)
    assert caught.value.reason.startswith("ONNX_")


def test_onnx_files_need_the_package_onnx(onnx_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"smidgen\[onnx\]"):
        read_model(onnx_file)
