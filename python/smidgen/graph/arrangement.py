"""Where the samples stand among the axes of a file's tensor. Needs no torch.

A value of the graph has its samples along the first axis, but torch's own attention works on
[S, N, ...] and on [N * H, S, ...], and many models treat the tokens of all samples, or the windows
of an image, as samples of their own. Such a tensor is kept as Joined: permuting it changes only
which axes of the value the file sees where, and what it names again as [N, ...] is transposed once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smidgen.graph.arguments import (
    Activation,
    ArgumentError,
    Constant,
    Joined,
    Size,
    Tensor,
    UnsupportedCase,
    Value,
    Weight,
)
from smidgen.graph.assembly import Assembly, Origin
from smidgen.graph.axis_numbers import axis_of
from smidgen.graph.batch_extents import factor_of, multiple
from smidgen.graph.lowered import Reshaped
from smidgen.graph.operations import Shape
from smidgen.graph.operator import Operator
from smidgen.graph.operator_table import PREFIX, find_operator

Axes = tuple[tuple[int, ...], ...]


def as_seen(value: Activation) -> Joined:
    """Returns a value as a file sees it that has all of its axes where they are."""
    return Joined(value, tuple((axis,) for axis in range(len(value.shape))))


def sizes(value: Joined) -> tuple[Size, ...]:
    """Returns the extents that the file sees."""
    shape = value.value.shape
    counts = [math.prod(shape[axis] or 1 for axis in group) for group in value.axes]
    return tuple(
        multiple(count) if 0 in group else count
        for count, group in zip(counts, value.axes, strict=True)
    )


def size(value: Joined, axis: int) -> Size:
    """Returns an extent that the file sees."""
    return sizes(value)[axis_of(axis, len(value.axes))]


def shown(value: Joined) -> str:
    """Returns the shape that the file sees for people, with ? for the batch size."""
    factors = [(factor_of(extent), extent) for extent in sizes(value)]
    parts = [
        str(extent) if factor is None else "?" if factor == 1 else f"{factor} * ?"
        for factor, extent in factors
    ]
    return f"[{', '.join(parts)}]"


@dataclass(frozen=True, slots=True)
class Lined:
    """A value whose axes behind the samples are in the file's order, one for each of the file's.

    Attributes:
        value: The value.
        place: The axis of the file that has the samples.
        before: Axes of the value that this axis runs over slower than over the samples, 0 or 1.
        behind: Axes of the value that it runs over faster, 0 or 1.
    """

    value: Activation
    place: int
    before: int
    behind: int

    @property
    def rank(self) -> int:
        """Number of axes that the file sees."""
        return len(self.value.shape) - self.before - self.behind

    @property
    def joined_extents(self) -> Shape:
        """The extents of the axes that are joined with the samples."""
        first = self.place + 1
        return self.value.shape[first : first + self.before + self.behind]

    def axis(self, axis: int) -> int:
        """Returns the axis of the value that an axis of the file is."""
        if axis == self.place:
            raise UnsupportedCase("an axis of the samples")
        return axis + 1 if axis < self.place else axis + self.before + self.behind

    def seen(self, value: Activation) -> Joined:
        """Returns another value with the same arrangement, whatever its number of axes."""
        first, last = self.place + 1, self.place + 1 + self.before
        group = (*range(first, last), 0, *range(last, last + self.behind))
        front = tuple((axis,) for axis in range(1, first))
        back = tuple((axis,) for axis in range(last + self.behind, len(value.shape)))
        return Joined(value, (*front, group, *back))


class Arranger:
    """Adds what brings values into another arrangement to a model.

    Args:
        assembly: The model.
        origin: The call that needs it.
    """

    def __init__(self, assembly: Assembly, origin: Origin) -> None:
        self._assembly = assembly
        self._origin = origin

    def plain(self, value: Joined) -> Activation | Joined:
        """Returns a value itself where the samples are the file's first axis, and else as it is."""
        if value.axes[:1] != ((0,),):
            return value
        return self.lined(value).value

    def lined(self, value: Joined) -> Lined:
        """Returns a value with its axes in the order in which the file sees them."""
        place = next(axis for axis, group in enumerate(value.axes) if 0 in group)
        order = [axis for group in value.axes for axis in group]
        cut = order.index(0)
        found = self._assembly.transposed(
            self._origin, value.value, (0, *order[:cut], *order[cut + 1 :])
        )
        shape, group = value.value.shape, value.axes[place]
        at = group.index(0)
        before, behind = (
            math.prod(shape[axis] or 1 for axis in part) for part in (group[:at], group[at + 1 :])
        )
        joined = [extent for extent in (before, behind) if extent != 1]
        counts = [extent for extent in sizes(value) if isinstance(extent, int)]
        wanted = (None, *counts[:place], *joined, *counts[place:])
        if wanted != found.shape:
            found = self.reshaped(found, wanted)
        return Lined(found, place, int(before != 1), int(behind != 1))

    def reshaped(self, value: Activation, shape: Shape) -> Activation:
        """Returns a value in another shape."""
        (result,) = self._assembly.apply(self._origin, Reshaped(value, shape))
        assert isinstance(result, Activation)
        return result

    def constant(self, value: Weight | Constant, shape: Shape) -> Constant:
        """Returns a constant in another shape."""
        (result,) = self._assembly.apply(self._origin, Reshaped(value, shape))
        assert isinstance(result, Constant)
        return result

    def expanded(self, value: Tensor, wanted: Sequence[Value]) -> Activation:
        """Returns a value of which axes of one element are repeated; -1 keeps an extent."""
        expand = find_operator(PREFIX + "expand.default")
        assert expand is not None
        (result,) = self.called(expand, {"self": value, "size": tuple(wanted)})
        return result

    def called(self, operator: Operator, arguments: Mapping[str, Value]) -> list[Activation]:
        """Returns what an operator gives of values [N, ...]."""
        results = self._assembly.apply(self._origin, operator.call(arguments, self._assembly))
        found = [value for value in results if isinstance(value, Activation)]
        assert len(found) == len(results), "values with samples give nothing else"
        return found

    def viewed(self, value: Joined, wanted: Sequence[Value]) -> Activation | Joined:
        """Returns a value with other extents, of which one has the samples.

        Raises:
            UnsupportedCase: They would take samples apart.
        """
        view = view_of(value, wanted)
        if view is None:
            raise UnsupportedCase(f"samples {shown(value)} viewed otherwise")
        found = self.lined(value).value
        result = self.reshaped(found, view.shape) if view.shape != found.shape else found
        return self.plain(Lined(result, view.place, view.before, view.behind).seen(result))


def padded(arranger: Arranger, value: Activation | Joined, rank: int) -> Lined:
    """Returns a value in line, with axes of one element in front up to a number of axes."""
    seen = value if isinstance(value, Joined) else as_seen(value)
    missing = rank - len(seen.axes)
    return arranger.lined(Joined(seen.value, ((),) * missing + seen.axes))


@dataclass(frozen=True, slots=True)
class View:
    """What a view makes of a value: its shape, and where the samples are in it (see Lined)."""

    shape: Shape
    place: int
    before: int
    behind: int

    @property
    def is_plain(self) -> bool:
        """Whether the samples are the first axis."""
        return self.place == self.before == self.behind == 0


def view_of(value: Joined, wanted: Sequence[Value]) -> View | None:
    """Tells what the view of a value with other extents is; None if it is none of the samples.

    Args:
        value: The value.
        wanted: Its extents: numbers, of which one may be -1, the batch size or a multiple of it.
    """
    extents = [item for item in wanted if isinstance(item, int)]
    symbols = [axis for axis, item in enumerate(wanted) if not isinstance(item, int)]
    if len(symbols) > 1 or extents.count(-1) > 1 or min(extents, default=1) < -1 or 0 in extents:
        return None
    if not symbols and -1 not in extents:
        return None
    place = symbols[0] if symbols else extents.index(-1)
    slower, faster = _around_samples(value)
    known = math.prod(item for item in extents if item != -1)
    factor = factor_of(wanted[place]) if symbols else slower * faster // known
    if not factor:
        return None
    missing = slower * faster // (factor * known)
    resolved = [missing if item == -1 else item for item in extents if symbols or item != -1]
    front, back = resolved[:place], resolved[place:]
    before = slower // math.prod(front) if 0 not in resolved else 0
    behind = factor // before if before else 0
    is_whole = before * math.prod(front) == slower and behind * math.prod(back) == faster
    if not is_whole or before * behind != factor:
        return None
    joined = [extent for extent in (before, behind) if extent != 1]
    return View((None, *front, *joined, *back), place, int(before != 1), int(behind != 1))


def _around_samples(value: Joined) -> tuple[int, int]:
    """Returns how many elements the file has slower and faster than the samples."""
    order = [axis for group in value.axes for axis in group]
    cut, shape = order.index(0), value.value.shape
    return (
        math.prod(shape[axis] or 1 for axis in order[:cut]),
        math.prod(shape[axis] or 1 for axis in order[cut + 1 :]),
    )


def permuted(value: Joined, order: Sequence[int]) -> Joined:
    """Returns a value with the file's axes in another order.

    Raises:
        ArgumentError: The numbers are no permutation.
    """
    rank = len(value.axes)
    places = [axis_of(axis, rank) for axis in order]
    if sorted(places) != list(range(rank)):
        raise ArgumentError(f"it permutes the axes {tuple(order)} of {shown(value)}")
    return Joined(value.value, tuple(value.axes[place] for place in places))


def without(axes: Axes, removed: Sequence[int]) -> Axes:
    """Returns the axes that a file sees of a value without some of the value's axes."""
    return tuple(
        tuple(axis - sum(other < axis for other in set(removed)) for axis in group)
        for group in axes
        if not set(group) & set(removed)
    )


def rows_of(value: Joined) -> Activation | None:
    """Returns [N, k, ...] of what the file sees as [N * k, ...]; None for other arrangements."""
    order = [axis for group in value.axes for axis in group]
    is_row = value.axes[0] == (0, 1) and order == list(range(len(value.value.shape)))
    return value.value if is_row and all(value.axes) else None
