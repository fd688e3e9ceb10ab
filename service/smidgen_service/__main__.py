"""Runs the server: `python -m smidgen_service --help` lists its settings."""

from __future__ import annotations

import gc
import os
import sys

# grpc's core reads this when it is imported. It would write a line of its own, which is not JSON,
# for every peer that fails a handshake or sends what is refused.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def main() -> int:
    """Reads the settings and serves."""
    from pydantic import ValidationError  # noqa: PLC0415 - below, for the collector
    from pydantic_settings import CliApp, SettingsError  # noqa: PLC0415 - as well

    from smidgen_service.server import serve  # noqa: PLC0415 - as well
    from smidgen_service.settings import Settings  # noqa: PLC0415 - as well

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
    gc.disable()  # Nothing of what is imported is garbage. The server collects when it has started.
    sys.exit(main())
