"""Says what conversion would do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smidgen import pipeline
from smidgen.config import QATConfig
from smidgen.config.documents import from_document
from smidgen_service.jobs.channel import Channel
from smidgen_service.jobs.tasks.sources import precision_of, profile_of


def plan(fields: Mapping[str, Any], channel: Channel) -> None:
    """Reports on a model that is not converted."""
    profile = profile_of(fields)
    if profile is None:
        report = pipeline.import_quantized(Path(fields["model"])).report
        channel.send("result", {"report": report.to_dict()})
        return
    model = pipeline.load_model(Path(fields["model"]))
    config = fields["config"]
    training = None if config is None else from_document(QATConfig, config)
    report = pipeline.plan(model, profile, precision_of(fields), training)
    channel.send("result", {"report": report.to_dict()})
