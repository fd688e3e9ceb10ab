"""How training steps are compared; the steps themselves are run by the benchmark."""

from __future__ import annotations

from benchmarks.training import WARM_UP, measure


def test_contestants_take_turns_and_change_their_order() -> None:
    calls: list[str] = []
    steps = {name: lambda name=name: calls.append(name) for name in ("float", "smidgen")}
    seconds = measure(steps, rounds=3)
    assert {name: len(times) for name, times in seconds.items()} == {"float": 3, "smidgen": 3}
    rounds = [tuple(calls[i : i + 2]) for i in range(0, len(calls), 2)]
    assert len(rounds) == WARM_UP + 3
    assert rounds[-3:] == [("float", "smidgen"), ("smidgen", "float"), ("float", "smidgen")]
