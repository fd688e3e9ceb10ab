"""The result of quantization-aware training, and its file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import safetensors
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from smidgen.config import QATConfig
from smidgen.config.documents import from_document, to_document
from smidgen.config.precision import ALL_INT8, PrecisionConfig
from smidgen.durable_file import write_durably
from smidgen.errors import CalibrationError, InvalidConfigError, TrainingError
from smidgen.profile import CalibrationProfile
from smidgen.profile_file import decode_statistics, encode_statistics
from smidgen.progress import Stage
from smidgen.qat.curve import EMPTY_CURVE, EvaluationPoint, TrainingCurve
from smidgen.statistics import ActivationStatistics

FORMAT_VERSION = 2
_FIRST_VERSION = 1  # which has int8 weights only, and no curve
_CURVE = "curve:steps"
"""No parameter can have this name: those of modules are identifiers."""
_STATISTICS = "health:statistics"


@dataclass(frozen=True, slots=True)
class TrainingSummary:
    """What training found out.

    Attributes:
        float_accuracy: Accuracy of the float model on the evaluation split, 0 to 1; None for losses
            without accuracy or without a split.
        accuracy: Accuracy of the kept epoch with fake quantization, likewise.
        task_loss: Task loss of the kept epoch on the evaluation split; on the training split where
            nothing is held out.
        quantization_loss: Quantization loss of the kept epoch, likewise.
        best_epoch: The epoch whose weights were kept, from 1; 0 if none was better than the start.
        step_count: Optimizer steps done.
        agreement: Share of the evaluation split on which the kept epoch and the float model have
            the same largest output, 0 to 1; None for outputs other than [N, classes] or without a
            split.
        best_stage: What the kept epoch trained; LOAD if none was better than the start.
    """

    float_accuracy: float | None
    accuracy: float | None
    task_loss: float
    quantization_loss: float
    best_epoch: int
    step_count: int
    agreement: float | None = None
    best_stage: Stage = Stage.LOAD


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """Trained weights and ranges, for convert.

    Attributes:
        model_sha256: Digest of the model file that was trained.
        profile: The calibration that training started from.
        summary: What training found out.
        state: State dict of the prepared graph.
        config: How it was trained; None in files of releases that did not keep it.
        precision: Bits of each layer's weights, for which they were trained.
        curve: What the training went through.
        statistics: How activations of the trained model are distributed, by their names; empty in
            files of releases that did not look.
    """

    model_sha256: str
    profile: CalibrationProfile
    summary: TrainingSummary
    state: Mapping[str, torch.Tensor]
    config: QATConfig | None = None
    precision: PrecisionConfig = ALL_INT8
    curve: TrainingCurve = EMPTY_CURVE
    statistics: Mapping[str, ActivationStatistics] = field(default_factory=dict)

    @property
    def float_accuracy(self) -> float | None:
        """See TrainingSummary."""
        return self.summary.float_accuracy

    @property
    def accuracy(self) -> float | None:
        """See TrainingSummary."""
        return self.summary.accuracy

    @property
    def task_loss(self) -> float:
        """See TrainingSummary."""
        return self.summary.task_loss

    @property
    def quantization_loss(self) -> float:
        """See TrainingSummary."""
        return self.summary.quantization_loss

    @property
    def best_epoch(self) -> int:
        """See TrainingSummary."""
        return self.summary.best_epoch

    @property
    def step_count(self) -> int:
        """See TrainingSummary."""
        return self.summary.step_count

    @property
    def agreement(self) -> float | None:
        """See TrainingSummary."""
        return self.summary.agreement

    @property
    def best_stage(self) -> Stage:
        """See TrainingSummary."""
        return self.summary.best_stage


def save_trained(trained: TrainedModel, path: str | Path) -> None:
    """Writes a safetensors file; equal models give equal bytes.

    The file appears whole or not at all: it is written beside its place, synced and renamed.
    """
    document: dict[str, object] = {
        "format_version": FORMAT_VERSION,
        "model_sha256": trained.model_sha256,
        "profile": trained.profile.to_json().decode(),
        "summary": asdict(trained.summary),
        "evaluations": [point.to_dict() for point in trained.curve.evaluations],
        "precision": trained.precision.to_dict(),
    }
    if trained.config is not None:
        document["config"] = to_document(trained.config)
    # One entry, because safetensors does not keep the order of several.
    metadata = {"smidgen": json.dumps(document, separators=(",", ":"))}
    # Copies, because tied weights share memory and a safetensors file cannot.
    state = {name: tensor.detach().clone().contiguous() for name, tensor in trained.state.items()}
    state[_CURVE] = torch.from_numpy(np.ascontiguousarray(trained.curve.steps))
    if trained.statistics:
        encoded = encode_statistics(trained.statistics)
        state[_STATISTICS] = torch.from_numpy(np.frombuffer(encoded, np.uint8).copy())
    write_durably(Path(path), save(state, metadata))


def load_trained(path: str | Path) -> TrainedModel:
    """Reads what save_trained wrote.

    Raises:
        TrainingError: the file is something else.
        OSError: it cannot be read.
    """
    path = Path(path)
    try:
        return _read(path)
    except (
        safetensors.SafetensorError,
        CalibrationError,
        InvalidConfigError,
        ValueError,
        KeyError,
        TypeError,
    ) as error:
        raise TrainingError(
            f"{path.name} is not a trained model; train the model again",
            reason="INVALID_TRAINED_MODEL",
        ) from error


def _read(path: Path) -> TrainedModel:
    with safetensors.safe_open(path, framework="pt") as file:
        document = json.loads((file.metadata() or {})["smidgen"])
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    version = document["format_version"]
    if version not in (_FIRST_VERSION, FORMAT_VERSION):
        raise ValueError(f"format version {version}")
    statistics = state.pop(_STATISTICS, None)
    summary = document["summary"]
    curve, precision = EMPTY_CURVE, ALL_INT8
    if version == FORMAT_VERSION:
        summary = {**summary, "best_stage": Stage(summary["best_stage"])}
        points = tuple(EvaluationPoint.from_dict(point) for point in document["evaluations"])
        curve = TrainingCurve(_curve_steps(state.pop(_CURVE)), points)
        precision = PrecisionConfig.from_dict(document["precision"])
    config = document.get("config")
    return TrainedModel(
        model_sha256=str(document["model_sha256"]),
        profile=CalibrationProfile.from_json(document["profile"].encode()),
        summary=TrainingSummary(**summary),
        state=state,
        config=None if config is None else from_document(QATConfig, config),
        precision=precision,
        curve=curve,
        statistics={} if statistics is None else decode_statistics(statistics.numpy().tobytes()),
    )


def _curve_steps(tensor: torch.Tensor) -> NDArray[np.float64]:
    steps: NDArray[np.float64] = tensor.numpy()
    if steps.dtype != np.float64 or steps.ndim != EMPTY_CURVE.steps.ndim:
        raise ValueError(f"the curve is {steps.dtype} {steps.shape}")
    return steps
