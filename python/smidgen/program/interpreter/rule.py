"""What a rule of the interpreter is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from smidgen.program.types import Program

Values = dict[str, NDArray[Any]]  # every tensor that has been computed, by name
Rule = Callable[[Program, Any, Values], NDArray[Any]]  # (program, step, values) to the output
