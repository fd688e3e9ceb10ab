"""Says in the terms of coverage.py what was reached: pairs of lines that ran after each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from coverage.parser import PythonParser

from tools.reach.marking import MarkedModule

# The line before the first, of which nothing is asked.
_BEFORE = -1


def arcs_of(text: str, module: MarkedModule, reached: Sequence[int]) -> set[tuple[int, int]]:
    """Returns pairs of lines by which coverage.py finds the lines and branches that were reached.

    Args:
        text: The source of the module.
        module: The module with its marks.
        reached: For each mark of the whole run whether it was reached.
    """
    if not module.lines:
        return set()
    parser = PythonParser(text=text)
    parser.parse_source()
    starts = {parser.first_line(line) for line in parser.raw_statements}
    found = {
        (_BEFORE, line)
        for lines in module.lines
        if any(reached[mark] for mark in lines.marks)
        for line in {parser.first_line(at) for at in range(lines.first, lines.last + 1)} & starts
    }
    possible: dict[int, set[int]] = defaultdict(set)
    for start, end in parser.arcs():
        possible[start].add(end)
    return found | set(_branches(module, parser, possible, reached))


def _branches(
    module: MarkedModule,
    parser: PythonParser,
    possible: Mapping[int, set[int]],
    reached: Sequence[int],
) -> Iterator[tuple[int, int]]:
    for branch in module.branches:
        start = parser.first_line(branch.line)
        for end in possible.get(start, ()):
            is_inside = branch.suite[0] <= end <= branch.suite[1]
            marks = (branch.into,) if is_inside else branch.past
            if any(reached[mark] for mark in marks):
                yield start, end
