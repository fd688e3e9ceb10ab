"""What aten.einsum means: linear layers, matrix products, and products that are summed up.

Needs no torch.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass, replace

from smidgen.graph import operations as ops
from smidgen.graph.arguments import (
    Activation,
    ArgumentError,
    Arguments,
    Constant,
    Tensor,
    UnsupportedCase,
    Weight,
)
from smidgen.graph.lowered import Computed, Forwarded, Lowered
from smidgen.graph.operations import FLOAT32, Shape

_MOST_AXES = 8
_EQUATION = re.compile(r"(?:[A-Za-z.,]*)(?:->[A-Za-z.]*)?\Z")
_SPARE = string.ascii_letters[::-1]


@dataclass(frozen=True, slots=True)
class _Term:
    """An operand, each axis with its letter.

    Attributes:
        value: The operand, or what was computed of several.
        axes: The letters in the order of the axes.
    """

    value: Tensor | Computed
    axes: str


@dataclass(frozen=True, slots=True)
class _Letters:
    """What is known of the letters of an equation.

    Attributes:
        extents: The extent of each.
        samples: The one that counts the samples; none if all operands are constants.
    """

    extents: dict[str, int | None]
    samples: str

    def shape(self, axes: str) -> Shape:
        return tuple(self.extents[letter] for letter in axes)

    def product(self, axes: str) -> int:
        return math.prod(self.extents[letter] or 1 for letter in axes)


def einsum(arguments: Arguments) -> Lowered:
    """aten.einsum.default, from the first operand to the last.

    Raises:
        ArgumentError: The equation is malformed or does not fit the operands.
        UnsupportedCase: It takes a diagonal, or joins samples with each other.
    """
    operands = arguments.tensors("tensors")
    if any(operand.dtype != FLOAT32 for operand in operands):
        raise UnsupportedCase("an operand of other than float32")
    equation = arguments["equation"]
    axes, result = _parsed(str(equation), [len(operand.shape) for operand in operands])
    letters = _letters(operands, axes)
    terms = [
        _without_broadcast(operand, names, letters)
        for operand, names in zip(operands, axes, strict=True)
    ]
    if letters.samples and result[:1] != letters.samples:
        raise UnsupportedCase("a result whose samples do not come first")
    while len(terms) > 1:
        kept = {*result, *(letter for term in terms[2:] for letter in term.axes)}
        terms[:2] = [_joined(arguments, terms[0], terms[1], kept, letters)]
    value = _arranged(_summed(terms[0], set(result), letters), result)
    if isinstance(value, Computed):
        return replace(value, shares_storage=len(operands) == 1)
    return Forwarded(value)


def _same(letters: _Letters, axes: str) -> ops.Operation:
    return ops.Reshape(letters.shape(axes))


def _parsed(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """Returns the letters of each operand and of the result, dots replaced by letters."""
    text = "".join(equation.split())
    if not _EQUATION.match(text):
        raise ArgumentError(f"it has the equation {equation[:64]!r}")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise ArgumentError(f"its equation has {len(terms)} operands, found {len(ranks)}")
    spare = [letter for letter in _SPARE if letter not in text]
    axes = [_spelled(term, rank, spare) for term, rank in zip(terms, ranks, strict=True)]
    most = max(rank - len(term.replace("...", "")) for term, rank in zip(terms, ranks, strict=True))
    if arrow:
        result = right.replace("...", "".join(reversed(spare[:most])), 1)
    else:
        every = left.replace("...", "")
        once = sorted(letter for letter in set(every) - {","} if every.count(letter) == 1)
        dots = "".join(reversed(spare[:most])) if "..." in left else ""
        result = dots + "".join(once)
    known = set("".join(axes))
    if "." in result or len(set(result)) != len(result) or not set(result) <= known:
        raise ArgumentError(f"its equation has the result {right[:64]!r}")
    return axes, result


def _spelled(term: str, rank: int, spare: Sequence[str]) -> str:
    """Returns a letter for each axis; dots stand for axes counted from their last one."""
    named = term.replace("...", "", 1)
    missing = rank - len(named)
    if "." in named or missing < 0 or (missing and "..." not in term):
        raise ArgumentError(f"its equation has {term[:64]!r} for an operand of {rank} axes")
    if rank > _MOST_AXES:
        raise UnsupportedCase(f"an operand of {rank} axes")
    axes = term.replace("...", "".join(reversed(spare[:missing])))
    if len(set(axes)) != len(axes):
        raise UnsupportedCase("a diagonal")
    return axes


def _letters(operands: Sequence[Tensor], axes: Sequence[str]) -> _Letters:
    extents: dict[str, int | None] = {}
    samples = set()
    for operand, names in zip(operands, axes, strict=True):
        if isinstance(operand, Activation):
            samples.add(names[:1])
        for letter, extent in zip(names, operand.shape, strict=True):
            known = extents.setdefault(letter, extent)
            if known == 1:
                extents[letter] = extent
            elif extent not in (1, known):
                raise ArgumentError(f"its operands have {known} and {extent} along {letter!r}")
    if len(samples) > 1:
        raise UnsupportedCase("samples that are joined with each other")
    return _Letters(extents, "".join(samples))


def _without_broadcast(operand: Tensor, axes: str, letters: _Letters) -> _Term:
    """Leaves axes of one element out that other operands have more of."""
    kept = [
        (letter, extent)
        for letter, extent in zip(axes, operand.shape, strict=True)
        if extent == letters.extents[letter] or letter == letters.samples
    ]
    if len(kept) == len(axes):
        return _Term(operand, axes)
    if isinstance(operand, Activation) and not kept:
        raise UnsupportedCase("samples that are joined with each other")
    shape = tuple(extent for _, extent in kept)
    names = "".join(letter for letter, _ in kept)
    return _Term(Computed((ops.Reshape(shape),), (operand,)), names)


def _joined(
    arguments: Arguments, first: _Term, second: _Term, kept: set[str], letters: _Letters
) -> _Term:
    """Multiplies two operands and sums up over the letters that nothing else needs."""
    if letters.samples and letters.samples not in first.axes:
        first, second = second, first
    first = _summed(first, kept | set(second.axes), letters)
    second = _summed(second, kept | set(first.axes), letters)
    shared = "".join(letter for letter in first.axes if letter in second.axes)
    batch = "".join(letter for letter in shared if letter in kept)
    summed = "".join(letter for letter in shared if letter not in kept)
    rows = "".join(letter for letter in first.axes if letter not in shared)
    columns = "".join(letter for letter in second.axes if letter not in shared)
    if letters.samples and letters.samples in summed:
        raise UnsupportedCase("a sum over the samples")
    if not summed or not (rows.replace(letters.samples, "") or columns):
        product = _multiplied(first, second, letters)
        return _summed(product, kept, letters)
    is_matrix = isinstance(second.value, Weight | Constant) and not batch
    if is_matrix and letters.samples and letters.samples in rows:
        return _linear(arguments, first, second, (rows, summed, columns), letters)
    return _matrix_product(first, second, (batch, rows, summed, columns), letters)


def _linear(
    arguments: Arguments,
    first: _Term,
    second: _Term,
    groups: tuple[str, str, str],
    letters: _Letters,
) -> _Term:
    """Applies a matrix of weights to the last axis."""
    rows, summed, columns = groups
    assert isinstance(second.value, Weight | Constant)
    order = [second.axes.index(letter) for letter in columns + summed]
    matrix = second.value.array.transpose(order)
    matrix = matrix.reshape(letters.product(columns), letters.product(summed))
    samples, others = rows[:1], rows[1:]
    flat: list[int | None] = [letters.extents[samples]]
    if others:
        flat.append(letters.product(others))
    operations = (
        ops.Reshape((*flat, letters.product(summed))),
        ops.Linear(arguments.new_weight(matrix.copy()), None),
        _same(letters, rows + columns),
    )
    return _Term(Computed(operations, (_arranged(first, rows + summed),)), rows + columns)


def _matrix_product(
    first: _Term, second: _Term, groups: tuple[str, str, str, str], letters: _Letters
) -> _Term:
    """Multiplies matrices, one for each element of the axes that both operands keep."""
    batch, rows, summed, columns = groups
    if letters.samples and letters.samples in rows:  # which then come first, before the matrices
        rows = rows.replace(letters.samples, "")
        lead = letters.samples + batch
    else:
        lead = batch
    inner = letters.product(summed)
    left = Computed(
        (ops.Reshape((*letters.shape(lead), letters.product(rows), inner)),),
        (_arranged(first, lead + rows + summed),),
    )
    ones = (1,) * (len(lead) - len(batch))
    right = Computed(
        (ops.Reshape((*ones, *letters.shape(batch), inner, letters.product(columns))),),
        (_arranged(second, batch + summed + columns),),
    )
    axes = lead + rows + columns
    product = Computed((ops.MatMul(), _same(letters, axes)), (left, right))
    return _Term(product, axes)


def _multiplied(first: _Term, second: _Term, letters: _Letters) -> _Term:
    """Multiplies element by element, over the letters of both."""
    added = "".join(letter for letter in second.axes if letter not in first.axes)
    axes = first.axes + added
    shape = tuple(letters.extents[letter] if letter in second.axes else 1 for letter in axes)
    order = "".join(letter for letter in axes if letter in second.axes)
    factors = (
        Computed((ops.Reshape((*letters.shape(first.axes), *(1,) * len(added))),), (first.value,)),
        Computed((ops.Reshape(shape),), (_arranged(second, order),)),
    )
    return _Term(Computed((ops.Multiply(),), factors), axes)


def _summed(term: _Term, kept: set[str], letters: _Letters) -> _Term:
    """Sums up over the axes that are not kept."""
    dropped = tuple(axis for axis, letter in enumerate(term.axes) if letter not in kept)
    if not dropped:
        return term
    if letters.samples and letters.samples not in kept:
        raise UnsupportedCase("a sum over the samples")
    axes = "".join(letter for letter in term.axes if letter in kept)
    if 0 not in dropped:
        return replace(
            term, value=Computed((ops.Reduce("sum", dropped),), (term.value,)), axes=axes
        )
    # A constant may be summed up along its first axis too, for which there is no operation.
    widened = Computed((ops.Reshape((1, *letters.shape(term.axes))),), (term.value,))
    reduced = ops.Reduce("sum", tuple(axis + 1 for axis in dropped))
    operations = (*widened.operations, reduced, _same(letters, axes))
    return _Term(Computed(operations, widened.inputs), axes)


def _arranged(term: _Term, axes: str) -> Tensor | Computed:
    """Returns a term with its axes in another order."""
    if axes == term.axes:
        return term.value
    order = tuple(term.axes.index(letter) for letter in axes)
    return Computed((ops.Transpose(order),), (term.value,))
