"""What OpenVINO must run in integers; skipped where it is not installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.layers import Layer
from benchmarks.peers import NotIntegerError
from benchmarks.subject import Subject
from smidgen.formats.onnx_export import export_onnx

pytest.importorskip("openvino", reason="needs OpenVINO, which `make .venv/.bench` installs")
pytest.importorskip("nncf", reason="needs NNCF, which `make .venv/.bench` installs")
pytestmark = pytest.mark.filterwarnings("ignore")  # those of packages that we do not choose

LAYER = Layer(1, 16, 8, (6, 6), (3, 3), 1, 1)


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    """A convolution."""
    subject = Subject("one layer", 1, tmp_path)
    subject.save_inputs({"x": np.ones((1, 16, 6, 6), np.float32)})
    return subject


def test_a_model_in_floats_is_refused(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.peers import openvino  # noqa: PLC0415  # may not be there

    weight = numpy_helper.from_array(np.ones((8, 16, 3, 3), np.float32), "weight")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "weight"], ["y"], name="stem")],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 16, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 4, 4])],
        [weight],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), subject.float_onnx)
    monkeypatch.setitem(openvino.MOST_FLOAT_LAYERS, "float", 0.0)
    with pytest.raises(NotIntegerError, match="OpenVINO runs in floats: "):
        openvino.load(subject, "float", 1)


def test_our_model_runs_in_integers(subject: Subject) -> None:
    from benchmarks.peers import openvino  # noqa: PLC0415  # may not be there

    subject.qdq_onnx.write_bytes(export_onnx(LAYER.program()).SerializeToString())
    contestant = openvino.load(subject, "qdq", 1)
    contestant.run()
    assert contestant.output().shape == (1, 8, 6, 6)
