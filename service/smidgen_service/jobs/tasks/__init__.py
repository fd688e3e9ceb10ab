"""The tasks of a worker process. The only package of the service that imports torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from smidgen_service.jobs.channel import Channel
from smidgen_service.jobs.frames import Frame
from smidgen_service.jobs.tasks.calibrate import calibrate
from smidgen_service.jobs.tasks.convert import convert
from smidgen_service.jobs.tasks.plan import plan
from smidgen_service.jobs.tasks.train import train

__all__ = ["run"]

_TASKS: Mapping[str, Callable[[Mapping[str, Any], Channel], None]] = {
    "plan": plan,
    "calibrate": calibrate,
    "train": train,
    "convert": convert,
}


def run(task: Frame, channel: Channel) -> None:
    """Runs a task to its `result` frame, or raises."""
    torch.set_num_threads(int(task.fields["threads"]))
    _TASKS[task.kind](task.fields, channel)
