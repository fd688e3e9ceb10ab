"""The layout of a .pt2 archive: which entries it must, may and must not have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from smidgen.formats.limits import Limits
from smidgen.formats.pt2.reasons import Pt2Reason
from smidgen.formats.refusal import refusal
from smidgen.formats.zip_archive import ZipArchive, ZipLimits

MODEL = "models/model.json"
WEIGHTS_TABLE = "data/weights/model_weights_config.json"
CONSTANTS_TABLE = "data/constants/model_constants_config.json"

_WORDS = {"archive_format": b"pt2", "archive_version": b"0", "byteorder": b"little"}
_RECORD = re.compile(r"data/(weights|constants)/((?:weight|tensor)_[0-9]{1,9})")
_EXAMPLE = re.compile(r"data/sample_inputs/[^/]+")
_SKIPPED = re.compile(rf"extra/.+|{_EXAMPLE.pattern}|\.data/(version|serialization_id)")
_LEGACY = ("serialized_exported_program.json", "serialized_state_dict.pt")
_HOW_TO_SAVE = "Write the file with torch.export.save of torch 2.9 or later."
_COMPILED = re.compile(r"data/(aotinductor|executorch|mtia)/|.*xl_model_weights/|.*\.(so|cubin)$")
_PICKLED = re.compile(r"data/(weights|constants)/(.+\.pt|(custom|opaque)_obj_.*)")
_CONTAINER_VERSIONS = range(6, 11)


@dataclass(frozen=True, slots=True)
class Pt2Archive:
    """The entries of one archive that are read. Everything else in it is never opened.

    Attributes:
        program: The JSON text of the program.
        weights_table: The JSON text of the table of parameters and persistent buffers.
        constants_table: The JSON text of the table of constants and other buffers.
        weights: The bytes of each weight record by name.
        constants: The bytes of each constant record by name.
        example_bytes: The size of the inputs that the model was exported with.
        data: The bytes of the whole file.
    """

    program: memoryview
    weights_table: memoryview
    constants_table: memoryview
    weights: Mapping[str, memoryview]
    constants: Mapping[str, memoryview]
    example_bytes: int
    data: memoryview


def open_pt2(path: Path, limits: Limits) -> Pt2Archive:
    """Opens an archive and checks its layout.

    Raises:
        InvalidModelError: With a ZIP_ or PT2_ reason.
    """
    archive = ZipArchive(
        path, limits=ZipLimits(file_bytes=limits.file_bytes, entries=limits.entries)
    )
    entries = _relative_names(archive)
    records: dict[str, dict[str, memoryview]] = {"weights": {}, "constants": {}}
    for name, full_name in entries.items():
        match = _RECORD.fullmatch(name)
        if match:
            records[match.group(1)][match.group(2)] = archive.read(full_name)
        else:
            _check_entry(name)
    for name, word in _WORDS.items():
        found = _read(archive, entries, name, 16)
        if bytes(found) != word:
            message = f"{name} is {bytes(found)!r}, expected {word!r}."
            raise refusal(Pt2Reason.UNSUPPORTED_VERSION, message)
    _check_container_version(_read(archive, entries, ".data/version", 16))
    program, weights_table, constants_table = (
        _read(archive, entries, name, limits.program_bytes)
        for name in (MODEL, WEIGHTS_TABLE, CONSTANTS_TABLE)
    )
    example_bytes = sum(
        archive.size(full_name) for name, full_name in entries.items() if _EXAMPLE.fullmatch(name)
    )
    return Pt2Archive(
        program, weights_table, constants_table, records["weights"], records["constants"],
        example_bytes, archive.data,
    )  # fmt: skip


def _relative_names(archive: ZipArchive) -> dict[str, str]:
    names = archive.names
    if any(name.rpartition("/")[2] in _LEGACY for name in names):
        raise refusal(
            Pt2Reason.LEGACY_FORMAT,
            "it was saved by torch 2.8 or older. Save it again with torch 2.9 or later.",
        )
    roots = {name.split("/", 1)[0] for name in names}
    if len(roots) > 1:
        found = f"its entries are in {len(roots)} folders, expected one."
        raise refusal(Pt2Reason.MULTIPLE_ROOTS, found)
    if not roots or any("/" not in name for name in names):
        raise refusal(Pt2Reason.BAD_LAYOUT, "its entries are not in one folder.")
    return {name.split("/", 1)[1]: name for name in names}


def _check_entry(name: str) -> None:
    if (
        name in _WORDS
        or name in (MODEL, WEIGHTS_TABLE, CONSTANTS_TABLE)
        or _SKIPPED.fullmatch(name)
    ):
        return
    shown = repr(name[:80])
    if _COMPILED.match(name):
        found = (
            f"it has compiled code or foreign weights in {shown}. Save a plain exported program."
        )
        raise refusal(Pt2Reason.COMPILED_CODE, found)
    if _PICKLED.fullmatch(name):
        found = f"{shown} is a pickle, which could run code. Save the model without custom objects."
        raise refusal(Pt2Reason.PICKLE_FORBIDDEN, found)
    if re.fullmatch(r"models/[^/]+\.json", name):
        found = f"it has the further model {shown}, expected models/model.json alone."
        raise refusal(Pt2Reason.MULTIPLE_MODELS, found)
    raise refusal(Pt2Reason.UNKNOWN_ENTRY, f"it has the unknown entry {shown}. {_HOW_TO_SAVE}")


def _read(archive: ZipArchive, entries: Mapping[str, str], name: str, max_bytes: int) -> memoryview:
    if name not in entries:
        found = (
            f"it lacks the entry {name!r}. Save it with torch.export.save of torch 2.9 or later."
        )
        raise refusal(Pt2Reason.MISSING_ENTRY, found)
    size = archive.size(entries[name])
    if size > max_bytes:
        found = f"{name} has {size} bytes, at most {max_bytes} are allowed."
        raise refusal(Pt2Reason.TOO_LARGE, found)
    return archive.read(entries[name])


def _check_container_version(text: memoryview) -> None:
    word = bytes(text).strip()
    if not word.isdigit() or int(word) not in _CONTAINER_VERSIONS:
        found = f"its container version is {word!r}, expected 6 to 10."
        raise refusal(Pt2Reason.UNSUPPORTED_VERSION, found)
