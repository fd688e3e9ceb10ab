"""Measuring whole nets, from the command to the file."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike

from benchmarks import engine
from benchmarks.entries import IMAGE_VARIANTS
from benchmarks.layers import Layer
from benchmarks.row import Row
from benchmarks.subject import Subject
from benchmarks.worker import Introduction
from smidgen.artifact import save_artifact
from smidgen.engine import available_isas
from tests.benchmarks.rows import make_row


def introduction(output: ArrayLike) -> Introduction:
    return Introduction("1.0", {}, np.array(output, np.float32))


def test_differences_are_relative_to_the_first_output() -> None:
    found = engine.differences(
        {
            "ours": introduction([3.0, 4.0]),
            "same": introduction([3.0, 4.0]),
            "other": introduction([3.0, 4.5]),
        }
    )
    assert found == {"ours": 0.0, "same": 0.0, "other": pytest.approx(0.1)}


def test_differences_of_nobody_are_none() -> None:
    assert engine.differences({}) == {}


@pytest.mark.parametrize("output", [[-3.0, -4.0], [0.0, 0.0], [float("nan"), 4.0]])
def test_who_has_another_output_does_not_count(output: list[float]) -> None:
    found = engine.strangers({"ours": introduction([3.0, 4.0]), "peer": introduction(output)})
    assert list(found) == ["peer"]


def test_who_rounds_differently_counts() -> None:
    assert engine.strangers({"a": introduction([3.0, 4.0]), "b": introduction([2.0, 5.0])}) == {}


def test_an_end_to_end_run_writes_what_it_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.json"
    command = f"engine --models digits --batch 1 2 --rounds 1 --peers --json {path}"
    monkeypatch.setattr(sys, "argv", command.split())
    engine.main()
    document = json.loads(path.read_text())
    assert {"cpu", "isas", "commit"} <= document.keys()
    first, second = document["rows"]
    name = f"smidgen {available_isas()[-1]}"
    assert list(first["latencies"]) == [name]
    assert first["latencies"][name]["minimum_ms"] > 0
    assert first["kernels"][name]["Conv2d"] > 0
    assert first["differences"] == {name: 0.0}
    assert first["ratio"] is None
    assert first["failures"] == {}
    assert second["multiplications"] == 2 * first["multiplications"]
    assert "digits, batch 2" in capsys.readouterr().out


def test_a_contestant_that_fails_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = Subject("digits", 2, tmp_path)
    save_artifact(Layer(2, 8, 4, is_linear=True).program(), subject.artifact)
    subject.save_inputs({"x": np.ones((2, 8), np.float32)})
    monkeypatch.setitem(IMAGE_VARIANTS, "onnxruntime", ("unknown",))
    options = Namespace(peers=["onnxruntime"], quick=False, peers_uncapped=False, rounds=1)
    row = engine.run(subject, 64, 1, available_isas()[0], options)
    assert list(row.latencies) == [f"smidgen {available_isas()[0]}"]
    assert "KeyError: 'unknown'" in row.failures["onnxruntime unknown"]


def test_a_failure_fails_the_command_after_it_wrote_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.json"
    row = make_row(smidgen_avx2=2.0, openvino_qdq=3.0)
    row.failures["onnxruntime qdq"] = "Traceback\nRuntimeError: it broke"
    monkeypatch.setattr(engine, "measure_net", lambda *_: iter([row]))
    monkeypatch.setattr(sys, "argv", f"engine --models digits --json {path}".split())
    with pytest.raises(SystemExit) as ending:
        engine.main()
    assert ending.value.code == 1
    assert json.loads(path.read_text())["rows"][0]["ratio"] == pytest.approx(1.5)
    assert "RuntimeError: it broke" in capsys.readouterr().out


def test_an_interrupted_run_keeps_what_it_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def two_rows(*_: object) -> Iterator[Row]:
        yield make_row(smidgen_avx2=2.0)
        yield make_row(smidgen_avx2=3.0)
        raise KeyboardInterrupt

    path = tmp_path / "out.json"
    monkeypatch.setattr(engine, "measure_net", two_rows)
    monkeypatch.setattr(sys, "argv", f"engine --models digits --json {path}".split())
    with pytest.raises(KeyboardInterrupt):
        engine.main()
    assert len(json.loads(path.read_text())["rows"]) == 2


def test_nets_without_pretrained_weights_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "engine --weights pretrained --models minilm_l6 resnet18"
    monkeypatch.setattr(sys, "argv", command.split())
    with pytest.raises(SystemExit):
        engine.parse_options()
    error = capsys.readouterr().err
    assert "no pretrained weights of resnet18; " in error
    assert "efficientnet_lite0, minilm_l6" in error


def test_pretrained_weights_choose_the_nets_that_have_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["engine", "--weights", "pretrained"])
    assert engine.parse_options().models == ["efficientnet_lite0", "minilm_l6"]
