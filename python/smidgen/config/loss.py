"""The options of the loss."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from smidgen.config.checks import check_applies, check_within
from smidgen.errors import InvalidConfigError

MOST_FEATURES = 64
DEFAULT_TEMPERATURE = 4.0
"""A float model that knows its training data by heart gives one class nearly all probability, and
KL at a temperature of 1 next to no gradient; at 4 it holds all logits to those of that model."""

MOST_PATTERN_CHARACTERS = 256


class TaskLoss(enum.StrEnum):
    """What a model is trained to do.

    CROSS_ENTROPY: class numbers. MSE, L1: targets of the output's shape. BCE: targets from 0 to 1
    of the output's shape, which is the logits of independent yes-or-no questions. NONE: to do what
    the float model does, which needs no labels.
    """

    CROSS_ENTROPY = "cross_entropy"
    MSE = "mse"
    L1 = "l1"
    BCE = "bce"
    NONE = "none"


class DistanceKind(enum.StrEnum):
    """How far an output is from the float model's.

    KL: Kullback-Leibler divergence of the class probabilities along axis 1. MSE: mean squared
    error.
    """

    KL = "kl"
    MSE = "mse"


@dataclass(frozen=True, slots=True)
class FeatureDistance:
    """Holds the outputs of layers near those of the float model.

    The distance of a layer is the mean squared error divided by the mean square of the float
    values, so that one weight suits layers of any scale.

    Attributes:
        pattern: Which layers, by node or by path in the user's model: a shell pattern such as
            `blocks.*.conv`. One that matches nothing is an error.
        weight: Weight of each of these layers, above 0.
    """

    pattern: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= len(self.pattern) <= MOST_PATTERN_CHARACTERS:
            raise InvalidConfigError(
                f"a pattern of features has {len(self.pattern)} characters, expected 1 to "
                f"{MOST_PATTERN_CHARACTERS}",
                field="loss.features.pattern",
            )
        check_within("loss.features.weight", self.weight, above=0.0, most=1e6)


@dataclass(frozen=True, slots=True)
class LossConfig:
    """The finer points of the loss.

    Attributes:
        label_smoothing: Share of the target that cross-entropy spreads over all classes, 0 to
            below 1.
        distance: Distance to the float model's first output. None chooses KL for cross-entropy, and
            for outputs [N, classes] without a task; MSE for all others.
        temperature: Divides the logits before KL, which is multiplied by its square; 0.01 to 100.
            None means DEFAULT_TEMPERATURE.
        weight_start: Weight of the quantization loss at step 0; needs weight_warm_up_steps.
        weight_warm_up_steps: Steps in which that weight goes evenly from weight_start to
            quantization_loss_weight; 0 begins with the whole.
        features: Layers that are held near the float model's too.
    """

    label_smoothing: float = 0.0
    distance: DistanceKind | None = None
    temperature: float | None = None
    weight_start: float = 0.0
    weight_warm_up_steps: int = 0
    features: tuple[FeatureDistance, ...] = ()

    def __post_init__(self) -> None:
        check_within("loss.label_smoothing", self.label_smoothing, least=0.0, most=0.999)
        check_within("loss.temperature", self.kl_temperature, least=0.01, most=100.0)
        check_within("loss.weight_start", self.weight_start, least=0.0, most=1e6)
        check_within("loss.weight_warm_up_steps", self.weight_warm_up_steps, least=0, most=10**9)
        check_applies(
            "loss.weight_start",
            self.weight_start,
            default=0.0,
            applies=self.weight_warm_up_steps > 0,
            needs="loss.weight_warm_up_steps above 0",
        )
        check_within("the number of loss.features", len(self.features), most=MOST_FEATURES)
        if self.temperature not in (None, 1.0) and self.distance is DistanceKind.MSE:
            raise InvalidConfigError(
                f"temperature is {self.kl_temperature:g} and the distance is MSE, which has none; "
                "leave the temperature out or choose KL",
                reason="TEMPERATURE_WITHOUT_KL",
                field="loss.temperature",
            )

    @property
    def kl_temperature(self) -> float:
        """What the logits are divided by before KL."""
        return DEFAULT_TEMPERATURE if self.temperature is None else self.temperature
