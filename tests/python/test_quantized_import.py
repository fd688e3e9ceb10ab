"""Quantized files as conversions: proved on this machine, and reported step by step."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from smidgen import pipeline
from smidgen.artifact import encode_artifact
from smidgen.engine import available_isas
from smidgen.errors import InvalidModelError, MissingExtraError
from smidgen.formats.onnx_export import export_onnx
from smidgen.quantized_import import import_quantized
from smidgen.report import QuantizationReport
from tests.python.formats.onnx_import.quantized_layers import INPUTS, OUTPUTS, layer
from tests.python.program.small_programs import every_step_program


def test_a_layer_is_reported(tmp_path: Path) -> None:
    conversion = import_quantized(layer().save(tmp_path))
    program, report = conversion.program, conversion.report
    assert report.parity is not None
    assert report.parity.isas == available_isas()
    assert report.parity.max_difference == 0
    assert report.artifact_bytes == len(encode_artifact(program))
    assert [node.op for node in report.nodes] == ["Quantize", "Linear", "Dequantize"]
    linear = report.nodes[1]
    assert linear.is_quantized
    assert (linear.output_scale, linear.output_zero_point) == (0.0625, 100)
    assert linear.float_bytes == 4 * (INPUTS * OUTPUTS + OUTPUTS) == report.float_bytes
    assert linear.quantized_bytes == INPUTS * OUTPUTS + 8 * OUTPUTS
    assert QuantizationReport.from_dict(report.to_dict()) == report


def test_a_float_step_is_reported_as_such(tmp_path: Path) -> None:
    path = layer().with_node("y", "Softmax", "sums").save(tmp_path)
    nodes = {node.op: node for node in import_quantized(path).report.nodes}
    assert (nodes["Softmax"].is_quantized, nodes["Softmax"].reason) == (False, "FLOAT")
    assert nodes["Linear"].is_quantized


def test_an_exported_program_is_imported_by_the_pipeline(tmp_path: Path) -> None:
    program = every_step_program()
    path = tmp_path / "program.onnx"
    path.write_bytes(export_onnx(program).SerializeToString())
    conversion = pipeline.import_quantized(path)
    assert isinstance(conversion, pipeline.Conversion)
    assert sorted(type(step).__name__ for step in conversion.program.steps) == sorted(
        type(step).__name__ for step in program.steps
    )
    constants = [np.asarray(values).tobytes() for values in conversion.program.constants.values()]
    for values in program.constants.values():
        assert np.asarray(values).tobytes() in constants


def test_errors_of_the_reader_come_through(tmp_path: Path) -> None:
    path = layer().with_constants(x_scale=np.float32(0)).save(tmp_path)
    with pytest.raises(InvalidModelError) as caught:
        import_quantized(path)
    assert caught.value.reason == "ONNX_UNSUPPORTED_QUANTIZATION"


def test_without_onnx_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError) as caught:
        import_quantized(tmp_path / "any.onnx")
    assert "smidgen[onnx]" in caught.value.message
