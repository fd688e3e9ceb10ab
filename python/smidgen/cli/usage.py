"""Refuses options and arguments that would otherwise be ignored or misread."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import typer

from smidgen.cli.exits import UsageError
from smidgen.formats.model_file import SUFFIXES

_MODEL_FILES = tuple(SUFFIXES)


def refuse_given(context: typer.Context, options: Iterable[str], why: str) -> None:
    """Refuses options, by the names of their parameters, that were given where they mean nothing.

    Raises: UsageError.
    """
    given = ", ".join(f"--{name.replace('_', '-')}" for name in options if is_given(context, name))
    if given:
        raise UsageError(
            f"{given} would be ignored: {why}",
            reason="OPTION_NOT_APPLICABLE",
            options=given,
        )


def refuse_file(model: str) -> None:
    """Refuses a file's name where the id of a stored model is expected.

    Raises: UsageError.
    """
    if model.endswith(_MODEL_FILES):
        raise UsageError(
            f"{model} is the name of a file, expected the id of a model on the server; "
            "upload the file and give its id, or add --local",
            reason="MODEL_IS_FILE",
            path=model,
        )


def check_folder(out: Path) -> None:
    """Checks before long work that the folder of its result is there.

    Raises: UsageError.
    """
    if not out.parent.is_dir():
        raise UsageError(
            f"{out} cannot be written: the folder {out.parent} does not exist; create it first",
            reason="FILE_UNUSABLE",
            path=str(out),
        )


def is_given(context: typer.Context, name: str) -> bool:
    """Tells whether an option, by the name of its parameter, was given, be it its default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
