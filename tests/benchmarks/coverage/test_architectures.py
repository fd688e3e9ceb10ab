"""The list of architectures is as large as the run promises, and each is found by its name."""

from __future__ import annotations

import pytest

from benchmarks.coverage.architectures import ARCHITECTURES, find
from benchmarks.coverage.report import LEAST_SQNR_DB


def test_names_are_unique_and_found() -> None:
    names = [architecture.name for architecture in ARCHITECTURES]
    assert len(set(names)) == len(names)
    assert all(find(architecture.name) is architecture for architecture in ARCHITECTURES)
    with pytest.raises(KeyError):
        find("no such net")


def test_there_are_sixty_and_twenty_through_onnx_of_both_libraries() -> None:
    assert len(ARCHITECTURES) >= 60
    assert sum(architecture.through_onnx for architecture in ARCHITECTURES) >= 20
    assert {item.library for item in ARCHITECTURES} == {"pytorchcv", "transformers"}


def test_each_has_inputs_and_a_bound_on_its_noise() -> None:
    for architecture in ARCHITECTURES:
        assert architecture.inputs
        assert architecture.family in LEAST_SQNR_DB
