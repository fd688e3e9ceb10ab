"""The list of files of a backup, which is written last: a backup without one is not whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from smidgen.durable_file import write_durably
from smidgen_service.errors import DataDirectoryError

FORMAT_VERSION = 1
_NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Size and digest of a file."""

    size_bytes: int
    sha256: str


def write_manifest(folder: Path, files: Mapping[str, StoredFile], *, create_time: int) -> None:
    """Writes the list of a backup's files, whose paths are relative to its folder."""
    document = {
        "format_version": FORMAT_VERSION,
        "create_time": create_time,
        "files": {path: asdict(file) for path, file in sorted(files.items())},
    }
    write_durably(folder / _NAME, (json.dumps(document, indent=1) + "\n").encode())


def read_manifest(folder: Path) -> Mapping[str, StoredFile]:
    """Returns the files of a backup.

    Raises:
        DataDirectoryError: the folder is no backup, or not a whole one.
    """
    try:
        document = json.loads((folder / _NAME).read_bytes())
        if document["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format version {document['format_version']}")
        files = {path: StoredFile(**file) for path, file in document["files"].items()}
        for path in files:
            if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                raise ValueError(f"path {path}")
    except FileNotFoundError:
        raise DataDirectoryError(
            f"{folder} has no {_NAME}, so it is no backup, or one that was not finished; "
            "name the folder of a whole backup",
            reason="NO_BACKUP",
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataDirectoryError(
            f"{_NAME} of {folder} cannot be used ({error}); name the folder of a whole backup",
            reason="BACKUP_DAMAGED",
        ) from error
    return files
