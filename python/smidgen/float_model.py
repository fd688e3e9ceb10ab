"""An imported model in float: what the file says and the graph that runs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import fx

from smidgen.errors import CalibrationError
from smidgen.formats.model_file import read_model
from smidgen.graph.build import build_graph
from smidgen.graph.exported import ExportedModel
from smidgen.profile import CalibrationProfile


@dataclass(frozen=True)
class FloatModel:
    """A model before quantization; nothing in the library changes it.

    Attributes:
        exported: What was read from the file.
        graph: The graph that computes it, in eval mode.
    """

    exported: ExportedModel
    graph: fx.GraphModule


def load_model(path: str | Path) -> FloatModel:
    """Reads a .pt2 or ONNX file and builds its graph; nothing in the file is executed.

    Raises:
        InvalidModelError: the file is malformed, or of neither format.
        UnsupportedOperatorError: it has operators that are not supported; the message names all.
        MissingExtraError: it is ONNX, and the package onnx is not installed.
        OSError: the file cannot be read.
    """
    exported = read_model(Path(path))
    return FloatModel(exported=exported, graph=build_graph(exported))


def check_belongs(model: FloatModel, profile: CalibrationProfile) -> None:
    """Checks that a profile is this model's.

    Raises:
        CalibrationError: it was made for another model file.
    """
    if profile.model_sha256 != model.exported.sha256:
        raise CalibrationError(
            f"the profile is for the model {profile.model_sha256}, expected "
            f"{model.exported.sha256}; calibrate this model",
            reason="PROFILE_MODEL_MISMATCH",
            found=profile.model_sha256,
            expected=model.exported.sha256,
        )
