"""Names of our own for the symbolic extents of a file, for messages to people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from smidgen.formats.pt2.records import RangeConstraint
from smidgen.formats.pt2.symbols import Expression, Operation, Symbol

_MOST_SHOWN = 120
_SIGNS = {"Add": " + ", "Mul": " * "}
_ADVICE = (
    "Only the first axis of inputs may be dynamic, and by the same torch.export.Dim in all of them:"
)
_FIX = (
    "leave the axis out of dynamic_shapes of torch.export.export, so that it has the size of the "
    "example, and cut or pad the data to it"
)
_SAMPLES_FIRST = (
    "where it counts the samples, export a module that takes them first and transposes inside"
)


@dataclass(frozen=True, slots=True)
class _Origin:
    """The axis of an input that a symbol was found on first."""

    input_name: str
    axis: int


class SymbolNames:
    """Names symbols D1, D2, ... in the order of the inputs; that of the samples is `batch`.

    Args:
        batch_symbol: The symbol of the batch size; None if that is fixed.
        constraints: The ranges of the symbols.
    """

    def __init__(
        self, batch_symbol: str | None, constraints: Mapping[str, RangeConstraint]
    ) -> None:
        self._batch_symbol = batch_symbol
        self._constraints = constraints
        self._origins: dict[str, _Origin] = {}

    def add(self, expression: Expression, input_name: str, axis: int) -> None:
        """Notes where the symbols of an extent of an input come from."""
        for name in _symbols(expression):
            self._origins.setdefault(name, _Origin(input_name, axis))

    def refused_axis(self, expression: Expression, input_name: str, axis: int) -> str:
        """Says that an axis of an input may not be dynamic, and what to do."""
        found = (
            f"axis {axis} of the input {input_name!r} is dynamic: {self._described(expression)}."
        )
        if isinstance(expression, Symbol) and axis == 0:
            return (
                f"{found} {_ADVICE} give axis 0 of {input_name!r} and of "
                f"{self._batch_input()!r} one torch.export.Dim."
            )
        others = "" if self._batch_symbol and axis else f"; {_SAMPLES_FIRST}"
        return f"{found} {_ADVICE} {_FIX}{others}."

    def refused_value(self, expression: Expression, name: str) -> str:
        """Says that a value may not have such a size, and what to do."""
        origins = "".join(f", {text}" for text in self._origins_of(expression))
        return (
            f"{name[:64]!r} has an axis of the size {self._shown(expression)}{origins}. Only the "
            "first axis may depend on the size of an input, and be the number of samples: reshape "
            "it so, or export the model with a fixed size."
        )

    def _batch_input(self) -> str:
        origin = self._origins.get(self._batch_symbol or "")
        return origin.input_name if origin else ""

    def _described(self, expression: Expression) -> str:
        if isinstance(expression, Symbol):
            return f"{self._name(expression.name)}, {self._range(expression.name)}"
        return ", ".join([self._shown(expression), *self._origins_of(expression)])

    def _range(self, symbol: str) -> str:
        bounds = self._constraints.get(symbol, RangeConstraint(None, None))
        least = 0 if bounds.min_val is None else bounds.min_val
        return f"{least} to {'any number' if bounds.max_val is None else bounds.max_val}"

    def _origins_of(self, expression: Expression) -> Iterator[str]:
        """Says of each symbol which range it has, and which axis it is."""
        for name in dict.fromkeys(_symbols(expression)):
            origin = self._origins.get(name)
            place = f" (axis {origin.axis} of {origin.input_name!r})" if origin else ""
            yield f"where {self._name(name)}{place} is {self._range(name)}"

    def _name(self, symbol: str) -> str:
        if symbol == self._batch_symbol:
            return "batch"
        others = [name for name in self._origins if name != self._batch_symbol]
        return f"D{others.index(symbol) + 1}" if symbol in others else "D?"

    def _shown(self, expression: Expression) -> str:
        text = self._written(expression)
        return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."

    def _written(self, expression: Expression) -> str:
        if isinstance(expression, int):
            return str(expression)
        if isinstance(expression, Symbol):
            return self._name(expression.name)
        parts = [self._written(part) for part in expression.arguments]
        if expression.head in _SIGNS:
            return f"({_SIGNS[expression.head].join(parts)})"
        return f"{expression.head}({', '.join(parts)})"


def _symbols(expression: Expression) -> Iterator[str]:
    if isinstance(expression, Symbol):
        yield expression.name
    elif isinstance(expression, Operation):
        for part in expression.arguments:
            yield from _symbols(part)
