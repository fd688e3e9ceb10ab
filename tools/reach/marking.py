"""Puts a mark before each statement of a module.

A mark is `__reached__[number] = 1`. It stands before every statement, so at the start of every
suite; in an `else` of its own where an `if` or a loop has none; and in a last `case _` where no
case takes everything. Numbers of lines and names of the module stay what they were.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

ARRAY = "__reached__"
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines that were reached if one of some marks was.

    Attributes:
        first: The first of them, from 1.
        last: The last of them, included.
        marks: Numbers of marks.
    """

    first: int
    last: int
    marks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """Two ways to go on from a line: into a suite, or past it.

    Attributes:
        line: A line of what decides.
        suite: First and last line of the suite.
        into: The mark at the start of the suite.
        past: Marks of which one is reached by every other way.
    """

    line: int
    suite: tuple[int, int]
    into: int
    past: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MarkedModule:
    """A module with marks, and what they mean."""

    tree: ast.Module
    lines: tuple[Lines, ...]
    branches: tuple[Branch, ...]
    count: int


def mark_module(source: bytes, first: int) -> MarkedModule:
    """Returns a module with marks that are numbered from `first`.

    Raises:
        SyntaxError: the source is none of Python.
    """
    marker = _Marker(first)
    tree = ast.parse(source)
    tree.body = marker.mark_block(tree.body)
    ast.fix_missing_locations(tree)
    return MarkedModule(tree, tuple(marker.lines), tuple(marker.branches), marker.next - first)


class _Marker:
    """Marks statements in place, and notes what the marks mean."""

    def __init__(self, first: int) -> None:
        self.lines: list[Lines] = []
        self.branches: list[Branch] = []
        self.next = first

    def mark_block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """Returns the marked body of a module, class or function, whose docstring stays first."""
        start = int(_is_docstring(body[0])) if body else 0
        return body[:start] + self._mark_suite(body[start:])

    def _mark_suite(self, suite: Sequence[ast.stmt]) -> list[ast.stmt]:
        marked: list[ast.stmt] = []
        for statement in suite:
            number = self._new()
            self.lines.append(Lines(*_header(statement), (number,)))
            mark = _mark(number, statement)
            # Nothing but a docstring may precede these.
            is_first = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
            marked += (statement, mark) if is_first else (mark, statement)
            self._mark_inside(statement)
        return marked

    def _mark_inside(self, statement: ast.stmt) -> None:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                statement.body = self.mark_block(statement.body)
            case ast.If() | ast.For() | ast.AsyncFor() | ast.While():
                self._mark_choice(statement)
            case ast.With() | ast.AsyncWith():
                statement.body = self._mark_suite(statement.body)
            case ast.Try() | ast.TryStar():
                self._mark_try(statement)
            case ast.Match():
                self._mark_match(statement)

    def _mark_choice(self, statement: ast.If | ast.For | ast.AsyncFor | ast.While) -> None:
        span = _span(statement.body)
        into = self.next
        statement.body = self._mark_suite(statement.body)
        past = self.next
        if statement.orelse:
            statement.orelse = self._mark_suite(statement.orelse)
        else:
            statement.orelse = [_mark(self._new(), statement)]
        self.branches.append(Branch(statement.lineno, span, into, (past,)))

    def _mark_try(self, statement: ast.Try | ast.TryStar) -> None:
        statement.body = self._mark_suite(statement.body)
        spans, starts = [], []
        for handler in statement.handlers:
            spans.append((handler.lineno, max(handler.lineno, _start(handler.body[0]) - 1)))
            starts.append(self.next)
            handler.body = self._mark_suite(handler.body)
        # A handler is asked if it takes an exception, or one after it does.
        self.lines += [Lines(*span, tuple(starts[at:])) for at, span in enumerate(spans)]
        statement.orelse = self._mark_suite(statement.orelse)
        statement.finalbody = self._mark_suite(statement.finalbody)

    def _mark_match(self, statement: ast.Match) -> None:
        spans = [_span(case.body) for case in statement.cases]
        starts = []
        for case in statement.cases:
            starts.append(self.next)
            case.body = self._mark_suite(case.body)
        for at, (case, span) in enumerate(zip(list(statement.cases), spans, strict=True)):
            line = case.pattern.lineno
            if at == len(spans) - 1 and not _takes_everything(case):
                starts.append(self._new())
                statement.cases.append(_last_case(starts[-1], statement))
            self.lines.append(Lines(line, max(line, span[0] - 1), ()))
            self.branches.append(Branch(line, span, starts[at], ()))
        self._give_cases_marks(len(spans), tuple(starts))

    def _give_cases_marks(self, count: int, starts: tuple[int, ...]) -> None:
        """A case is looked at if it takes the subject, or what follows it does."""
        for at in range(count):
            lines, branch = self.lines[at - count], self.branches[at - count]
            self.lines[at - count] = Lines(lines.first, lines.last, starts[at:])
            self.branches[at - count] = Branch(
                branch.line, branch.suite, branch.into, starts[at + 1 :]
            )

    def _new(self) -> int:
        self.next += 1
        return self.next - 1


def _mark(number: int, place: ast.stmt) -> ast.stmt:
    array = ast.Name(ARRAY, ast.Load())
    target = ast.Subscript(array, ast.Constant(number), ast.Store())
    return ast.copy_location(ast.Assign([target], ast.Constant(1)), place)


def _last_case(number: int, statement: ast.Match) -> ast.match_case:
    pattern = ast.copy_location(ast.MatchAs(), statement)
    return ast.match_case(pattern, None, [_mark(number, statement)])


def _takes_everything(case: ast.match_case) -> bool:
    pattern = case.pattern
    while isinstance(pattern, ast.MatchOr | ast.MatchAs):
        inner = pattern.patterns[-1] if isinstance(pattern, ast.MatchOr) else pattern.pattern
        if inner is None:
            return case.guard is None
        pattern = inner
    return False


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _start(statement: ast.stmt) -> int:
    """Returns the first line of a statement, decorators included."""
    if isinstance(statement, _DEFINITIONS):
        return min((item.lineno for item in statement.decorator_list), default=statement.lineno)
    return statement.lineno


def _span(suite: Sequence[ast.stmt]) -> tuple[int, int]:
    return _start(suite[0]), suite[-1].end_lineno or suite[-1].lineno


def _header(statement: ast.stmt) -> tuple[int, int]:
    """Returns the first and last line of a statement without its suites."""
    first = _start(statement)
    if isinstance(statement, ast.Match):
        return first, max(first, statement.cases[0].pattern.lineno - 1)
    body = getattr(statement, "body", None)
    if body:
        return first, max(statement.lineno, _start(body[0]) - 1)
    return first, statement.end_lineno or statement.lineno
