"""Lists of contestants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.entries import entries, integer_peers
from benchmarks.peers import Entry
from benchmarks.subject import Subject

ALL = ("onnxruntime", "openvino", "inductor", "pytorch")


@pytest.fixture
def images(tmp_path: Path) -> Subject:
    """A net on images with a program."""
    subject = Subject("mobilenet_v2", 1, tmp_path)
    subject.artifact.touch()
    return subject


@pytest.fixture
def tokens(tmp_path: Path) -> Subject:
    """A net on tokens with a program."""
    subject = Subject("minilm_l6", 1, tmp_path)
    subject.artifact.touch()
    return subject


def names(found: Sequence[Entry]) -> list[str]:
    return [entry.name for entry in found]


def test_the_engine_is_first_and_peers_have_all_variants(images: Subject) -> None:
    assert names(entries(images, "avx2", 1, ALL)) == [
        "smidgen avx2",
        "onnxruntime qdq",
        "onnxruntime static",
        "openvino qdq",
        "openvino nncf",
        "inductor static",
        "pytorch contiguous",
        "pytorch channels-last",
    ]


def test_encoders_are_also_quantized_dynamically(tokens: Subject) -> None:
    assert names(entries(tokens, "avx2", 1, ["onnxruntime", "inductor"])) == [
        "smidgen avx2",
        "onnxruntime qdq",
        "onnxruntime static",
        "onnxruntime dynamic",
        "inductor static",
        "inductor dynamic",
    ]


def test_quick_takes_the_first_variant(tokens: Subject) -> None:
    assert names(entries(tokens, "avx2", 2, ALL, quick=True)) == [
        "smidgen avx2",
        "onnxruntime qdq",
        "openvino qdq",
        "inductor static",
        "pytorch contiguous",
    ]


def test_several_threads_of_onnxruntime_also_run_without_spinning(images: Subject) -> None:
    assert names(entries(images, "avx2", 2, ["onnxruntime"]))[1:] == [
        "onnxruntime qdq",
        "onnxruntime qdq no-spinning",
        "onnxruntime static",
        "onnxruntime static no-spinning",
    ]


def test_no_peers_leave_the_engine(images: Subject) -> None:
    assert entries(images, "avx2", 1, []) == [Entry("smidgen", "avx2")]


def test_without_a_program_nobody_runs_it(images: Subject) -> None:
    images.artifact.unlink()
    assert names(entries(images, "avx2", 1, ["onnxruntime", "openvino"])) == [
        "onnxruntime static",
        "openvino nncf",
    ]


def test_peers_are_limited_and_the_engine_is_not(images: Subject) -> None:
    found = {entry.name: entry.environment for entry in entries(images, "avx512vnni", 1, ALL)}
    assert found["smidgen avx512vnni"] == {}
    assert found["openvino qdq"] == {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_FP16"}
    assert found["openvino nncf"] == found["openvino qdq"]
    assert found["inductor static"]["ONEDNN_MAX_CPU_ISA"] == "AVX512_CORE_FP16"


def test_peers_are_not_limited_where_that_is_asked_for(images: Subject) -> None:
    found = entries(images, "avx2", 1, ALL, uncapped=True)
    assert all(entry.environment == {} for entry in found)


def test_the_ratio_is_to_peers_that_run_integers() -> None:
    assert integer_peers(ALL) == ["onnxruntime", "openvino", "inductor"]
