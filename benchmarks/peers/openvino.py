"""OpenVINO for low latency; a variant is the model that it runs."""

from __future__ import annotations

from collections import Counter

import numpy as np
import openvino
from numpy.typing import NDArray

from benchmarks.peers.contestant import NotIntegerError
from benchmarks.subject import Subject

PRODUCTS = {"Convolution", "FullyConnected", "MatMul"}
INTEGERS = {"u8", "i8"}


class OpenvinoContestant:
    """A compiled model with bound inputs, all shapes fixed."""

    def __init__(self, subject: Subject, variant: str, threads: int) -> None:
        inputs = subject.inputs()
        model = openvino.Core().read_model(subject.qdq_onnx)
        model.reshape({name: values.shape for name, values in inputs.items()})
        compiled = openvino.Core().compile_model(
            model,
            "CPU",
            {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads},
        )
        self.version = openvino.get_version()
        self.kernels = _kernels(compiled)
        self._request = compiled.create_infer_request()
        self._tensors = {
            name: openvino.Tensor(values, shared_memory=True) for name, values in inputs.items()
        }
        for name, tensor in self._tensors.items():
            self._request.set_tensor(name, tensor)

    def peak(self) -> float | None:
        """Returns nothing; the engine measures."""
        return None

    def run(self) -> None:
        """Runs once."""
        self._request.infer()

    def output(self) -> NDArray[np.generic]:
        """Returns the first output of the last run."""
        values: NDArray[np.generic] = self._request.get_output_tensor(0).data.copy()
        return values


def _kernels(compiled: openvino.CompiledModel) -> Counter[str]:
    """Counts the kernels and makes sure that convolutions and matrix products are int8."""
    found: Counter[str] = Counter()
    for operation in compiled.get_runtime_model().get_ordered_ops():
        info = operation.get_rt_info()
        kind, precision, kernel = (
            info[key].astype(str) for key in ("layerType", "runtimePrecision", "primitiveType")
        )
        if kind in PRODUCTS and precision not in INTEGERS:
            raise NotIntegerError(
                f"OpenVINO runs {operation.get_friendly_name()} as {kernel} in {precision}"
            )
        found[f"{kind} {kernel}"] += 1
    return found


load = OpenvinoContestant
