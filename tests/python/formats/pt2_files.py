"""Makes .pt2 files: good ones by torch.export, bad ones by editing good ones."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.python.formats.zip_writer import entries_of, write_zip

MODEL = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
Edit = Callable[[Any], None]


def export(
    path: Path,
    module: nn.Module,
    *examples: torch.Tensor,
    dynamic: bool = True,
    decompose: bool = False,
) -> Path:
    """Exports a module, with a dynamic batch size of 1 to 64, and returns the path."""
    batch = torch.export.Dim("batch", min=1, max=64)
    shapes = tuple({0: batch} for _ in examples) if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(module, examples, dynamic_shapes=shapes)
        torch.export.save(program.run_decompositions() if decompose else program, path)
    return path


@dataclass(frozen=True)
class Pt2File:
    """The entries of a .pt2 file by name below its root folder."""

    entries: dict[str, bytes]
    root: str = "model"
    strays: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Pt2File:
        with zipfile.ZipFile(path) as archive:
            return cls({name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()})

    def with_entries(self, **changes: bytes | None) -> Pt2File:
        """Returns a copy with entries replaced, added or (None) left out."""
        return self.replaced(changes)

    def replaced(self, changes: dict[str, bytes | None]) -> Pt2File:
        entries = {**self.entries, **changes}
        kept = {name: data for name, data in entries.items() if data is not None}
        return replace(self, entries=kept)

    def edited(self, edit: Edit, name: str = MODEL) -> Pt2File:
        """Returns a copy with one JSON text changed in place."""
        document = json.loads(self.entries[name])
        edit(document)
        return self.replaced({name: json.dumps(document).encode()})

    def beside(self, name: str) -> Pt2File:
        """Returns a copy with an empty entry that is not below the root folder."""
        return replace(self, strays=(*self.strays, name))

    def document(self, name: str = MODEL) -> Any:
        return json.loads(self.entries[name])

    def write(self, path: Path) -> Path:
        files = {f"{self.root}/{name}": data for name, data in self.entries.items()}
        path.write_bytes(write_zip(entries_of(files | dict.fromkeys(self.strays, b""))))
        return path
