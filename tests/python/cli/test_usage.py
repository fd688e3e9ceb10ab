"""Options and arguments that would be ignored or misread are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smidgen.v1 import job_service_pb2 as jobs_pb
from tests.python.cli.conftest import Smidgen
from tests.python.client.canned_server import State


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    path = tmp_path / "samples.npz"
    np.savez(path, image=np.zeros((3, 4), np.float32), labels=np.zeros(3, np.int64))
    return path


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("convert", "digits", "--calibration", "c1", "--epochs", 5), "--epochs"),
        (
            ("convert", "digits", "--train-job", "j", "--seed=0", "--method=min_max"),
            "--method, --seed",
        ),
        (("convert", "m.pt2", "--local", "--train-job", "j", "--detach"), "--train-job, --detach"),
        (("convert", "m.pt2", "--local", "--task-loss", "mse"), "--task-loss"),
        (("convert", "m.onnx", "--local", "--quantized", "--weights", "int4"), "--weights"),
        (("calibrate", "digits", "--dataset", "d", "--samples", 10), "--samples"),
        (
            (
                *("train-qat", "digits", "--calibration", "c1", "--dataset", "d"),
                *("--evaluation-dataset", "te", "--evaluation-fraction", 0.1),
            ),
            "--evaluation-fraction",
        ),
        (("infer", "digits", "SAMPLES", "--threads", 1), "--threads"),
        (("infer", "--local", "m.smidgen", "SAMPLES", "--version", 1), "--version"),
        (("bench", "digits", "--threads", 2), "--threads"),
        (("bench", "--local", "m.smidgen", "--version", 1), "--version"),
    ],
)
def test_an_option_without_a_meaning_is_refused(
    offline: Smidgen, samples: Path, arguments: tuple[object, ...], options: str
) -> None:
    named = [samples if argument == "SAMPLES" else argument for argument in arguments]
    ended = offline(*named, "--json")
    assert (ended.code, ended.error["reason"]) == (2, "OPTION_NOT_APPLICABLE")
    assert ended.error["metadata"]["options"] == options
    assert f"{options} would be ignored" in offline(*named).err


def test_options_that_were_not_given_do_not_matter(smidgen: Smidgen, state: State) -> None:
    assert smidgen("calibrate", "digits", "--dataset", "train", "--json").code == 0
    assert smidgen("infer", "digits", "absent.npy").code == 2


@pytest.mark.parametrize("command", [("bench",), ("convert", "--calibration", "c1"), ("infer",)])
def test_a_file_is_no_model_of_the_server(
    offline: Smidgen, samples: Path, command: tuple[str, ...]
) -> None:
    name, *options = command
    data = [samples] if name == "infer" else []
    ended = offline(name, "digits.smidgen", *data, *options, "--json")
    assert (ended.code, ended.error["reason"]) == (2, "MODEL_IS_FILE")
    assert "--local" in ended.error["message"]


def test_the_folder_of_the_result_is_checked_before_the_work(
    offline: Smidgen, samples: Path, tmp_path: Path
) -> None:
    out = tmp_path / "absent" / "m.smidgen"
    for command in (
        ("convert", "--local", "absent.pt2", "--calibration", samples),
        ("infer", "--local", "absent.smidgen", samples),
    ):
        ended = offline(*command, "--out", out, "--json")
        assert (ended.code, ended.error["reason"]) == (2, "FILE_UNUSABLE")
        assert f"the folder {out.parent} does not exist" in ended.error["message"]


def test_a_listing_in_a_file_keeps_its_lines(
    smidgen: Smidgen, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    long = jobs_pb.Job(name="jobs/" + "j" * 60, model="models/" + "m" * 60)
    state.jobs[long.name] = long
    lines = [line for line in smidgen("jobs", "list").out.splitlines() if "jobs/" in line]
    assert len(lines) == len(state.jobs)
    assert any("j" * 60 in line and "m" * 60 in line for line in lines)
