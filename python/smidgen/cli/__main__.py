"""Runs the command line: `python -m smidgen.cli`."""

from smidgen.cli.app import main

main()
