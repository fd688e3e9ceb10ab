"""The tables of docs/portability.md."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from benchmarks.tally import Tally

BEGIN, END = "<!-- measured -->\n", "<!-- end of measured -->\n"

GROUPS = ("convolutions, linear, sums", "moved", "averages, products, functions")


class Found(Protocol):
    """What was found of one net."""

    alone: dict[str, Tally]
    whole: dict[str, Tally]
    images: int
    agreements: dict[str, int]


Row = tuple[str, str, int, Found]  # net, weights, pixels, what was found


def tables(
    rows: Sequence[Row],
    computed: Collection[str],
    exact: Collection[str],
    environment: Mapping[str, str],
) -> str:
    """Returns the tables as Markdown.

    Args:
        rows: A line each.
        computed: The kinds of steps of the first column.
        exact: These and those of the second column; the rest is in the third.
        environment: What the numbers depend on.
    """
    found = f"Measured on {environment['cpu']} at commit {environment['commit']}.\n\n"
    found += "Each step given the same inputs, different bytes of all bytes:\n\n"
    columns = ["net", "weights", "pixels", "images", *GROUPS]
    found += f"| {' | '.join(columns)} |\n"
    found += "|---|---|---|---|---|---|---|\n"
    for row in rows:
        alone = row[3].alone
        groups = (
            [kind for kind in alone if kind in computed],
            [kind for kind in alone if kind in exact and kind not in computed],
            [kind for kind in alone if kind not in exact],
        )
        cells = [_shares(alone, kinds) for kinds in groups]
        found += f"| {' | '.join([*_head(row), *cells])} |\n"
    runtimes = list(dict.fromkeys(name for row in rows for name in row[3].agreements))
    found += "\nThe whole net, where differences are carried on, and the greatest output:\n\n"
    columns = [*columns[:4], "all steps", *(f"same class, {name}" for name in runtimes)]
    found += f"| {' | '.join(columns)} |\n"
    found += "|---" * (5 + len(runtimes)) + "|\n"
    for row in rows:
        agreements = [_agreement(row[3], name) for name in runtimes]
        cells = [*_head(row), _shares(row[3].whole, row[3].whole), *agreements]
        found += f"| {' | '.join(cells)} |\n"
    return found


def fill(page: str, text: str) -> str:
    """Returns a page with a text in the place of what was measured before.

    Raises:
        ValueError: the page has no such place.
    """
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN.strip()} with {END.strip()} behind it")
    return head + BEGIN + text + END + tail


def _head(row: Row) -> list[str]:
    net, weights, pixels, found = row
    return [net, weights, str(pixels), f"{found.images:,}"]


def _shares(tallies: Mapping[str, Tally], kinds: Collection[str]) -> str:
    """Returns `8 of 38,592,000, by 1`: different bytes, all of them, the greatest difference."""
    parts = [tallies[kind] for kind in kinds]
    different, count = sum(p.different for p in parts), sum(p.count for p in parts)
    greatest = max((part.greatest for part in parts), default=0)
    by = f", by at most {greatest}" if different else ""
    return f"{different:,} of {count:,}{by}"


def _agreement(found: Found, runtime: str) -> str:
    same = found.agreements.get(runtime)
    return "" if same is None else f"{same:,} ({same / found.images:.2%})"
