"""Programs of absurd size, or with names that cannot be shown, are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from smidgen.errors import ProgramError
from smidgen.program import Add, DType, Program, Quantize, TensorInfo, verify


def chain(length: int, *, name: str = "x") -> Program:
    tensors = [TensorInfo(name, DType.FLOAT32, (1, 1)), TensorInfo("t0", DType.UINT8, (1, 1), 1.0)]
    tensors += [replace(tensors[1], name=f"t{index}") for index in range(1, length)]
    adds = [Add(f"t{index - 1}", f"t{index - 1}", f"t{index}") for index in range(1, length)]
    return Program(
        inputs=(name,),
        outputs=(tensors[-1].name,),
        tensors={tensor.name: tensor for tensor in tensors},
        steps=(Quantize(name, "t0"), *adds),
        constants={},
    )


def test_program_with_too_many_steps_is_refused() -> None:
    verify(chain(4096))
    with pytest.raises(ProgramError, match="more than 4096 steps"):
        verify(chain(4097))


def test_outputs_named_without_end_are_refused() -> None:
    program = chain(2)
    with pytest.raises(ProgramError, match="too many"):
        verify(replace(program, outputs=program.outputs * 40_000))


@pytest.mark.parametrize("name", ["", "a\0b", "a\nb", "\ud800", "a" * 513])
def test_name_that_cannot_be_shown_is_refused(name: str) -> None:
    with pytest.raises(ProgramError, match="printable characters"):
        verify(chain(2, name=name))
