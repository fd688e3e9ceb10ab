"""What is found of requests."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from smidgen.engine import Engine
from smidgen.health.counting import MOST_VALUES, count_tensor
from smidgen.health.examiner import Examiner, disagree
from smidgen.health.findings import Findings
from smidgen.health.twin import NoTwinError
from smidgen.program import DType, TensorInfo, WatchedTensor
from tests.python.health.doubling import SCALE, doubling_program

TENSOR = TensorInfo("x", DType.UINT8, (None, 4), 0.25, 4)  # -1.0 to 62.75
WATCHED = WatchedTensor("x", "0:x", 3, -1, (0, 0, 500, 500, 0), 0.0)  # -8 to 16


def counted(*values: float) -> tuple[int, tuple[int, ...]]:
    found = count_tensor(WATCHED, TENSOR, np.array(values, np.float32))
    assert found.values == len(values)
    return found.clipped, found.counts


def test_values_are_counted_in_the_cells_of_calibration() -> None:
    assert counted(0.0, 7.9, 8.0, -0.5, 15.9) == (0, (0, 1, 2, 2, 0))
    assert counted(-9.0, 16.0, 62.8) == (1, (1, 0, 0, 0, 2))


def test_what_rounding_brings_into_the_range_is_not_clipped() -> None:
    assert counted(62.87, -1.12)[0] == 0
    assert counted(62.9, -1.13)[0] == 2


def test_what_is_no_number_is_clipped_and_lies_outside() -> None:
    assert counted(np.nan, np.inf, -np.inf, 3.4e38) == (4, (1, 0, 0, 0, 3))


def test_of_very_many_values_some_are_counted() -> None:
    found = count_tensor(WATCHED, TENSOR, np.zeros((10, MOST_VALUES), np.float32))
    assert MOST_VALUES // 2 < found.values <= MOST_VALUES
    assert found.counts == (0, 0, found.values, 0, 0)


@pytest.mark.parametrize(
    ("answer", "expected", "differs"),
    [
        ([[0.1, 0.9]], [[0.0, 5.0]], False),
        ([[0.9, 0.1]], [[0.0, 5.0]], True),
        ([1.0, 2.0], [1.0, 2.1], False),
        ([1.0, 2.0], [1.0, 2.6], True),
        ([[1.0]], [[np.nan]], True),
        ([[0.0]], [[0.0]], False),
    ],
)
def test_answers_disagree(answer: list[object], expected: list[object], differs: bool) -> None:
    found = disagree(np.array(answer, np.float32), np.array(expected, np.float32))
    assert found is differs


def test_whole_numbers_disagree_where_they_differ() -> None:
    assert not disagree(np.array([3]), np.array([3]))
    assert disagree(np.array([3]), np.array([4]))


def test_a_request_is_examined() -> None:
    program = doubling_program()
    engine, examiner = Engine(program), Examiner(program)
    assert examiner.memory_bytes > 0
    quiet = {"image": np.full((1, 2, 6, 6), SCALE, np.float32)}
    loud = {"image": np.full((1, 2, 6, 6), 100 * SCALE, np.float32)}
    found = [examiner.examine(one, engine.run(one)["answer"]) for one in (quiet, loud)]
    assert [one.compared for one in found] == [1, 1]
    assert [one.disagreed for one in found] == [0, 1]  # 200 steps, of which 127 fit
    assert [[t.clipped_ratio for t in one.tensors] for one in found] == [[0.0, 0.0], [0.0, 1.0]]
    assert found[0].tensors[0].drift < 0.01
    assert found[1].tensors[0].drift == 1.0
    both = found[0].joined(found[1])
    assert (both.sampled, both.disagreed, both.tensors[1].clipped_ratio) == (2, 1, 0.5)
    assert examiner.examine(quiet, None).compared == 0
    assert Findings.from_document(json.loads(json.dumps(both.to_document()))) == both


def test_findings_of_other_versions_are_not_added() -> None:
    program = doubling_program()
    quiet = {"image": np.full((1, 2, 6, 6), SCALE, np.float32)}
    found = Examiner(program).examine(quiet, None)
    other = replace(found, tensors=found.tensors[:1])
    assert found.joined(other) is other


def test_a_program_that_remembers_nothing_is_refused() -> None:
    with pytest.raises(NoTwinError, match="no histograms of its calibration"):
        Examiner(replace(doubling_program(), health=None))
