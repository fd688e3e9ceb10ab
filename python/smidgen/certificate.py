"""Compares a program with the models that it stands for: fake-quantized and float."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from smidgen.data.source import SampleSource
from smidgen.engine import Engine
from smidgen.evaluation import Arrays, batches
from smidgen.fidelity import Fidelity, FloatReference, agreeing, has_classes
from smidgen.float_model import FloatModel
from smidgen.program import Program
from smidgen.program.multiplications import total_multiplications
from smidgen.qat.comparison import compare_layers, run_freely
from smidgen.report import Distance, FakeQuantizedParity, ParityCertificate
from smidgen.verification import check_parity, random_samples, sample_count

COMPARED_MULTIPLICATIONS = 2e9
COMPARED_VALUES = 2**23
MOST_COMPARED = 64

FLOAT_MULTIPLICATIONS = 2.5e10
"""Multiplications that the float model may do where its answers are no gate's: seconds. They
are counted, not timed, so that equal conversions give equal figures."""

MOST_FLOAT_COMPARED = 1024


@dataclass(frozen=True, slots=True)
class Proof:
    """What a conversion has to show for itself.

    Attributes:
        certificate: What was compared, and how close it is.
        fidelity: What is lost against the float model; None without evaluation data.
    """

    certificate: ParityCertificate
    fidelity: Fidelity | None


def prove(
    model: FloatModel,
    program: Program,
    prepared: fx.GraphModule | None,
    evaluation: SampleSource | None,
    *,
    compares_all: bool = False,
) -> Proof:
    """Compares a program with the reference, the fake-quantized and the float model.

    Args:
        model: The float model.
        program: What it was converted to.
        prepared: The fake-quantized graph in eval mode; None where there is none.
        evaluation: Samples to compare on; None compares with the float model on none, and with
            the others on invented ones.
        compares_all: Whether all evaluation samples are compared with the float model even where
            their labels are not classes.

    Raises:
        InvalidDatasetError: the labels do not fit the model, or a sample cannot be read.
        EngineError: engine and reference differ.
    """
    # First, for data that does not fit the model is found here.
    engine, count = Engine(program), compared_count(program)
    most = None if compares_all else float_compared_count(program)
    fidelity = None
    if evaluation is not None:
        reference = FloatReference(model, evaluation, most)
        fidelity = reference.compare(lambda batch: engine.run(batch)[program.outputs[0]])
    fake = None
    if prepared is not None:
        samples = random_samples(program, count)
        if evaluation is not None:
            samples, _ = _first_samples(model, evaluation, count)
        fake = compare_with_fake_quantized(prepared, engine, program, samples)
    certificate = check_parity(
        program,
        parity_samples(model, program, evaluation),
        threads=torch.get_num_threads(),
    )
    parity = None if fidelity is None else fidelity.parity
    return Proof(replace(certificate, fake_quantized=fake, float_model=parity), fidelity)


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


def float_compared_count(program: Program) -> int:
    """Returns how many samples are compared with the float model where nothing asks for all."""
    by_work = int(FLOAT_MULTIPLICATIONS // max(total_multiplications(program, 1), 1))
    return max(compared_count(program), min(by_work, MOST_FLOAT_COMPARED))


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
        top1_agreement=_agreement(output, free.output) if has_classes(output) else None,
    )


def _first_samples(
    model: FloatModel, evaluation: SampleSource, count: int
) -> tuple[dict[str, NDArray[Any]], int]:
    """Returns a batch of at most `count` samples, and how many of it are no copies."""
    specs = model.exported.inputs
    start, stop, batch = next(batches(evaluation, specs, count))
    return dict(batch), stop - start


def _agreement(lhs: NDArray[Any], rhs: NDArray[Any]) -> float:
    return agreeing(lhs, rhs) / len(lhs)


def _severity(distance: Distance) -> tuple[int, float]:
    return distance.max_lsb, distance.differing / max(distance.elements, 1)


def _together(layers: Mapping[str, Distance]) -> Distance:
    return Distance(
        max_lsb=max((distance.max_lsb for distance in layers.values()), default=0),
        differing=sum(distance.differing for distance in layers.values()),
        elements=sum(distance.elements for distance in layers.values()),
    )
