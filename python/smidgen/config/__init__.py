"""The options of calibration, training and conversion, checked when they are made. No torch."""

from smidgen.config.activations import Activations
from smidgen.config.calibration import CalibrationConfig, ObserverMethod
from smidgen.config.precision import LayerPrecision, Override, PrecisionConfig, WeightBits
from smidgen.config.qat import QATConfig, TaskLoss

__all__ = [
    "Activations",
    "CalibrationConfig",
    "LayerPrecision",
    "ObserverMethod",
    "Override",
    "PrecisionConfig",
    "QATConfig",
    "TaskLoss",
    "WeightBits",
]
