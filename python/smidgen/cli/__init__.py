"""The command line, `smidgen`."""

from smidgen.cli.app import main

__all__ = ["main"]
