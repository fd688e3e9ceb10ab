"""Runs integer programs fast; equal to `smidgen.program.interpret` byte for byte."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smidgen import _engine
from smidgen.bytes_run import BytesRun
from smidgen.config import Preprocessing
from smidgen.cpus import usable_cpus
from smidgen.errors import InvalidTensorError
from smidgen.lowering import lower
from smidgen.plan_description import PlanDescription
from smidgen.program import DType, Program, TensorInfo, index_counts, verify
from smidgen.tensor_spec import TensorSpec

Sharing = Literal["shared", "unequal", "impossible"]
"""What came of sharing weights, see `Engine.share_weights`."""
_MOST_BYTES_RUNS = 64


def available_isas() -> tuple[str, ...]:
    """Returns the instruction-set levels that this machine can run, lowest first."""
    return tuple(_engine.available_isas())


def measure_peak(isa: str) -> float | None:
    """Measures the most multiply-accumulates of bytes a second that one core can do, in 30 ms.

    Args:
        isa: One of `available_isas()`; returns None for "portable", which has no vectors.

    Raises:
        EngineError: the level is unknown or not available.
    """
    return _engine.measure_peak(isa)


class Engine:
    """One program with its weights packed for one instruction-set level.

    Any number of threads may call `run` at the same time. With `threads` above 1, runs share the
    worker threads and take turns.

    Args:
        program: A program that `verify` accepts; it is verified here.
        threads: Threads of one run, the caller's among them; 1 to 256, or None for one for each
            CPU that this process may use.
        isa: One of `available_isas()`; None for the one that the environment variable SMIDGEN_ISA
            names, or the best.
        most_bytes: Most memory for the activations of one run; None for no limit.
        most_work: Most operations of one run, roughly multiplications; None for no limit.
        tune: Whether the first run with a set of input shapes may take up to about half a second
            longer to measure which of several ways of doing each step is the fastest here. The
            values are the same whichever it is.
        most_weight_bytes: Most memory for the packed weights; None for no limit. Each step has its
            own, also of a constant that several steps share.

    Raises:
        ProgramError: the program breaks a rule.
        EngineError: the level is unknown or not available, or the threads are, or the weights take
            more than they may (reason ENGINE_TOO_LARGE).
    """

    def __init__(
        self,
        program: Program,
        *,
        threads: int | None = 1,
        isa: str | None = None,
        most_bytes: int | None = None,
        most_work: int | None = None,
        tune: bool = True,
        most_weight_bytes: int | None = None,
    ) -> None:
        verify(program)
        lowered, tensors = lower(program)
        self._index_counts = index_counts(program)
        self._inputs = tuple(program.tensor(name) for name in program.inputs)
        self._input_specs = tuple(
            TensorSpec(name=tensor.name, dtype=tensor.dtype.value, shape=tensor.shape)
            for tensor in self._inputs
        )
        self._input_names = {tensor.name for tensor in self._inputs}
        self._input_dtypes = tuple(tensor.dtype.numpy for tensor in self._inputs)
        self._outputs = {name: tensors[name] for name in program.outputs}
        self._output_indices = list(self._outputs.values())
        self._output_dtypes = tuple((name, program.tensor(name).dtype) for name in program.outputs)
        self._written = {step.output: tensors[step.output] for step in program.steps}
        self._names = list(tensors)
        self._preprocessing = program.preprocessing
        self._bytes_runs: dict[tuple[int, ...], BytesRun] = {}
        threads = usable_cpus() if threads is None else threads
        self._engine = _engine.Engine(
            lowered, threads, isa, most_bytes, most_work, tune, most_weight_bytes
        )

    @property
    def preprocessing(self) -> Preprocessing | None:
        """How images become the program's input, where the program says."""
        return self._preprocessing

    @property
    def input_names(self) -> tuple[str, ...]:
        """The program's inputs, in its order."""
        return tuple(tensor.name for tensor in self._inputs)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The program's outputs, in its order."""
        return tuple(self._outputs)

    @property
    def isa(self) -> str:
        """The instruction-set level in use."""
        return self._engine.isa

    @property
    def threads(self) -> int:
        """The threads of one run."""
        return self._engine.threads

    @property
    def cached_plan_count(self) -> int:
        """The plans kept for later runs, at most 8: one a set of input shapes and parallel run."""
        return self._engine.cached_plan_count

    @property
    def memory_bytes(self) -> int:
        """What the packed weights and the plans kept for later runs take, in bytes."""
        return self._engine.memory_bytes

    @property
    def shareable_bytes(self) -> int:
        """The bytes of packed weights that `share_weights` shares."""
        return self._engine.shareable_bytes

    def share_weights(self, file: int) -> Sharing:
        """Keeps the packed weights in common with engines of other processes.

        The first engine writes its weights to the file and seals it. Each maps the file in the
        place of its own weights if it has the same bytes, so that they are in memory once. Values
        of runs never change by it, and runs may go on meanwhile.

        Args:
            file: A descriptor from `os.memfd_create` with `MFD_ALLOW_SEALING`, of the same file in
                all processes, which the caller may close afterwards. It is for engines of one
                program, with the same level. What an unsealed one holds is written over.

        Returns:
            "shared"; "unequal" if the file is sealed with other bytes, and "impossible" if the
            system has no such files or no room: then the engine keeps weights of its own.
        """
        return self._engine.share_weights(file)

    def drop_plans(self) -> None:
        """Gives the memory of the plans kept for later runs back; later runs make them anew."""
        self._engine.drop_plans()

    def run(
        self, inputs: Mapping[str, NDArray[Any]], *, check_finite: bool = True
    ) -> dict[str, NDArray[Any]]:
        """Computes the outputs.

        Args:
            inputs: One array for each input of the program, of its type and shape.
            check_finite: Whether to refuse NaN and infinities in float inputs.

        Raises:
            InvalidTensorError: an input is missing, unknown, of another type or shape, or not
                finite, an index selects no row, or the run would go beyond a limit (reason
                INFERENCE_TOO_LARGE).
        """
        return self._run(inputs, self._outputs, check_finite)

    def run_checked(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Computes the outputs for a caller that has checked the inputs against the program.

        Args:
            inputs: As for `run`, C-contiguous. Whether floats are finite is not looked at.

        Raises:
            InvalidTensorError: an index selects no row, the run would go beyond a limit, or a type
                or shape does not fit after all.
            KeyError: an input is missing.
        """
        values = self._engine.run(self._in_order(inputs), self._output_indices)
        return dict(zip(self._outputs, values, strict=True))

    def run_planned(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]] | None:
        """As `run_checked` if that can begin at once; None otherwise.

        For short runs on a thread that must not wait: a new plan takes milliseconds, tuned half a
        second, and so may a run of others that has the threads. The interpreter's lock is held
        meanwhile, since letting it go costs more.
        """
        values = self._engine.run_planned(self._in_order(inputs), self._output_indices)
        return None if values is None else dict(zip(self._outputs, values, strict=True))

    def submit_to(
        self, queue: _engine.RunQueue, requests: Sequence[Mapping[str, NDArray[Any]]]
    ) -> _engine.QueuedRun:
        """Lets a thread of a `smidgen.run_queue.RunQueue` compute; see there."""
        arrays = [self._in_order(inputs) for inputs in requests]
        return queue.submit(self._engine, arrays, self._output_indices)

    def bytes_run(self, shape: tuple[int, ...]) -> BytesRun | None:
        """Returns runs of one shape of the only input, from bytes to bytes.

        They begin at once, as `run_planned`.

        Returns:
            None for programs of several inputs or of indices, which are looked at as arrays, and
            for shapes that no plan is cached for.
        """
        known = self._bytes_runs.get(shape)
        if known is not None or self._index_counts or len(self._inputs) != 1:
            return known
        made = _engine.BytesRun(self._engine, shape, self._output_indices)
        shapes = made.output_shapes()
        if shapes is None:
            return None
        outputs = tuple(
            (name, dtype.value, tuple(found))
            for (name, dtype), found in zip(self._output_dtypes, shapes, strict=True)
        )
        output_bytes = sum(
            math.prod(found) * dtype.numpy.itemsize
            for (_, dtype), found in zip(self._output_dtypes, shapes, strict=True)
        )
        if len(self._bytes_runs) >= _MOST_BYTES_RUNS:
            self._bytes_runs.clear()
        return self._bytes_runs.setdefault(shape, BytesRun(made.run, outputs, output_bytes))

    def run_all(
        self, inputs: Mapping[str, NDArray[Any]], *, check_finite: bool = True
    ) -> dict[str, NDArray[Any]]:
        """Computes every tensor of the program, inputs included, each in its logical layout.

        Raises:
            InvalidTensorError: as for `run`.
        """
        return {**inputs, **self._run(inputs, self._written, check_finite)}

    def time_runs(self, inputs: Mapping[str, NDArray[Any]], *, rounds: int) -> NDArray[np.float64]:
        """Runs `rounds` times in a row and returns the seconds of each run, without Python's part.

        Raises:
            InvalidTensorError: as for `run`.
        """
        return self._engine.time_runs(self._arrays(inputs), list(self._outputs.values()), rounds)

    def time_steps(
        self, inputs: Mapping[str, NDArray[Any]], *, rounds: int
    ) -> dict[str, NDArray[np.float64]]:
        """Runs `rounds` times and returns each step's seconds, [rounds], by the tensor it writes.

        Tensors without an entry are written by no step of their own: the engine made them part of
        another step.

        Raises:
            InvalidTensorError: as for `run`.
        """
        arrays = self._arrays(inputs)
        outputs = list(self._outputs.values())
        written, seconds = self._engine.time_steps(arrays, outputs, rounds)
        by_output: dict[str, NDArray[np.float64]] = {}
        for step, index in enumerate(written):
            name = self._names[index]
            by_output[name] = by_output.get(name, 0.0) + seconds[:, step]
        return by_output

    def describe_plan(self, shapes: Mapping[str, Sequence[int]]) -> PlanDescription:
        """Plans runs on inputs of these shapes, by name, and returns the plan.

        Raises:
            InvalidTensorError: the shapes do not fit, or the run would go beyond a limit.
        """
        extents = [tuple(shapes[tensor.name]) for tensor in self._inputs]
        plan = self._engine.describe_plan(extents, list(self._outputs.values()))
        return PlanDescription.from_indices(plan, self._names)

    def _run(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Mapping[str, int], check_finite: bool
    ) -> dict[str, NDArray[Any]]:
        arrays = self._arrays(inputs, check_finite)
        values = self._engine.run(arrays, list(outputs.values()))
        return dict(zip(outputs, values, strict=True))

    def _arrays(
        self, inputs: Mapping[str, NDArray[Any]], check_finite: bool = True
    ) -> list[NDArray[Any]]:
        if not inputs.keys() <= self._input_names:
            unknown = sorted(inputs.keys() - self._input_names)
            expected = ", ".join(tensor.name for tensor in self._inputs)
            raise InvalidTensorError(
                f"input {unknown[0]!r} is unknown, expected {expected}",
                reason="INPUT_UNKNOWN",
                found=unknown[0],
                expected=expected,
            )
        arrays = [
            _checked(tensor, spec, dtype, inputs, check_finite)
            for tensor, spec, dtype in zip(
                self._inputs, self._input_specs, self._input_dtypes, strict=True
            )
        ]
        if self._index_counts:
            self._check_indices(arrays)
        return arrays

    def _in_order(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        arrays = [inputs[tensor.name] for tensor in self._inputs]
        if self._index_counts:
            self._check_indices(arrays)
        return arrays

    def _check_indices(self, arrays: Sequence[NDArray[Any]]) -> None:
        for tensor, array in zip(self._inputs, arrays, strict=True):
            if tensor.name in self._index_counts:
                _check_indices(tensor.name, array, self._index_counts[tensor.name])


def first_not_finite(values: NDArray[Any]) -> int | None:
    """Returns the flat index of the first NaN or infinity; None where there is none.

    Args:
        values: Of type float32 and any shape, C-contiguous.
    """
    found = _engine.first_not_finite(values)
    return None if found < 0 else found


def _check_indices(name: str, array: NDArray[Any], count: int) -> None:
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= count:
        raise InvalidTensorError(
            f"input {name!r} has values from {low} to {high}, expected indices from 0 to "
            f"{count - 1}",
            reason="INDEX_OUT_OF_RANGE",
            tensor=name,
        )


def _checked(
    tensor: TensorInfo,
    spec: TensorSpec,
    dtype: np.dtype[Any],
    inputs: Mapping[str, NDArray[Any]],
    check_finite: bool,
) -> NDArray[Any]:
    name = tensor.name
    if name not in inputs:
        raise InvalidTensorError(
            f"input {name!r} is missing, give one array for each input",
            reason="INPUT_MISSING",
            expected=name,
        )
    array = np.asarray(inputs[name])
    if array.dtype != dtype:
        raise InvalidTensorError(
            f"input {name!r} is {array.dtype}, expected {tensor.dtype}",
            reason="TENSOR_DTYPE_MISMATCH",
            tensor=name,
            found=str(array.dtype),
            expected=tensor.dtype.value,
        )
    if not spec.accepts_shape(array.shape):
        raise InvalidTensorError(
            f"input {name!r} has shape {list(array.shape)}, expected {spec.describe_shape()} "
            "with nothing empty",
            reason="TENSOR_SHAPE_MISMATCH",
            tensor=name,
            found=str(list(array.shape)),
            expected=spec.describe_shape(),
        )
    if not (array.flags.c_contiguous and array.flags.aligned):
        array = np.require(array, requirements=["C_CONTIGUOUS", "ALIGNED"])
    if check_finite and tensor.dtype is DType.FLOAT32 and first_not_finite(array) is not None:
        raise InvalidTensorError(
            f"input {name!r} has a NaN or an infinity, expected finite values",
            reason="TENSOR_NOT_FINITE",
            tensor=name,
        )
    return array
