"""The options of calibration, training and conversion, checked when they are made. No torch."""

from smidgen.config.activations import Activations
from smidgen.config.calibration import CalibrationConfig, ObserverMethod
from smidgen.config.preprocessing import (
    Augmentation,
    Extent,
    ImageLayout,
    Preprocessing,
    Resampling,
)
from smidgen.config.qat import QATConfig, TaskLoss

__all__ = [
    "Activations",
    "Augmentation",
    "CalibrationConfig",
    "Extent",
    "ImageLayout",
    "ObserverMethod",
    "Preprocessing",
    "QATConfig",
    "Resampling",
    "TaskLoss",
]
