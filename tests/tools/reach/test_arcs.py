"""Marks reach the lines and branches that coverage.py's tracer does, which is the reference."""

from __future__ import annotations

import sys
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest
from coverage import Coverage, CoverageData

from tools.reach.arcs import arcs_of
from tools.reach.marking import ARRAY, mark_module

# Each defines `f`, which is called with 0, 1 and more; the rest follows from where control goes.
PROGRAMS = {
    "if": """
def f(x):
    if x > 1:
        return "many"
    if x:
        x += 1
    elif x is None:
        return None
    else:
        x = -1
    if x < 0:
        x = 2
    return x
""",
    "loops": """
def f(x):
    total = 0
    for at in range(x):
        if at == 1:
            continue
        if at == 3:
            break
        total += at
    else:
        total -= 1
    while total > 2:
        total -= 1
    while True:
        total += 1
        if total > 5:
            break
    for _ in ():
        total = 100
    return total
""",
    "last statements": """
def f(x):
    for at in range(x):
        if at:
            if at == 2:
                pass
def g(x):
    with open("/dev/null"):
        if x:
            x += 1
            if x == 2:
                g(0)
    try:
        if x:
            x = 1 / (x - 9)
    finally:
        if x:
            x = 0
h = f
def f(x):
    h(x)
    g(x)
""",
    "exceptions": """
def f(x):
    try:
        if x == 1:
            raise ValueError(x)
        if x == 2:
            raise KeyError
    except KeyError:
        x = 5
    except (
        ValueError,
        TypeError,
    ) as error:
        x = error
    except OSError:
        x = 6
    else:
        x = 7
    finally:
        y = x
    try:
        int("3")
    except ValueError:
        y = 3
    return y
""",
    "match": """
def f(x):
    match x:
        case 0:
            y = "none"
        case int() if x > 2:
            y = "many"
        case 1 | 2:
            y = "few"
    match x:
        case -1:
            y = 1
        case other if other > 100:
            y = 2
    match x:
        case 1:
            y = 1
        case _:
            y = 3
    match (x, y):
        case (0, _):
            return 0
        case (
            1,
            int(),
        ):
            return 1
        case _ if x == 3:
            return 3
        case (_, _) as both:
            return both
""",
    "definitions": '''"""A docstring."""
from __future__ import annotations

import functools
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """Names of kinds."""

    FIRST = 1
    SECOND = 2


@dataclass(
    frozen=True,
)
class Point:
    x: int = 0

    @property
    def twice(self) -> int:
        """Returns twice x."""
        return 2 * self.x

    def never(self):
        return [
            self.x,
            1,
        ]


@functools.cache
@functools.wraps(
    len,
)
def cached(x):
    global counted
    counted = x
    return lambda: (
        x,
        counted
    )


def generator(x):
    count = 0

    def inner():
        nonlocal count
        count += 1
        yield count

    yield from inner()
    ...


async def waits(x):
    async with x:
        pass
    async for _ in x:
        pass


def f(x):
    assert x >= 0, "no"
    values = [
        value
        for value in generator(x)
        if value
    ]
    return Point(x).twice, cached(x)(), values, Kind.FIRST
''',
    "conditions on several lines": """
def f(x):
    if (
        x
        and x > 1
    ):
        y = 1
    elif (x == 1
          and x):
        y = dict(
            a=1,
        )
    while (
        x >
        0
    ):
        x -= 1
    for at in (
        1,
        2,
    ):
        if at == 1: x = 3
    with (
        open("/dev/null") as first,
        open("/dev/null"),
    ):
        first.read()
""",
    "a docstring alone": '"""Nothing else."""\nf = int\n',
}


def figures(data: CoverageData, path: Path) -> dict[str, Any]:
    """Returns what coverage.py says of a file by what was recorded."""
    observed = Coverage(data_file=None, branch=True, config_file=False)
    observed.get_data().update(data)
    found = observed._analyze(str(path))
    return {
        "statements": found.statements,
        "missing": found.missing,
        "branches": found.branch_stats(),
        "untaken": dict(found.missing_branch_arcs()),
    }


def execute(code: CodeType, module: ModuleType, arguments: tuple[int, ...]) -> None:
    exec(code, vars(module))
    for argument in arguments:
        module.f(argument)


def traced(path: Path, module: ModuleType, arguments: tuple[int, ...]) -> CoverageData:
    observed = Coverage(data_file=None, branch=True, config_file=False, include=[str(path)])
    code = compile(path.read_text(), path, "exec", dont_inherit=True)
    before = sys.gettrace()
    observed.start()
    try:
        execute(code, module, arguments)
    finally:
        observed.stop()
        sys.settrace(before)
    return observed.get_data()


def marked(path: Path, module: ModuleType, arguments: tuple[int, ...]) -> CoverageData:
    source = path.read_bytes()
    found = mark_module(source, 3)
    reached = bytearray(3 + found.count)
    setattr(module, ARRAY, reached)
    execute(compile(found.tree, path, "exec", dont_inherit=True), module, arguments)
    data = CoverageData(no_disk=True)
    data.add_arcs({str(path): arcs_of(source.decode(), found, reached)})
    data.touch_file(str(path))
    return data


@pytest.mark.parametrize("arguments", [(), (0,), (1,), (2,), (3, 5), (0, 1, 2, 3, 7)])
@pytest.mark.parametrize("name", PROGRAMS)
def test_marks_find_what_the_tracer_finds(
    name: str, arguments: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAMS[name])
    found = []
    for measure in (marked, traced):
        module = ModuleType(path.stem)
        monkeypatch.setitem(sys.modules, path.stem, module)  # where dataclasses look for it
        found.append(figures(measure(path, module, arguments), path))
    assert found[0] == found[1]
    assert found[0]["statements"]
