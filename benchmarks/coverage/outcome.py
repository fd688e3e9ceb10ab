"""What came of one architecture."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """The stages of a trial in order; the last one is that all went well."""

    MAKE = "make"
    EXPORT = "export"
    IMPORT = "import"
    FLOAT = "float"
    CALIBRATE = "calibrate"
    TRAIN = "train"
    CONVERT = "convert"
    RUN = "run"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one architecture.

    Attributes:
        stage: The stage that failed, or DONE.
        reason: Why it failed; empty if it did not.
        parameters: Number of trained parameters of the imported model.
        nodes: Operations of the imported model.
        float_error: Largest difference of a float output from the original's, relative to the
            largest magnitude of that output.
        sqnr_db: Signal to quantization noise of the worst output in decibels.
        seconds: What the trial took.
    """

    stage: Stage
    reason: str = ""
    parameters: int | None = None
    nodes: int | None = None
    float_error: float | None = None
    sqnr_db: float | None = None
    seconds: float = 0.0

    @property
    def is_done(self) -> bool:
        """Whether all went well."""
        return self.stage is Stage.DONE
