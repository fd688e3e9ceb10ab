"""The command line, `smidgen`."""

from __future__ import annotations

import sys

from smidgen.cli.server_process import become_server, is_installed

__all__ = ["main"]


def main() -> None:
    """Runs the command line of this process.

    A server is started before the other commands are imported, which takes as long as it does.
    """
    if sys.argv[1:2] == ["serve"] and is_installed():
        become_server(sys.argv[2:])
    from smidgen.cli.app import main as run  # noqa: PLC0415 - see above

    run()
