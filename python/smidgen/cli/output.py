"""What commands write: one result on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import sys

from rich.console import Console, RenderableType
from rich.markup import escape

from smidgen.cli.documents import Json, finite
from smidgen.errors import SmidgenError

_FILE_WIDTH = 1000  # lines in files and pipes stay whole, for grep and the like


def emit(document: Json, view: RenderableType, *, as_json: bool) -> None:
    """Writes a command's result: the document as JSON, or the view for people."""
    if as_json:
        sys.stdout.write(json.dumps(finite(document)) + "\n")
    else:
        console = Console()
        if not console.is_terminal and "COLUMNS" not in os.environ:
            console = Console(width=_FILE_WIDTH)
        console.print(view)


def note(text: str) -> None:
    """Tells people something beside the result."""
    Console(stderr=True).print(escape(text), highlight=False, soft_wrap=True)


def report_error(error: SmidgenError, *, as_json: bool) -> None:
    """Writes why a command ended without a result."""
    code = getattr(error, "code", None)
    if as_json:
        document = {"reason": error.reason, "message": error.message, "metadata": error.metadata}
        if code is not None:
            document["code"] = code
        sys.stderr.write(json.dumps({"error": document}) + "\n")
        return
    origin = error.reason if code in (None, error.reason) else f"{error.reason}, {code}"
    note(f"Error: {error.message} [{origin}]")
