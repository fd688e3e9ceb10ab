"""Files of every format version stay readable, and mean what they meant when they were written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from smidgen.artifact import encode_artifact, load_artifact
from smidgen.program import interpret
from tests.python.program.float_layer_programs import float_layer_program
from tests.python.program.small_programs import every_step_program, int4_program

DATA = Path(__file__).resolve().parent.parent / "data"


def outputs_digest(path: Path) -> str:
    """Returns the SHA-256 of all values that a fixed input leads to, tensor by tensor."""
    image = (np.arange(2 * 3 * 8 * 8, dtype=np.float32).reshape(2, 3, 8, 8) % 23 - 11) / 4
    digest = hashlib.sha256()
    for name, value in sorted(interpret(load_artifact(path), {"image": image}).items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_every_version_is_read(version: int) -> None:
    assert outputs_digest(DATA / f"artifact-v{version}.smidgen") == GOLDEN


def test_the_latest_version_is_written() -> None:
    assert encode_artifact(every_step_program()) == (DATA / "artifact-v4.smidgen").read_bytes()


def test_packed_weights_are_read_and_written() -> None:
    assert outputs_digest(DATA / "artifact-v3-int4.smidgen") == GOLDEN_INT4
    path = DATA / "artifact-v4-int4.smidgen"
    assert outputs_digest(path) == GOLDEN_INT4
    assert encode_artifact(int4_program()) == path.read_bytes()


def test_float_layers_are_read_and_written() -> None:
    path = DATA / "artifact-v4-float-layers.smidgen"
    assert outputs_digest(path) == GOLDEN_FLOAT_LAYERS
    assert encode_artifact(float_layer_program()) == path.read_bytes()


GOLDEN_FLOAT_LAYERS = "1b64c5a8c9caec4baabf94e2d57395ceda236d2f485f64dcd653da42d4750240"
GOLDEN_INT4 = "b451d7f1debca4bd8d8ebe3e35c55b080fa2a9f8df8afc620eb4e5ab30f9611a"
GOLDEN = "e8da643b33378cbfe639deb7f366a525de9590dbb132fb0165c2f1a7b5c2bf81"
