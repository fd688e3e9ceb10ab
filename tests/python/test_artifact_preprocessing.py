"""The preprocessing in an artifact: kept, checked, and no matter to readers that do not know it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fuzz.artifacts import seal, take_apart
from smidgen.artifact import decode_artifact, encode_artifact
from smidgen.config import Extent, ImageLayout, Preprocessing, Resampling
from smidgen.errors import ArtifactError
from tests.python.program.small_programs import every_step_program

PREPROCESSING = Preprocessing(
    input="image",
    shorter_side=10,
    crop=Extent(8, 8),
    resampling=Resampling.BICUBIC,
    mean=(0.485, 0.456, 0.406),
    std=(0.229,),
)


def metadata_of(data: bytes, tmp_path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    path = tmp_path / "taken"
    path.write_bytes(data)
    return take_apart(path)


def test_round_trip_keeps_the_preprocessing() -> None:
    data = encode_artifact(replace(every_step_program(), preprocessing=PREPROCESSING))
    assert decode_artifact(data).preprocessing == PREPROCESSING
    assert decode_artifact(encode_artifact(every_step_program())).preprocessing is None


def test_what_other_releases_read_does_not_change(tmp_path: Path) -> None:
    with_it = encode_artifact(replace(every_step_program(), preprocessing=PREPROCESSING))
    known, constants = metadata_of(with_it, tmp_path)
    plain, same = metadata_of(encode_artifact(every_step_program()), tmp_path)
    assert known.pop("preprocessing")["mean"] == [0.485, 0.456, 0.406]
    assert known == plain
    assert constants.keys() == same.keys()


def sealed(document: object) -> dict[str, Any]:
    text = json.dumps(document, separators=(",", ":"))
    assert isinstance(document, dict)
    return {**document, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def with_changes(**changes: object) -> dict[str, Any]:
    return sealed({**PREPROCESSING.to_document(), **changes})


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("text", "INVALID_ARTIFACT"),
        ({}, "INVALID_ARTIFACT"),
        (sealed({}), "INVALID_ARTIFACT"),
        (with_changes(more=1), "INVALID_ARTIFACT"),
        (with_changes(std=[0.0]), "INVALID_ARTIFACT"),
        (with_changes(std=[10**400]), "INVALID_ARTIFACT"),
        (with_changes(mean=[[[]]]), "INVALID_ARTIFACT"),
        (with_changes(crop=[8, 9]), "INVALID_ARTIFACT"),
        (with_changes(input="other"), "INVALID_ARTIFACT"),
        (with_changes(layout=ImageLayout.NHWC.value), "INVALID_ARTIFACT"),
        (with_changes(channels=1), "INVALID_ARTIFACT"),
        ({**with_changes(), "scale": 0.5}, "ARTIFACT_DIGEST_MISMATCH"),
        ({**with_changes(), "sha256": 3}, "ARTIFACT_DIGEST_MISMATCH"),
        (PREPROCESSING.to_document(), "ARTIFACT_DIGEST_MISMATCH"),
    ],
)
def test_other_preprocessings_are_refused(document: object, reason: str, tmp_path: Path) -> None:
    metadata, constants = metadata_of(encode_artifact(every_step_program()), tmp_path)
    data = seal({**metadata, "preprocessing": document}, constants)
    with pytest.raises(ArtifactError) as caught:
        decode_artifact(data)
    assert caught.value.reason == reason
