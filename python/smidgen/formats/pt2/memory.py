"""What the names of views stand for after operators have written to the memory behind them."""

from __future__ import annotations

import math

from smidgen.graph.arguments import Activation, UnsupportedCase

_Place = tuple[int, int, int]


class WrittenMemory:
    """Follows writes lazily: a write costs the same however many names the written value has."""

    def __init__(self) -> None:
        self._results: dict[_Place, Activation] = {}
        self._writers: dict[int, tuple[str, float]] = {}
        self._writers_of_parts: dict[int, str] = {}

    def write(self, written: Activation, result: Activation, writer: str) -> None:
        """Notes that an operator has written a result over a value.

        Other views of the same memory must not be used any more, nor what it is a part of.

        Args:
            written: The value.
            result: What it has become.
            writer: The operator and where it stands; display text.
        """
        if _place(written) == _place(result):
            return
        self._results[_place(written)] = result
        self._results.pop(_place(result), None)  # a reshaping taken back gives what was before
        # Where the result lives in the same memory, it and what is made from it are up to date.
        oldest = result.number if result.storage == written.storage else math.inf
        self._writers[written.storage] = (writer, oldest)
        self._writers_of_parts |= dict.fromkeys(written.within, writer)

    def current(self, value: Activation, name: str) -> Activation:
        """Returns what a value that a name was bound to has become.

        Raises:
            UnsupportedCase: It is a view of memory that was written to by way of another view.
        """
        passed: list[_Place] = []
        while (place := _place(value)) in self._results:
            passed.append(place)
            value = self._results[place]
        for place in passed:  # so that no way is gone twice
            self._results[place] = value
        found = self._writer(value)
        if found is not None:
            raise UnsupportedCase(stale_view(name, found))
        return value

    def _writer(self, value: Activation) -> str | None:
        """Returns what has written to a value's memory by way of another view, or None."""
        for storage in (value.storage, *value.within):
            writer, oldest = self._writers.get(storage, ("", -math.inf))
            if value.number < oldest:
                return writer
        return self._writers_of_parts.get(value.storage)


def stale_view(name: str, writer: str) -> str:
    """Returns what is told of a view that is used after a write by way of another one."""
    return (
        f"its use of {name!r}, a view of memory that {writer} has written to: writing through a "
        "view is not supported, so call the operator without the underscore and use its result, "
        "y = y.add(1) for y.add_(1), and put a tensor of which a part changes together with "
        "torch.cat or torch.where"
    )


def _place(value: Activation) -> _Place:
    return value.number, value.storage, value.copy
