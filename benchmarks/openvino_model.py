"""An exported model in OpenVINO, for its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray


class OpenvinoModel:
    """Compiles for each shape of inputs anew.

    Args:
        model: The bytes of the ONNX file.
    """

    def __init__(self, model: bytes) -> None:
        import openvino  # noqa: PLC0415  (of the benchmark's packages)

        self._core = openvino.Core()
        self._model = self._core.read_model(model)
        self._compiled: dict[tuple[tuple[int, ...], ...], Any] = {}

    def run(self, outputs: Sequence[str], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Returns the outputs by their names."""
        shapes = tuple(values.shape for values in inputs.values())
        if shapes not in self._compiled:
            self._model.reshape({name: list(values.shape) for name, values in inputs.items()})
            limits = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1}
            self._compiled[shapes] = self._core.compile_model(self._model, "CPU", limits)
        found = self._compiled[shapes](dict(inputs))
        return [found[name] for name in outputs]
