"""The search for the precision of layers, on invented layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.config import GateConfig, LayerPrecision, SearchConfig, WeightBits
from smidgen.config.precision import FLOAT, INT8
from smidgen.errors import InvalidConfigError
from smidgen.gate import Measured
from smidgen.measured import Sensitivity
from smidgen.precision_search import Precisions, SearchResult, search_precision

INT4 = LayerPrecision(WeightBits.INT4)
SAMPLES = 100
GATE = GateConfig(max_drop=0.1)


def find(
    start: Precisions,
    costs: dict[str, tuple[int, int]],
    *,
    fixed: Iterable[str] = (),
    seen: dict[str, float] | None = None,
    config: SearchConfig | None = None,
    clock: Callable[[], float] = lambda: 0.0,
) -> SearchResult:
    """Searches among layers that lose so many samples with int4 and int8, and none in float.

    `seen` are their ratios; by default the order that their costs say.
    """

    def cost(name: str, precision: LayerPrecision) -> int:
        four, eight = costs[name]
        return {WeightBits.INT4: four, WeightBits.INT8: eight, WeightBits.FLOAT: 0}[
            precision.weights
        ]

    def rank(precisions: Precisions) -> dict[str, Sensitivity]:
        ratios = seen or {name: -float(cost(name, found)) for name, found in precisions.items()}
        return {name: Sensitivity(ratios[name], None) for name in precisions}

    def measure(precisions: Precisions) -> Measured:
        lost = sum(cost(name, found) for name, found in precisions.items())
        return Measured(SAMPLES, lost, 30.0 - lost)

    return search_precision(
        start,
        set(start) - set(fixed),
        rank=rank,
        measure=measure,
        gate=GATE,
        config=config or SearchConfig(),
        clock=clock,
    )


def lifted(result: SearchResult) -> dict[str, tuple[str, str]]:
    return {
        lift.layer: (lift.before.weights.value, lift.after.weights.value)
        for lift in result.best.lifts
    }


def test_nothing_changes_where_the_gate_holds() -> None:
    result = find({"a": INT4, "b": INT8}, {"a": (4, 1), "b": (9, 6)})
    assert result.is_complete
    assert [trial.reason for trial in result.trials] == ["start"]
    assert result.precisions == {"a": INT4, "b": INT8}


def test_int4_layers_get_eight_bits_first() -> None:
    costs = {"a": (2, 0), "b": (30, 1), "c": (3, 0), "d": (12, 0)}
    result = find(dict.fromkeys(costs, INT4), costs)
    assert lifted(result) == {"b": ("int4", "int8"), "d": ("int4", "int8")}
    assert result.best.measured.lost == 6
    assert result.best.holds
    assert result.is_complete
    assert [len(trial.lifts) for trial in result.trials] == [0, 1, 2, 1]
    assert result.trials[-1].reason == "give back b"


def test_then_int8_layers_stay_in_float() -> None:
    costs = {"a": (40, 3), "b": (40, 12), "c": (1, 1), "d": (2, 2)}
    result = find({"a": INT4, "b": INT4, "c": INT8, "d": INT8}, costs)
    assert result.precisions == {"a": INT8, "b": FLOAT, "c": INT8, "d": INT8}
    assert result.best.measured.lost == 6


def test_what_is_not_needed_is_given_back() -> None:
    """Layers alone look worse than they are together: the order misleads."""
    costs = {"a": (0, 0), "b": (0, 0), "c": (0, 20), "d": (0, 1)}
    seen = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    result = find(dict.fromkeys(costs, INT8), costs, seen=seen)
    assert lifted(result) == {"c": ("int8", "float")}
    assert [trial.reason for trial in result.trials] == [
        "start", "lift", "lift", "lift", "lift", "give back b", "give back a",
    ]  # fmt: skip


def test_fixed_layers_stay() -> None:
    costs = {"a": (30, 20), "b": (5, 2)}
    result = find({"a": INT8, "b": INT4}, costs, fixed=["a"])
    assert result.precisions["a"] == INT8
    assert not result.best.holds
    assert result.is_complete
    # All that was allowed is the least loss.
    assert result.precisions["b"] == FLOAT
    assert result.best.measured.lost == 20


@pytest.mark.parametrize("evaluations", [1, 2, 3, 4])
def test_the_budget_ends_it_with_the_best(evaluations: int) -> None:
    costs = {name: (20, 0) for name in "abcdefgh"}
    result = find(dict.fromkeys(costs, INT4), costs, config=SearchConfig(evaluations=evaluations))
    assert len(result.trials) == evaluations
    assert not result.is_complete
    assert not result.best.holds
    assert len(result.best.lifts) == [0, 1, 2, 4][evaluations - 1]


def test_time_ends_it_too() -> None:
    ticks = iter(range(100))
    costs = {name: (20, 0) for name in "abcd"}
    result = find(
        dict.fromkeys(costs, INT4),
        costs,
        config=SearchConfig(seconds=3.0),
        clock=lambda: float(next(ticks)),
    )
    assert not result.is_complete
    assert len(result.trials) == 2  # the end is looked at before each


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans()), max_size=12))
def test_the_result_holds_and_no_lift_can_be_spared(rows: list[tuple[int, int, bool]]) -> None:
    """Losses that add up: a search without an end finds what holds, and nothing in it is idle."""
    costs = {f"v{i}": (max(pair), min(pair)) for i, (*pair, _) in enumerate(rows)}
    start = {f"v{i}": INT4 if is_int4 else INT8 for i, (*_, is_int4) in enumerate(rows)}
    result = find(start, costs, config=SearchConfig(evaluations=10_000))
    assert result.is_complete
    assert result.best.holds
    assert find(start, costs, config=SearchConfig(evaluations=10_000)) == result
    seen = [trial.lifts for trial in result.trials if not trial.holds]
    lifts = result.best.lifts
    for lift in lifts:
        is_lifted_again = lift.after == INT8 and any(
            other.layer == lift.layer and other.after == FLOAT for other in lifts
        )
        without = {other for other in lifts if other is not lift}
        # Removing it was seen to fail, with these or with more lifts.
        assert is_lifted_again or any(without <= set(trial) for trial in seen)


def test_budgets_have_bounds() -> None:
    for fields in ({"evaluations": 0}, {"evaluations": 10_001}, {"seconds": 0.0}):
        with pytest.raises(InvalidConfigError):
            SearchConfig(**fields)  # type: ignore[arg-type]
