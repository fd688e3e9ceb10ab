"""The drill: back a running server up by the command, lose its directory, restore it, serve on."""

from __future__ import annotations

import json
import shutil
import signal
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smidgen.artifact import encode_artifact
from smidgen.cli.app import run
from smidgen.v1 import model_service_pb2 as pb
from tests.python.test_engine_limits import padding_program
from tests.service.running_server import (
    model_header,
    model_messages,
    start_server,
    tensor,
)

PIXEL = np.ones((1, 1, 1, 1), np.float32)


def test_lost_server_comes_back_from_its_backup(
    tmp_path: Path, dataset_file: Callable[..., bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    def command(*arguments: object) -> tuple[int, dict[str, Any]]:
        code = run([*map(str, arguments), "--json"])
        return code, json.loads(capsys.readouterr().out)

    store, backup = tmp_path / "store", tmp_path / "backup"
    artifact = encode_artifact(padding_program(padding=4))
    header = model_header("m", artifact, is_artifact=True, request_id=str(uuid.uuid4()))
    server = start_server(store)
    uploaded = server.models.UploadModel(model_messages(header, artifact))
    server.upload_dataset("d", dataset_file(inputs=np.ones((4, 2), np.float32)))
    answer = server.infer("models/m", tensor(PIXEL)).outputs
    blobs = server.blobs()
    code, copied = command("backup", backup, "--data-dir", store)
    assert (code, copied["file_count"]) == (0, 4)  # database, key, two blobs
    server.stop(signal.SIGKILL)
    shutil.rmtree(store)

    assert command("restore", backup, "--data-dir", store) == (0, copied)
    code, report = command("fsck", "--data-dir", store)
    assert (code, report["sound"], report["findings"]) == (0, True, [])
    assert (report["row_count"], report["blob_count"]) == (3, 2)
    server = start_server(store)
    try:
        assert server.blobs() == blobs
        assert server.models.GetModel(pb.GetModelRequest(name="models/m")) == uploaded
        assert server.infer("models/m", tensor(PIXEL)).outputs == answer
        # The request id came back with its effect: the same call again changes nothing.
        assert server.models.UploadModel(model_messages(header, artifact)) == uploaded
        (sha256,) = blobs - {uploaded.sha256}
        damaged = store / "blobs" / "sha256" / sha256[:2] / sha256[2:]
        damaged.chmod(0o644)
        damaged.write_bytes(b"damaged")
        code, report = command("fsck", "--data-dir", store)
        assert (code, report["sound"]) == (1, False)
        assert [finding["needed_by"] for finding in report["findings"]] == [["datasets/d"]]
        assert run(["fsck", "--repair", "--data-dir", str(store)]) == 2
        assert "another server is using" in capsys.readouterr().err
    finally:
        server.stop()
