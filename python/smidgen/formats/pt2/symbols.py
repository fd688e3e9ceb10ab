"""A parser of symbolic extents, written by torch.export as sympy's srepr. Nothing is evaluated.

Symbol('s77', positive=True, integer=True)
Add(Mul(Integer(2), Symbol('s77', positive=True, integer=True)), Integer(1))
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn, TypeAlias

from smidgen.formats.pt2.reasons import Pt2Reason
from smidgen.formats.refusal import refusal

MAX_LENGTH, MAX_DEPTH, MAX_SYMBOLS = 4096, 32, 64
_MAX_EXPONENT = 8
_INT64_DIGITS = 19

_TOKEN = re.compile(
    r"\s*(?:([A-Za-z_][A-Za-z0-9_]*)|(-?[0-9]+)|'([A-Za-z_][A-Za-z0-9_]*)'|([(),=]))"
)
_OPERATIONS = {
    "Add": (1, 64), "Mul": (1, 64), "Max": (1, 64), "Min": (1, 64), "FloorDiv": (2, 2),
    "CleanDiv": (2, 2), "CeilDiv": (2, 2), "Mod": (2, 2), "PythonMod": (2, 2), "Pow": (2, 2),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Symbol:
    """A free extent."""

    name: str


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation on extents."""

    head: str
    arguments: tuple[Expression, ...]


Expression: TypeAlias = "int | Symbol | Operation"


def parse_expression(text: str) -> Expression:
    """Parses one expression.

    Raises:
        InvalidModelError: PT2_SYMBOLIC_EXPR_UNSUPPORTED for all but small, known expressions.

    >>> parse_expression("Mul(Integer(2), Symbol('s0', positive=True))")
    Operation(head='Mul', arguments=(2, Symbol(name='s0')))
    """
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._symbols: set[str] = set()
        if len(text) > MAX_LENGTH:
            self._fail(f"it has {len(text)} characters, at most {MAX_LENGTH} are allowed")
        self._tokens = self._split()
        self._position = 0

    def parse(self) -> Expression:
        expression = self._expression(0)
        if self._position != len(self._tokens):
            self._fail("something follows the expression")
        return expression

    def _fail(self, found: str) -> NoReturn:
        raise refusal(
            Pt2Reason.SYMBOLIC_EXPR_UNSUPPORTED,
            f"a symbolic size is not supported: {found}. "
            "Export the model with only the first axis of its inputs dynamic.",
        )

    def _split(self) -> list[tuple[str, str]]:
        tokens: list[tuple[str, str]] = []
        position = 0
        end = len(self._text.rstrip())
        while position < end:
            match = _TOKEN.match(self._text, position)
            if match is None:
                self._fail(f"there is an unexpected character at {position}")
            index = match.lastindex or 0
            kind = ("", "word", "number", "string", "mark")[index]
            tokens.append((kind, match.group(index)))
            position = match.end()
        return tokens

    def _take(self, kind: str, value: str | None = None) -> str:
        found = self._tokens[self._position : self._position + 1]
        if not found or found[0][0] != kind or value not in (None, found[0][1]):
            self._fail(f"{value or 'a ' + kind} was expected")
        self._position += 1
        return found[0][1]

    def _peek(self, mark: str) -> bool:
        return self._tokens[self._position : self._position + 1] == [("mark", mark)]

    def _expression(self, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            self._fail(f"it nests deeper than {MAX_DEPTH} levels")
        head = self._take("word")
        self._take("mark", "(")
        if head == "Integer":
            expression: Expression = self._integer()
        elif head == "Symbol":
            expression = self._symbol()
        elif head in _OPERATIONS:
            expression = self._operation(head, depth)
        else:
            self._fail(f"{head[:32]} is not a known operation")
        self._take("mark", ")")
        return expression

    def _integer(self) -> int:
        digits = self._take("number")
        if len(digits.lstrip("-")) > _INT64_DIGITS or not -(1 << 63) <= int(digits) < 1 << 63:
            self._fail("it has an integer beyond 64 bits")
        return int(digits)

    def _symbol(self) -> Symbol:
        name = self._take("string")
        while self._peek(","):
            self._take("mark", ",")
            if self._take("word") not in ("positive", "integer", "nonnegative"):
                self._fail("a symbol has an unknown assumption")
            self._take("mark", "=")
            if self._take("word") not in ("True", "False"):
                self._fail("a symbol's assumption is neither True nor False")
        self._symbols.add(name)
        if len(self._symbols) > MAX_SYMBOLS:
            self._fail(f"it has more than {MAX_SYMBOLS} symbols")
        return Symbol(name)

    def _operation(self, head: str, depth: int) -> Operation:
        arguments = [self._expression(depth + 1)]
        while self._peek(","):
            self._take("mark", ",")
            arguments.append(self._expression(depth + 1))
        fewest, most = _OPERATIONS[head]
        if not fewest <= len(arguments) <= most:
            self._fail(f"{head} has {len(arguments)} arguments")
        exponent = arguments[-1]
        if head == "Pow" and not (isinstance(exponent, int) and 0 <= exponent <= _MAX_EXPONENT):
            self._fail("Pow has an exponent that is not a small integer")
        return Operation(head, tuple(arguments))
