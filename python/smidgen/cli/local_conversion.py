"""Converts a file on this machine, without a server. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import RenderableType

from smidgen import pipeline
from smidgen.cli.documents import Json
from smidgen.cli.output import note
from smidgen.cli.quantized_conversion import write_conversion
from smidgen.config import CalibrationConfig, PostTrainingConfig, PrecisionConfig, QATConfig
from smidgen.formats.dataset import Dataset, read_dataset
from smidgen.progress import TrainingProgress
from smidgen.tensor_spec import TensorSpec


def convert_file(
    model: Path,
    *,
    calibration: Path,
    out: Path,
    train: Path | None,
    evaluation: Path | None,
    calibration_config: CalibrationConfig,
    post_training: PostTrainingConfig,
    config: QATConfig,
    precision: PrecisionConfig | None,
    quiet: bool,
) -> tuple[Json, RenderableType]:
    """Calibrates, trains if there is data for it, converts, and writes the artifact.

    Raises: SmidgenError, OSError.
    """
    float_model = pipeline.load_model(model)
    samples = read_dataset(calibration)
    batches = _batches(samples, float_model.exported.inputs)
    profile = pipeline.calibrate(float_model, batches, calibration_config)
    held_out = read_dataset(evaluation) if evaluation else None
    trained = None
    if train:
        trained = pipeline.train_qat(
            float_model,
            profile,
            read_dataset(train),
            config,
            precision=precision,
            evaluation=held_out,
            on_progress=_ignore if quiet else _tell,
        )
    conversion = pipeline.convert(
        float_model,
        profile,
        trained,
        precision=None if train else precision,
        evaluation=held_out,
        post_training=post_training,
        samples=samples,
    )
    return write_conversion(conversion, out)


def _batches(
    samples: Dataset, inputs: Sequence[TensorSpec]
) -> Iterator[Mapping[str, NDArray[np.float32]]]:
    """Cuts samples into batches; a model with a fixed batch size gets whole ones only."""
    fixed = inputs[0].shape[0]
    for batch in samples.batches(inputs, fixed or pipeline.CALIBRATION_BATCH_SIZE):
        if fixed is None or len(batch[inputs[0].name]) == fixed:
            yield batch


def _ignore(_progress: TrainingProgress) -> None:
    """Tells nobody."""


def _tell(progress: TrainingProgress) -> None:
    if progress.accuracy is not None or progress.step == progress.total_steps:
        accuracy = "" if progress.accuracy is None else f" accuracy {progress.accuracy:.4f}"
        note(
            f"{progress.stage} epoch {progress.epoch} {progress.progress:.0%} "
            f"task loss {progress.task_loss:.4g} "
            f"quantization loss {progress.quantization_loss:.4g}{accuracy}"
        )
