"""Says what conversion would do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smidgen import pipeline
from smidgen_service.jobs.tasks.channel import Channel
from smidgen_service.jobs.tasks.sources import precision_of, profile_of


def plan(fields: Mapping[str, Any], channel: Channel) -> None:
    """Reports on a model that is not converted."""
    model = pipeline.load_model(Path(fields["model"]))
    report = pipeline.plan(model, profile_of(fields), precision_of(fields))
    channel.send("result", {"report": report.to_dict()})
