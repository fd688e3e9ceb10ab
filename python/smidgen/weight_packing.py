"""How an artifact holds int4 weights: two in a byte, and a byte for each group's multiplier.

docs/format.md describes the bytes. Packing and unpacking are inverse in both directions: there is
one packed form of each weight, and no other is read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.errors import ProgramError
from smidgen.program import Program, WeightPacking
from smidgen.program.packing import multipliers

Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class PackedWeight:
    """What is needed to unpack a weight.

    Attributes:
        packing: How it is packed.
        shape: [O, ...], the shape of the int8 weight.
    """

    packing: WeightPacking
    shape: tuple[int, ...]

    @property
    def row(self) -> int:
        """Weights of one output channel."""
        return math.prod(self.shape[1:])

    @property
    def group_count(self) -> int:
        """Groups of one output channel that have a multiplier in the file."""
        size = self.packing.group_size
        return -(-self.row // size) if size else 0

    @property
    def row_bytes(self) -> int:
        """Bytes of one output channel in the file."""
        return (self.row + 1) // 2 + self.group_count


def stored_constants(program: Program) -> Arrays:
    """Returns a program's constants as a file holds them: those that it packs as bytes."""
    return {
        name: pack(name, program.packing[name], value)
        if name in program.packing
        else np.ascontiguousarray(value)
        for name, value in program.constants.items()
    }


def unpacked_constants(packed: Mapping[str, PackedWeight], stored: Arrays) -> Arrays:
    """Reverses stored_constants.

    Raises:
        ProgramError: a packed weight is missing or has another form.
    """
    constants = dict(stored)
    for name, weight in packed.items():
        if name not in stored:
            raise ProgramError(f"the packed weight {name} is not among the constants")
        constants[name] = unpack(name, weight, stored[name])
    return constants


def pack(name: str, packing: WeightPacking, weight: NDArray[Any]) -> NDArray[np.uint8]:
    """Packs a weight [O, ...] int8 to [O, row bytes] uint8.

    Raises:
        ProgramError: a group of it is no multiple of four-bit values.
    """
    form = PackedWeight(packing, weight.shape)
    found = multipliers(name, packing, weight)
    rows = weight.reshape(len(weight), form.row)
    even = np.zeros((len(rows), 2 * ((form.row + 1) // 2)), np.int8)
    # In floats, which divide faster, and multiples without rounding.
    even[:, : form.row] = rows / _spread(found, form).astype(np.float32)
    pairs = even.view("<u2")
    nibbles = (pairs & 0xF | pairs >> 4 & 0xF0).astype(np.uint8)
    return np.concatenate([nibbles, found[:, : form.group_count]], axis=1)


def unpack(name: str, weight: PackedWeight, stored: NDArray[Any]) -> NDArray[np.int8]:
    """Unpacks [O, row bytes] uint8 to a weight [O, ...] int8.

    Raises:
        ProgramError: the bytes are too few or too many, or are not what pack writes.
    """
    expected = (weight.shape[0], weight.row_bytes)
    if stored.dtype != np.uint8 or stored.shape != expected:
        raise ProgramError(
            f"the packed weight {name} is {stored.dtype} of shape {list(stored.shape)}, expected "
            f"uint8 of shape {list(expected)}"
        )
    width = (weight.row + 1) // 2
    pairs = stored[:, :width].astype("<u2")
    nibbles = (pairs & 0xF | pairs << 4 & 0xF00).view(np.int8)
    # Sign extension of four bits: 8 to 15 stand for -8 to -1.
    quotients = (nibbles ^ 8) - np.int8(8)
    found = stored[:, width:] if weight.group_count else np.ones((len(stored), 1), np.uint8)
    # Products that leave int8 wrap, and are found below as others are.
    product = quotients[:, : weight.row] * _spread(found, weight).view(np.int8)
    unpacked = product.reshape(weight.shape)
    # One comparison finds all: -8, unknown multipliers, reducible ones, and padding that is not 0.
    if not np.array_equal(pack(name, weight.packing, unpacked), stored):
        raise ProgramError(f"the packed weight {name} is not in the form that packing gives")
    return unpacked


def _spread(found: NDArray[np.uint8], form: PackedWeight) -> NDArray[np.uint8]:
    """Returns the multiplier of each weight: [O, row], or [O, 1] where there is only one."""
    size = form.packing.group_size
    return np.repeat(found, size, axis=1)[:, : form.row] if found.shape[1] > 1 else found
