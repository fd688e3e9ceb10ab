"""Exit codes, and which error ends in which."""

from __future__ import annotations

import enum

from smidgen.client.errors import DeadlineExceededError, RemoteError, UnavailableError
from smidgen.errors import SmidgenError


class ExitCode(enum.IntEnum):
    """How the command ended, for the shell."""

    OK = 0
    REFUSED = 1
    """The server refused, or the job failed."""
    USAGE = 2
    """A bad option, or a local file that cannot be used."""
    UNREACHABLE = 3
    """No server answered, or not in time."""
    INTERRUPTED = 130
    """Ctrl-C."""


class UsageError(SmidgenError):
    """The options make no sense together, or a local file cannot be used."""

    default_reason = "USAGE"


def exit_code(error: SmidgenError) -> ExitCode:
    """Returns how a command that raised error ends."""
    if isinstance(error, UnavailableError | DeadlineExceededError):
        return ExitCode.UNREACHABLE
    return ExitCode.REFUSED if isinstance(error, RemoteError) else ExitCode.USAGE
