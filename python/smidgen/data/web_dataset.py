"""Shards of WebDataset: tar archives in which files of one name, up to its first dot, are a sample.

A sample has one image (`.jpg`, `.jpeg` or `.png`) and optionally its class: a `.cls` file with the
number as text, or a `.json` file with an object whose `label` is the number.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np

from smidgen.data.encoded_images import UNLABELLED, EncodedImages, ImagePlaces
from smidgen.data.limits import DEFAULT_LIMITS, ImageLimits
from smidgen.data.tar_archive import TarMember, read_members
from smidgen.errors import InvalidDatasetError
from smidgen.formats.strict_json import parse_json
from smidgen.regular_file import open_regular

MOST_CLASS = (1 << 31) - 1

_IMAGES = frozenset({"jpg", "jpeg", "png"})
_CLASS, _FACTS = "cls", "json"
_MOST_CLASS_BYTES = 32
_MOST_FACTS_BYTES = 1 << 16
_DIGITS = re.compile(rb"\s*([0-9]{1,10})\s*\Z")


def read_web_dataset(path: Path, *, limits: ImageLimits = DEFAULT_LIMITS) -> EncodedImages:
    """Finds the images of a shard.

    Raises:
        InvalidDatasetError: With a TarReason or a DATASET_ reason.
        OSError: The file cannot be read.
    """
    places = ImagePlaces(path, limits)
    keys = array("Q")
    with open_regular(path) as file:
        for key, members in groupby(read_members(file, limits=limits), _key):
            keys.append(int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()))
            _add_sample(places, file, key, members)
    _check_apart(keys)
    return EncodedImages(places)


def _key(member: TarMember) -> str:
    folder, slash, name = member.name.rpartition("/")
    return folder + slash + name.partition(".")[0]


def _add_sample(
    places: ImagePlaces, file: BinaryIO, key: str, members: Iterator[TarMember]
) -> None:
    image: TarMember | None = None
    labels: list[int] = []
    for member in members:
        kind = member.name.rpartition("/")[2].partition(".")[2].lower()
        if kind in _IMAGES and image is None:
            image = member
        elif kind == _CLASS:
            labels.append(_class(_contents(file, member, _MOST_CLASS_BYTES)))
        elif kind == _FACTS:
            labels += _label(_contents(file, member, _MOST_FACTS_BYTES))
        else:
            _unexpected(member.name)
    if image is None or len(set(labels)) > 1:
        found = "no image" if image is None else "two different classes"
        raise InvalidDatasetError(
            f"The sample {key[:64]!r} has {found}, expected an image and at most one class.",
            reason="DATASET_BAD_SAMPLE",
        )
    label = labels[0] if labels else UNLABELLED
    places.add(image.offset, image.size, label=label)


def _contents(file: BinaryIO, member: TarMember, most: int) -> bytes:
    if member.size > most:
        _bad_label(f"{member.name[:64]!r} has {member.size} bytes, expected at most {most}")
    file.seek(member.offset)
    return file.read(member.size)


def _class(text: bytes) -> int:
    found = _DIGITS.match(text)
    if found is None:
        _bad_label(f"a .cls file holds {text[:16]!r}, expected a number from 0 on")
    return _checked(int(found[1]))


def _label(text: bytes) -> list[int]:
    document = parse_json(text, label="A .json file", error=InvalidDatasetError)
    if not isinstance(document, dict):
        _bad_label("a .json file holds no object")
    label = document.get("label")
    if label is None:
        return []
    if type(label) is not int:
        _bad_label("the label of a .json file is no integer")
    return [_checked(label)]


def _checked(label: int) -> int:
    if not 0 <= label <= MOST_CLASS:
        _bad_label(f"a class is {label}, expected 0 to {MOST_CLASS}")
    return label


def _check_apart(keys: array[int]) -> None:
    """Refuses a name that comes back after others: its files would be two samples, or one."""
    # Sorted in place: these are half a megabyte for each 64 thousand samples.
    ordered = np.frombuffer(keys, np.uint64)
    ordered.sort()
    if bool((ordered[1:] == ordered[:-1]).any()):
        raise InvalidDatasetError(
            "Two samples have the same name, or the files of one are not next to each other. "
            "Write the files of each sample in a row.",
            reason="DATASET_DUPLICATE_SAMPLE",
        )


def _bad_label(found: str) -> NoReturn:
    raise InvalidDatasetError(
        f"The data set has a class that cannot be read: {found}. Number the classes from 0 on.",
        reason="DATASET_BAD_LABEL",
    )


def _unexpected(name: str) -> NoReturn:
    raise InvalidDatasetError(
        f"The data set has the file {name[:64]!r}; expected one .jpg, .jpeg or .png a sample, and "
        "a .cls or .json with its class. Leave other files out.",
        reason="DATASET_UNEXPECTED_FILE",
    )
