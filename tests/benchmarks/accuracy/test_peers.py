"""Others' post-training quantization, on one convolution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save
from scipy.signal import correlate

from benchmarks.accuracy.peers import (
    run_float,
    run_nncf,
    run_nncf_pairs,
    run_onnxruntime_static,
)
from smidgen.formats.onnx_export import OPSET

pytestmark = pytest.mark.filterwarnings("ignore")  # those of packages that we do not choose

RNG = np.random.default_rng(0)
WEIGHT = RNG.standard_normal((4, 3, 3, 3)).astype(np.float32)
IMAGES = RNG.uniform(-1, 1, (30, 3, 8, 8)).astype(np.float32)
STEP = 10 / 127


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A convolution and the mean of each of its channels."""
    nodes = [
        helper.make_node("Conv", ["x", "weight"], ["y"]),
        helper.make_node("GlobalAveragePool", ["y"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(WEIGHT, "weight")],
    )
    path = tmp_path / "net.onnx"
    # The IR version that older runtimes read as well.
    opset = helper.make_opsetid("", OPSET)
    save(helper.make_model(graph, opset_imports=[opset], ir_version=10), path)
    return path


def _expected() -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    found = np.empty((len(IMAGES), len(WEIGHT)))
    for i, image in enumerate(IMAGES):
        for o, kernel in enumerate(WEIGHT):
            found[i, o] = correlate(image.astype(float), kernel.astype(float), "valid").mean()
    return found


def test_float(model: Path) -> None:
    np.testing.assert_allclose(run_float(model, IMAGES), _expected(), rtol=1e-4, atol=1e-5)


def _expect_quantized(found: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    """As near as 8 bits for values up to 10 come, which y has, and not as near as float."""
    error = np.abs(found - _expected()).max()
    assert 1e-5 < error < 2 * STEP


def test_onnxruntime(model: Path) -> None:
    _expect_quantized(run_onnxruntime_static(model, IMAGES[:10], IMAGES))


@pytest.mark.parametrize("mixed", [False, True])
def test_nncf(model: Path, mixed: bool) -> None:
    pytest.importorskip("openvino", reason="needs OpenVINO, which `make .venv/.bench` installs")
    pytest.importorskip("nncf", reason="needs NNCF, which `make .venv/.bench` installs")
    _expect_quantized(run_nncf(model, IMAGES[:10], IMAGES, mixed=mixed))


def test_nncf_pair_by_pair(model: Path) -> None:
    pytest.importorskip("nncf", reason="needs NNCF, which `make .venv/.bench` installs")
    _expect_quantized(run_nncf_pairs(model, IMAGES[:10], IMAGES))
