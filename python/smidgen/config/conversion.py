"""The options of a conversion besides the precision of its layers."""

from __future__ import annotations

from dataclasses import dataclass, field

from smidgen.config.gate import GateConfig
from smidgen.config.post_training import PostTrainingConfig
from smidgen.config.search import SearchConfig


@dataclass(frozen=True, slots=True)
class ConversionConfig:
    """What a conversion does, and what its result is held to.

    Attributes:
        post_training: What is done to the weights first.
        gate: What the program must keep of the float model.
        search: How long to look for layers that need more bits for the gate to hold; None takes the
            precision as it is.
    """

    post_training: PostTrainingConfig = field(default_factory=PostTrainingConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    search: SearchConfig | None = None
