"""The artifact file: a program with its constants in one safetensors container.

docs/format.md describes the bytes. The container's metadata has one entry, `smidgen`, a JSON object
with the format version, the SHA-256 of the contents and the program; the tensors are the program's
constants.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from smidgen.config import Preprocessing
from smidgen.data.preprocess import check_takes_images
from smidgen.durable_file import write_durably
from smidgen.errors import (
    ArtifactError,
    InvalidConfigError,
    InvalidDatasetError,
    InvalidModelError,
    ProgramError,
)
from smidgen.formats.strict_json import parse_json
from smidgen.program import HealthReference, Program, index_counts, verify
from smidgen.program.codec import packed_weights, program_from_document, program_to_document
from smidgen.regular_file import open_regular
from smidgen.tensor_spec import TensorSpec
from smidgen.weight_packing import PackedWeight, stored_constants, unpacked_constants

Arrays = dict[str, NDArray[np.generic]]

FORMAT_VERSION = 4  # what this release writes; it reads all from 1 on
METADATA_KEY = "smidgen"
_PREPROCESSING_KEY = "preprocessing"
_HEALTH_KEY = "health"
LARGEST_HEADER_BYTES = 4 << 20  # a program of a thousand steps takes a tenth


def encode_artifact(program: Program) -> bytes:
    """Encodes a program; equal programs give equal bytes.

    Raises:
        ProgramError: the program breaks its rules.
    """
    verify(program)
    document = program_to_document(program)
    # One entry only: the container's writer keeps metadata in a hash map, so that several entries
    # would come in any order and equal programs would give different bytes.
    constants = stored_constants(program)
    metadata = {
        "format_version": FORMAT_VERSION,
        "sha256": _content_digest(document, constants),
        "program": document,
    }
    if program.preprocessing is not None:
        # Apart from the program and its digest: releases that know nothing of it read on.
        metadata[_PREPROCESSING_KEY] = _sealed(program.preprocessing.to_document())
    if program.health is not None:
        metadata[_HEALTH_KEY] = _sealed(program.health.to_document())
    return save_tensors(constants, {METADATA_KEY: _to_json(metadata)})


def decode_artifact(data: bytes) -> Program:
    """Decodes and verifies a program.

    Raises:
        ArtifactError: reason INVALID_ARTIFACT (malformed), ARTIFACT_VERSION_UNSUPPORTED, or
            ARTIFACT_DIGEST_MISMATCH (damaged).
    """
    return _decode(BytesIO(data), len(data), lambda: load_tensors(data))


def save_artifact(program: Program, path: str | Path) -> str:
    """Writes an artifact durably, replacing `path` in one step, and returns the file's SHA-256.

    Raises:
        ProgramError: the program breaks its rules.
        OSError: the file cannot be written.
    """
    data = encode_artifact(program)
    write_durably(Path(path), data)
    return hashlib.sha256(data).hexdigest()


def load_artifact(path: str | Path) -> Program:
    """Reads and verifies an artifact file.

    Raises:
        ArtifactError: see decode_artifact.
        OSError: the file cannot be read.
    """
    path = Path(path)

    def read_constants() -> Arrays:
        # One array at a time from the mapped file, so that there is no copy of the whole of it.
        try:
            with safe_open(path, framework="numpy") as tensors:
                return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
        except FileNotFoundError:
            # safetensors says so whatever kept it from opening the file, which is open below.
            raise OSError(errno.EIO, "the file cannot be opened again", str(path)) from None

    with open_regular(path) as file:
        return _decode(file, path.stat().st_size, read_constants)


def program_specs(program: Program) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Returns the specs of a program's inputs and of its outputs."""
    counts = index_counts(program)

    def specs(names: tuple[str, ...]) -> tuple[TensorSpec, ...]:
        tensors = [program.tensor(name) for name in names]
        return tuple(
            TensorSpec(tensor.name, tensor.dtype.value, tensor.shape, counts.get(tensor.name))
            for tensor in tensors
        )

    return specs(program.inputs), specs(program.outputs)


def _to_json(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


def _content_digest(document: dict[str, Any], constants: Mapping[str, NDArray[np.generic]]) -> str:
    digest = hashlib.sha256(_to_json(document).encode())
    for name in sorted(constants):
        value = constants[name]
        digest.update(f"\0{name}\0{value.dtype.name}\0{value.shape}\0".encode())
        digest.update(np.ascontiguousarray(value).data)
    return digest.hexdigest()


def _decode(file: BinaryIO, size: int, read_constants: Callable[[], Arrays]) -> Program:
    metadata = _read_metadata(file, size)
    document, preprocessing = metadata.document, metadata.preprocessing
    try:
        constants = read_constants()
        if _content_digest(document, constants) != metadata.sha256:
            raise ArtifactError(
                "the artifact's contents do not match its SHA-256; get the file again",
                reason="ARTIFACT_DIGEST_MISMATCH",
            )
        packed = {name: PackedWeight(*form) for name, form in packed_weights(document).items()}
        program = program_from_document(document, unpacked_constants(packed, constants))
        if preprocessing is not None:
            program = replace(program, preprocessing=_preprocessing(preprocessing, program))
        if metadata.health is not None:
            program = replace(program, health=_health(metadata.health))
        verify(program)
    except (ProgramError, SafetensorError) as error:
        raise ArtifactError(f"this is not a valid artifact: {error}") from error
    except (LookupError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise ArtifactError(
            "this is not a valid artifact: its program or constants have another form than "
            "expected; upload a file that Smidgen's convert wrote"
        ) from error
    return program


def _sealed(document: dict[str, Any]) -> dict[str, Any]:
    """Returns a part beside the program with its own digest."""
    return {**document, "sha256": hashlib.sha256(_to_json(document).encode()).hexdigest()}


def _unsealed(document: object, part: str) -> tuple[dict[str, Any], object]:
    """Returns a part beside the program, and the digest that it states."""
    if not isinstance(document, dict):
        raise ArtifactError(f"the artifact's {part} is no object; convert the model again")
    return {key: value for key, value in document.items() if key != "sha256"}, document.get(
        "sha256"
    )


def _check_seal(document: dict[str, Any], sha256: object, part: str) -> None:
    if hashlib.sha256(_to_json(document).encode()).hexdigest() != sha256:
        raise ArtifactError(
            f"the artifact's {part} does not match its SHA-256; get the file again",
            reason="ARTIFACT_DIGEST_MISMATCH",
        )


def _health(document: object) -> HealthReference:
    """Reads what the program remembers of its calibration; `verify` looks at the names in it."""
    described, sha256 = _unsealed(document, "health")
    try:
        health = HealthReference.from_document(described)
    except ValueError as error:
        raise ArtifactError(
            f"the artifact's health is malformed: {error}; convert the model again"
        ) from error
    _check_seal(health.to_document(), sha256, "health")
    return health


def _preprocessing(document: object, program: Program) -> Preprocessing:
    """Reads what is done to images, which must fit the program's input."""
    described, sha256 = _unsealed(document, "preprocessing")
    try:
        preprocessing = Preprocessing.from_document(described)
        check_takes_images(program_specs(program)[0], preprocessing)
    except (InvalidConfigError, InvalidDatasetError) as error:
        raise ArtifactError(
            f"the artifact's preprocessing is malformed: {error.message}; convert the model again"
        ) from error
    _check_seal(preprocessing.to_document(), sha256, "preprocessing")
    return preprocessing


def _no_header(start: bytes) -> ArtifactError:
    """Returns the error about a file that begins otherwise, and says what it is where that shows.

    Args:
        start: Its first eight bytes.
    """
    # Reading artifacts alone needs none of the readers of models.
    from smidgen.formats.model_file import SUFFIXES, format_by_start  # noqa: PLC0415

    # A header of a length that artifacts may have is one of an artifact that was cut off.
    is_cut = int.from_bytes(start, "little") <= LARGEST_HEADER_BYTES
    found = None if is_cut else format_by_start(start)
    for suffix, model_format in SUFFIXES.items():
        if model_format is found:
            return ArtifactError(
                f"this is a {suffix} model and not an artifact; convert it, and give the .smidgen "
                "file that comes of it",
                found=found.value,
            )
    return ArtifactError(
        "this is not an artifact: it has no safetensors header; upload a file that Smidgen's "
        "convert wrote"
    )


@dataclass(frozen=True, slots=True)
class _Metadata:
    """What the container's metadata say.

    Attributes:
        document: The program's.
        sha256: The declared digest.
        preprocessing: Beside the program; None where there is none.
        health: Likewise.
    """

    document: dict[str, Any]
    sha256: str
    preprocessing: object
    health: object


def _read_metadata(file: BinaryIO, size: int) -> _Metadata:
    try:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if size < 8 or length > min(LARGEST_HEADER_BYTES, size - 8):
            raise _no_header(start)
        header: Any = parse_json(file.read(length), label="its header")
        text = header["__metadata__"][METADATA_KEY].encode()
        metadata: Any = parse_json(text, label="its program")
        version, sha256, document = (
            metadata[key] for key in ("format_version", "sha256", "program")
        )
    except (InvalidModelError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            "this is a container of another kind, not an artifact; upload a file that Smidgen's "
            "convert wrote"
        ) from error
    if version not in range(1, FORMAT_VERSION + 1):
        raise ArtifactError(
            f"the artifact has format version {version!r:.20}, this release reads 1 to "
            f"{FORMAT_VERSION}; convert the model again",
            reason="ARTIFACT_VERSION_UNSUPPORTED",
        )
    if not isinstance(document, dict) or not isinstance(sha256, str):
        raise ArtifactError("the artifact's metadata has fields of the wrong type")
    return _Metadata(document, sha256, metadata.get(_PREPROCESSING_KEY), metadata.get(_HEALTH_KEY))
