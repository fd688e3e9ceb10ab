"""Examining samples beside requests: which twins are kept, and versions that have none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smidgen.artifact import encode_artifact
from smidgen.health.examiner import Examiner
from smidgen.health.findings import Findings
from smidgen.program import Program
from smidgen_service.handlers import examination as examination_module
from smidgen_service.handlers.examination import Examination, ExaminationLimits, Sample
from smidgen_service.store.blobs import BlobStore
from tests.python.health.doubling import SCALE, doubling_program

QUIET = {"image": np.full((1, 2, 6, 6), SCALE, np.float32)}
PLENTY = ExaminationLimits(1 << 20, 1 << 20, 1 << 30)


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


@pytest.fixture
def examination(blobs: BlobStore) -> Iterator[Examination]:
    made = Examination(blobs, PLENTY)
    yield made
    made.close()


def put(blobs: BlobStore, tmp_path: Path, program: Program) -> str:
    data = encode_artifact(program)
    sha256 = hashlib.sha256(data).hexdigest()
    source = tmp_path / "artifact"
    source.write_bytes(data)
    blobs.adopt(source, sha256)
    return sha256


def found(examination: Examination, sha256: str) -> Findings | str:
    found, cpu_s = examination.submit(Sample(sha256, QUIET, None)).result()
    assert cpu_s > 0
    return found


def test_a_twin_is_kept_for_the_next_sample(
    blobs: BlobStore, tmp_path: Path, examination: Examination
) -> None:
    sha256 = put(blobs, tmp_path, doubling_program())
    first = found(examination, sha256)
    blobs.path(sha256).unlink()
    assert isinstance(first, Findings)
    assert found(examination, sha256) == first


def test_twins_used_for_longest_ago_give_way(blobs: BlobStore, tmp_path: Path) -> None:
    programs = [replace(doubling_program(), lineage={"model_sha256": name}) for name in "ab"]
    first, second = (put(blobs, tmp_path, program) for program in programs)
    examiner = Examiner(programs[0])
    examiner.examine(QUIET, None)
    most = examiner.memory_bytes * 3 // 2
    examination = Examination(blobs, replace(PLENTY, most_bytes=most))
    for sha256 in (first, second):
        assert isinstance(found(examination, sha256), Findings)
    blobs.path(first).unlink()
    with pytest.raises(FileNotFoundError):
        found(examination, first)
    examination.close()


def test_what_has_no_twin_is_told(
    blobs: BlobStore, tmp_path: Path, examination: Examination
) -> None:
    plain = put(blobs, tmp_path, replace(doubling_program(), health=None))
    assert "no histograms" in str(found(examination, plain))
    small = Examination(blobs, replace(PLENTY, most_bytes=100))
    sha256 = put(blobs, tmp_path, doubling_program())
    assert "--health-memory-bytes" in str(found(small, sha256))
    small.close()
    lazy = Examination(blobs, replace(PLENTY, most_work=10))
    assert "operations" in str(found(lazy, sha256))
    lazy.close()


def test_what_is_too_large_for_a_twin_is_not_even_read(
    blobs: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination_module, "LARGEST_HEADER_BYTES", 0)
    sha256 = put(blobs, tmp_path, doubling_program())
    size = blobs.path(sha256).stat().st_size
    blobs.path(sha256).write_bytes(bytes(size))  # which would be no artifact
    small = Examination(blobs, replace(PLENTY, most_bytes=size - 1))
    assert f"takes {size} bytes or more" in str(found(small, sha256))
    small.close()


def test_a_large_image_does_not_turn_health_off_for_others(
    blobs: BlobStore, tmp_path: Path
) -> None:
    program = doubling_program()
    shape = (None, 2, None, None)
    tensors = {name: replace(one, shape=shape) for name, one in program.tensors.items()}
    sha256 = put(blobs, tmp_path, replace(program, tensors=tensors))
    large = {"image": np.zeros((1, 2, 64, 64), np.float32)}
    examiner = Examiner(replace(program, tensors=tensors))
    examiner.examine(QUIET, None)
    most = examiner.memory_bytes
    examiner.examine(large, None)
    assert examiner.memory_bytes > most
    examination = Examination(blobs, replace(PLENTY, most_bytes=most))
    for inputs in (large, QUIET):
        findings, _ = examination.submit(Sample(sha256, inputs, None)).result()
        assert isinstance(findings, Findings)
    examination.close()
