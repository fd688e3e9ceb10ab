"""Writes docs/cli.md from the commands themselves; `--check` fails if the committed one differs."""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterator
from pathlib import Path

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from smidgen.cli.app import app

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "cli.md"
# The same on every command; told once, above.
COMMON = {"server", "as_json", "help"}

INTRODUCTION = """\
# The command line

This page is generated from the commands by `python tools/generate_cli_reference.py`.

A session, with a model from `torch.export.save` and labelled samples:

```sh
smidgen serve &
smidgen upload digits.pt2
smidgen dataset train.npz
smidgen calibrate digits train.npz --samples 256          # prints calibrations/c-1f0a...
smidgen train-qat digits --calibration c-1f0a... --dataset train    # prints jobs/j-77c2...
smidgen convert digits --train-job j-77c2... --evaluation-dataset train
smidgen infer digits images.npy
```

Without a server:

```sh
smidgen inspect digits.pt2
smidgen convert --local digits.pt2 --calibration train.npz --out digits.smidgen
smidgen infer --local digits.smidgen images.npy
smidgen export digits.smidgen --onnx digits.onnx
```

Every command but `serve` takes these, the first where it talks to a server:

| Option | Meaning |
|---|---|
| `--server HOST:PORT` | The server. Default: `SMIDGEN_SERVER`, else `127.0.0.1:8001`. |
| `--json` | Print exactly one JSON document on stdout. |
| `--help` | Explain the command. |

How to connect stands before the command, `smidgen --tls-ca ca.pem models list`, or in the
environment:

{connecting}
Results go to stdout, everything else to stderr. Models, datasets, calibrations and jobs go by id
(`digits`) or by full name (`models/digits`). In JSON the fields are those of the protocol
(`proto/smidgen/v1`), 64-bit integers are numbers, times RFC 3339, durations seconds. With `--json`
an error is one document on stderr, `{"error": {"reason", "message", "metadata", "code"}}`, without
`code` where no server was asked.

| Exit code | Meaning |
|---|---|
| 0 | Done. |
| 1 | The server refused, or the job failed; the reason says why. |
| 2 | Bad usage, or a local file that cannot be used. |
| 3 | No server answered, or not in time. |
| 130 | Ctrl-C. A job that was being followed goes on, unless it was asked to stop. |
"""


def reference() -> str:
    """Returns the page."""
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    introduction = INTRODUCTION.replace("{connecting}", _connecting(root))
    return introduction + "".join(_sections(root, "smidgen"))


def _connecting(root: TyperGroup) -> str:
    """Returns the table of the options in front of all commands."""
    options = [param for param in root.params if isinstance(param, TyperOption)]
    rows = [
        f"| `{_spelling(option)}` | {_variable(option)} | {option.help} |\n"
        for option in options
        if option.name not in COMMON
    ]
    return "| Option | Variable | Meaning |\n|---|---|---|\n" + "".join(rows)


def _variable(option: TyperOption) -> str:
    return f"`{option.envvar}`" if option.envvar else ""


def _sections(command: object, path: str) -> Iterator[str]:
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            yield from _sections(child, f"{path} {name}")
        return
    assert isinstance(command, TyperCommand)
    arguments = [param for param in command.params if isinstance(param, TyperArgument)]
    usage = " ".join([path, *(_placeholder(argument) for argument in arguments)])
    yield f"\n## `{usage}`\n\n{_paragraphs(command.help or '')}\n"
    rows = [
        _row(param)
        for param in command.params
        if isinstance(param, TyperArgument | TyperOption) and param.name not in COMMON
    ]
    if rows:
        yield "\n| Argument or option | Default | Meaning |\n|---|---|---|\n" + "".join(rows)


def _placeholder(argument: TyperArgument | TyperOption) -> str:
    name = _spelling(argument)
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _row(param: TyperArgument | TyperOption) -> str:
    choices = ""
    if isinstance(param.default, enum.Enum):
        choices = (
            " One of " + ", ".join(f"`{choice.value}`" for choice in type(param.default)) + "."
        )
    return f"| `{_spelling(param)}` | {_default(param)} | {param.help or ''}{choices} |\n"


def _spelling(param: TyperArgument | TyperOption) -> str:
    if isinstance(param, TyperArgument):
        return param.metavar or (param.name or "").upper()
    return param.opts[0]


def _default(param: TyperArgument | TyperOption) -> str:
    if param.required:
        return "required"
    value = param.default.value if isinstance(param.default, enum.Enum) else param.default
    return "" if value is None or value is False or value == "" else f"`{value}`"


def _paragraphs(text: str) -> str:
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def main() -> None:
    """Writes the page, or compares it."""
    if "--check" not in sys.argv:
        TARGET.write_text(reference())
    elif TARGET.read_text() != reference():
        sys.exit("docs/cli.md is out of date, run `python tools/generate_cli_reference.py`")


if __name__ == "__main__":
    main()
