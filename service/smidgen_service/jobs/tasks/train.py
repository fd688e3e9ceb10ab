"""Trains with quantization simulated."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from smidgen import pipeline
from smidgen.config import QATConfig
from smidgen.config.documents import from_document
from smidgen.progress import TrainingProgress
from smidgen_service.jobs.channel import Channel
from smidgen_service.jobs.data_fields import dataset_of
from smidgen_service.jobs.tasks.sources import precision_of, profile_of
from smidgen_service.jobs.throttle import ProgressThrottle
from smidgen_service.store.curves import MOST_POINTS


def train(fields: Mapping[str, Any], channel: Channel) -> None:
    """Trains until the end or until it is told to stop, from its checkpoint if it has one."""
    should_stop = _stop_on_sigterm()
    model = pipeline.load_model(Path(fields["model"]))
    checkpoint = Path(fields["checkpoint"])
    profile = profile_of(fields)
    assert profile is not None
    throttle = ProgressThrottle(lambda progress: _send_progress(channel, progress))
    evaluation = dataset_of(fields["evaluation"]) if fields["evaluation"] is not None else None
    trained = pipeline.train_qat(
        model,
        profile,
        dataset_of(fields["dataset"]),
        from_document(QATConfig, fields["config"]),
        precision=precision_of(fields),
        evaluation=evaluation,
        on_progress=throttle,
        should_stop=should_stop,
        checkpoint=checkpoint,
        checkpoint_interval_s=float(fields["checkpoint_interval_s"]),
        resume=checkpoint if checkpoint.exists() else None,
    )
    throttle.flush()
    trained_path = Path(fields["trained"])
    pipeline.save_trained(trained, trained_path)
    curve = trained.curve.thinned(MOST_POINTS).to_document()
    channel.send("result", {"summary": asdict(trained.summary), "curve": curve})


def _send_progress(channel: Channel, progress: TrainingProgress) -> None:
    channel.send("progress", {**asdict(progress), "progress": progress.progress})


def _stop_on_sigterm() -> Callable[[], bool]:
    received: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: received.append(number))
    return lambda: bool(received)
