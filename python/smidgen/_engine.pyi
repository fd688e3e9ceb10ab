from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

def available_isas() -> list[str]: ...
def measure_peak(isa: str) -> float | None: ...
def first_not_finite(values: NDArray[np.float32]) -> int: ...
def look_up_pixels(
    pixels: NDArray[np.uint8],
    table: NDArray[np.float32],
    channels_first: bool,
    out: NDArray[np.float32],
) -> None: ...

class BytesRun:
    def __init__(self, engine: Engine, shape: Sequence[int], outputs: Sequence[int]) -> None: ...
    def run(self, values: bytes | memoryview) -> tuple[tuple[bytes, ...], float, float] | None: ...
    def output_shapes(self) -> list[list[int]] | None: ...

class Program:
    def __init__(self) -> None: ...
    def add_tensor(
        self, name: str, dtype: np.dtype[Any], rank: int, scale: float, zero_point: int
    ) -> int: ...
    def add_constant(self, values: NDArray[Any]) -> int: ...
    def set_ends(self, inputs: Sequence[int], outputs: Sequence[int]) -> None: ...
    # add_<step>: one method a class of smidgen.program.steps, with its fields by name.
    def __getattr__(self, name: str) -> Callable[..., None]: ...

class Engine:
    def __init__(
        self,
        program: Program,
        threads: int,
        isa: str | None,
        most_bytes: int | None = None,
        most_work: int | None = None,
        tune: bool = True,
        most_weight_bytes: int | None = None,
    ) -> None: ...
    @property
    def threads(self) -> int: ...
    @property
    def isa(self) -> str: ...
    @property
    def cached_plan_count(self) -> int: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def shareable_bytes(self) -> int: ...
    def share_weights(self, file: int) -> Literal["shared", "unequal", "impossible"]: ...
    def drop_plans(self) -> None: ...
    def run(self, inputs: Sequence[NDArray[Any]], outputs: Sequence[int]) -> list[NDArray[Any]]: ...
    def run_planned(
        self, inputs: Sequence[NDArray[Any]], outputs: Sequence[int]
    ) -> list[NDArray[Any]] | None: ...
    def time_runs(
        self, inputs: Sequence[NDArray[Any]], outputs: Sequence[int], rounds: int
    ) -> NDArray[np.float64]: ...
    def time_steps(
        self, inputs: Sequence[NDArray[Any]], outputs: Sequence[int], rounds: int
    ) -> tuple[list[int], NDArray[np.float64]]: ...
    def describe_plan(
        self, shapes: Sequence[Sequence[int]], outputs: Sequence[int]
    ) -> dict[str, Any]: ...

class FakeQuantizer:
    def __init__(self, isa: str | None) -> None: ...
    def round(
        self,
        x: NDArray[np.float32],
        scale: float,
        low: float,
        high: float,
        least: float,
        most: float,
        blocked: float | None,
        out: NDArray[np.float32],
        bits: NDArray[np.uint8],
        threads: int,
    ) -> None: ...
    def round_weight(
        self,
        weight: NDArray[np.float32],
        factors: NDArray[np.float32] | None,
        out: NDArray[np.float32],
        bits: NDArray[np.uint8],
        scales: NDArray[np.float32],
        threads: int,
    ) -> None: ...
    def pass_gradient(
        self,
        gradient: NDArray[np.float32],
        bits: NDArray[np.uint8],
        out: NDArray[np.float32],
        threads: int,
    ) -> None: ...
    def pass_weight_gradient(
        self,
        gradient: NDArray[np.float32],
        bits: NDArray[np.uint8],
        out: NDArray[np.float32],
        threads: int,
    ) -> None: ...
    def value_range(self, x: NDArray[np.float32], threads: int) -> tuple[float, float]: ...
