"""Stated shapes: integers, and one symbol for the batch size."""

from __future__ import annotations

from collections.abc import Mapping

from smidgen.formats.limits import Limits
from smidgen.formats.pt2.reasons import Pt2Reason
from smidgen.formats.pt2.records import Extent, RangeConstraint, SymExpr, TensorMeta
from smidgen.formats.pt2.symbol_names import SymbolNames
from smidgen.formats.pt2.symbols import Expression, Operation, Symbol, parse_expression
from smidgen.formats.refusal import refusal
from smidgen.graph.arguments import BATCH_SIZE, Size
from smidgen.graph.batch_extents import multiple
from smidgen.graph.operations import Shape


class Dimensions:
    """Turns stated extents into shapes in which None is the batch size.

    Args:
        inputs: What the file states of the user's inputs, by their names for people; their first
            extents tell the symbol.
        constraints: The ranges of the symbols.
        limits: Caps.
    """

    def __init__(
        self,
        inputs: Mapping[str, TensorMeta],
        constraints: Mapping[str, RangeConstraint],
        limits: Limits,
    ) -> None:
        self._limits = limits
        self._constraints = constraints
        self._parsed: dict[str, Expression] = {}
        self.batch_symbol: str | None = None
        for meta in inputs.values():
            first = self._expression(meta.sizes[0]) if meta.sizes else 1
            if isinstance(first, Symbol):
                self.batch_symbol = self.batch_symbol or first.name
        self._names = SymbolNames(self.batch_symbol, constraints)
        for name, meta in inputs.items():
            for axis, size in enumerate(meta.sizes):
                self._names.add(self._expression(size), name, axis)

    def shape(self, meta: TensorMeta, name: str) -> Shape:
        """Returns the stated shape of a tensor.

        Raises:
            InvalidModelError: PT2_DYNAMIC_SHAPE_UNSUPPORTED if a later extent is dynamic.
        """
        shape = tuple(self.extent(size, name) for size in meta.sizes)
        if None in shape[1:]:
            raise self._refused(name, Symbol(self.batch_symbol or ""))
        return shape

    def check_input(self, meta: TensorMeta, name: str) -> None:
        """Refuses an input of which a later extent is dynamic.

        Args:
            meta: What the file states.
            name: The input's name for people.

        Raises:
            InvalidModelError: PT2_DYNAMIC_SHAPE_UNSUPPORTED.
        """
        for axis, size in enumerate(meta.sizes):
            expression = self._expression(size)
            is_batch = axis == 0 and expression == Symbol(self.batch_symbol or "")
            if not isinstance(expression, int) and not is_batch:
                found = self._names.refused_axis(expression, name, axis)
                raise refusal(Pt2Reason.DYNAMIC_SHAPE_UNSUPPORTED, found)

    def _refused(self, name: str, expression: Expression) -> Exception:
        found = self._names.refused_value(expression, name)
        return refusal(Pt2Reason.DYNAMIC_SHAPE_UNSUPPORTED, found)

    def extent(self, extent: Extent, name: str) -> int | None:
        """Returns an extent, or None if it is the batch size."""
        expression = self._expression(extent)
        if isinstance(expression, Symbol) and expression.name == self.batch_symbol:
            return None
        if not isinstance(expression, int):
            raise self._refused(name, expression)
        if not 1 <= expression <= self._limits.extent:
            found = f"{name!r} has an extent of {expression}, expected 1 to {self._limits.extent}."
            raise refusal(Pt2Reason.SHAPE_MISMATCH, found)
        return expression

    def size(self, extent: Extent, name: str) -> Size:
        """Returns an extent that may be the batch size or a multiple of it."""
        factor = self.batch_multiple(extent)
        if factor is not None:
            return multiple(factor)
        found = self.extent(extent, name)
        return BATCH_SIZE if found is None else found

    def batch_multiple(self, extent: Extent) -> int | None:
        """Returns how many times the batch size an extent is, or None if it is no multiple."""
        expression = self._expression(extent)
        if not isinstance(expression, Operation) or expression.head != "Mul":
            return None
        factor = 1
        symbols = 0
        for argument in expression.arguments:
            if isinstance(argument, Symbol) and argument.name == self.batch_symbol:
                symbols += 1
            elif isinstance(argument, int):
                factor *= argument
            else:
                return None
        return factor if symbols == 1 else None

    def batch_range(self) -> tuple[int, int | None] | None:
        """Returns the least and greatest batch size, or None if it is fixed."""
        if self.batch_symbol is None:
            return None
        bounds = self._constraints.get(self.batch_symbol, RangeConstraint(1, None))
        least, greatest = max(bounds.min_val or 1, 1), bounds.max_val
        if greatest is not None and greatest < least:
            found = f"the batch size is stated to be at least {least} and at most {greatest}."
            raise refusal(Pt2Reason.BAD_SIGNATURE, found)
        if least > self._limits.extent:
            found = (
                f"the batch size is stated to be at least {least}, beyond {self._limits.extent}."
            )
            raise refusal(Pt2Reason.BAD_SIGNATURE, found)
        return least, greatest

    def _expression(self, extent: Extent) -> Expression:
        if not isinstance(extent, SymExpr):
            return extent
        if extent.expr_str not in self._parsed:
            self._parsed[extent.expr_str] = parse_expression(extent.expr_str)
        return self._parsed[extent.expr_str]
