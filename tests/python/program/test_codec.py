from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from smidgen.errors import ProgramError
from smidgen.program import STEP_TYPES, Program
from smidgen.program.codec import program_from_document, program_to_document
from tests.python.program.attention_programs import attention_program
from tests.python.program.float_layer_programs import float_layer_program
from tests.python.program.float_programs import float_step_program
from tests.python.program.image_programs import image_step_program
from tests.python.program.small_programs import every_step_program

PROGRAM = every_step_program()
PROGRAMS = {
    "integer": PROGRAM,
    "float": float_step_program(),
    "image": image_step_program(),
    "float layers": float_layer_program(),
    "attention": attention_program(8, 2, 4, (None, 1, 1, 8)),
}


def test_the_small_programs_have_every_kind_of_step() -> None:
    steps = [step for program in PROGRAMS.values() for step in program.steps]
    assert {type(step) for step in steps} == set(STEP_TYPES)


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_round_trip(program: Program) -> None:
    document = json.loads(json.dumps(program_to_document(program)))
    assert program_from_document(document, program.constants) == program


def test_a_field_that_version_1_lacks_takes_its_default() -> None:
    document = copy.deepcopy(program_to_document(PROGRAM))
    del document["steps"][6]["axis"]
    assert program_from_document(document, PROGRAM.constants) == PROGRAM


CHANGES: dict[str, tuple[list[Any], Any]] = {
    "unknown-op": (["steps", 0, "op"], "Explode"),
    "unknown-field": (["steps", 0, "surprise"], 1),
    "text-for-number": (["steps", 1, "groups"], "8"),
    "bool-for-number": (["steps", 1, "groups"], True),
    "huge-number": (["steps", 1, "groups"], 2**31),
    "number-for-bool": (["steps", 7, "count_include_pad"], 1),
    "three-paddings": (["steps", 1, "padding"], [1, 1, 1]),
    "number-for-list": (["steps", 6, "inputs"], 3),
    "number-for-text": (["steps", 0, "input"], 3),
    "unknown-dtype": (["tensors", 0, "dtype"], "float16"),
    "text-scale": (["tensors", 1, "scale"], "one"),
    "number-as-text-scale": (["tensors", 1, "scale"], "0.5"),
    "bool-scale": (["tensors", 1, "scale"], True),
    "scale-beyond-float": (["tensors", 1, "scale"], 10**400),
    "text-for-list": (["inputs"], "image"),
    "duplicate-tensor": (["tensors", 1, "name"], "image"),
    "lineage": (["lineage", "x"], 3),
    "no-list": (["steps"], 3),
    "missing-key": (["steps", 0], {"op": "Quantize", "input": "image"}),
    "extra-key": (["surprise"], 1),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_document_of_another_form_is_refused(name: str) -> None:
    path, value = CHANGES[name]
    document = copy.deepcopy(program_to_document(PROGRAM))
    target: Any = document
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    with pytest.raises(ProgramError):
        program_from_document(document, PROGRAM.constants)
