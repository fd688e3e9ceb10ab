"""What a conversion measures for its report beyond what costs little."""

from __future__ import annotations

from dataclasses import dataclass

from smidgen.config.checks import check_within

MOST_SENSITIVITY_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class MeasurementConfig:
    """The measurements that take time.

    Attributes:
        sensitivity_seconds: Time to find out what each layer alone costs the output, 0 to 3600;
            0 does not measure it. A layer takes a run of what comes after it on a few samples, so
            a net takes about half as many runs as it has layers. When the time is over the layer
            at hand is finished; those with the most noise come first.
        latency: Whether to time the float and the integer model layer by layer on this machine,
            which takes about four seconds, or twelve runs of the float model if these take longer.
    """

    sensitivity_seconds: float = 0.0
    latency: bool = False

    def __post_init__(self) -> None:
        check_within(
            "sensitivity_seconds",
            self.sensitivity_seconds,
            least=0.0,
            most=MOST_SENSITIVITY_SECONDS,
        )

    @property
    def is_any(self) -> bool:
        """Whether there is anything to measure."""
        return self.sensitivity_seconds > 0.0 or self.latency
