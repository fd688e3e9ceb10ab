"""The options of calibration, training and conversion, checked when they are made. No torch."""

from smidgen.config.activations import Activations, RangeSource
from smidgen.config.budget import BudgetConfig
from smidgen.config.calibration import CalibrationConfig, ObserverMethod
from smidgen.config.conversion import ConversionConfig
from smidgen.config.gate import GateConfig
from smidgen.config.loss import DistanceKind, FeatureDistance, LossConfig, TaskLoss
from smidgen.config.measurements import MeasurementConfig
from smidgen.config.optimizer import OptimizerConfig, OptimizerKind, Schedule
from smidgen.config.post_training import PostTrainingConfig
from smidgen.config.precision import LayerPrecision, Override, PrecisionConfig, WeightBits
from smidgen.config.preprocessing import (
    Augmentation,
    Extent,
    ImageLayout,
    Preprocessing,
    Resampling,
)
from smidgen.config.qat import QATConfig
from smidgen.config.search import SearchConfig
from smidgen.config.stages import FineTune, StageConfig

__all__ = [
    "Activations",
    "Augmentation",
    "BudgetConfig",
    "CalibrationConfig",
    "ConversionConfig",
    "DistanceKind",
    "Extent",
    "FeatureDistance",
    "FineTune",
    "GateConfig",
    "ImageLayout",
    "LayerPrecision",
    "LossConfig",
    "MeasurementConfig",
    "ObserverMethod",
    "OptimizerConfig",
    "OptimizerKind",
    "Override",
    "PostTrainingConfig",
    "PrecisionConfig",
    "Preprocessing",
    "QATConfig",
    "RangeSource",
    "Resampling",
    "Schedule",
    "SearchConfig",
    "StageConfig",
    "TaskLoss",
    "WeightBits",
]
