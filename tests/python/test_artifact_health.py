"""What an artifact remembers of its calibration: kept, checked, and unknown to older readers."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fuzz.artifacts import seal, take_apart
from smidgen.artifact import decode_artifact, encode_artifact
from smidgen.errors import ArtifactError, ProgramError
from smidgen.program import HealthReference, WatchedTensor
from tests.python.program.small_programs import every_step_program

HEALTH = HealthReference(
    (
        WatchedTensor("x", "0:image", -3, -32, (1, 2, 997), 0.25),
        WatchedTensor("add", "4:body.add", 0, 0, (0, 1000, 0), 0.0),
    ),
    (((0.0, 6.0), ("conv",)), ((0.0, math.inf), ("depthwise", "add"))),
)


def parts_of(data: bytes, tmp_path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    path = tmp_path / "taken"
    path.write_bytes(data)
    return take_apart(path)


def test_round_trip_keeps_it() -> None:
    data = encode_artifact(replace(every_step_program(), health=HEALTH))
    assert decode_artifact(data).health == HEALTH
    assert encode_artifact(decode_artifact(data)) == data
    assert decode_artifact(encode_artifact(every_step_program())).health is None


def test_what_other_releases_read_does_not_change(tmp_path: Path) -> None:
    known, _ = parts_of(encode_artifact(replace(every_step_program(), health=HEALTH)), tmp_path)
    plain, _ = parts_of(encode_artifact(every_step_program()), tmp_path)
    assert known.pop("health")["watched"][0]["label"] == "0:image"
    assert known == plain


def sealed(document: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(document, separators=(",", ":"))
    return {**document, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def with_watched(**changes: object) -> dict[str, Any]:
    document = HEALTH.to_document()
    document["watched"][0].update(changes)
    return sealed(document)


def with_bounds(*bounds: object) -> dict[str, Any]:
    return sealed({**HEALTH.to_document(), "bounds": list(bounds)})


def bound(low: object, high: object, *tensors: object) -> dict[str, object]:
    return {"low": low, "high": high, "tensors": list(tensors)}


@pytest.mark.parametrize(
    "document",
    [
        "text",
        [],
        sealed({}),
        sealed({**HEALTH.to_document(), "more": 1}),
        sealed({**HEALTH.to_document(), "watched": []}),
        sealed({**HEALTH.to_document(), "watched": 10 * HEALTH.to_document()["watched"][:1]}),
        sealed({**HEALTH.to_document(), "watched": 2 * HEALTH.to_document()["watched"][:1]}),
        sealed({**HEALTH.to_document(), "watched": {}}),
        with_watched(more=1),
        with_watched(tensor=""),
        with_watched(tensor="other"),
        with_watched(tensor="image"),  # which is no quantized tensor
        with_watched(tensor=3),
        with_watched(label=""),
        with_watched(label="x" * 65),
        with_watched(label="a\nb"),
        with_watched(label="4:body.add"),
        with_watched(exponent=128),
        with_watched(exponent=-150),
        with_watched(exponent=True),
        with_watched(exponent=0.5),
        with_watched(first=1 << 31),
        with_watched(counts=[500, 500]),
        with_watched(counts=[1, *[0] * 65, 999]),
        with_watched(counts=[1, 2, 998]),
        with_watched(counts=[-1, 2, 999]),
        with_watched(counts=[1, 2, 997.0]),
        with_watched(counts=[1, 2, 10**40]),
        with_watched(counts=None),
        with_watched(clipped=1.5),
        with_watched(clipped=-0.1),
        with_watched(clipped=10**400),
        with_watched(clipped="much"),
        with_bounds(bound(6.0, 0.0, "conv")),
        with_bounds(bound(0.0, 6.0, "other")),
        with_bounds(bound(0.0, 6.0, "conv"), bound(0.0, None, "conv")),
        with_bounds(bound(0.0, 6.0, 7)),
        with_bounds(bound(0.0, "six", "conv")),
        with_bounds(7),
        with_bounds(bound(0.0, 6.0, *["conv"] * 8193)),
    ],
)
def test_other_references_are_refused(document: object, tmp_path: Path) -> None:
    metadata, constants = parts_of(encode_artifact(every_step_program()), tmp_path)
    with pytest.raises(ArtifactError) as caught:
        decode_artifact(seal({**metadata, "health": document}, constants))
    assert caught.value.reason == "INVALID_ARTIFACT"


@pytest.mark.parametrize(
    "damage",
    [
        lambda document: {**document, "bounds": []},
        lambda document: {**document, "sha256": 3},
        lambda document: {key: document[key] for key in ("watched", "bounds")},
    ],
)
def test_damaged_references_are_refused(
    damage: Callable[[dict[str, Any]], dict[str, Any]], tmp_path: Path
) -> None:
    metadata, constants = parts_of(encode_artifact(every_step_program()), tmp_path)
    health = damage(sealed(HEALTH.to_document()))
    with pytest.raises(ArtifactError) as caught:
        decode_artifact(seal({**metadata, "health": health}, constants))
    assert caught.value.reason == "ARTIFACT_DIGEST_MISMATCH"


def test_a_program_with_a_reference_to_others_is_not_written() -> None:
    other = replace(HEALTH, watched=(replace(HEALTH.watched[0], tensor="other"),))
    with pytest.raises(ProgramError, match="'other', no tensor"):
        encode_artifact(replace(every_step_program(), health=other))
