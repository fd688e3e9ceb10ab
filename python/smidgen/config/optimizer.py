"""The options of the optimizer."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from smidgen.config.checks import check_applies, check_within

DEFAULT_MOMENTUM = 0.9
DEFAULT_DECAY_EPOCHS = 2
DEFAULT_DECAY_FACTOR = 0.1


class OptimizerKind(enum.StrEnum):
    """The rule of an optimizer step.

    ADAM and ADAMW do not depend on the scale of gradients, which differs between layers by orders
    of magnitude once batch norm is folded. ADAMW keeps weight decay apart from them. SGD has
    momentum.
    """

    ADAM = "adam"
    ADAMW = "adamw"
    SGD = "sgd"


class Schedule(enum.StrEnum):
    """How the step size falls before the final fine-tuning.

    COSINE: to 0 by half a cosine. CONSTANT: not at all. STEP: by decay_factor after every
    decay_epochs epochs.
    """

    COSINE = "cosine"
    CONSTANT = "constant"
    STEP = "step"


@dataclass(frozen=True, slots=True)
class OptimizerConfig:
    """How weights are moved.

    What belongs to another kind or another schedule keeps its default, or is refused.

    Attributes:
        kind: The rule.
        weight_decay: Pulls weights of two axes or more to 0; 0 to 1. Biases and norms have none.
        momentum: Of SGD, 0 to below 1.
        schedule: How the step size falls.
        decay_epochs: Epochs between two falls of STEP, 1 to 10000.
        decay_factor: What STEP multiplies the step size by, above 0 to 1.
        gradient_clip: Longest gradient of all weights together; longer ones are shortened. None
            leaves them.
        ema_decay: Share that an exponential moving average of the weights keeps in each step,
            0 to below 1; the average is what is evaluated and kept. None keeps the weights
            themselves.
    """

    kind: OptimizerKind = OptimizerKind.ADAM
    weight_decay: float = 0.0
    momentum: float = DEFAULT_MOMENTUM
    schedule: Schedule = Schedule.COSINE
    decay_epochs: int = DEFAULT_DECAY_EPOCHS
    decay_factor: float = DEFAULT_DECAY_FACTOR
    gradient_clip: float | None = None
    ema_decay: float | None = None

    def __post_init__(self) -> None:
        check_within("optimizer.weight_decay", self.weight_decay, least=0.0, most=1.0)
        check_within("optimizer.momentum", self.momentum, least=0.0, most=0.9999)
        check_within("optimizer.decay_epochs", self.decay_epochs, least=1, most=10_000)
        check_within("optimizer.decay_factor", self.decay_factor, above=0.0, most=1.0)
        if self.gradient_clip is not None:
            check_within("optimizer.gradient_clip", self.gradient_clip, above=0.0, most=1e9)
        if self.ema_decay is not None:
            check_within("optimizer.ema_decay", self.ema_decay, least=0.0, most=0.999999)
        self._check_applicable()

    def _check_applicable(self) -> None:
        check_applies(
            "optimizer.momentum",
            self.momentum,
            default=DEFAULT_MOMENTUM,
            applies=self.kind is OptimizerKind.SGD,
            needs="optimizer.kind sgd",
        )
        for name, value, default in (
            ("decay_epochs", self.decay_epochs, DEFAULT_DECAY_EPOCHS),
            ("decay_factor", self.decay_factor, DEFAULT_DECAY_FACTOR),
        ):
            check_applies(
                f"optimizer.{name}",
                value,
                default=default,
                applies=self.schedule is Schedule.STEP,
                needs="optimizer.schedule step",
            )
