from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from smidgen.v1 import job_service_pb2 as jobs_pb
from smidgen.v1 import model_service_pb2 as models_pb
from tests.python.cli.conftest import Smidgen
from tests.python.client.canned_server import ARTIFACT, CannedServer, State, train_events, train_job


@pytest.fixture
def images(tmp_path: Path) -> Path:
    path = tmp_path / "images.npz"
    np.savez(path, image=np.arange(12.0).reshape(3, 4), labels=np.zeros(3, np.int64))
    return path


def test_upload(smidgen: Smidgen, state: State, tmp_path: Path) -> None:
    path = tmp_path / "My Net.pt2"
    path.write_bytes(b"12345")
    document = smidgen("upload", path, "--display-name", "Net", "--json").document
    assert document["name"] == "models/my-net"
    assert document["size_bytes"] == 5
    assert document["format"] == "MODEL_FORMAT_PT2"
    assert document["inputs"] == [
        {"name": "image", "data_type": "DATA_TYPE_FLOAT32", "shape": [-1, 4]}
    ]
    ended = smidgen("upload", path, "other")
    assert ended.code == 0
    assert "models/other" in ended.out
    assert "image float32 [?, 4]" in ended.out


def test_upload_takes_the_format_that_is_given(
    smidgen: Smidgen, state: State, tmp_path: Path
) -> None:
    path = tmp_path / "net.pt2"
    path.write_bytes(b"x")
    assert smidgen("upload", path, "other", "--format", "onnx", "--json").code == 0
    assert state.headers[-1].format == models_pb.MODEL_FORMAT_ONNX
    (tmp_path / "net.onnx").write_bytes(b"PK\x03\x04")
    refused = smidgen("upload", tmp_path / "net.onnx", "third", "--json")
    assert (refused.code, refused.error["reason"]) == (2, "MODEL_FORMAT_MISMATCH")


def test_dataset(smidgen: Smidgen, state: State, images: Path) -> None:
    document = smidgen("dataset", images, "train", "--json").document
    assert document["name"] == "datasets/train"
    assert document["sample_count"] == 10
    assert "datasets/train" in smidgen("datasets", "list").out
    assert smidgen("datasets", "get", "train", "--json").document == document
    assert smidgen("datasets", "delete", "train", "--json").document["deleted"] is True
    assert smidgen("datasets", "list", "--json").document == {"datasets": []}


def test_download(smidgen: Smidgen, tmp_path: Path) -> None:
    path = tmp_path / "a.smidgen"
    document = smidgen("download", "digits", path, "--json").document
    assert path.read_bytes() == ARTIFACT
    assert document["path"] == str(path)
    assert document["sha256"] == hashlib.sha256(ARTIFACT).hexdigest()


def test_calibrate_with_local_samples(smidgen: Smidgen, state: State, images: Path) -> None:
    document = smidgen(
        "calibrate", "digits", images, "--batch-size", 2, "--method", "moving_average", "--json"
    ).document
    assert document["name"] == "calibrations/c1"
    assert (document["sample_count"], document["batch_count"]) == (3, 2)
    assert document["method"] == "OBSERVER_METHOD_MOVING_AVERAGE"
    assert state.batches[0].inputs[0].name == "image"
    assert list(state.batches[0].inputs[0].shape) == [2, 4]
    assert "1.55" in smidgen("calibrations", "get", "c1").out
    assert "calibrations/c1" in smidgen("calibrations", "list").out


def test_folder_of_shards(smidgen: Smidgen, state: State, tmp_path: Path) -> None:
    folder = tmp_path / "Parts v2"
    folder.mkdir()
    for name in ("b.npz", "a.npz"):
        (folder / name).write_bytes(name.encode())
    document = smidgen("dataset", folder, "--json").document
    assert (document["name"], document["file_count"]) == ("datasets/parts-v2", 2)
    joined = smidgen("datasets", "create", "again", "parts-v2-001", "parts-v2-000", "--json")
    assert joined.document["name"] == "datasets/again"
    assert list(state.last_request.shards) == ["datasets/parts-v2-001", "datasets/parts-v2-000"]
    assert smidgen("datasets", "create", "more", "again", "--validate-only").code == 0
    assert "datasets/more" not in state.datasets
    assert "2" in next(
        line for line in smidgen("datasets", "get", "again").out.splitlines() if "Files" in line
    )


def test_calibrate_on_a_stored_dataset(smidgen: Smidgen, state: State) -> None:
    assert smidgen("calibrate", "digits", "--dataset", "train", "--json").code == 0
    assert state.calibrate_headers[0].dataset == "datasets/train"


def test_calibrate_from_bases_alone(smidgen: Smidgen, state: State, images: Path) -> None:
    method = ("--method", "entropy")
    ended = smidgen("calibrate", "digits", "--base", "c7", "--base", "c8", *method)
    assert ended.code == 0
    assert "calibrations/c7" in ended.out
    assert "1.250%" in ended.out
    assert state.calibrate_headers[0].base_calibrations == ["calibrations/c7", "calibrations/c8"]
    assert state.batches == []
    assert smidgen("calibrate", "digits", images, "--base", "c7").code == 0
    assert state.calibrate_headers[1].base_calibrations == ["calibrations/c7"]
    assert len(state.batches) == 1


def test_train_follows_the_job(smidgen: Smidgen, state: State) -> None:
    ended = smidgen("train-qat", "digits", "--calibration", "c1", "--dataset", "d", "--epochs", 3)
    assert ended.code == 0
    assert state.last_request.config.epochs == 3
    assert "0.9750" in ended.out
    assert "task loss 0.25 quantization loss 0.025 accuracy 0.9000" in ended.err
    assert "SUCCEEDED 100% done" in ended.err


def test_train_shows_a_bar_on_a_terminal(smidgen: Smidgen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    ended = smidgen("train-qat", "digits", "--calibration", "c1", "--dataset", "d")
    assert ended.code == 0
    assert "accuracy 0.9000" in ended.err
    assert "100%" in ended.err
    assert "\x1b[" in ended.err


def test_train_as_json_and_detached(smidgen: Smidgen, state: State) -> None:
    arguments = ("train-qat", "digits", "--calibration", "c1", "--dataset", "d", "--json")
    ended = smidgen(*arguments)
    assert ended.document["train_qat"]["best_epoch"] == 2
    assert ended.err == ""
    assert state.watched_from == [0]
    assert smidgen(*arguments, "--detach").document["name"] == "jobs/train"
    assert smidgen(*arguments, "--validate-only").document["plan"]["nodes"][1]["reason"] == "FOLDED"
    assert state.watched_from == [0]


def test_failed_training_ends_with_1_and_says_why(smidgen: Smidgen, state: State) -> None:
    state.jobs["jobs/train"] = train_job(jobs_pb.JOB_STATE_FAILED)
    state.events["jobs/train"] = train_events(jobs_pb.JOB_STATE_FAILED)
    ended = smidgen("train-qat", "digits", "--calibration", "c", "--dataset", "d", "--json")
    assert (ended.code, ended.out) == (1, "")
    assert ended.error == {
        "reason": "TRAINING_DIVERGED",
        "message": "jobs/train failed: loss is nan",
        "metadata": {"step": "7"},
        "code": "INVALID_ARGUMENT",
    }


def interrupted(*arguments: str) -> tuple[subprocess.Popen[str], str, str, str]:
    """Runs a command until its first line of progress, then presses Ctrl-C.

    Returns the ended process, that line, and what it wrote to stdout and stderr after it.
    """
    # Scripts start background jobs with SIGINT ignored, and programs inherit that, not a handler.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "smidgen.cli", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        first_line = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    return process, first_line, out, err


@pytest.mark.parametrize("cancel", [False, True])
def test_ctrl_c_detaches_or_cancels(server: CannedServer, state: State, cancel: bool) -> None:
    state.hold = threading.Event()
    state.jobs["jobs/train"].state = jobs_pb.JOB_STATE_RUNNING
    arguments = ["train-qat", "digits", "--calibration", "c1", "--dataset", "d"]
    options = ["--server", server.target, *(["--cancel-on-interrupt"] if cancel else [])]
    process, first_line, out, err = interrupted(*arguments, *options)
    state.hold.set()
    assert first_line == "jobs/train QUEUED 0%\n"
    assert (process.returncode, out, "Traceback" in err) == (130, "", False), err
    if cancel:
        assert state.jobs["jobs/train"].state == jobs_pb.JOB_STATE_CANCELLED
        assert "asked to stop" in err
    else:
        assert state.jobs["jobs/train"].state == jobs_pb.JOB_STATE_RUNNING
        assert "smidgen jobs watch jobs/train" in err


def test_ctrl_c_stops_watching_and_says_that_the_job_goes_on(
    server: CannedServer, state: State
) -> None:
    state.jobs["jobs/train"] = train_job(jobs_pb.JOB_STATE_RUNNING)
    state.events["jobs/train"] = train_events(jobs_pb.JOB_STATE_SUCCEEDED)
    state.hold = threading.Event()
    process, first_line, _, err = interrupted("jobs", "watch", "train", "--server", server.target)
    state.hold.set()
    assert first_line == "train QUEUED 0%\n"
    assert (process.returncode, "Traceback" in err) == (130, False), err
    assert "train goes on. Follow it with `smidgen jobs watch train`." in err


def test_convert(smidgen: Smidgen, state: State, tmp_path: Path) -> None:
    out = tmp_path / "digits.smidgen"
    document = smidgen("convert", "digits", "--calibration", "c1", "--out", out, "--json").document
    assert document["convert"]["model_version"] == "models/digits/versions/2"
    assert document["convert"]["report"]["parity"]["isas"] == ["portable", "avx2"]
    assert out.read_bytes() == ARTIFACT
    text = smidgen("convert", "digits", "--train-job", "train").out
    assert state.last_request.train_job == "jobs/train"
    for figures in (
        "largest difference 0 over 8 samples on portable, avx2; 0 of 4096 bytes differ",
        "at most 1 LSB, 0.15 % of 2000 values differ, most at v2",
        "at most 5 LSB, 5 % of 2000 values differ; same class 75 % over 4 samples",
        "SQNR 31.2 dB same class 100 % over 9 samples",
    ):
        assert figures in text
    assert "0.9700" in text
    names = ("--equalize", "--correct-bias", "--round-weights")
    options = (*names, "--calibration-dataset", "train")
    assert smidgen("convert", "digits", "--calibration", "c1", *options).code == 0
    assert state.last_request.post_training.equalize
    assert state.last_request.post_training.correct_bias
    assert state.last_request.post_training.round_weights
    assert state.last_request.calibration_dataset == "datasets/train"
    limits = ("--max-drop", 0.01, "--min-sqnr-db", 20, "--evaluation-dataset", "test")
    assert smidgen("convert", "digits", "--calibration", "c1", *limits).code == 0
    gate = state.last_request.gate
    assert (gate.max_drop, gate.min_sqnr_db) == (0.01, 20.0)
    assert not state.last_request.HasField("search")
    budget = ("--search", "--search-evaluations", 7, "--search-seconds", 1.5)
    assert smidgen("convert", "digits", "--calibration", "c1", *limits, *budget).code == 0
    search = state.last_request.search
    assert (search.evaluations, search.seconds) == (7, 1.5)
    refused = smidgen("convert", "digits", "--calibration", "c1", *limits, *budget[1:])
    assert refused.code == 2
    plan = smidgen("convert", "digits", "--calibration", "c1", "--validate-only", "--json")
    assert plan.document["plan"]["float_bytes"] == 4000


@pytest.mark.parametrize("ends_early", ["--detach", "--validate-only"])
def test_out_is_refused_where_no_artifact_is_waited_for(
    smidgen: Smidgen, tmp_path: Path, ends_early: str
) -> None:
    out = tmp_path / "net.smidgen"
    options = ("--calibration", "c1", ends_early, "--out", out, "--json")
    refused = smidgen("convert", "digits", *options)
    assert (refused.code, refused.error["reason"]) == (2, "OPTION_NOT_APPLICABLE")


def test_infer_prints_or_writes(smidgen: Smidgen, state: State, images: Path) -> None:
    document = smidgen("infer", "digits", images, "--json").document
    assert document["model_version"] == "models/digits/versions/2"
    assert document["isa"] == "avx2"
    assert document["compute_time_s"] == 1.0
    assert document["outputs"]["logits"]["shape"] == [3, 4]
    assert document["outputs"]["logits"]["data"][2] == [16, 18, 20, 22]
    assert "logits float32 [3, 4]" in smidgen("infer", "digits", images, "--version", 2).out
    assert state.last_request.name == "models/digits/versions/2"
    out = images.with_name("logits.npz")
    written = smidgen("infer", "digits", images, "--out", out, "--json").document
    assert "data" not in written["outputs"]["logits"]
    with np.load(out) as archive:
        np.testing.assert_array_equal(archive["logits"], 2 * np.arange(12.0).reshape(3, 4))


def test_infer_sends_a_single_array_without_a_name(
    smidgen: Smidgen, state: State, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", np.ones((1, 4)))
    assert smidgen("infer", "digits", tmp_path / "x.npy", "--json").code == 0
    assert state.last_request.inputs[0].name == ""


def test_bench(smidgen: Smidgen, images: Path) -> None:
    arguments = ("bench", "digits", "--runs", 4, "--batch-size", 1, "--batch-size", 5)
    document = smidgen(*arguments, "--json").document
    assert document["model"] == "models/digits/versions/2"
    assert document["isa"] == "avx2"
    first, second = document["measurements"]
    assert (first["batch_size"], second["batch_size"]) == (1, 5)
    assert first["runs"] == 4
    assert 0 < first["median_ms"] <= first["p95_ms"]
    assert first["compute_median_ms"] == 1000.0
    assert second["samples_per_s"] == pytest.approx(5000 / second["median_ms"])
    text = smidgen(*arguments, "--data", images).out
    assert "Median" in text
    assert "avx2" in text


def test_models(smidgen: Smidgen, state: State) -> None:
    assert smidgen("models", "list", "--json").document["models"][0]["name"] == "models/digits"
    assert "models/digits/versions/2" in smidgen("models", "list").out
    assert smidgen("models", "get", "digits", "--json").document["parameter_count"] == 42
    assert "models/digits/versions/2" in smidgen("models", "versions", "digits").out
    assert smidgen("models", "version", "digits", "--json").document["size_bytes"] == len(ARTIFACT)
    assert hashlib.sha256(ARTIFACT).hexdigest() in smidgen("models", "version", "digits", 2).out
    checked = smidgen("models", "delete", "digits", "--validate-only", "--json").document
    assert checked == {"model": "digits", "deleted": False}
    assert state.last_request.validate_only


def test_aliases(smidgen: Smidgen, state: State, images: Path) -> None:
    made = smidgen("alias", "set", "digits", "live", 1, "--max-drop", 0.01, "--json").document
    assert made["model_version"] == "models/digits/versions/1"
    sent = state.last_request
    assert (sent.expected_version, sent.etag, sent.condition.max_drop) == ("", "", 0.01)
    text = smidgen("alias", "set", "digits", "live", 2).out  # from where the server says it is
    assert "models/digits/versions/2" in text
    assert state.last_request.etag == "etag-1"
    assert not state.last_request.HasField("condition")
    refused = smidgen("alias", "set", "digits", "live", 3, "--expected", 1, "--json")
    assert (refused.code, refused.error["reason"]) == (1, "ALIAS_MOVED")
    listed = smidgen("alias", "list", "digits", "--json").document["aliases"]
    assert [alias["name"] for alias in listed] == ["models/digits/aliases/live"]
    assert "models/digits/versions/1" in smidgen("alias", "list", "digits").out
    back = smidgen("alias", "rollback", "digits", "live", "--json").document
    assert back["model_version"] == "models/digits/versions/1"
    assert state.last_request.etag == "etag-2"
    shown = smidgen("alias", "get", "digits", "live").out
    assert "(rollback)" in shown
    assert "token-7" in shown
    assert smidgen("infer", "digits", images, "--version", "live", "--json").code == 0
    assert state.last_request.name == "models/digits/aliases/live"
    deleted = smidgen("alias", "delete", "digits", "live", "--expected", 1, "--json").document
    assert deleted == {"model": "digits", "alias": "live", "deleted": True}
    assert state.last_request.expected_version == "models/digits/versions/1"


def test_a_job_is_shown_with_where_it_stands(smidgen: Smidgen, state: State) -> None:
    job = state.jobs["jobs/train"]
    job.ClearField("result")
    job.state, job.stage = jobs_pb.JOB_STATE_RUNNING, jobs_pb.JOB_STAGE_QAT
    job.progress, job.attempt = 0.25, 2
    job.create_time.FromJsonString("2026-01-02T03:04:05Z")
    job.start_time.FromJsonString("2026-01-02T03:04:06Z")
    job.remaining.FromSeconds(90)
    shown = dict(
        line.strip().split(maxsplit=1) for line in smidgen("jobs", "show", "train").out.splitlines()
    )
    assert shown == {
        "Job": "jobs/train",
        "Kind": "TRAIN_QAT",
        "State": "RUNNING",
        "Stage": "QAT",
        "Progress": "25%",
        "Attempt": "2",
        "Model": job.model,
        "Created": "2026-01-02 03:04:05 UTC",
        "Started": "2026-01-02 03:04:06 UTC",
        "Remaining": "about 0:01:30",
    }
    document = smidgen("jobs", "show", "train", "--json").document
    assert (document["attempt"], document["remaining"]) == (2, 90.0)
    job.ClearField("remaining")
    job.state = jobs_pb.JOB_STATE_FAILED
    job.error.message, job.error.reason = "it broke", "WORKER_DIED"
    job.end_time.FromJsonString("2026-01-02T03:05:06Z")
    text = smidgen("jobs", "show", "train").out
    assert all(part in text for part in ("it broke", "WORKER_DIED", "03:05:06"))


def test_jobs(smidgen: Smidgen, state: State) -> None:
    names = [job["name"] for job in smidgen("jobs", "list", "--json").document["jobs"]]
    assert names == ["jobs/train", "jobs/convert"]
    assert "TRAIN_QAT" in smidgen("jobs", "list").out
    for command in ("show", "get"):
        found = smidgen("jobs", command, "train", "--json").document
        assert found["state"] == "JOB_STATE_SUCCEEDED"
    watched = smidgen("jobs", "watch", "train", "--after-sequence", 3, "--json").document
    assert [event["sequence"] for event in watched["events"]] == [4, 5, 6]
    assert watched["job"]["name"] == "jobs/train"
    refused = smidgen("jobs", "cancel", "train", "--json")
    assert refused.code == 1
    assert refused.error["reason"] == "JOB_ENDED"
    state.jobs["jobs/train"].state = jobs_pb.JOB_STATE_RUNNING
    assert smidgen("jobs", "cancel", "train", "--json").document["state"] == "JOB_STATE_CANCELLED"
    state.jobs["jobs/train"].state = jobs_pb.JOB_STATE_RUNNING
    stopped = smidgen("jobs", "cancel", "train", "--save-checkpoint", "--json").document
    assert stopped["state"] == "JOB_STATE_INTERRUPTED"
    assert smidgen("jobs", "resume", "train", "--json").document["state"] == "JOB_STATE_QUEUED"
    deleted = smidgen("jobs", "delete", "train", "--json").document
    assert deleted == {"job": "train", "deleted": True}
    assert "jobs/train" not in state.jobs


def test_watching_a_job_that_fails_prints_it_and_ends_with_1(
    smidgen: Smidgen, state: State
) -> None:
    state.jobs["jobs/train"] = train_job(jobs_pb.JOB_STATE_FAILED)
    state.events["jobs/train"] = train_events(jobs_pb.JOB_STATE_FAILED)
    ended = smidgen("jobs", "watch", "train", "--json")
    assert ended.code == 1
    assert ended.error["reason"] == "TRAINING_DIVERGED"
    assert '"JOB_STATE_FAILED"' in ended.out
