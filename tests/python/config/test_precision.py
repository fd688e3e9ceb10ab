"""When two precisions mean the same, and when a conversion refuses one."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.config import LayerPrecision, Override, PrecisionConfig, WeightBits
from smidgen.config.precision import INT8, check_as_trained
from smidgen.errors import InvalidConfigError

INT4 = LayerPrecision(WeightBits.INT4)
LAYERS = ("a", "b", "ab")


def overriding(*overrides: tuple[str, LayerPrecision]) -> PrecisionConfig:
    return PrecisionConfig(INT8, tuple(Override(*override) for override in overrides))


def resolved(config: PrecisionConfig) -> list[LayerPrecision]:
    """What each of LAYERS gets: the last that fits counts."""
    found = dict.fromkeys(LAYERS, config.default)
    for override in config.overrides:
        for name in fnmatch.filter(LAYERS, override.pattern):
            found[name] = override.precision
    return list(found.values())


def test_overrides_of_single_layers_are_the_same_in_any_order() -> None:
    trained = overriding(("a", INT4), ("b", INT8))
    check_as_trained(overriding(("b", INT8), ("a", INT4)), trained)
    check_as_trained(overriding(("a", INT8), ("b", INT8), ("a", INT4)), trained)
    check_as_trained(None, trained)


@pytest.mark.parametrize(
    "asked",
    [
        overriding(("a", INT4)),
        overriding(("a", INT8), ("b", INT8)),
        overriding(("a", INT4), ("b", INT8), ("ab", INT4)),
        PrecisionConfig(INT4, (Override("a", INT4), Override("b", INT8))),
    ],
)
def test_other_precisions_are_refused(asked: PrecisionConfig) -> None:
    with pytest.raises(InvalidConfigError) as refused:
        check_as_trained(asked, overriding(("a", INT4), ("b", INT8)))
    assert refused.value.reason == "PRECISION_GIVEN_TWICE"


def test_the_order_of_patterns_with_wildcards_matters() -> None:
    wide_first = overriding(("a*", INT4), ("ab", INT8))
    assert not wide_first.means_the_same(overriding(("ab", INT8), ("a*", INT4)))
    assert overriding(("a*", INT4), ("b", INT4)).means_the_same(
        overriding(("b", INT4), ("a*", INT4))
    )


@given(
    st.permutations(["a", "b", "ab", "a*", "?", "[ab]"]),
    st.permutations(["a", "b", "ab", "a*", "?", "[ab]"]),
    st.dictionaries(st.sampled_from(["a", "b", "ab", "a*", "?", "[ab]"]), st.just(INT4)),
)
def test_what_means_the_same_resolves_to_the_same(
    first: list[str], second: list[str], precisions: dict[str, LayerPrecision]
) -> None:
    left, right = (
        overriding(*((pattern, precisions.get(pattern, INT8)) for pattern in patterns))
        for patterns in (first, second)
    )
    assert left.means_the_same(right) == right.means_the_same(left)
    if left.means_the_same(right):
        assert resolved(left) == resolved(right)
