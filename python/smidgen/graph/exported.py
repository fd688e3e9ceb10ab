"""An exported model after every check: operations over numbered values. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smidgen.graph.operations import FLOAT32, Operation, Shape
from smidgen.tensor_spec import TensorSpec


@dataclass(frozen=True, slots=True)
class ExportedNode:
    """One operation on values.

    Attributes:
        operation: What is computed.
        inputs: Numbers of the values that it reads.
        output: Number of the value that it defines.
        shape: Shape of that value.
        label: The operator's name in the file, for display alone.
        module_path: Where it came from, such as `blocks.0.conv`, for display alone; may be empty.
        dtype: Element type of the value.
        source: The line of the user's program, such as `net.py:12 in forward`, for display alone;
            may be empty.
    """

    operation: Operation
    inputs: tuple[int, ...]
    output: int
    shape: Shape
    label: str
    module_path: str
    dtype: str = FLOAT32
    source: str = ""


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """A model as it was exported. Values 0 to len(inputs) - 1 are the inputs.

    Attributes:
        inputs: Name, element type and shape of each input.
        outputs: The same of each output.
        nodes: Operations in an order in which they can run.
        output_values: Number of the value of each output.
        weights: Read-only arrays by name; views of the mapped file.
        parameters: The names of those that training may change.
        parameter_count: Elements of all trained parameters, each stored tensor counted once.
        parameter_bytes: Bytes of the same.
        batch_range: Least and greatest (None: unbounded) batch size, or None if it is fixed.
        sha256: Digest of the file in hex.
        warnings: What deserves attention, for people.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    nodes: tuple[ExportedNode, ...]
    output_values: tuple[int, ...]
    weights: Mapping[str, NDArray[np.generic]]
    parameters: frozenset[str]
    parameter_count: int
    parameter_bytes: int
    batch_range: tuple[int, int | None] | None
    sha256: str
    warnings: tuple[str, ...] = ()
