from __future__ import annotations

import hashlib
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.artifact import (
    decode_artifact,
    encode_artifact,
    load_artifact,
    program_specs,
    save_artifact,
)
from smidgen.errors import ArtifactError, ProgramError
from smidgen.program import Program
from smidgen.tensor_spec import TensorSpec
from tests.python.program.small_programs import every_step_program, with_step


def assert_equal(found: Program, expected: Program) -> None:
    assert found.inputs == expected.inputs
    assert found.outputs == expected.outputs
    assert dict(found.tensors) == dict(expected.tensors)
    assert found.steps == expected.steps
    assert found.lineage == expected.lineage
    assert found.constants.keys() == expected.constants.keys()
    for name, value in expected.constants.items():
        assert found.constants[name].dtype == value.dtype
        assert found.constants[name].tolist() == value.tolist()


def test_round_trip(tmp_path: Path) -> None:
    program = every_step_program()
    path = tmp_path / "model.smidgen"
    sha256 = save_artifact(program, path)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert_equal(load_artifact(path), program)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.smidgen"]


def test_equal_programs_give_equal_bytes() -> None:
    assert encode_artifact(every_step_program()) == encode_artifact(every_step_program())
    assert encode_artifact(every_step_program(1)) != encode_artifact(every_step_program(2))


def test_specs() -> None:
    inputs, outputs = program_specs(every_step_program())
    assert inputs == (TensorSpec("image", "float32", (None, 3, 8, 8)),)
    assert outputs == (TensorSpec("logits", "float32", (None, 5)),)


def test_an_invalid_program_is_not_written() -> None:
    with pytest.raises(ProgramError):
        encode_artifact(with_step(every_step_program(), 1, qmin=300))


ENCODED = encode_artifact(every_step_program())


@given(st.integers(0, len(ENCODED) * 8 - 1))
@settings(max_examples=300, deadline=None)
def test_every_flipped_bit_is_found(bit: int) -> None:
    damaged = bytearray(ENCODED)
    damaged[bit // 8] ^= 1 << bit % 8
    try:
        program = decode_artifact(bytes(damaged))
    except ArtifactError:
        return
    # White space in the JSON header is the only byte that carries nothing.
    assert_equal(program, every_step_program())
    assert damaged[bit // 8 : bit // 8 + 1] != ENCODED[bit // 8 : bit // 8 + 1]


@given(st.integers(0, len(ENCODED) - 1))
@settings(max_examples=100, deadline=None)
def test_every_truncation_is_refused(length: int) -> None:
    with pytest.raises(ArtifactError):
        decode_artifact(ENCODED[:length])


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ArtifactError):
        decode_artifact(data)


def rewrite(change: dict[str, object]) -> bytes:
    """Returns the artifact with other metadata."""
    length = int.from_bytes(ENCODED[:8], "little")
    header = json.loads(ENCODED[8 : 8 + length])
    metadata = {**json.loads(header["__metadata__"]["smidgen"]), **change}
    header["__metadata__"]["smidgen"] = json.dumps(metadata)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + ENCODED[8 + length :]


def test_another_format_version_is_named() -> None:
    with pytest.raises(
        ArtifactError, match="format version 5, this release reads 1 to 4"
    ) as caught:
        decode_artifact(rewrite({"format_version": 5}))
    assert caught.value.reason == "ARTIFACT_VERSION_UNSUPPORTED"


def test_another_digest_is_refused() -> None:
    with pytest.raises(ArtifactError, match="do not match its SHA-256") as caught:
        decode_artifact(rewrite({"sha256": "0" * 64}))
    assert caught.value.reason == "ARTIFACT_DIGEST_MISMATCH"


@pytest.mark.parametrize("change", [{"program": []}, {"sha256": 1}, {"program": {}}])
def test_metadata_of_the_wrong_form_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ArtifactError):
        decode_artifact(rewrite(change))


def test_a_header_of_4_mib_took_hundreds_of_megabytes() -> None:
    # Nothing counted the objects of the header, nor those in the text of its program.
    chains = b",".join([b'{"":' * 60 + b"0" + b"}" * 60] * 12_000)
    hidden = json.dumps({"__metadata__": {"smidgen": chains.replace(b'"', b"").decode()}}).encode()
    for text in (b"[" + chains + b"]", hidden):
        data = len(text).to_bytes(8, "little") + text
        tracemalloc.start()
        try:
            with pytest.raises(ArtifactError) as caught:
                decode_artifact(data)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert caught.value.reason == "INVALID_ARTIFACT"
        assert peak < 64 << 20


def test_a_plain_safetensors_file_is_refused() -> None:
    from safetensors.numpy import save  # noqa: PLC0415 -- only this test needs it

    with pytest.raises(ArtifactError, match="container of another kind"):
        decode_artifact(save({"a": np.zeros(3, np.float32)}))


@pytest.mark.parametrize(
    ("start", "name"), [(b"PK\x03\x04\x14\0\0\0", ".pt2"), (b"\x08\x0a\x12\x07pytorch", ".onnx")]
)
def test_a_float_model_is_called_what_it_is(start: bytes, name: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        decode_artifact(start + bytes(500))
    assert caught.value.message == (
        f"this is a {name} model and not an artifact; convert it, and give the .smidgen file that "
        "comes of it"
    )
    assert caught.value.reason == "INVALID_ARTIFACT"
    assert caught.value.metadata["found"] == name[1:]


def test_an_artifact_that_was_cut_off_is_no_onnx_file() -> None:
    with pytest.raises(ArtifactError, match="no safetensors header"):
        decode_artifact((0x1208).to_bytes(8, "little") + b'{"a": 1}')
