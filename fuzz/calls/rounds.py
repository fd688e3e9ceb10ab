"""Many hostile calls at a time, and all that is wrong with how they end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc

from fuzz.calls.calling import Ended, HostileCall, fault_of, hostile_call, make
from fuzz.calls.conversations import Conversation
from fuzz.calls.methods import CalledMethod

_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Fault:
    """A call that ended as none may.

    Attributes:
        path: Its method.
        recipe: What it was made of.
        what: What was wrong.
        text: The text of its status.
    """

    path: str
    recipe: bytes
    what: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}: {self.text[:300]!r} (recipe {self.recipe.hex()})"


@dataclass(frozen=True, slots=True)
class Round:
    """What came of calls.

    Attributes:
        endings: How often a method ended with a code.
        faults: What was wrong.
    """

    endings: Counter[tuple[str, grpc.StatusCode]] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)


def play(
    target: str,
    recipes: Iterable[tuple[CalledMethod, bytes]],
    good: Mapping[str, Conversation],
    names: Sequence[str],
    *,
    patience_s: float,
) -> Round:
    """Makes one call of each recipe, several at a time.

    Args:
        target: The server.
        recipes: Methods, and what calls of them are made of.
        good: What well-behaved clients say to methods, by path.
        names: Texts that mean something to the server.
        patience_s: After which a call is given up.
    """
    found = Round()
    with grpc.insecure_channel(target) as channel:

        def work(entry: tuple[CalledMethod, bytes]) -> tuple[HostileCall, Ended]:
            call = hostile_call(entry[0], good, names, entry[1])
            return call, make(channel, call, patience_s=patience_s)

        given = list(recipes)
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            for (method, data), (call, ended) in zip(given, threads.map(work, given), strict=True):
                found.endings[method.path, ended.code] += 1
                what = fault_of(call, ended)
                if what is not None:
                    found.faults.append(Fault(method.path, data, what, ended.text))
    return found
