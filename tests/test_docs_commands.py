"""Commands that the documentation shows exist, with their options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from smidgen.cli.app import app
from smidgen.formats.pt2 import read_pt2
from smidgen_service.settings import Settings
from tests.test_readme import run

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
_SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVE = {f"--{name.replace('_', '-')}" for name in Settings.model_fields}
SERVE |= {f"--no-{flag[2:]}" for flag in SERVE}


def calls(page: Path) -> Iterator[list[str]]:
    """Yields the words of each call of `smidgen` in the shell blocks of a page."""
    for block in _SHELL.findall(page.read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            for call in re.findall(r"(?:^|[\s;|&])smidgen (?!&&|cd)([^;|&]*)", line):
                yield shlex.split(call, comments=True)


def unknown_words(words: list[str]) -> list[str]:
    """Returns what of a call no command has."""
    command: object = typer.main.get_command(app)
    options: set[str] = set()
    flags: set[str] = set()
    position = 0
    while isinstance(command, TyperGroup):
        options, flags = _options(command.params)
        while position < len(words) and words[position].startswith("-"):
            if words[position] not in options:
                return [words[position]]
            position += 1 if words[position] in flags else 2
        if position == len(words):
            return []
        if words[position] not in command.commands:
            return [words[position]]
        command = command.commands[words[position]]
        position += 1
    known = SERVE if "serve" in words[:position] else _options(command.params)[0]
    given = (word.partition("=")[0] for word in words[position:])
    return [word for word in given if word.startswith("--") and word not in known]


def _options(parameters: list[object]) -> tuple[set[str], set[str]]:
    found, flags = {"--help"}, {"--help"}
    for parameter in parameters:
        names = getattr(parameter, "opts", [])
        found.update(names)
        if getattr(parameter, "is_flag", False):
            flags.update(names)
    return found, flags


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_exist(page: Path) -> None:
    unknown = {" ".join(call): unknown_words(call) for call in calls(page)}
    assert {call: words for call, words in unknown.items() if words} == {}


def test_what_does_not_exist_would_be_found() -> None:
    assert unknown_words(["convert", "digits", "--fast"]) == ["--fast"]
    assert unknown_words(["quantize", "digits"]) == ["quantize"]
    assert unknown_words(["--tls-ca", "ca.pem", "models", "list", "--server", "a:1"]) == []
    assert unknown_words(["serve", "--no-share-weights", "--share"]) == ["--share"]
    assert len(list(calls(ROOT / "docs" / "quickstart.md"))) >= 12


def test_the_quickstart_exports_a_model(tmp_path: Path) -> None:
    script, asking = _PYTHON.findall((ROOT / "docs" / "quickstart.md").read_text())
    assert "range(12)" in script
    run(script.replace("range(12)", "range(1)"), tmp_path, prelude="", check="")
    (found,) = read_pt2(tmp_path / "net.pt2").inputs
    assert found.shape == (None, 1, 8, 8)
    assert {path.name for path in tmp_path.glob("*.np*")} == {
        "images.npy",
        "test.npz",
        "training.npz",
    }
    compile(asking, "asking", "exec")
