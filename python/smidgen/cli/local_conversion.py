"""Converts a file on this machine, without a server. Imports torch only when it converts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType

from smidgen.artifact import save_artifact
from smidgen.cli.arrays import batches
from smidgen.cli.documents import Json
from smidgen.cli.exits import UsageError
from smidgen.cli.output import note
from smidgen.cli.views import facts, listing, size
from smidgen.config import CalibrationConfig, QATConfig
from smidgen.formats.dataset import Dataset, DatasetFormat, read_dataset
from smidgen.progress import TrainingProgress
from smidgen.report import QuantizationReport

if TYPE_CHECKING:
    from smidgen import pipeline

_CALIBRATION_BATCH = 32


def convert_file(
    model: Path,
    *,
    calibration: Path,
    out: Path,
    train: Path | None,
    evaluation: Path | None,
    calibration_config: CalibrationConfig,
    config: QATConfig,
    quiet: bool,
) -> tuple[Json, RenderableType]:
    """Calibrates, trains if there is data for it, converts, and writes the artifact.

    Raises: UsageError where torch is missing; SmidgenError; OSError.
    """
    pipeline = _import_pipeline()
    float_model = pipeline.load_model(model)
    samples = _read(calibration).inputs_for(float_model.exported.inputs)
    profile = pipeline.calibrate(
        float_model, batches(samples, _CALIBRATION_BATCH), calibration_config
    )
    held_out = _read(evaluation) if evaluation else None
    trained = None
    if train:
        trained = pipeline.train_qat(
            float_model,
            profile,
            _read(train),
            config,
            evaluation=held_out,
            on_progress=_ignore if quiet else _tell,
        )
    conversion = pipeline.convert(float_model, profile, trained, evaluation=held_out)
    digest = save_artifact(conversion.program, out)
    artifact_bytes = out.stat().st_size
    document = {
        "path": str(out),
        "sha256": digest,
        "size_bytes": artifact_bytes,
        "report": conversion.report.to_dict(),
    }
    return document, _view(conversion.report, out, digest, artifact_bytes)


def _import_pipeline() -> pipeline:
    try:
        from smidgen import pipeline  # noqa: PLC0415  (it imports torch)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise UsageError(
            "convert --local needs torch, which is not installed; "
            "run `pip install smidgen[optimize]`, or convert on a server",
            reason="TORCH_MISSING",
        ) from None
    return pipeline


def _read(path: Path) -> Dataset:
    try:
        return read_dataset(path, DatasetFormat(path.suffix.removeprefix(".")))
    except ValueError:
        expected = " or ".join(f".{known}" for known in DatasetFormat)
        raise UsageError(
            f"{path} ends in {path.suffix or 'no extension'}, expected {expected}",
            reason="FILE_FORMAT_UNKNOWN",
            path=str(path),
        ) from None


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


def _view(
    report: QuantizationReport, out: Path, digest: str, artifact_bytes: int
) -> RenderableType:
    nodes = listing(
        ("Node", "Module", "Operator", "Quantized"),
        (
            (node.node, node.module_path, node.op, "yes" if node.is_quantized else node.reason)
            for node in report.nodes
        ),
    )
    pairs: list[tuple[str, object]] = [
        ("Artifact", out),
        ("Size", f"{size(artifact_bytes)}, parameters in float {size(report.float_bytes)}"),
        ("SHA-256", digest),
    ]
    if report.float_accuracy is not None:
        pairs.append(("Float accuracy", f"{report.float_accuracy:.4f}"))
    if report.quantized_accuracy is not None:
        pairs.append(("Integer accuracy", f"{report.quantized_accuracy:.4f}"))
    return Group(nodes, facts(pairs))
