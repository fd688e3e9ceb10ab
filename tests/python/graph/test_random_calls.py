"""Every operator, called with arguments of the right types and any values, refuses by itself.

Calls come from files of strangers: whatever the numbers, shapes and constants are, an operator
computes, or raises one of the three errors that readers understand, in bounded memory.
"""

from __future__ import annotations

import random
import tracemalloc
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress

import numpy as np
import pytest

from smidgen.graph import joining
from smidgen.graph.arguments import (
    BATCH_SIZE,
    ArgumentError,
    BatchMultiple,
    BatchRange,
    Constant,
    Joined,
    Parameter,
    PoolIndices,
    Statistic,
    Type,
    TypeNumber,
    UnsupportedCase,
    Value,
    Weight,
)
from smidgen.graph.assembly import Assembly, Origin
from smidgen.graph.operator_table import OPERATORS
from smidgen.graph.shapes import ShapeError

CALLS = 60
SPARE_BYTES = 96 << 20
SHAPES = [
    (None, 4, 8, 8), (None, 4, 16), (None, 8), (None, 1 << 20), (None, 1, 1), (2, 3), (4,), (1,),
    (None,), (None, 2, 2, 4, 4), (2, 4, 8, 8), (1, 4, 4), (None, (1 << 31) - 1),
]  # fmt: skip
CONSTANT_SHAPES = [(), (1,), (4,), (8,), (0,), (2, 3), (4, 4), (4, 1), (4, 4, 3, 3), (4, 4, 3)]
INTEGERS = [0, 1, 2, 3, 4, 8, -1, -2, -5, 16, 1 << 12, 1 << 20, (1 << 31) - 1, 1 << 40, -(1 << 62)]
FLOATS = [0.0, 1.0, 0.5, -1.0, 2.0, 1e-300, 1e300, -1e300, 20.0]
DTYPES = ["float32", "int64", "bool"]
TEXTS = [
    "none", "tanh", "same", "valid", "constant", "reflect", "replicate", "circular", "x", "ab->a",
    "a,ab->b", "ab,bc->ac", "abcd,dc->ab", "...a,...a", "...", "abc->acb", ",->",
]  # fmt: skip


class Draw:
    """Draws arguments for one call.

    Args:
        chance: Where chance comes from.
        assembly: The model that the call belongs to.
        weights: Weights that the model has.
    """

    def __init__(
        self, chance: random.Random, assembly: Assembly, weights: Mapping[str, Weight]
    ) -> None:
        self._chance = chance
        self._assembly = assembly
        self._weights = list(weights.values())

    def arguments(self, parameters: tuple[Parameter, ...]) -> dict[str, Value]:
        return {
            parameter.name: self._value(parameter.type)
            for parameter in parameters
            if parameter.is_required or self._chance.random() < 0.5
        }

    def _value(self, kind: Type) -> Value:
        makers: Mapping[Type, Callable[[], Value]] = {
            Type.TENSOR: self._tensor,
            Type.OPTIONAL_TENSOR: lambda: self._maybe(self._tensor),
            Type.TENSORS: lambda: self._several(self._tensor),
            Type.OPTIONAL_TENSORS: lambda: self._several(lambda: self._maybe(self._tensor)),
            Type.INT: self._integer,
            Type.SIZE: self._size,
            Type.NUMBER_OR_SIZE: self._chance.choice([self._number, self._size]),
            Type.INTS: lambda: self._several(self._integer),
            Type.OPTIONAL_INTS: lambda: self._maybe(lambda: self._several(self._integer)),
            Type.SIZES: lambda: self._several(self._size),
            Type.OPTIONAL_SIZES: lambda: self._maybe(lambda: self._several(self._size)),
            Type.PAIR: lambda: self._several(self._integer, least=1, most=2),
            Type.FLOAT: self._number,
            Type.OPTIONAL_NUMBER: lambda: self._maybe(self._number),
            Type.OPTIONAL_FLOATS: lambda: self._maybe(lambda: self._several(self._number)),
            Type.BOOL: lambda: self._chance.random() < 0.5,
            Type.STRING: lambda: self._chance.choice(TEXTS),
            Type.TENSOR_OR_NUMBER: self._chance.choice([self._tensor, self._number]),
            Type.IGNORED: self._type,
        }
        return makers[kind]()

    def _maybe(self, make: Callable[[], Value]) -> Value:
        return make() if self._chance.random() < 0.6 else None

    def _several(self, make: Callable[[], Value], least: int = 0, most: int = 4) -> Value:
        return tuple(make() for _ in range(self._chance.randint(least, most)))

    def _integer(self) -> int:
        return self._chance.choice(INTEGERS)

    def _number(self) -> float:
        return self._chance.choice([self._chance.choice(FLOATS), self._integer()])

    def _size(self) -> Value:
        return self._chance.choice([self._integer(), self._integer(), BATCH_SIZE, BatchMultiple(4)])

    def _type(self) -> Value:
        named = TypeNumber("scalar_type", self._chance.choice([*DTYPES, "float16", "int32", ""]))
        return self._chance.choice([None, named])

    def _tensor(self) -> Value:
        kind = self._chance.randrange(14)
        if kind > 11:
            return self._joined()
        if kind < 5:
            shape = self._chance.choice(SHAPES)
            return self._assembly.new_activation(shape, self._chance.choice(DTYPES))
        if kind < 8:
            return self._constant()
        if kind < 10:
            return self._chance.choice(self._weights)
        value = self._assembly.new_activation((None, 4, 8, 8), "float32")
        places = PoolIndices(value, self._chance.choice([(2, 2), (0, 1), (8, 8), None]))
        return self._chance.choice([BatchRange(), Statistic("w0"), places])

    def _joined(self) -> Joined:
        """Returns a value of which the axes are seen in any order, joined or not."""
        shape = self._chance.choice([shape for shape in SHAPES if shape[0] is None])
        value = self._assembly.new_activation(shape, self._chance.choice(DTYPES))
        order = self._chance.sample(range(len(shape)), len(shape))
        groups: list[tuple[int, ...]] = []
        for axis in order:
            if groups and self._chance.random() < 0.3:
                groups[-1] = (*groups[-1], axis)
            else:
                groups.append((axis,))
            if self._chance.random() < 0.1:
                groups.append(())
        return Joined(value, tuple(groups))

    def _constant(self) -> Constant:
        shape, dtype = self._chance.choice(CONSTANT_SHAPES), self._chance.choice(DTYPES)
        numbers = [self._chance.choice([0, 1, 2, 3, -1, 7, 1 << 20]) for _ in range(8)]
        return Constant(np.resize(np.array(numbers), shape).astype(dtype))


@pytest.fixture(scope="module")
def weights() -> dict[str, Weight]:
    """Weights that no call can change, so that all may have the same ones."""
    made = {}
    for index, shape in enumerate(CONSTANT_SHAPES):
        array = np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
        array.setflags(write=False)
        name = f"w{index}"
        made[name] = Weight(name, "float32", shape, is_transposed=index == 5, array=array)
    return made


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_computes_or_refuses(name: str, weights: dict[str, Weight]) -> None:
    operator = OPERATORS[name]
    chance = random.Random(zlib.crc32(name.encode()))
    tracemalloc.start()
    try:
        for _ in range(CALLS):
            assembly = Assembly(weights.values())
            arguments = Draw(chance, assembly, weights).arguments(operator.parameters)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            with suppress(ArgumentError, ShapeError, UnsupportedCase):
                joining.apply(assembly, Origin("call"), operator, arguments)
            assert tracemalloc.get_traced_memory()[1] - before <= SPARE_BYTES, arguments
    finally:
        tracemalloc.stop()
