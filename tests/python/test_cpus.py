"""The number of CPUs takes containers into account."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from smidgen.cpus import usable_cpus
from smidgen.engine import Engine
from tests.python.program.random_programs import RandomProgram


@pytest.fixture(autouse=True)
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("10000 100000", 1),
        ("3200000 100000", 8),
        ("nonsense", 8),
    ],
)
def test_quota_of_a_container_counts(tmp_path: Path, limit: str, expected: int) -> None:
    (tmp_path / "cpu.max").write_text(limit + "\n")
    assert usable_cpus(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1", 8), ("300000", 3)])
def test_quota_of_the_first_version_counts(tmp_path: Path, quota: str, expected: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000")
    assert usable_cpus(tmp_path) == expected


def test_without_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path) == 8


def test_engine_takes_all_usable_cpus_if_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smidgen.engine.usable_cpus", lambda: 3)
    assert Engine(RandomProgram(0).program(), threads=None).threads == 3
