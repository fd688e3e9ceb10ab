"""How long a precision is searched for."""

from __future__ import annotations

from dataclasses import dataclass

from smidgen.config.checks import check_within


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """The budget of a search for the precision of layers; whichever is reached first ends it.

    Attributes:
        evaluations: Most programs that are made and measured, 1 to 10000.
        seconds: Longest time, above 0; an evaluation that has begun is still finished. None sets no
            limit. Results then depend on the speed of the machine.
    """

    evaluations: int = 50
    seconds: float | None = None

    def __post_init__(self) -> None:
        check_within("search.evaluations", self.evaluations, least=1, most=10_000)
        if self.seconds is not None:
            check_within("search.seconds", self.seconds, above=0.0, most=10**9)
