"""Trains with quantization simulated."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from smidgen import pipeline
from smidgen.progress import TrainingProgress
from smidgen_service.jobs.data_fields import dataset_of
from smidgen_service.jobs.plain_config import qat_config
from smidgen_service.jobs.tasks.channel import Channel
from smidgen_service.jobs.tasks.sources import profile_of
from smidgen_service.jobs.throttle import ProgressThrottle


def train(fields: Mapping[str, Any], channel: Channel) -> None:
    """Trains until the end or until it is told to stop."""
    should_stop = _stop_on_sigterm()
    model = pipeline.load_model(Path(fields["model"]))
    profile = profile_of(fields)
    assert profile is not None
    throttle = ProgressThrottle(lambda progress: _send_progress(channel, progress))
    evaluation = dataset_of(fields["evaluation"]) if fields["evaluation"] is not None else None
    trained = pipeline.train_qat(
        model,
        profile,
        dataset_of(fields["dataset"]),
        qat_config(fields["config"]),
        evaluation=evaluation,
        on_progress=throttle,
        should_stop=should_stop,
        checkpoint=Path("checkpoint.safetensors"),
    )
    throttle.flush()
    trained_path = Path(fields["trained"])
    pipeline.save_trained(trained, trained_path)
    channel.send(
        "result",
        {
            "float_accuracy": trained.float_accuracy,
            "accuracy": trained.accuracy,
            "task_loss": trained.task_loss,
            "quantization_loss": trained.quantization_loss,
            "best_epoch": trained.best_epoch,
            "step_count": trained.step_count,
        },
    )


def _send_progress(channel: Channel, progress: TrainingProgress) -> None:
    fields = {
        "stage": progress.stage,
        "progress": progress.progress,
        "epoch": progress.epoch,
        "step": progress.step,
        "total_steps": progress.total_steps,
        "task_loss": progress.task_loss,
        "quantization_loss": progress.quantization_loss,
        "learning_rate": progress.learning_rate,
        "accuracy": progress.accuracy,
    }
    channel.send("progress", fields)


def _stop_on_sigterm() -> Callable[[], bool]:
    received: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: received.append(number))
    return lambda: bool(received)
