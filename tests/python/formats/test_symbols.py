"""Symbolic sizes are parsed, never evaluated."""

from __future__ import annotations

import warnings
from contextlib import suppress

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import InvalidModelError
from smidgen.formats.pt2.symbols import Expression, Operation, Symbol, parse_expression

S = "Symbol('s77', positive=True, integer=True)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (S, Symbol("s77")),
        ("Symbol('s0')", Symbol("s0")),
        ("Integer(-3)", -3),
        (f"Mul(Integer(2), {S})", Operation("Mul", (2, Symbol("s77")))),
        (f"FloorDiv({S}, Integer(2))", Operation("FloorDiv", (Symbol("s77"), 2))),
        (f"Pow({S}, Integer(2))", Operation("Pow", (Symbol("s77"), 2))),
    ],
)
def test_expression_is_parsed(text: str, expected: Expression) -> None:
    assert parse_expression(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s0 + 1",
        "s0",
        "Integer(1) Integer(2)",
        "Integer(1.5)",
        "Integer(99999999999999999999)",
        "Symbol('a b')",
        "Symbol('s0', commutative=True)",
        "Symbol('s0', positive=1)",
        'Symbol("s0")',
        "Add()",
        "FloorDiv(Integer(1))",
        f"Pow({S}, {S})",
        f"Pow({S}, Integer(9))",
        "Lambda(Symbol('x'), Integer(1))",
        "__import__('os').system('true')",
        "Symbol('s0').__class__",
        "Function('f')(Integer(1))",
        "Integer(1,)",
        "Add(" * 40 + "Integer(1)" + ")" * 40,
        "Add(" + ", ".join(f"Symbol('s{i}')" for i in range(64)) + ", Integer(1))",
        "Integer(1)" + " " * 5000,
        "Add(Mul(" + ", ".join(f"Symbol('a{i}')" for i in range(40)) + "), Mul("
        + ", ".join(f"Symbol('b{i}')" for i in range(40)) + "))",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidModelError) as refusal:
        parse_expression(text)
    assert refusal.value.reason == "PT2_SYMBOLIC_EXPR_UNSUPPORTED"


_EXPRESSIONS = st.recursive(
    st.integers(-5, 5) | st.sampled_from(["s0", "s1"]).map(Symbol),
    lambda inner: st.builds(
        Operation,
        st.sampled_from(["Add", "Mul", "Max", "Min"]),
        st.lists(inner, min_size=1, max_size=3).map(tuple),
    ),
    max_leaves=8,
)


def _write(expression: Expression) -> str:
    if isinstance(expression, int):
        return f"Integer({expression})"
    if isinstance(expression, Symbol):
        return f"Symbol('{expression.name}', integer=True)"
    return f"{expression.head}({', '.join(map(_write, expression.arguments))})"


@settings(max_examples=100)
@given(_EXPRESSIONS)
def test_what_is_written_is_read_back(expression: Expression) -> None:
    assert parse_expression(_write(expression)) == expression


def test_what_sympy_writes_is_read() -> None:
    n = sympy.Symbol("s77", positive=True, integer=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = sympy.srepr(2 * n + 1)
    parsed = parse_expression(text)
    assert isinstance(parsed, Operation)
    assert set(parsed.arguments) == {1, Operation("Mul", (2, Symbol("s77")))}


@settings(max_examples=200)
@given(st.text(st.sampled_from("AdIntegrSymbol()', =123_x\n"), max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with suppress(InvalidModelError):
        parse_expression(text)
