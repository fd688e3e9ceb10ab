"""One computation of an engine, and the answer that is made of its results."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from smidgen.bytes_run import BytesRun
from smidgen.engine import Engine
from smidgen_service.errors import TooLargeError
from smidgen_service.handlers.classes import greatest_values, least_bytes
from smidgen_service.handlers.tensors import RawTensor, check_finite, raw_tensor
from smidgen_service.statistics import StageTimes

Arrays = Mapping[str, NDArray[np.generic]]
_SHAPE: Callable[[NDArray[np.generic]], tuple[int, ...]] = attrgetter("shape")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request wants of the results.

    Attributes:
        names: Outputs, in this order.
        class_counts: Of outputs of which only the greatest values are wanted: how many.
        most_bytes: Most bytes of them all.
    """

    names: Sequence[str]
    class_counts: Mapping[str, int]
    most_bytes: int


@dataclass(frozen=True, slots=True)
class Computed:
    """What a request got.

    Attributes:
        outputs: Its outputs.
        samples: Its samples.
        isa: The instruction set that computed.
        started_s: When its computation began, by time.perf_counter.
        times: Of that computation.
    """

    outputs: tuple[RawTensor, ...]
    samples: int
    isa: str
    started_s: float
    times: StageTimes


def compute_at_once(engine: Engine, arrays: Arrays, wanted: Wanted) -> Computed | None:
    """Computes one request by itself if the engine need neither plan nor wait for it.

    Raises:
        InvalidTensorError: a value is not finite, or the engine refuses the inputs.
        TooLargeError: the outputs do not fit into an answer.
    """
    started_s = time.perf_counter()
    check_finite(arrays)
    checked_s = time.perf_counter()
    results = engine.run_planned(arrays)
    if results is None:
        return None
    computed_s = time.perf_counter()
    outputs = answer_of(results, wanted)
    times = StageTimes(
        checked_s - started_s, computed_s - checked_s, time.perf_counter() - computed_s
    )
    return Computed(outputs, samples_of(arrays), engine.isa, started_s, times)


def compute_bytes(
    run: BytesRun, values: bytes | memoryview, samples: int, isa: str
) -> Computed | None:
    """Computes one request of one input from its bytes; None if it has to be done with arrays.

    Where a value is not finite, too: the way with arrays finds out which.
    """
    started_s = time.perf_counter()
    found = run.run(values)
    if found is None:
        return None
    results, input_s, compute_s = found
    outputs = tuple(
        RawTensor(name, dtype, shape, data)
        for (name, dtype, shape), data in zip(run.outputs, results, strict=True)
    )
    return Computed(outputs, samples, isa, started_s, StageTimes(input_s, compute_s, 0.0))


def answer_of(results: Arrays, wanted: Wanted) -> tuple[RawTensor, ...]:
    """Returns results as a request wants them.

    Raises:
        TooLargeError: they do not fit into an answer.
    """
    _check_bytes(sum(_least_bytes(name, results[name], wanted) for name in wanted.names), wanted)
    outputs: list[RawTensor] = []
    for name in wanted.names:
        most = wanted.class_counts.get(name)
        result = results[name]
        outputs.append(
            raw_tensor(name, result) if most is None else greatest_values(name, result, most)
        )
    _check_bytes(sum(len(output.data) for output in outputs), wanted)
    return tuple(outputs)


def _least_bytes(name: str, result: NDArray[np.generic], wanted: Wanted) -> int:
    """Returns what an output takes, at least, before anything is sorted."""
    most = wanted.class_counts.get(name)
    return result.nbytes if most is None else least_bytes(result, most)


def _check_bytes(found: int, wanted: Wanted) -> None:
    if found > wanted.most_bytes:
        raise TooLargeError(
            f"the outputs have {found} bytes, an answer holds at most {wanted.most_bytes}; "
            "send fewer samples at a time, or ask for fewer outputs",
            reason="ANSWER_TOO_LARGE",
            found=found,
            most=wanted.most_bytes,
        )


def samples_of(arrays: Arrays) -> int:
    """Returns the first extent of the first input, 1 where it has none."""
    first = next(iter(arrays.values()))
    return first.shape[0] if first.ndim else 1


def shapes_of(arrays: Arrays) -> tuple[tuple[int, ...], ...]:
    """Returns the shapes of all inputs."""
    return tuple(map(_SHAPE, arrays.values()))
