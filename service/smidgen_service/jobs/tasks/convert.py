"""Converts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from smidgen import pipeline
from smidgen.artifact import save_artifact
from smidgen.config import ConversionConfig, Preprocessing
from smidgen.config.documents import from_document
from smidgen.pipeline import Conversion
from smidgen.profile import CalibrationProfile
from smidgen.progress import ConversionProgress, Stage
from smidgen_service.jobs.channel import Channel
from smidgen_service.jobs.data_fields import dataset_of, evaluation_of
from smidgen_service.jobs.tasks.sources import precision_of, profile_of


def convert(fields: Mapping[str, Any], channel: Channel) -> None:
    """Converts a calibrated, trained or quantized model and writes the artifact."""
    profile = profile_of(fields)
    if profile is None:
        _tell(channel, ConversionProgress(Stage.CONVERT))
        conversion = _imported(fields)
    else:
        conversion = _converted(fields, profile, channel)
    sha256 = save_artifact(conversion.program, Path(fields["artifact"]))
    channel.send("result", {"sha256": sha256, "report": conversion.report.to_dict()})


def _imported(fields: Mapping[str, Any]) -> Conversion:
    """Keeps the quantization that the file states."""
    conversion = pipeline.import_quantized(Path(fields["model"]))
    lineage = {**conversion.program.lineage, **fields["lineage"]}
    program = replace(conversion.program, lineage=lineage)
    return replace(
        conversion, program=pipeline.with_preprocessing(program, _preprocessing_of(fields))
    )


def _converted(
    fields: Mapping[str, Any], profile: CalibrationProfile, channel: Channel
) -> Conversion:
    model = pipeline.load_model(Path(fields["model"]))
    trained_path = fields["trained"]
    trained = pipeline.load_trained(Path(trained_path)) if trained_path is not None else None
    evaluation = evaluation_of(fields["evaluation"]) if fields["evaluation"] is not None else None
    return pipeline.convert(
        model,
        profile,
        trained,
        evaluation=evaluation,
        lineage=fields["lineage"],
        precision=precision_of(fields),
        config=from_document(ConversionConfig, fields["config"] or {}),
        samples=dataset_of(fields["dataset"]) if fields["dataset"] is not None else None,
        preprocessing=_preprocessing_of(fields),
        on_progress=partial(_tell, channel),
    )


def _tell(channel: Channel, progress: ConversionProgress) -> None:
    channel.send("stage", {**asdict(progress), "progress": progress.progress})


def _preprocessing_of(fields: Mapping[str, Any]) -> Preprocessing | None:
    preprocessing = fields["preprocessing"]
    return None if preprocessing is None else Preprocessing.from_document(preprocessing)
