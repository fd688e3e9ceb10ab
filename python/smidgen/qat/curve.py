"""The training curve: the figures of every step, and of every evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.progress import Stage

MOST_POINTS = 2**18
"""A longer training keeps the means of two, four, ... steps in one point."""


@dataclass(frozen=True, slots=True)
class StepFigures:
    """One optimizer step.

    Attributes:
        step: Optimizer steps done, this one included.
        task_loss: Mean of the batch.
        quantization_loss: Mean of the batch, not weighted.
        feature_loss: Mean of the batch, with the weights of the layers.
        loss_weight: Weight of the quantization loss.
        learning_rate: Step size of the optimizer.
    """

    step: float
    task_loss: float
    quantization_loss: float
    feature_loss: float
    loss_weight: float
    learning_rate: float


COLUMNS = tuple(field.name for field in fields(StepFigures))


@dataclass(frozen=True, slots=True)
class EvaluationPoint:
    """One evaluation.

    Attributes:
        step: Optimizer steps done.
        epoch: From 1; 0 before training.
        stage: What was trained until then; LOAD before training.
        accuracy: 0 to 1, or None.
        agreement: With the float model, 0 to 1, or None.
        task_loss: On the evaluation split.
        quantization_loss: On the evaluation split, not weighted.
    """

    step: int
    epoch: int
    stage: Stage
    accuracy: float | None
    agreement: float | None
    task_loss: float
    quantization_loss: float

    def to_dict(self) -> dict[str, object]:
        """Returns plain values."""
        return {**asdict(self), "stage": self.stage.value}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> EvaluationPoint:
        """Reads what to_dict gave. Raises: TypeError or ValueError for anything else."""
        return cls(**{**values, "stage": Stage(values["stage"])})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingCurve:
    """What a training went through.

    Attributes:
        steps: [points, 6] float64, the columns of StepFigures in their order.
        evaluations: In order.
    """

    steps: NDArray[np.float64]
    evaluations: tuple[EvaluationPoint, ...]

    def column(self, name: str) -> NDArray[np.float64]:
        """Returns one figure of all points by the name that StepFigures gives it."""
        return self.steps[:, COLUMNS.index(name)]

    def thinned(self, most_points: int) -> TrainingCurve:
        """Returns the curve in at most so many points, at least 2, and as many evaluations.

        A point then has the means of neighbours; of the evaluations evenly spread ones are left,
        the first and the last among them.
        """
        steps, evaluations = self.steps, self.evaluations
        if len(steps) > most_points:
            edges = np.linspace(0, len(steps), most_points + 1).astype(int)
            steps = np.stack([_merged(steps[low:high]) for low, high in pairwise(edges)])
        if len(evaluations) > most_points:
            kept = np.linspace(0, len(evaluations) - 1, most_points).astype(int)
            evaluations = tuple(evaluations[index] for index in kept)
        return TrainingCurve(steps, evaluations)

    def to_document(self) -> dict[str, object]:
        """Returns plain values for JSON."""
        evaluations = [point.to_dict() for point in self.evaluations]
        return {"steps": self.steps.tolist(), "evaluations": evaluations}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> TrainingCurve:
        """Rebuilds what to_document returned, also after a trip through JSON."""
        steps = np.array(document["steps"], np.float64).reshape(-1, len(COLUMNS))
        return cls(steps, tuple(map(EvaluationPoint.from_dict, document["evaluations"])))


EMPTY_CURVE = TrainingCurve(np.empty((0, len(COLUMNS))), ())


class CurveRecorder:
    """Collects a curve in bounded memory.

    Attributes:
        evaluations: Those so far.
    """

    def __init__(self, *, most_points: int = MOST_POINTS) -> None:
        self._most_points = most_points
        self._rows = np.empty((min(1024, most_points), len(COLUMNS)))
        self._count = 0
        self._steps_a_point = 1
        self._pending = np.empty((0, len(COLUMNS)))
        self.evaluations: list[EvaluationPoint] = []

    def add(self, figures: StepFigures) -> None:
        """Adds a step."""
        row = np.array([[getattr(figures, name) for name in COLUMNS]])
        self._pending = np.concatenate([self._pending, row])
        if len(self._pending) == self._steps_a_point:
            self._append(_merged(self._pending))
            self._pending = self._pending[:0]

    def curve(self) -> TrainingCurve:
        """Returns the curve so far."""
        rows = [self._rows[: self._count]]
        if len(self._pending):
            rows.append(_merged(self._pending)[None])
        return TrainingCurve(np.concatenate(rows), tuple(self.evaluations))

    def state(self) -> dict[str, NDArray[np.float64]]:
        """Returns all that `restore` needs but the evaluations."""
        return {"rows": self._rows[: self._count].copy(), "pending": self._pending.copy()}

    def restore(
        self,
        state: Mapping[str, NDArray[np.float64]],
        steps_a_point: int,
        evaluations: list[EvaluationPoint],
    ) -> None:
        """Goes on where another recorder was."""
        self._rows, self._count = state["rows"].copy(), len(state["rows"])
        self._pending = state["pending"].copy()
        self._steps_a_point = steps_a_point
        self.evaluations = list(evaluations)

    @property
    def steps_a_point(self) -> int:
        """Steps in one point; doubles whenever the curve would become too long."""
        return self._steps_a_point

    def _append(self, row: NDArray[np.float64]) -> None:
        if self._count == len(self._rows):
            longer = min(2 * max(self._count, 1), self._most_points)
            self._rows = np.resize(self._rows, (longer, len(COLUMNS)))
        self._rows[self._count] = row
        self._count += 1
        if self._count == self._most_points:
            pairs = self._rows.reshape(-1, 2, len(COLUMNS))
            self._count, self._steps_a_point = len(pairs), self._steps_a_point * 2
            self._rows[: self._count] = np.stack([_merged(pair) for pair in pairs])


def _merged(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the means of rows, and the last step's number."""
    row: NDArray[np.float64] = rows.mean(axis=0)
    row[0] = rows[-1, 0]
    return row
