"""Compares a program on the engine with the reference interpreter. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.engine import Engine, available_isas
from smidgen.errors import EngineError
from smidgen.functional import dequantize
from smidgen.program import (
    Conv2d,
    ConvTranspose2d,
    DType,
    Linear,
    Program,
    Quantize,
    index_counts,
    interpret,
)
from smidgen.report import ParityCertificate

Arrays = Mapping[str, NDArray[Any]]

MOST_SAMPLES = 8
INTERPRETED_MACS = 2e9
"""Multiplications that the slow interpreter may do for one comparison."""


def sample_count(program: Program) -> int:
    """Returns how many samples to compare: fewer for larger programs, at least one."""
    fixed = program.tensor(program.inputs[0]).shape[0]
    if fixed is not None:
        return fixed
    macs = sum(
        program.constants[step.weight].size * math.prod(_spatial(program, image))
        for step in program.steps
        if isinstance(step, Conv2d | ConvTranspose2d | Linear)
        # Each value of a transposed convolution's input meets all weights, else the output's.
        for image in [step.input if isinstance(step, ConvTranspose2d) else step.output]
    )
    return int(min(max(INTERPRETED_MACS // max(macs, 1), 1), MOST_SAMPLES))


def random_samples(program: Program, count: int) -> dict[str, NDArray[Any]]:
    """Returns `count` samples: uniform over the range of an input, normal if it has none.

    Integers are indices of the tables that they select rows of, others 0 and 1.
    """
    generator = np.random.default_rng(0)
    quantized = {
        step.input: program.tensor(step.output)
        for step in program.steps
        if isinstance(step, Quantize)
    }
    samples: dict[str, NDArray[Any]] = {}
    for name in program.inputs:
        shape = (count, *(extent or 1 for extent in program.tensor(name).shape[1:]))
        dtype = program.tensor(name).dtype
        if dtype is not DType.FLOAT32:
            most = index_counts(program).get(name, 2)
            samples[name] = generator.integers(0, most, shape).astype(dtype.numpy)
            continue
        target = quantized.get(name)
        if target is None:
            samples[name] = generator.normal(size=shape).astype(np.float32)
            continue
        assert target.scale is not None
        levels = generator.uniform(-0.5, 255.5, shape) - target.zero_point
        samples[name] = (levels * target.scale).astype(np.float32)
    return samples


def check_parity(program: Program, samples: Arrays) -> ParityCertificate:
    """Runs the engine at every level that this machine has and compares every tensor.

    Args:
        program: A verified program.
        samples: One array for each input.

    Raises:
        EngineError: a tensor differs from the interpreter's.
    """
    expected = interpret(program, samples)
    isas = available_isas()
    for isa in isas:
        found = Engine(program, isa=isa).run_all(samples)
        for step in program.steps:
            _compare(step.output, found[step.output], expected[step.output], isa)
    count = len(samples[program.inputs[0]])
    return ParityCertificate(sample_count=count, max_difference=0, isas=isas)


def real_values(program: Program, samples: Arrays) -> dict[str, NDArray[np.float32]]:
    """Runs the engine and returns the real values of all quantized and float tensors by name."""
    values = Engine(program).run_all(samples)
    return {
        tensor.name: values[tensor.name]
        if tensor.scale is None
        else dequantize(values[tensor.name], tensor.scale, tensor.zero_point)
        for tensor in program.tensors.values()
        if tensor.dtype in (DType.UINT8, DType.FLOAT32)
    }


def sqnr_db(signal: NDArray[np.float32], approximation: NDArray[np.float32]) -> float | None:
    """Returns the ratio of signal to quantization noise in dB; None where either is zero."""
    reference = signal.astype(np.float64)
    power = float(np.square(reference).sum())
    noise = float(np.square(reference - approximation).sum())
    return 10.0 * math.log10(power / noise) if power > 0.0 and noise > 0.0 else None


def _compare(name: str, found: NDArray[Any], expected: NDArray[Any], isa: str) -> None:
    if found.shape == expected.shape and found.tobytes() == expected.tobytes():
        return
    raise EngineError(
        f"tensor {name} on {isa} differs from the reference; the program is not usable here, "
        "please report this with the model",
        reason="PARITY_FAILED",
        tensor=name,
        isa=isa,
    )


def _spatial(program: Program, tensor: str) -> tuple[int, ...]:
    return tuple(extent or 1 for extent in program.tensor(tensor).shape[2:])
