"""Artifacts taken apart and sealed again, so that edits of the program get past the digest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

Arrays = dict[str, np.ndarray[Any, Any]]


def take_apart(path: Path) -> tuple[dict[str, Any], Arrays]:
    """Returns an artifact's metadata and constants."""
    with safe_open(path, framework="numpy") as file:
        metadata = json.loads(file.metadata()["smidgen"])
        return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def seal(metadata: dict[str, Any], constants: Arrays) -> bytes:
    """Returns an artifact whose digest is right; docs/format.md says what it covers."""
    text = json.dumps(metadata["program"], separators=(",", ":"))
    digest = hashlib.sha256(text.encode())
    for name in sorted(constants):
        value = constants[name]
        digest.update(f"\0{name}\0{value.dtype.name}\0{value.shape}\0".encode())
        digest.update(np.ascontiguousarray(value).data)
    sealed = metadata | {"sha256": digest.hexdigest()}
    return save(constants, {"smidgen": json.dumps(sealed, separators=(",", ":"))})
