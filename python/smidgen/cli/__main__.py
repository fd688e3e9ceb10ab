"""Runs the command line: `python -m smidgen.cli`."""

from smidgen.cli import main

main()
