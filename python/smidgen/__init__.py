"""Smidgen makes neural networks small and fast without losing their accuracy.

The names below are imported when they are first used, so that a program which only runs artifacts
never imports torch. The single stages are in smidgen.pipeline.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from smidgen.extras import require_torch

if TYPE_CHECKING:
    from smidgen.artifact import load_artifact, save_artifact
    from smidgen.config import (
        Augmentation,
        CalibrationConfig,
        LayerPrecision,
        Override,
        PrecisionConfig,
        Preprocessing,
        QATConfig,
        WeightBits,
    )
    from smidgen.data.opening import open_dataset
    from smidgen.engine import Engine, available_isas
    from smidgen.errors import SmidgenError
    from smidgen.formats.dataset import Dataset, read_dataset
    from smidgen.pipeline import quantize

__version__ = "0.1.0"

__all__ = [
    "Augmentation",
    "CalibrationConfig",
    "Dataset",
    "Engine",
    "LayerPrecision",
    "Override",
    "PrecisionConfig",
    "Preprocessing",
    "QATConfig",
    "SmidgenError",
    "WeightBits",
    "available_isas",
    "load_artifact",
    "open_dataset",
    "quantize",
    "read_dataset",
    "save_artifact",
]

_HOMES = {
    "Augmentation": "smidgen.config",
    "CalibrationConfig": "smidgen.config",
    "Dataset": "smidgen.formats.dataset",
    "Engine": "smidgen.engine",
    "LayerPrecision": "smidgen.config",
    "Override": "smidgen.config",
    "PrecisionConfig": "smidgen.config",
    "Preprocessing": "smidgen.config",
    "QATConfig": "smidgen.config",
    "SmidgenError": "smidgen.errors",
    "WeightBits": "smidgen.config",
    "available_isas": "smidgen.engine",
    "load_artifact": "smidgen.artifact",
    "open_dataset": "smidgen.data.opening",
    "quantize": "smidgen.pipeline",
    "read_dataset": "smidgen.formats.dataset",
    "save_artifact": "smidgen.artifact",
}


def __getattr__(name: str) -> object:
    """Imports a public name from its module on first use."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'smidgen' has no attribute {name!r}")
    if home == "smidgen.pipeline":
        require_torch()
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    """Lists the public names, imported or not."""
    return sorted([*globals(), *__all__])
