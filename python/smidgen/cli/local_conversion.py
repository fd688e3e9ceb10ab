"""Converts a file on this machine, without a server. Imports torch."""

from __future__ import annotations

from pathlib import Path

from rich.console import RenderableType

from smidgen import pipeline
from smidgen.cli.documents import Json
from smidgen.cli.output import note
from smidgen.cli.quantized_conversion import write_conversion
from smidgen.config import (
    Augmentation,
    CalibrationConfig,
    ConversionConfig,
    PrecisionConfig,
    Preprocessing,
    QATConfig,
)
from smidgen.conversion_document import conversion_document
from smidgen.data.opening import AnyDataset, open_dataset
from smidgen.data.split import HeldOut
from smidgen.progress import ConversionProgress, TrainingProgress


def convert_file(
    model: Path,
    *,
    calibration: Path,
    out: Path,
    page: Path | None,
    train: Path | None,
    evaluation: Path | None,
    calibration_config: CalibrationConfig,
    conversion: ConversionConfig,
    config: QATConfig,
    precision: PrecisionConfig | None,
    preprocessing: Preprocessing | None,
    augmentation: Augmentation | None,
    quiet: bool,
) -> tuple[Json, RenderableType]:
    """Calibrates, trains if there is data for it, converts, and writes the artifact and a page.

    Raises: SmidgenError, OSError.
    """
    float_model = pipeline.load_model(model)
    samples = _open(calibration, preprocessing)
    batches = pipeline.calibration_batches(samples, float_model.exported.inputs)
    profile = pipeline.calibrate(float_model, batches, calibration_config)
    if not quiet:
        for warning in profile.warnings:
            note(f"Warning: {warning}")
    held_out = _open(evaluation, preprocessing) if evaluation else None
    measured_on: AnyDataset | HeldOut | None = held_out
    trained = None
    if train:
        data = _open(train, preprocessing, augmentation)
        if held_out is None and conversion.needs_evaluation:
            measured_on = pipeline.held_out_of(data, config)
        trained = pipeline.train_qat(
            float_model,
            profile,
            data,
            config,
            precision=precision,
            evaluation=held_out,
            on_progress=_ignore if quiet else _tell,
        )
    converted = pipeline.convert(
        float_model,
        profile,
        trained,
        precision=None if train else precision,
        evaluation=measured_on,
        config=conversion,
        samples=samples,
        preprocessing=preprocessing,
        on_progress=_ignore if quiet else _tell_search,
    )
    document = conversion_document(
        str(model),
        converted.report,
        inputs=float_model.exported.inputs,
        profile=profile,
        is_equalized=conversion.post_training.equalize,
        curve=None if trained is None else trained.curve,
    )
    return write_conversion(converted, out, document=document, page=page)


def _open(
    path: Path, preprocessing: Preprocessing | None, augmentation: Augmentation | None = None
) -> AnyDataset:
    return open_dataset(path, preprocessing=preprocessing, augmentation=augmentation)


def _ignore(_progress: TrainingProgress | ConversionProgress) -> None:
    """Tells nobody."""


def _tell(progress: TrainingProgress) -> None:
    if progress.accuracy is not None or progress.step == progress.total_steps:
        accuracy = "" if progress.accuracy is None else f" accuracy {progress.accuracy:.4f}"
        note(
            f"{progress.stage} epoch {progress.epoch} {progress.progress:.0%} "
            f"task loss {progress.task_loss:.4g} "
            f"quantization loss {progress.quantization_loss:.4g}{accuracy}"
        )


def _tell_search(progress: ConversionProgress) -> None:
    if progress.message:
        note(
            f"{progress.stage} program {progress.program_count} of at most "
            f"{progress.most_programs}: {progress.message}"
        )
