"""Compares a program on the engine with the reference interpreter. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.cpus import usable_cpus
from smidgen.engine import Engine, available_isas
from smidgen.errors import EngineError
from smidgen.functional import dequantize
from smidgen.program import (
    Conv2d,
    ConvTranspose2d,
    DType,
    FloatConv2d,
    FloatConvTranspose2d,
    Linear,
    Program,
    Quantize,
    index_counts,
    interpret,
)
from smidgen.report import ParityCertificate

Arrays = Mapping[str, NDArray[Any]]

TRANSPOSED = ConvTranspose2d | FloatConvTranspose2d
MOST_SAMPLES = 8
INTERPRETED_MACS = 2e9
"""Multiplications that interpreter and portable kernels may do for one comparison."""

MOST_THREADS = 2


def sample_count(program: Program) -> int:
    """Returns how many samples to compare: fewer for larger programs, at least one."""
    fixed = program.tensor(program.inputs[0]).shape[0]
    if fixed is not None:
        return fixed
    macs = sum(
        program.constants[step.weight].size * math.prod(_spatial(program, image))
        for step in program.steps
        if isinstance(step, Conv2d | ConvTranspose2d | Linear | FloatConv2d | FloatConvTranspose2d)
        # Each value of a transposed convolution's input meets all weights, else the output's.
        for image in [step.input if isinstance(step, TRANSPOSED) else step.output]
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


def check_parity(
    program: Program, samples: Arrays, *, threads: int | None = None
) -> ParityCertificate:
    """Runs the engine at every level that this machine has and compares every tensor.

    The level that serves here, the one that `Engine` takes by itself, is tuned as it is when it
    serves, and its outputs are compared once more from the plan that serves, in which steps are
    fused. Which candidates win is a matter of time, and another process may choose others; so the
    other levels, on which a tuning that nobody uses would take most of the time, keep the first.

    Args:
        program: A verified program.
        samples: One array for each input.
        threads: How many levels to compare at the same time, at most 2, for each keeps all its
            values; None for what the usable CPUs allow.

    Raises:
        EngineError: a tensor differs from the interpreter's.
    """
    with ThreadPoolExecutor(min(threads or usable_cpus(), MOST_THREADS)) as pool:
        expected = pool.submit(interpret, program, samples)
        served = Engine(program)
        levels = [
            pool.submit(_compare_level, program, samples, isa, served, expected)
            for isa in available_isas()
        ]
    comparisons = [level.result() for level in levels]
    for comparison in comparisons:
        _expect_equal(comparison)
    differing = sum(comparison.differing for comparison in comparisons)
    return ParityCertificate(
        sample_count=len(samples[program.inputs[0]]),
        max_difference=0,  # no byte of any value differs
        isas=tuple(comparison.isa for comparison in comparisons),
        differing_bytes=differing,
        compared_bytes=sum(comparison.compared for comparison in comparisons),
    )


def differing_bytes(found: NDArray[Any], expected: NDArray[Any]) -> int:
    """Counts the bytes in which two arrays differ: all, where type or shape are not the same."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return max(found.nbytes, expected.nbytes, 1)
    lhs, rhs = (np.frombuffer(array.tobytes(), np.uint8) for array in (found, expected))
    return int(np.count_nonzero(lhs != rhs))


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


@dataclass(frozen=True, slots=True)
class _Comparison:
    """What one level differs in.

    Attributes:
        isa: The level.
        compared: Bytes that were compared.
        differing: Bytes that differ.
        tensor: The first tensor that differs; None if there is none.
    """

    isa: str
    compared: int
    differing: int
    tensor: str | None


def _compare_level(
    program: Program,
    samples: Arrays,
    isa: str,
    served: Engine,
    expected: Future[dict[str, NDArray[Any]]],
) -> _Comparison:
    engine = served if isa == served.isa else Engine(program, isa=isa, tune=False)
    written = engine.run_all(samples)
    pairs = [(step.output, written[step.output]) for step in program.steps]
    if engine is served:
        pairs += engine.run(samples).items()
    reference = expected.result()
    counts = [(name, differing_bytes(found, reference[name])) for name, found in pairs]
    return _Comparison(
        isa=isa,
        compared=sum(found.nbytes for _, found in pairs),
        differing=sum(count for _, count in counts),
        tensor=next((name for name, count in counts if count > 0), None),
    )


def _expect_equal(comparison: _Comparison) -> None:
    if comparison.differing == 0:
        return
    raise EngineError(
        f"tensor {comparison.tensor} on {comparison.isa} differs from the reference, "
        f"{comparison.differing} of {comparison.compared} bytes in all; the program is not usable "
        "here, please report this with the model",
        reason="PARITY_FAILED",
        tensor=str(comparison.tensor),
        isa=comparison.isa,
    )


def _spatial(program: Program, tensor: str) -> tuple[int, ...]:
    return tuple(extent or 1 for extent in program.tensor(tensor).shape[2:])
