"""Looks at requests: runs the float twin on their inputs, counts values and compares answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.engine import Engine
from smidgen.health.counting import count_tensor
from smidgen.health.findings import Findings
from smidgen.health.twin import NoTwinError, float_twin
from smidgen.program import Program

Arrays = Mapping[str, NDArray[Any]]
MOST_ERROR = 0.1
"""The root mean square of an answer's error, as a share of the twin's answer: 20 dB."""


class Examiner:
    """The float twin of one version, on an engine of its own.

    Attributes:
        is_of_one_size: Whether all requests have extents alike, so that what is too large for one
            is for all.

    Args:
        program: The version's.
        most_constant_bytes: Most memory of the twin's weights; None for no limit.
        most_bytes: Most memory for the activations of one run.
        most_work: Most operations of one run.

    Raises:
        NoTwinError: the program remembers nothing of its calibration, has a step without a
            counterpart in float, or weights that are too large there.
    """

    def __init__(
        self,
        program: Program,
        *,
        most_constant_bytes: int | None = None,
        most_bytes: int | None = None,
        most_work: int | None = None,
    ) -> None:
        if program.health is None:
            raise NoTwinError(
                "the version has no histograms of its calibration: it was made by an earlier "
                "release, imported, or calibrated without statistics"
            )
        self._watched = tuple((one, program.tensor(one.tensor)) for one in program.health.watched)
        twin = float_twin(program, program.health.tensors, most_constant_bytes)
        self._names = twin.names
        self._output = program.outputs[0]
        # Samples are examined one at a time, so the number of them is none that requests choose.
        shapes = [program.tensor(name).shape for name in program.inputs]
        self.is_of_one_size = not any(None in shape[1:] for shape in shapes)
        # Untuned: that would take half a second, and this runs now and then.
        self._engine = Engine(twin.program, most_bytes=most_bytes, most_work=most_work, tune=False)
        self._constant_bytes = twin.program.constant_bytes

    @property
    def memory_bytes(self) -> int:
        """What weights and plans take, in bytes."""
        return self._constant_bytes + self._engine.memory_bytes

    def drop_plans(self) -> None:
        """Gives back what plans take; the next request makes one anew."""
        self._engine.drop_plans()

    def examine(
        self,
        inputs: Arrays,
        answer: NDArray[Any] | None,
        run: Callable[[Callable[[], Arrays]], Arrays] = lambda work: work(),
    ) -> Findings:
        """Looks at one request.

        Args:
            inputs: One array for each input, checked, of one sample.
            answer: The version's first output for them; None if it is not there.
            run: Does the long part, which holds no lock of the interpreter.

        Raises:
            InvalidTensorError: the run would go beyond a limit.
        """
        values = {**inputs, **run(lambda: self._engine.run_checked(inputs))}
        tensors = tuple(
            count_tensor(watched, tensor, values[self._names[watched.tensor]])
            for watched, tensor in self._watched
        )
        differs = answer is not None and disagree(answer, values[self._names[self._output]])
        return Findings(1, int(answer is not None), int(differs), tensors)


def disagree(answer: NDArray[Any], expected: NDArray[Any]) -> bool:
    """Tells whether an answer says something else than the twin's.

    That is another class where there are classes ([N, C] of floats, or integers), and else an error
    with a root mean square above a tenth of the answer's.
    """
    if answer.dtype.kind != "f":
        return not np.array_equal(answer, expected)
    if answer.ndim == 2 and answer.shape[1] > 1:
        return bool((answer.argmax(axis=1) != expected.argmax(axis=1)).any())
    signal = np.square(expected, dtype=np.float64).sum()
    noise = np.square(np.subtract(answer, expected, dtype=np.float64)).sum()
    return not noise <= MOST_ERROR**2 * signal  # NaN disagrees
