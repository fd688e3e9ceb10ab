"""The options of training that `train-qat` alone has, and how they become a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from smidgen.config import (
    BudgetConfig,
    DistanceKind,
    FeatureDistance,
    FineTune,
    LossConfig,
    OptimizerConfig,
    OptimizerKind,
    RangeSource,
    Schedule,
    StageConfig,
)
from smidgen.errors import InvalidConfigError

LOSS, STAGES, OPTIMIZER, BUDGET = LossConfig(), StageConfig(), OptimizerConfig(), BudgetConfig()

LabelSmoothing = Annotated[
    float, typer.Option(help="Share of the target that cross-entropy spreads over all classes.")
]
Distance = Annotated[
    DistanceKind | None,
    typer.Option(help="Distance to the float model's output; by the task by default."),
]
Temperature = Annotated[
    float | None, typer.Option(help="Divides the logits before KL; 4 by default.")
]
WeightStart = Annotated[
    float, typer.Option(help="Weight of the quantization loss at the first step of its warm-up.")
]
WeightWarmUpSteps = Annotated[
    int, typer.Option(help="Steps until the quantization loss has its whole weight.")
]
Features = Annotated[
    list[str] | None,
    typer.Option(
        "--feature",
        metavar="PATTERN[=WEIGHT]",
        help="Hold the outputs of layers near the float model's, for instance 'blocks.*=0.1'; "
        "may be given several times.",
    ),
]
WarmUpSteps = Annotated[int, typer.Option(help="Steps in which the step size rises.")]
FreezeObserversAt = Annotated[
    float, typer.Option(help="Share of --epochs after which ranges are frozen, 0 to 1.")
]
FreezeBatchNormAt = Annotated[
    float, typer.Option(help="Share of --epochs after which batch norm is frozen, 0 to 1.")
]
FineTuning = Annotated[FineTune, typer.Option(help="What the final stage trains.")]
Activations = Annotated[
    RangeSource,
    typer.Option(
        help="Where the ranges of activations come from: a moving average of the batches' ranges, "
        "or the loss, which learns them."
    ),
]
Optimizer = Annotated[OptimizerKind, typer.Option(help="The rule of a step.")]
WeightDecay = Annotated[float, typer.Option(help="Pulls weights to 0, 0 to 1.")]
Momentum = Annotated[float, typer.Option(help="Momentum of sgd, 0 to 0.9999.")]
StepSizes = Annotated[
    Schedule, typer.Option("--schedule", help="How the step size falls until the final stage.")
]
DecayEpochs = Annotated[int, typer.Option(help="Epochs between two falls of schedule step.")]
DecayFactor = Annotated[
    float, typer.Option(help="What schedule step multiplies the step size by, above 0 to 1.")
]
GradientClip = Annotated[float | None, typer.Option(help="Longest gradient; no limit by default.")]
EmaDecay = Annotated[
    float | None,
    typer.Option(help="Keep a moving average of the weights with this decay, 0 to 0.999999."),
]
MaxSteps = Annotated[int | None, typer.Option(help="End after this many steps.")]
MaxSeconds = Annotated[float | None, typer.Option(help="End after this time of training.")]
Patience = Annotated[
    int | None,
    typer.Option(help="End a stage after this many epochs in a row that are no better."),
]


def parse_features(texts: Sequence[str]) -> tuple[FeatureDistance, ...]:
    """Reads patterns with their weights.

    Raises:
        InvalidConfigError: a weight is not a number, or out of its range.

    >>> parse_features(["blocks.*=0.5", "head"])
    (FeatureDistance(pattern='blocks.*', weight=0.5), FeatureDistance(pattern='head', weight=1.0))
    """
    return tuple(_parse_feature(text) for text in texts)


def _parse_feature(text: str) -> FeatureDistance:
    pattern, separator, weight = text.rpartition("=")
    if not separator:
        return FeatureDistance(text)
    try:
        return FeatureDistance(pattern, float(weight))
    except ValueError as error:
        raise InvalidConfigError(
            f"the weight of feature {pattern!r} is {weight!r}, expected a number",
            field="feature",
        ) from error
