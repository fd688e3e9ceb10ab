"""Measures which lines and branches run, at the price of one store for each statement.

A tracer would slow down all code of a process, that of libraries too. Here
`python -m tools.reach prepare` compiles marked copies of modules, processes that have
`REACH_FOLDER` in their environment run these instead, and `python -m tools.reach report` tells
coverage.py what was reached, which judges and prints it.
"""
