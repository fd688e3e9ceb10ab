from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.python.cli.conftest import Smidgen

COMMANDS = [
    ("health",),
    ("upload",),
    ("dataset",),
    ("download",),
    ("calibrate",),
    ("train-qat",),
    ("convert",),
    ("infer",),
    ("bench",),
    *(("models", verb) for verb in ("list", "get", "delete", "versions", "version")),
    *(("alias", verb) for verb in ("set", "rollback", "get", "list", "delete")),
    *(("datasets", verb) for verb in ("list", "get", "delete")),
    *(("calibrations", verb) for verb in ("list", "get")),
    *(("jobs", verb) for verb in ("list", "show", "cancel", "watch")),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(offline: Smidgen, command: tuple[str, ...]) -> None:
    ended = offline(*command, "--help")
    assert ended.code == 0
    assert "Usage: smidgen " + " ".join(command) in ended.out
    assert "--json" in ended.out
    assert "SMIDGEN_SERVER" in ended.out


@pytest.mark.parametrize("group", ["models", "alias", "datasets", "calibrations", "jobs"])
def test_a_group_alone_lists_its_commands(offline: Smidgen, group: str) -> None:
    ended = offline(group)
    assert "list" in ended.out + ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("health", "--timeout", "0.2"),
        ("models", "list"),
        ("jobs", "watch", "j"),
        ("convert", "digits", "--calibration", "c"),
        ("train-qat", "digits", "--calibration", "c", "--dataset", "d"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_unreachable_server_ends_with_3(offline: Smidgen, arguments: tuple[str, ...]) -> None:
    ended = offline(*arguments, "--json")
    assert (ended.code, ended.out) == (3, "")
    assert ended.error["reason"] == "SERVER_UNREACHABLE"
    assert ended.error["code"] == "UNAVAILABLE"
    text = offline(*arguments)
    assert text.code == 3
    assert "127.0.0.1:1" in text.err
    assert "Traceback" not in text.err


def test_refusal_ends_with_1(smidgen: Smidgen) -> None:
    ended = smidgen("models", "get", "nothing", "--json")
    assert (ended.code, ended.out) == (1, "")
    assert ended.error == {
        "reason": "NOT_FOUND_HERE",
        "message": "models/nothing does not exist",
        "metadata": {"name": "models/nothing"},
        "code": "NOT_FOUND",
    }
    text = smidgen("models", "get", "nothing")
    assert text.err == "Error: models/nothing does not exist [NOT_FOUND_HERE, NOT_FOUND]\n"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("models", "get"), "USAGE"),
        (("models", "frobnicate"), "USAGE"),
        (("upload", "no-such-file.pt2"), "USAGE"),
        (("calibrate", "digits"), "CALIBRATION_SOURCE_INVALID"),
        (
            ("convert", "digits", "--calibration", "c", "--train-job", "j"),
            "CONVERT_SOURCE_INVALID",
        ),
        (("convert", "--local", "m.pt2"), "OPTION_MISSING"),
        (
            ("train-qat", "m", "--calibration", "c", "--dataset", "d", "--epochs", "0"),
            "INVALID_CONFIG",
        ),
    ],
)
def test_bad_usage_ends_with_2(offline: Smidgen, arguments: tuple[str, ...], reason: str) -> None:
    ended = offline(*arguments, "--json")
    assert (ended.code, ended.out) == (2, "")
    assert ended.error["reason"] == reason
    assert offline(*arguments).code == 2


def test_bad_local_file_ends_with_2(offline: Smidgen, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(b"no array")
    ended = offline("infer", "digits", path, "--json")
    assert (ended.code, ended.error["reason"]) == (2, "FILE_MALFORMED")
    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"x")
    ended = offline("upload", weights, "--json")
    assert (ended.code, ended.error["reason"]) == (2, "MODEL_FORMAT_UNKNOWN")


def test_unwritable_output_ends_with_2(smidgen: Smidgen, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((1, 4), np.float32))
    out = tmp_path / "nowhere" / "y.npz"
    ended = smidgen("infer", "digits", tmp_path / "x.npy", "--out", out, "--json")
    assert (ended.code, ended.error["reason"]) == (2, "FILE_UNUSABLE")
    assert str(out) in ended.error["message"]


def test_the_program_runs_by_itself_without_torch() -> None:
    script = (
        "import sys; from smidgen.cli.app import run; code = run(['models', 'list', '--json', "
        "'--server', '127.0.0.1:1']); assert 'torch' not in sys.modules; sys.exit(code)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 3
    assert json.loads(ended.stderr)["error"]["reason"] == "SERVER_UNREACHABLE"


def test_serve_explains_itself() -> None:
    pytest.importorskip("smidgen_service.__main__")
    ended = subprocess.run(
        [sys.executable, "-m", "smidgen.cli", "serve", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0
    assert "--data-dir" in ended.stdout
