"""Checkpoints: everything that a training needs to go on as if it had never stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load, save

from smidgen.errors import CheckpointDamagedError, TrainingError
from smidgen.qat.fingerprint import Fingerprint
from smidgen.sealed_file import BrokenSealError, read_sealed, write_sealed

FORMAT_VERSION = 3


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a training between two steps.

    Attributes:
        tensors: Weights, ranges, the optimizer's state, averages, the best state and the curve.
        document: The rest as plain values.
    """

    tensors: Mapping[str, torch.Tensor]
    document: Mapping[str, Any]


def save_checkpoint(snapshot: Snapshot, fingerprint: Fingerprint, path: Path) -> None:
    """Replaces a checkpoint by a newer one; a reader finds the old or the new one, whole."""
    document = {
        "format_version": FORMAT_VERSION,
        "fingerprint": asdict(fingerprint),
        "training": snapshot.document,
    }
    # Copies, because tied weights share memory and a safetensors file cannot.
    tensors = {name: t.detach().clone().contiguous() for name, t in snapshot.tensors.items()}
    # One entry, because safetensors does not keep the order of several.
    write_sealed(path, save(tensors, {"smidgen_checkpoint": json.dumps(document)}))


def load_checkpoint(path: Path, fingerprint: Fingerprint) -> Snapshot:
    """Reads a checkpoint of a training with this fingerprint.

    Raises:
        CheckpointDamagedError: it is not what was written.
        TrainingError: the file is something else; CHECKPOINT_MISSING, there is none.
        ResumeError: it is the checkpoint of another training.
        OSError: it cannot be read.
    """
    try:
        data = read_sealed(path)
    except FileNotFoundError as error:
        raise TrainingError(
            f"there is no checkpoint {path} to go on from; give the path that `checkpoint` had, or "
            "leave `resume` out to train from the start",
            reason="CHECKPOINT_MISSING",
            path=str(path),
        ) from error
    except BrokenSealError as error:
        raise CheckpointDamagedError(
            f"{path.name} is damaged, or is no checkpoint: it does not end in its digest; restore "
            "it from a backup, or train from the start"
        ) from error
    try:
        document = json.loads(_metadata(data)["smidgen_checkpoint"])
        tensors = load(data)
        if document["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format version {document['format_version']}")
        found = Fingerprint(**document["fingerprint"])
        snapshot = Snapshot(tensors, dict(document["training"]))
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise invalid_checkpoint(path) from error
    fingerprint.check(found)
    return snapshot


def _metadata(data: bytes) -> Mapping[str, Any]:
    """Returns the texts in the header of a safetensors file: 8 bytes of length, then JSON."""
    header_bytes = int.from_bytes(data[:8], "little")
    metadata: Mapping[str, Any] = json.loads(data[8 : 8 + header_bytes])["__metadata__"]
    return metadata


def invalid_checkpoint(path: Path) -> TrainingError:
    """Returns the error for a file that is no checkpoint of this build."""
    return TrainingError(
        f"{path.name} is not a checkpoint of this version; train from the start",
        reason="INVALID_CHECKPOINT",
    )
