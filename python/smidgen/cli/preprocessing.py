"""Reads what is done to images from the user's JSON file."""

from __future__ import annotations

from pathlib import Path

from smidgen.cli.exits import UsageError
from smidgen.config import Augmentation, Preprocessing
from smidgen.errors import InvalidConfigError
from smidgen.formats.strict_json import parse_json
from smidgen.regular_file import open_regular

_MOST_BYTES = 1 << 16


def read_preprocessing(path: Path | None) -> Preprocessing | None:
    """Reads a preprocessing; what the file leaves out has its default.

    Raises: InvalidConfigError, OSError.
    """
    if path is None:
        return None
    with open_regular(path) as file:
        text = file.read(_MOST_BYTES)
    document = parse_json(text, label=str(path), error=InvalidConfigError)
    if not isinstance(document, dict):
        raise InvalidConfigError(
            f"{path} holds no JSON object, expected one with fields such as resize, mean and std",
            field="preprocessing",
        )
    return Preprocessing.from_document({**Preprocessing().to_document(), **document})


def augmentation_of(
    preprocessing: Preprocessing | None, *, flip: bool, least_area: float
) -> Augmentation | None:
    """Returns the augmentation that the options ask for, None for none.

    Raises: UsageError where there is no preprocessing; InvalidConfigError.
    """
    if not flip and least_area == 1.0:
        return None
    if preprocessing is None:
        raise UsageError(
            "--flip and --least-area need --preprocessing, which says what the images are",
            reason="PREPROCESSING_MISSING",
        )
    return Augmentation(flip=flip, least_area=least_area)
