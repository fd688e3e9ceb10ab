"""The file of results."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.document import write_document
from tests.benchmarks.rows import make_row

MACHINE = {"cpu": "a CPU"}


def test_document_has_the_machine_the_rows_and_the_ratio(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    row = replace(make_row(smidgen_avx2=2.0, openvino_qdq=3.0), peaks=(9.0, 9.0, 9.0, 5.0))
    row.environments["openvino qdq"] = {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    write_document(path, MACHINE, [row], ["openvino"])
    document = json.loads(path.read_text())
    assert document["cpu"] == "a CPU"
    (found,) = document["rows"]
    assert found["ratio"] == pytest.approx(1.5)
    assert found["ratio_turn_by_turn"] == pytest.approx(1.5)
    assert found["ratio_undisturbed"] == pytest.approx(1.5)
    assert (found["undisturbed_rounds"], found["peaks"]) == (2, [9.0, 9.0, 9.0, 5.0])
    assert found["latencies"]["openvino qdq"] == {
        "median_ms": 3.0,
        "minimum_ms": 1.5,
        "calls": 10,
        "turns_ms": [1.5, 3.0, 9.0],
    }
    assert found["environments"] == {"openvino qdq": {"ONEDNN_MAX_CPU_ISA": "AVX2"}}
    assert found["weights"] == "random"


def test_document_grows_and_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    rows = [make_row(smidgen_avx2=2.0), make_row(smidgen_avx2=3.0)]
    for count in (1, 2):
        write_document(path, MACHINE, rows[:count], [])
        assert len(json.loads(path.read_text())["rows"]) == count
    assert list(tmp_path.iterdir()) == [path]


def test_document_stays_where_the_next_one_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    write_document(path, MACHINE, [make_row(smidgen_avx2=2.0)], [])
    before = path.read_text()
    unwritable = make_row(smidgen_avx2=2.0)
    unwritable.versions["smidgen avx2"] = object()  # type: ignore[assignment]  # no JSON
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_document(path, MACHINE, [unwritable], [])
    assert path.read_text() == before
