"""The configuration of training from plain values, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smidgen.config import QATConfig, TaskLoss


def qat_config(fields: Mapping[str, Any]) -> QATConfig:
    """Rebuilds a configuration from its plain values."""
    return QATConfig(**{**fields, "task_loss": TaskLoss(fields["task_loss"])})
