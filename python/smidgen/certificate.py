"""Compares a program with the models that it stands for: fake-quantized and float."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from smidgen.classification import check_class_labels, correct_count
from smidgen.data.source import SampleSource
from smidgen.engine import Engine
from smidgen.evaluation import Arrays, batches
from smidgen.float_execution import first_float_output
from smidgen.float_model import FloatModel
from smidgen.program import Program
from smidgen.program.multiplications import total_multiplications
from smidgen.qat.comparison import compare_layers, run_freely
from smidgen.report import Distance, FakeQuantizedParity, FloatParity, ParityCertificate
from smidgen.verification import check_parity, random_samples, sample_count

COMPARED_MULTIPLICATIONS = 2e9
COMPARED_VALUES = 2**23
MOST_COMPARED = 64


@dataclass(frozen=True, slots=True)
class FloatComparison:
    """What a program loses against the float model.

    Attributes:
        parity: How close the outputs are.
        float_accuracy: Accuracy of the float model, 0 to 1; None without class labels.
        quantized_accuracy: Accuracy of the program, 0 to 1; None without class labels.
    """

    parity: FloatParity
    float_accuracy: float | None
    quantized_accuracy: float | None


@dataclass(frozen=True, slots=True)
class Proof:
    """What a conversion has to show for itself.

    Attributes:
        certificate: What was compared, and how close it is.
        float_accuracy: Accuracy of the float model, 0 to 1; None without class labels.
        quantized_accuracy: Accuracy of the program, 0 to 1; None without class labels.
    """

    certificate: ParityCertificate
    float_accuracy: float | None
    quantized_accuracy: float | None


def prove(
    model: FloatModel,
    program: Program,
    prepared: fx.GraphModule | None,
    evaluation: SampleSource | None,
) -> Proof:
    """Compares a program with the reference, the fake-quantized and the float model.

    Args:
        model: The float model.
        program: What it was converted to.
        prepared: The fake-quantized graph in eval mode; None where there is none.
        evaluation: Samples to compare on; None compares with the float model on none, and with
            the others on invented ones.

    Raises:
        InvalidDatasetError: the labels do not fit the model, or a sample cannot be read.
        EngineError: engine and reference differ.
    """
    # First, for data that does not fit the model is found here.
    fake, with_float = _compare_models(model, program, prepared, evaluation)
    samples = parity_samples(model, program, evaluation)
    certificate = check_parity(program, samples, threads=torch.get_num_threads())
    parity = None if with_float is None else with_float.parity
    whole = replace(certificate, fake_quantized=fake, float_model=parity)
    if with_float is None:
        return Proof(whole, None, None)
    return Proof(whole, with_float.float_accuracy, with_float.quantized_accuracy)


def parity_samples(model: FloatModel, program: Program, evaluation: SampleSource | None) -> Arrays:
    """Takes half of the samples from the evaluation data, if there is any, and invents the rest."""
    count = sample_count(program)
    samples = random_samples(program, count)
    if evaluation is None:
        return samples
    given, taken = _first_samples(model, evaluation, count)
    taken = min(taken, max(1, count // 2))
    return {name: np.concatenate([given[name][:taken], samples[name][taken:]]) for name in samples}


def compared_count(program: Program) -> int:
    """Returns how many samples the slow fake-quantized model runs on, at least one."""
    fixed = program.tensor(program.inputs[0]).shape[0]
    if fixed is not None:
        return fixed
    values = sum(
        math.prod(extent or 1 for extent in program.tensor(step.output).shape)
        for step in program.steps
    )
    by_work = int(COMPARED_MULTIPLICATIONS // max(total_multiplications(program, 1), 1))
    return max(1, min(by_work, COMPARED_VALUES // values, MOST_COMPARED))


def compare_with_fake_quantized(
    prepared: fx.GraphModule, engine: Engine, program: Program, samples: Arrays
) -> FakeQuantizedParity:
    """Compares a program with the fake-quantized graph that it was converted from.

    Args:
        prepared: What prepare_qat returns, in eval mode.
        engine: The program's.
        program: The program.
        samples: One array for each input.
    """
    values = engine.run_all(samples)
    layers = compare_layers(prepared, program, values)
    free = run_freely(prepared, program, values)
    worst = max(layers, key=lambda name: _severity(layers[name]), default=None)
    output = values[program.outputs[0]]
    return FakeQuantizedParity(
        sample_count=len(samples[program.inputs[0]]),
        layers=_together(layers),
        worst_layer="" if worst is None or layers[worst].differing == 0 else worst,
        free_running=_together(free.layers),
        top1_agreement=_agreement(output, free.output) if _has_classes(output) else None,
    )


def compare_with_float(
    model: FloatModel, engine: Engine, program: Program, evaluation: SampleSource, count: int
) -> FloatComparison:
    """Compares a program's first output with the float model's.

    Args:
        model: The float model.
        engine: The program's.
        program: The program.
        evaluation: All its samples are compared where their labels are classes.
        count: Samples to compare where they are not.

    Raises:
        InvalidDatasetError: the labels do not fit the model, or a sample cannot be read.
    """
    specs = model.exported.inputs
    labels = _class_labels(model, evaluation)
    tally = _Tally()
    for start, stop, batch in batches(evaluation, specs, most=count if labels is None else None):
        found = engine.run(batch)[program.outputs[0]][: stop - start]
        expected = first_float_output(model.graph, batch, specs)[: stop - start]
        tally.add(found, expected, None if labels is None else labels[start:stop])
    return tally.comparison()


def _compare_models(
    model: FloatModel,
    program: Program,
    prepared: fx.GraphModule | None,
    evaluation: SampleSource | None,
) -> tuple[FakeQuantizedParity | None, FloatComparison | None]:
    engine, count = Engine(program), compared_count(program)
    fake = with_float = None
    if evaluation is not None:
        with_float = compare_with_float(model, engine, program, evaluation, count)
    if prepared is not None:
        samples = random_samples(program, count)
        if evaluation is not None:
            samples, _ = _first_samples(model, evaluation, count)
        fake = compare_with_fake_quantized(prepared, engine, program, samples)
    return fake, with_float


def _first_samples(
    model: FloatModel, evaluation: SampleSource, count: int
) -> tuple[dict[str, NDArray[Any]], int]:
    """Returns a batch of at most `count` samples, and how many of it are no copies."""
    specs = model.exported.inputs
    start, stop, batch = next(batches(evaluation, specs, count))
    return dict(batch), stop - start


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
        self.has_classes = _has_classes(found)
        if self.has_classes:
            self.agreeing += _agreeing(found, expected)
        reference = expected.astype(np.float64)
        self.signal += float(np.square(reference).sum())
        self.noise += float(np.square(reference - found).sum())
        if labels is not None:
            self.labelled += len(labels)
            self.correct["float"] += correct_count(expected, labels)
            self.correct["quantized"] += correct_count(found, labels)

    def comparison(self) -> FloatComparison:
        """Returns the figures."""
        has_ratio = self.signal > 0.0 and self.noise > 0.0
        parity = FloatParity(
            sample_count=self.samples,
            top1_agreement=self.agreeing / self.samples if self.has_classes else None,
            output_sqnr_db=10.0 * math.log10(self.signal / self.noise) if has_ratio else None,
        )
        return FloatComparison(parity, self._accuracy("float"), self._accuracy("quantized"))

    def _accuracy(self, model: str) -> float | None:
        return self.correct[model] / self.labelled if self.labelled else None


def _class_labels(model: FloatModel, evaluation: SampleSource) -> NDArray[np.generic] | None:
    """Returns the labels if they are classes of the first output."""
    labels = evaluation.labels
    if labels is None or len(model.exported.outputs[0].shape) != 2:
        return None
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
        return None
    check_class_labels(labels, model.exported.outputs[0])
    return labels


def _has_classes(output: NDArray[Any]) -> bool:
    return output.ndim == 2 and output.shape[1] > 1


def _agreeing(lhs: NDArray[Any], rhs: NDArray[Any]) -> int:
    return int((lhs.argmax(axis=1) == rhs.argmax(axis=1)).sum())


def _agreement(lhs: NDArray[Any], rhs: NDArray[Any]) -> float:
    return _agreeing(lhs, rhs) / len(lhs)


def _severity(distance: Distance) -> tuple[int, float]:
    return distance.max_lsb, distance.differing / max(distance.elements, 1)


def _together(layers: Mapping[str, Distance]) -> Distance:
    return Distance(
        max_lsb=max((distance.max_lsb for distance in layers.values()), default=0),
        differing=sum(distance.differing for distance in layers.values()),
        elements=sum(distance.elements for distance in layers.values()),
    )
