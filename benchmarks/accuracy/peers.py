"""What others' post-training quantization makes of a float ONNX model.

Models with pairs of QuantizeLinear and DequantizeLinear are run pair by pair in float32. Fused,
products are added in saturating 16 bits on a processor without VNNI, which costs accuracy that is
no fault of the quantization; what NNCF makes for OpenVINO is therefore measured in both ways.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

from benchmarks.accuracy.agreement import Logits

BATCH = 20
Images = NDArray[np.float32]


def run_float(model: Path, images: Images) -> Logits:
    """Returns what ONNX Runtime computes with a float model: [N, classes]."""
    return _run_onnx(model, images, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)


def run_onnxruntime_static(model: Path, calibration: Images, images: Images) -> Logits:
    """Quantizes by ONNX Runtime as it recommends for convolutional nets, and runs the result.

    Weights are int8 with a scale for each output channel, activations uint8.
    """
    prepared, path = model.with_name("prepared.onnx"), model.with_name("static.onnx")
    quant_pre_process(model, prepared)
    quantization.quantize_static(
        prepared,
        path,
        _Samples(_input_name(model), calibration),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        reduce_range=False,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
    )
    return _run_onnx(path, images, onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)


def run_nncf(model: Path, calibration: Images, images: Images, *, mixed: bool) -> Logits:
    """Quantizes by NNCF, with its bias correction, and runs the result in OpenVINO.

    Args:
        model: The float model.
        calibration: [M, 3, H, W].
        images: [N, 3, H, W].
        mixed: Whether activations that can be negative get a zero point, as ours do.
    """
    import openvino  # noqa: PLC0415  (of the benchmark's packages)

    read = openvino.Core().read_model(model)
    quantized = _nncf_quantized(read, _input_name(model), calibration, mixed=mixed)
    limits = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1}
    compiled = openvino.Core().compile_model(quantized, "CPU", limits)
    return _in_batches(images, lambda part: compiled([part])[0])


def run_nncf_pairs(model: Path, calibration: Images, images: Images) -> Logits:
    """Quantizes by NNCF, mixed, and runs the result pair by pair, without saturation."""
    read = onnx.load(model)
    path = model.with_name("nncf.onnx")
    onnx.save(_nncf_quantized(read, _input_name(model), calibration, mixed=True), path)
    return _run_onnx(path, images, onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)


def _nncf_quantized(read: Any, name: str, calibration: Images, *, mixed: bool) -> Any:
    """Returns a model of the kind that was read, without what NNCF prints meanwhile."""
    import nncf  # noqa: PLC0415  (of the benchmark's packages)

    presets = nncf.QuantizationPreset
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        return nncf.quantize(
            read,
            nncf.Dataset([{name: image} for image in _singly(calibration)]),
            preset=presets.MIXED if mixed else presets.PERFORMANCE,
            subset_size=len(calibration),
        )


class _Samples(quantization.CalibrationDataReader):  # type: ignore[misc]  # has no types
    """Images, one by one."""

    def __init__(self, name: str, images: Images) -> None:
        self._name = name
        self._images = _singly(images)

    def get_next(self) -> dict[str, Images] | None:
        """Returns the next image, or None after the last."""
        image = next(self._images, None)
        return None if image is None else {self._name: image}


def _run_onnx(model: Path, images: Images, level: onnxruntime.GraphOptimizationLevel) -> Logits:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (name,) = [given.name for given in session.get_inputs()]
    return _in_batches(images, lambda part: session.run(None, {name: part})[0])


def _in_batches(images: Images, run: Callable[[Images], Logits]) -> Logits:
    parts = [run(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    return np.concatenate(parts)


def _singly(images: Images) -> Iterator[Images]:
    for index in range(len(images)):
        yield images[index : index + 1]


def _input_name(model: Path) -> str:
    graph = onnx.load(model, load_external_data=False).graph
    (name,) = [given.name for given in graph.input]
    return str(name)
