"""Runs the server: `python -m smidgen_service --help` lists its settings."""

from __future__ import annotations

import os
import sys

from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsError

# grpc's core reads this when it is imported. It would write a line of its own, which is not JSON,
# for every peer that fails a handshake or sends what is refused.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

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
    except SettingsError as error:  # of a file, or of a variable that should be JSON
        cause = error.__cause__
        sys.stderr.write(f"{error}\n" if cause is None else f"{error}; {cause}\n")
        return 2
    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
