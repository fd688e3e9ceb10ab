"""Stated shapes: integers, and one symbol for the batch size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from smidgen.formats.limits import Limits
from smidgen.formats.pt2.reasons import Pt2Reason
from smidgen.formats.pt2.records import Extent, RangeConstraint, SymExpr, TensorMeta
from smidgen.formats.pt2.symbols import Expression, Operation, Symbol, parse_expression
from smidgen.formats.refusal import refusal
from smidgen.graph.arguments import BATCH_SIZE, Size
from smidgen.graph.batch_extents import multiple
from smidgen.graph.operations import Shape


class Dimensions:
    """Turns stated extents into shapes in which None is the batch size.

    Args:
        inputs: What the file states of the user's inputs; their first extents tell the symbol.
        limits: Caps.
    """

    def __init__(self, inputs: Iterable[TensorMeta], limits: Limits) -> None:
        self._limits = limits
        self._parsed: dict[str, Expression] = {}
        self.batch_symbol: str | None = None
        for meta in inputs:
            first = self._expression(meta.sizes[0]) if meta.sizes else 1
            if isinstance(first, Symbol):
                self.batch_symbol = self.batch_symbol or first.name

    def shape(self, meta: TensorMeta, name: str) -> Shape:
        """Returns the stated shape of a tensor.

        Raises:
            InvalidModelError: PT2_DYNAMIC_SHAPE_UNSUPPORTED if a later extent is dynamic.
        """
        shape = tuple(self.extent(size, name) for size in meta.sizes)
        if None in shape[1:]:
            raise _only_batch(name, "the batch size in a later dimension")
        return shape

    def extent(self, extent: Extent, name: str) -> int | None:
        """Returns an extent, or None if it is the batch size."""
        expression = self._expression(extent)
        if isinstance(expression, Symbol) and expression.name == self.batch_symbol:
            return None
        if not isinstance(expression, int):
            shown = extent.expr_str if isinstance(extent, SymExpr) else str(extent)
            raise _only_batch(name, f"the symbolic size {shown[:80]!r}")
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

    def batch_range(
        self, constraints: Mapping[str, RangeConstraint]
    ) -> tuple[int, int | None] | None:
        """Returns the least and greatest batch size, or None if it is fixed."""
        if self.batch_symbol is None:
            return None
        bounds = constraints.get(self.batch_symbol, RangeConstraint(1, None))
        least, greatest = max(bounds.min_val or 1, 1), bounds.max_val
        if greatest is not None and greatest < least:
            found = f"the batch size is stated to be at least {least} and at most {greatest}."
            raise refusal(Pt2Reason.BAD_SIGNATURE, found)
        return least, greatest

    def _expression(self, extent: Extent) -> Expression:
        if not isinstance(extent, SymExpr):
            return extent
        if extent.expr_str not in self._parsed:
            self._parsed[extent.expr_str] = parse_expression(extent.expr_str)
        return self._parsed[extent.expr_str]


def _only_batch(name: str, found: str) -> Exception:
    return refusal(
        Pt2Reason.DYNAMIC_SHAPE_UNSUPPORTED,
        f"{name!r} has {found}. Export the model with only the first dimension of its inputs "
        "dynamic, the same one for all inputs.",
    )
