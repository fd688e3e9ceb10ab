"""Runs the server: `python -m smidgen_service --help` lists its settings."""

from __future__ import annotations

import sys

from pydantic import ValidationError
from pydantic_settings import CliApp

from smidgen_service.server import serve
from smidgen_service.settings import Settings


def main() -> int:
    """Reads the settings and serves."""
    try:
        settings = CliApp.run(Settings)
    except ValidationError as error:
        for problem in error.errors():
            place = ".".join(str(part) for part in problem["loc"])
            message = problem["msg"].removeprefix("Value error, ")
            sys.stderr.write(f"{place + ': ' if place else ''}{message}\n")
        return 2
    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
