"""A twin under construction: what rules read and write."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.free_name import free_name
from smidgen.health.twin.errors import NoTwinError
from smidgen.program import ConstantTensor, DType, Program, Step, Unary, step_constants
from smidgen.program.shapes import Shape
from smidgen.program.verify import MOST_STEPS
from smidgen.program_builder import ProgramBuilder

LARGEST = float(np.finfo(np.float32).max)
FLOAT32_BYTES = 4


class TwinWriter:
    """The steps in float of one program, step after step.

    Attributes:
        source: The program.
        names: Which tensor of the twin has the value of each of the program's.

    Args:
        program: A verified program.
        most_bytes: Most memory of the twin's constants; None for no limit.
    """

    def __init__(self, program: Program, most_bytes: int | None = None) -> None:
        self.source = program
        self.names: dict[str, str] = {}
        self._builder = ProgramBuilder()
        self._most_bytes = math.inf if most_bytes is None else most_bytes
        self._bytes = 0
        self._steps = 0
        self._taken = set(program.tensors)
        self._taken_constants = set(program.constants)
        self._bounds = {} if program.health is None else program.health.bounds_by_tensor()
        for name in program.inputs:
            self.define(name)

    def read(self, name: str) -> str:
        """Returns the tensor that has the value of a tensor of the program."""
        return self.names[name]

    def define(self, name: str) -> str:
        """Declares the tensor for one of the program's under the same name, and returns it."""
        tensor = self.source.tensor(name)
        dtype = DType.FLOAT32 if tensor.dtype is DType.UINT8 else tensor.dtype
        self.names[name] = name
        return self._builder.plain_tensor(name, tensor.shape, dtype)

    def alias(self, name: str, value: str) -> None:
        """Says that a tensor of the twin has the value of one of the program's."""
        self.names[name] = value

    def between(self, near: str, role: str, shape: Shape, dtype: DType = DType.FLOAT32) -> str:
        """Declares a tensor on the way to one of the program's, and returns its name."""
        name = free_name(f"{near}.{role}", self._taken)
        self._taken.add(name)
        return self._builder.plain_tensor(name, shape, dtype)

    def add(self, step: Step) -> None:
        """Appends a step.

        Raises:
            NoTwinError: there are as many already as a program may have: a pool of a large window
                takes one for each of its rows and columns.
        """
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise NoTwinError(f"in float the version takes more than {MOST_STEPS} steps")
        self._builder.step(step)

    def expect_room(self, *shape: int) -> None:
        """Makes sure that a constant of float32 may be there, before it is made.

        What is a number in a program, such as the size that images get, may be a matrix here.

        Raises:
            NoTwinError: with it the twin takes more memory than it may.
        """
        self._expect_room(math.prod(shape) * FLOAT32_BYTES)

    def constant(self, near: str, role: str, value: NDArray[Any]) -> str:
        """Adds a constant and returns its name."""
        self._take_room(value)
        name = free_name(f"{near}.{role}", self._taken_constants)
        self._taken_constants.add(name)
        return self._builder.constant(name, value)

    def constant_tensor(self, near: str, role: str, value: NDArray[Any]) -> str:
        """Adds a constant as a tensor, and returns its name."""
        output = self.between(near, role, value.shape, DType(value.dtype.name))
        self.add(ConstantTensor(output, self.constant(near, role, value)))
        return output

    def kept(self, name: str) -> NDArray[Any]:
        """Returns a constant of the program."""
        return self.source.constants[name]

    def scale(self, tensor: str) -> float:
        """Returns the scale of a quantized tensor of the program."""
        scale = self.source.tensor(tensor).scale
        assert scale is not None, "verify lets no such step read the scale of a float tensor"
        return scale

    def extents(self, tensor: str) -> tuple[int, int]:
        """Returns height and width of a tensor [N, C, H, W] of the program.

        Raises:
            NoTwinError: they differ from run to run.
        """
        height, width = self.source.tensor(tensor).shape[2:]
        if height is None or width is None:
            raise NoTwinError(f"height and width of {tensor} are not fixed")
        return height, width

    def unclamped(self, output: str) -> str:
        """Declares what a step writes before its activation; `clamped` must follow the step."""
        if output not in self._bounds:
            return self.define(output)
        return self.between(output, "unclamped", self.source.tensor(output).shape)

    def clamped(self, output: str, value: str) -> None:
        """Applies the activation that was fused into a step of the program, if there was one."""
        bounds = self._bounds.get(output)
        if bounds is None:
            return
        low, high = bounds
        written = self.define(output)
        if (low, high) == (0.0, math.inf):
            self.add(Unary(value, written, "relu"))
        else:
            limits = (max(low, -LARGEST), min(high, LARGEST))
            self.add(Unary(value, written, "clamp", limits))

    def copy(self, step: Any) -> None:
        """Appends a step that means the same in float, with its constants."""
        changes: dict[str, Any] = {}
        for field in dataclasses.fields(step):
            value, kind = getattr(step, field.name), str(field.type)
            if field.name == "output" or "TensorName" not in kind or value is None:
                continue
            is_list = kind.startswith("tuple")
            changes[field.name] = (
                tuple(self.read(name) for name in value) if is_list else self.read(value)
            )
        for name in step_constants(step):
            self._take_room(self.kept(name))
            self._builder.constant(name, self.kept(name))
        self.add(dataclasses.replace(step, **changes, output=self.define(step.output)))

    def finish(self, outputs: tuple[str, ...]) -> Program:
        """Returns the twin.

        Args:
            outputs: Its tensors that runs return.
        """
        return self._builder.finish(self.source.inputs, outputs, {})

    def _take_room(self, value: NDArray[Any]) -> None:
        self._expect_room(value.nbytes)
        self._bytes += value.nbytes

    def _expect_room(self, more_bytes: int) -> None:
        if self._bytes + more_bytes > self._most_bytes:
            raise NoTwinError(
                f"in float the weights take more than the {self._most_bytes} bytes that are allowed"
            )
