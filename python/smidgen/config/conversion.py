"""The options of a conversion besides the precision of its layers."""

from __future__ import annotations

from dataclasses import dataclass, field

from smidgen.config.gate import GateConfig
from smidgen.config.measurements import MeasurementConfig
from smidgen.config.post_training import PostTrainingConfig
from smidgen.config.search import SearchConfig
from smidgen.errors import InvalidConfigError


@dataclass(frozen=True, slots=True)
class ConversionConfig:
    """What a conversion does and measures, and what its result is held to.

    Attributes:
        post_training: What is done to the weights first.
        gate: What the program must keep of the float model on the evaluation data.
        search: How long to look for layers that need more bits, int8 in place of int4 or float in
            place of int8, for the gate to hold; None takes the precision as it is.
        measurements: What to measure for the report that takes time.
    """

    post_training: PostTrainingConfig = field(default_factory=PostTrainingConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    search: SearchConfig | None = None
    measurements: MeasurementConfig = field(default_factory=MeasurementConfig)

    @property
    def needs_evaluation(self) -> bool:
        """Whether it cannot do without evaluation data."""
        return self.gate.is_any or self.measurements.sensitivity_seconds > 0.0

    def __post_init__(self) -> None:
        if self.search is not None and not self.gate.is_any:
            raise InvalidConfigError(
                "a search is asked for without a limit that it should reach; set max_drop or "
                "min_sqnr_db, or leave the search out",
                reason="SEARCH_NEEDS_GATE",
                field="search",
            )
