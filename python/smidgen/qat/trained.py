"""The result of quantization-aware training, and its file."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save

from smidgen.config import QATConfig, TaskLoss
from smidgen.config.precision import ALL_INT8, PrecisionConfig
from smidgen.errors import InvalidConfigError, TrainingError
from smidgen.profile import CalibrationProfile

FORMAT_VERSION = 2  # version 1, which is still read, has int8 weights only


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
    """

    float_accuracy: float | None
    accuracy: float | None
    task_loss: float
    quantization_loss: float
    best_epoch: int
    step_count: int


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
    """

    model_sha256: str
    profile: CalibrationProfile
    summary: TrainingSummary
    state: Mapping[str, torch.Tensor]
    config: QATConfig | None = None
    precision: PrecisionConfig = ALL_INT8

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


def save_trained(trained: TrainedModel, path: Path) -> None:
    """Writes a safetensors file; equal models give equal bytes.

    The file appears whole or not at all: it is written beside its place, synced and renamed.
    """
    document: dict[str, object] = {
        "format_version": FORMAT_VERSION,
        "model_sha256": trained.model_sha256,
        "profile": trained.profile.to_json().decode(),
        "summary": {name: getattr(trained.summary, name) for name in TrainingSummary.__slots__},
        "precision": trained.precision.to_dict(),
    }
    if trained.config is not None:
        document["config"] = dataclasses.asdict(trained.config)
    # One entry, because safetensors does not keep the order of several.
    metadata = {"smidgen": json.dumps(document, separators=(",", ":"))}
    # Copies, because tied weights share memory and a safetensors file cannot.
    state = {name: tensor.detach().clone().contiguous() for name, tensor in trained.state.items()}
    _write_atomically(path, save(state, metadata))


def load_trained(path: Path) -> TrainedModel:
    """Reads what save_trained wrote.

    Raises:
        TrainingError: the file is something else.
    """
    try:
        return _read(path)
    except (
        safetensors.SafetensorError,
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
    if version not in range(1, FORMAT_VERSION + 1):
        raise ValueError(f"format version {version}")
    precision = document["precision"] if version > 1 else ALL_INT8.to_dict()
    return TrainedModel(
        model_sha256=str(document["model_sha256"]),
        profile=CalibrationProfile.from_json(document["profile"].encode()),
        summary=TrainingSummary(**document["summary"]),
        state=state,
        config=_config(document.get("config")),
        precision=PrecisionConfig.from_dict(precision),
    )


def _config(options: Mapping[str, Any] | None) -> QATConfig | None:
    if options is None:
        return None
    return QATConfig(**{**options, "task_loss": TaskLoss(options["task_loss"])})


def _write_atomically(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
