"""OpenVINO for low latency, all shapes fixed.

Variants: `qdq`, the program's ONNX model; `nncf`, its own quantization of the float model; `float`,
the float model.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import nncf
import numpy as np
import openvino
from numpy.typing import NDArray

from benchmarks.peers.contestant import NotIntegerError
from benchmarks.subject import Subject

LAYERS = {"Convolution", "FullyConnected"}
INTEGERS = {"u8", "i8"}
# NNCF leaves layers in floats where it finds that better, such as depthwise ones.
MOST_FLOAT_LAYERS = {"qdq": 0.0, "nncf": 0.5, "float": 1.0}


class OpenvinoContestant:
    """A compiled model with bound inputs."""

    def __init__(self, subject: Subject, variant: str, threads: int) -> None:
        inputs = subject.inputs()
        core = openvino.Core()
        model = core.read_model(_MODELS[variant](subject))
        model.reshape({name: values.shape for name, values in inputs.items()})
        compiled = core.compile_model(
            model,
            "CPU",
            {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads},
        )
        self.version = openvino.get_version()
        self.kernels = _kernels(compiled, MOST_FLOAT_LAYERS[variant])
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


def _kernels(compiled: openvino.CompiledModel, most_float: float) -> Counter[str]:
    """Counts the kernels and makes sure that the layers are int8."""
    found: Counter[str] = Counter()
    layers, floats = 0, []
    for operation in compiled.get_runtime_model().get_ordered_ops():
        info = operation.get_rt_info()
        kind, precision, kernel = (
            info[key].astype(str) for key in ("layerType", "runtimePrecision", "primitiveType")
        )
        found[f"{kind} {kernel}"] += 1
        if kind in LAYERS:
            layers += 1
            if precision not in INTEGERS:
                floats.append(f"{operation.get_friendly_name()} ({kernel}, {precision})")
    if len(floats) > most_float * layers:
        raise NotIntegerError(f"OpenVINO runs in floats: {', '.join(floats)}")
    return found


def _nncf(subject: Subject) -> Path:
    path = subject.folder / "openvino-nncf.xml"
    if not path.exists():
        samples = subject.calibration()
        count = len(next(iter(samples.values())))
        items = [
            {name: values[i : i + 1] for name, values in samples.items()} for i in range(count)
        ]
        is_transformer = len(samples) > 1
        with (
            Path(os.devnull).open("w") as nowhere,
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
        ):
            quantized = nncf.quantize(
                openvino.Core().read_model(subject.float_onnx),
                nncf.Dataset(items),
                subset_size=count,
                model_type=nncf.ModelType.TRANSFORMER if is_transformer else None,
            )
        openvino.save_model(quantized, path)
    return path


_MODELS: Mapping[str, Callable[[Subject], Path]] = {
    "qdq": lambda subject: subject.qdq_onnx,
    "nncf": _nncf,
    "float": lambda subject: subject.float_onnx,
}


def prepare(subject: Subject, variant: str, threads: int) -> None:
    """Makes the model of a variant, if it is not there."""
    _MODELS[variant](subject)


load = OpenvinoContestant
