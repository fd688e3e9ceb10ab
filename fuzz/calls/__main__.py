"""`python -m fuzz.calls --seconds 60`: hostile calls of a server of its own, round after round.

Returns 1 where a call ended as none may; the recipe of each is printed, and `--recipe` repeats it.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fuzz.calls.conversations import conversations
from fuzz.calls.methods import CalledMethod, called_methods
from fuzz.calls.rounds import Round, play
from fuzz.calls.served import Fuzzed, fuzzed_server, grounds_of

_CALLS = 16  # of each method in a round
_RECIPE_BYTES = 160
_MOST_SHOWN = 20
_PATIENCE_S = 10.0  # enough for a calibration


def main() -> int:
    """Fuzzes until the time is over or something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.calls", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--method", default="", help="only paths that contain this")
    parser.add_argument("--recipe", type=bytes.fromhex, help="only this call")
    options = parser.parse_args()
    methods = [method for method in called_methods() if options.method in method.path]
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder, fuzzed_server(Path(folder)) as server:
        end_s = time.monotonic() + options.seconds
        endings: Counter[str] = Counter()
        while time.monotonic() < end_s:
            recipes = _recipes(methods, chance, options.recipe)
            found = _round(server, Path(folder), recipes)
            for (_, code), count in found.endings.items():
                endings[code.name] += count
            if _shown(found, server):
                return 1
        sys.stderr.write(f"calls: {endings.total()}, none ended wrong: {dict(endings)}\n")
    return 0


def _round(server: Fuzzed, folder: Path, recipes: Iterator[tuple[CalledMethod, bytes]]) -> Round:
    grounds = grounds_of(server.target, folder)
    return play(
        server.target, recipes, conversations(grounds), grounds.texts, patience_s=_PATIENCE_S
    )


def _recipes(
    methods: list[CalledMethod], chance: random.Random, only: bytes | None
) -> Iterator[tuple[CalledMethod, bytes]]:
    for method in methods:
        for _ in range(_CALLS if only is None else 1):
            yield method, chance.randbytes(_RECIPE_BYTES) if only is None else only


def _shown(found: Round, server: Fuzzed) -> bool:
    """Writes what is wrong, and returns whether anything is."""
    wrong = [str(fault) for fault in found.faults] + server.errors()
    if not server.is_well():
        wrong.append("the server is not well")
    for text in wrong[:_MOST_SHOWN]:
        sys.stderr.write(f"{text}\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
