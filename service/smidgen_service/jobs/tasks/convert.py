"""Converts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smidgen import pipeline
from smidgen.artifact import save_artifact
from smidgen.config import MeasurementConfig, PostTrainingConfig, Preprocessing
from smidgen.progress import Stage
from smidgen_service.jobs.data_fields import dataset_of
from smidgen_service.jobs.tasks.channel import Channel
from smidgen_service.jobs.tasks.sources import precision_of, profile_of


def convert(fields: Mapping[str, Any], channel: Channel) -> None:
    """Converts a calibrated or trained model and writes the artifact."""
    model = pipeline.load_model(Path(fields["model"]))
    profile = profile_of(fields)
    assert profile is not None
    trained_path = fields["trained"]
    trained = pipeline.load_trained(Path(trained_path)) if trained_path is not None else None
    evaluation = dataset_of(fields["evaluation"]) if fields["evaluation"] is not None else None
    channel.send("stage", {"stage": Stage.CONVERT, "progress": 0.2})
    preprocessing = fields["preprocessing"]
    conversion = pipeline.convert(
        model,
        profile,
        trained,
        evaluation=evaluation,
        lineage=fields["lineage"],
        precision=precision_of(fields),
        post_training=PostTrainingConfig(**(fields["config"] or {})),
        samples=dataset_of(fields["dataset"]) if fields["dataset"] is not None else None,
        preprocessing=None if preprocessing is None else Preprocessing.from_document(preprocessing),
        measurements=MeasurementConfig(**fields["measurements"]),
    )
    channel.send("stage", {"stage": Stage.VERIFY, "progress": 0.9})
    sha256 = save_artifact(conversion.program, Path(fields["artifact"]))
    channel.send("result", {"sha256": sha256, "report": conversion.report.to_dict()})
