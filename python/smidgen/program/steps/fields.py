"""The types of a step's fields; verify, the codec and `step_inputs` go by these names."""

from __future__ import annotations

TensorName = str  # of a value that flows; every field of it but `output` is read by the step
ConstantName = str  # of an array in Program.constants

IntPair = tuple[int, int]
Padding = tuple[int, int, int, int]  # top, left, bottom, right
