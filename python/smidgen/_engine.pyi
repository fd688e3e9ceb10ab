from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

def available_isas() -> list[str]: ...

class Program:
    def __init__(self) -> None: ...
    def add_tensor(
        self, name: str, dtype: np.dtype[Any], rank: int, scale: float, zero_point: int
    ) -> int: ...
    def add_constant(self, values: NDArray[Any]) -> int: ...
    def set_ends(self, inputs: Sequence[int], outputs: Sequence[int]) -> None: ...
    def add_quantize(self, input: int, output: int) -> None: ...
    def add_dequantize(self, input: int, output: int) -> None: ...
    def add_conv2d(
        self,
        input: int,
        output: int,
        weight: int,
        weight_scale: int,
        bias: int,
        stride: tuple[int, int],
        padding: tuple[int, int, int, int],
        dilation: tuple[int, int],
        groups: int,
        qmin: int,
        qmax: int,
    ) -> None: ...
    def add_linear(
        self,
        input: int,
        output: int,
        weight: int,
        weight_scale: int,
        bias: int,
        qmin: int,
        qmax: int,
    ) -> None: ...
    def add_add(self, lhs: int, rhs: int, output: int, qmin: int, qmax: int) -> None: ...
    def add_multiply(self, lhs: int, rhs: int, output: int, qmin: int, qmax: int) -> None: ...
    def add_average_pool(
        self,
        input: int,
        output: int,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        padding: tuple[int, int, int, int],
        count_include_pad: bool,
        qmin: int,
        qmax: int,
    ) -> None: ...
    def add_global_average_pool(self, input: int, output: int, qmin: int, qmax: int) -> None: ...
    def add_max_pool(
        self,
        input: int,
        output: int,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        padding: tuple[int, int, int, int],
        dilation: tuple[int, int],
    ) -> None: ...
    def add_concat(self, inputs: Sequence[int], output: int) -> None: ...
    def add_lookup(self, input: int, output: int, table: int) -> None: ...
    def add_reshape(self, input: int, output: int, shape: Sequence[int]) -> None: ...

class Engine:
    def __init__(
        self,
        program: Program,
        threads: int,
        isa: str | None,
        most_bytes: int | None = None,
        most_work: int | None = None,
    ) -> None: ...
    @property
    def threads(self) -> int: ...
    @property
    def isa(self) -> str: ...
    @property
    def cached_plan_count(self) -> int: ...
    def run(self, inputs: Sequence[NDArray[Any]], outputs: Sequence[int]) -> list[NDArray[Any]]: ...
    def time_runs(
        self, inputs: Sequence[NDArray[Any]], outputs: Sequence[int], rounds: int
    ) -> NDArray[np.float64]: ...
    def time_steps(
        self, inputs: Sequence[NDArray[Any]], outputs: Sequence[int], rounds: int
    ) -> tuple[list[int], NDArray[np.float64]]: ...
