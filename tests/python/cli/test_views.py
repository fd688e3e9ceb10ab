"""What commands show of a report."""

from __future__ import annotations

from rich.console import Console

from smidgen.cli.views import report_view, specs
from smidgen.measured import LayerSensitivity, SensitivityReport
from smidgen.report import (
    NodeReport,
    PrecisionChange,
    PrecisionSearch,
    PrecisionTrial,
    QuantizationReport,
)
from smidgen.v1 import tensor_pb2


def _shown(report: QuantizationReport) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(report_view(report))
    return capture.get()


def test_a_type_that_has_no_name_on_the_wire_is_shown_as_such() -> None:
    message = tensor_pb2.TensorSpec(name="inputs", shape=[-1, 8, 8])  # of float64
    assert specs([message]) == "inputs ? [?, 8, 8]"


def test_measured_layers_have_their_module_paths_and_one_program_is_one() -> None:
    report = QuantizationReport(
        nodes=(NodeReport("v9", "conv2d", is_quantized=True, module_path="down"),),
        float_bytes=8,
        sensitivity=SensitivityReport(
            (LayerSensitivity("v9", 37.5), LayerSensitivity("x", 40.0)), 3, 8, 0.5
        ),
        search=PrecisionSearch(
            changes=(PrecisionChange("v9", "down", "int4", "int8", 0.0, None),),
            trials=(PrecisionTrial("start", (), 0.0, 30.0, holds=True),),
            is_complete=True,
        ),
    )
    shown = _shown(report)
    assert "down 37.5 dB, x 40.0 dB; 2 of 3 layers measured" in shown
    assert "1 program measured" in shown
    assert "down from int4 to int8, 0.0 dB alone" in shown
