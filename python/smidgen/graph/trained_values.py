"""Which constants of a model follow from its parameters, and which training must leave as they are.

Masks, positions, statistics of pictures and kernels that blur come as buffers and constants of a
file. What an operator makes of a parameter, such as its reshaped or joined form, is trained in the
parameter's place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from smidgen.graph.arguments import Constant, Weight

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that is read.

    Attributes:
        has_parameter: Whether one of its operands follows from a parameter.
        operands: id() of the constants among them.
    """

    has_parameter: bool
    operands: frozenset[int]


class TrainedValues:
    """Follows parameters through the calls of one model.

    Args:
        names: The parameters of the file by name.
        repeated: Returns the constant that a value repeats for each sample, or None.
    """

    def __init__(
        self, names: Iterable[str], repeated: Callable[[object], Weight | Constant | None]
    ) -> None:
        self._names = set(names)
        self._repeated = repeated
        self._constants: dict[int, Constant] = {}  # which keeps them, so that no id() comes again
        self._calls: list[_Call] = []

    @property
    def names(self) -> frozenset[str]:
        """The names of all weights that follow from parameters."""
        return frozenset(self._names)

    def follows(self, value: Weight | Constant) -> bool:
        """Tells whether a value follows from a parameter."""
        if isinstance(value, Weight):
            return value.name in self._names
        return id(value) in self._constants or any(
            call.has_parameter and id(value) not in call.operands for call in self._calls
        )

    def name(self, name: str, value: object) -> None:
        """Notes the name that a constant gets as a weight."""
        if isinstance(value, Weight | Constant) and self.follows(value):
            self._names.add(name)

    def keep(self, value: object) -> None:
        """Notes a constant that was made in the call at hand and is read by later ones."""
        if isinstance(value, Constant) and self.follows(value):
            self._constants[id(value)] = value

    def through(
        self, operands: Iterable[object], call: Callable[[], Sequence[Result]]
    ) -> Sequence[Result]:
        """Makes a call: what is made in it follows from a parameter if one of its operands does.

        Args:
            operands: What it reads.
            call: Reads it and returns its results.
        """
        constants = list(self._constants_of(operands))
        has_parameter = any(map(self.follows, constants))
        self._calls.append(_Call(has_parameter, frozenset(map(id, constants))))
        try:
            results = call()
            for result in results:
                self.keep(result)
        finally:
            self._calls.pop()
        return results

    def _constants_of(self, operands: Iterable[object]) -> Iterator[Weight | Constant]:
        for operand in operands:
            if isinstance(operand, Weight | Constant):
                yield operand
            elif isinstance(operand, tuple):
                yield from self._constants_of(operand)
            else:
                repeated = self._repeated(operand)
                if repeated is not None:
                    yield repeated
