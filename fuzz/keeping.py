"""Which inputs are worth keeping: the fewest and smallest that reach what all of them reach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from hashlib import sha256
from pathlib import Path

from coverage import Coverage

import smidgen
from fuzz.targets import Target

Arc = tuple[str, int, int]
"""A file, and two of its lines that ran one after the other."""


def keep(target: Target, found: Path, kept: Path) -> tuple[int, int]:
    """Replaces the inputs in `kept` by the best of those and of what a fuzzer found.

    Returns: how many are kept, and how many pairs of lines they reach.
    """
    paths = [path for folder in (kept, found) for path in sorted(folder.glob("*"))]
    inputs = {path.read_bytes() for path in paths}
    reached = {data: reached_by(target, data) for data in inputs}
    chosen = smallest_cover(reached)
    kept.mkdir(parents=True, exist_ok=True)
    for path in kept.glob("*"):
        path.unlink()
    for data in chosen:
        (kept / f"{sha256(data).hexdigest()[:16]}.bin").write_bytes(data)
    return len(chosen), len(set().union(*reached.values()))


def reached_by(target: Callable[[bytes], object], data: bytes) -> frozenset[Arc]:
    """Returns the pairs of lines of the library that one input reaches."""
    library = str(Path(smidgen.__file__).parent / "*")
    observer = Coverage(data_file=None, branch=True, include=[library], config_file=False)
    with observer.collect():
        target(data)
    lines = observer.get_data()
    return frozenset(
        (file, start, end)
        for file in lines.measured_files()
        for start, end in lines.arcs(file) or ()
    )


def smallest_cover(reached: Mapping[bytes, Collection[Arc]]) -> list[bytes]:
    """Chooses inputs that together reach everything, small ones first.

    The greedy choice is not the least one; none of the chosen can be left out, though.
    """
    smallest_first = sorted(reached, key=lambda data: (len(data), data))
    missing = set().union(*reached.values())
    chosen = []
    for data in smallest_first:
        if not missing.isdisjoint(reached[data]):
            missing.difference_update(reached[data])
            chosen.append(data)
    return _without_needless(chosen, reached)


def _without_needless(chosen: list[bytes], reached: Mapping[bytes, Collection[Arc]]) -> list[bytes]:
    """Leaves out, the small ones first, what inputs that were chosen later reach anyway."""
    needed, times = list(chosen), Counter(arc for data in chosen for arc in reached[data])
    for data in chosen:
        if all(times[arc] > 1 for arc in reached[data]):
            needed.remove(data)
            times.subtract(reached[data])
    return needed
