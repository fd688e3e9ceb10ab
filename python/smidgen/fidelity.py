"""How much of the float model's answers a program keeps, on evaluation samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.classification import check_class_labels, correct_count
from smidgen.data.source import SampleSource
from smidgen.evaluation import BATCH_SIZE, Arrays, batches
from smidgen.float_execution import first_float_output
from smidgen.float_model import FloatModel
from smidgen.gate import Measured
from smidgen.report import FloatParity

MOST_KEPT_BYTES = 256 * 2**20
_FEW = 32  # samples of a batch where not all are compared, which is where models are large


@dataclass(frozen=True, slots=True)
class Fidelity:
    """What a program loses against the float model.

    Attributes:
        parity: How close the outputs are.
        float_accuracy: Accuracy of the float model, 0 to 1; None without class labels.
        quantized_accuracy: Accuracy of the program, 0 to 1; None without class labels.
        lost: Samples that the float model has right beyond those that the program has right, below
            0 where the program has more; without class labels those on which the two say different
            classes. None where the output has no classes.
        sqnr_db: Signal to noise ratio of the first output in dB: inf where it is equal, -inf where
            there is noise without a signal, or a value that is not a number.
    """

    parity: FloatParity
    float_accuracy: float | None
    quantized_accuracy: float | None
    lost: int | None
    sqnr_db: float

    @property
    def measured(self) -> Measured:
        """What a gate looks at."""
        return Measured(
            self.parity.sample_count,
            self.lost,
            self.sqnr_db,
            self.float_accuracy,
            self.quantized_accuracy,
        )


class FloatReference:
    """The float model's answers on evaluation samples, which programs are compared with.

    The answers are computed once, as long as they take no more than 256 MiB.

    Args:
        model: The float model.
        evaluation: The samples; all count where their labels are classes.
        most: Samples to compare where they are not; None for all.

    Raises:
        InvalidDatasetError: the labels do not fit the model.
    """

    def __init__(
        self, model: FloatModel, evaluation: SampleSource, most: int | None = None
    ) -> None:
        self._model = model
        self._evaluation = evaluation
        self._labels = _class_labels(model, evaluation)
        self._most = most if self._labels is None else None
        self._kept: dict[int, NDArray[np.float32]] = {}
        self._kept_bytes = 0

    def compare(self, run: Callable[[Arrays], NDArray[Any]]) -> Fidelity:
        """Compares the first output of a program with the float model's.

        Args:
            run: Returns the program's first output for one array an input.

        Raises:
            InvalidDatasetError: a sample cannot be read.
        """
        tally = _Tally()
        for start, stop, batch in self._batches():
            found = run(batch)[: stop - start]
            labels = None if self._labels is None else self._labels[start:stop]
            tally.add(found, self._expected(start, batch)[: stop - start], labels)
        return tally.fidelity()

    def _batches(self) -> Iterator[tuple[int, int, Arrays]]:
        inputs, size = self._model.exported.inputs, BATCH_SIZE if self._most is None else _FEW
        return batches(self._evaluation, inputs, size, most=self._most)

    def _expected(self, start: int, batch: Arrays) -> NDArray[np.float32]:
        kept = self._kept.get(start)
        if kept is not None:
            return kept
        answers = first_float_output(self._model.graph, batch, self._model.exported.inputs)
        if self._kept_bytes + answers.nbytes <= MOST_KEPT_BYTES:
            self._kept[start] = answers
            self._kept_bytes += answers.nbytes
        return answers


@dataclass(slots=True)
class _Tally:
    """Counts over the batches of a comparison."""

    samples: int = 0
    agreeing: int = 0
    has_classes: bool = False
    signal: float = 0.0
    noise: float = 0.0
    labelled: int = 0
    correct: dict[str, int] = field(default_factory=lambda: {"float": 0, "quantized": 0})

    def add(
        self,
        found: NDArray[Any],
        expected: NDArray[np.float32],
        labels: NDArray[np.generic] | None,
    ) -> None:
        """Adds a batch: the program's outputs, the float model's, and labels."""
        self.samples += len(found)
        self.has_classes = has_classes(found)
        if self.has_classes:
            self.agreeing += agreeing(found, expected)
        reference = expected.astype(np.float64)
        self.signal += float(np.square(reference).sum())
        self.noise += float(np.square(reference - found).sum())
        if labels is not None:
            self.labelled += len(labels)
            self.correct["float"] += correct_count(expected, labels)
            self.correct["quantized"] += correct_count(found, labels)

    def fidelity(self) -> Fidelity:
        """Returns the figures."""
        ratio = self._ratio_db()
        parity = FloatParity(
            sample_count=self.samples,
            top1_agreement=self.agreeing / self.samples if self.has_classes else None,
            output_sqnr_db=ratio if math.isfinite(ratio) else None,
        )
        return Fidelity(
            parity, self._accuracy("float"), self._accuracy("quantized"), self._lost(), ratio
        )

    def _ratio_db(self) -> float:
        if self.noise == 0.0:
            return math.inf
        if not (self.signal > 0.0 and self.noise > 0.0):  # a NaN is not above 0
            return -math.inf
        return 10.0 * math.log10(self.signal / self.noise)

    def _lost(self) -> int | None:
        if self.labelled:
            return self.correct["float"] - self.correct["quantized"]
        return self.samples - self.agreeing if self.has_classes else None

    def _accuracy(self, model: str) -> float | None:
        return self.correct[model] / self.labelled if self.labelled else None


def has_classes(output: NDArray[Any]) -> bool:
    """Tells whether an output is [N, classes]."""
    return output.ndim == 2 and output.shape[1] > 1


def agreeing(lhs: NDArray[Any], rhs: NDArray[Any]) -> int:
    """Counts the samples of two outputs [N, classes] whose largest value is in the same place."""
    return int((lhs.argmax(axis=1) == rhs.argmax(axis=1)).sum())


def _class_labels(model: FloatModel, evaluation: SampleSource) -> NDArray[np.generic] | None:
    """Returns the labels if they are classes of the first output."""
    labels = evaluation.labels
    if labels is None or len(model.exported.outputs[0].shape) != 2:
        return None
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
        return None
    check_class_labels(labels, model.exported.outputs[0])
    return labels
