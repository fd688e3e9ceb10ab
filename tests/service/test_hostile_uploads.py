"""Uploads that are made to hurt: the answer is an error, and others are served meanwhile."""

from __future__ import annotations

import io
import threading
import time
import uuid
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from smidgen.v1 import model_service_pb2 as pb
from tests.service.running_server import RunningServer, ending, model_header, start_server
from tests.service.test_uploads import drop_stream, wait_until


def junk_model(text: bytes) -> bytes:
    """Returns an archive with the layout of a model whose program is any text."""
    entries = {
        "archive_format": b"pt2",
        "archive_version": b"0",
        "byteorder": b"little",
        ".data/version": b"6\n",
        "models/model.json": text,
        "data/weights/model_weights_config.json": b'{"config": {}}',
        "data/constants/model_constants_config.json": b'{"config": {}}',
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in entries.items():
            archive.writestr(f"junk/{name}", data)
    return file.getvalue()


def test_junk_json_does_not_stop_the_event_loop(server: RunningServer) -> None:
    stub = health_pb2_grpc.HealthStub(server.channel)
    data = junk_model(b"[" + b'"",' * (3 << 20) + b'""]')
    found: list[tuple[grpc.StatusCode, str]] = []

    def upload() -> None:
        with pytest.raises(grpc.RpcError) as caught:
            server.upload_model("junk", data)
        found.append(ending(caught.value))

    thread = threading.Thread(target=upload)
    thread.start()
    answered = 0
    while thread.is_alive():
        stub.Check(health_pb2.HealthCheckRequest(), timeout=2)
        answered += 1
        time.sleep(0.01)
    thread.join()
    assert found[0][0] is grpc.StatusCode.INVALID_ARGUMENT
    assert answered > 10
    assert server.leftovers() == []


def test_same_upload_running_twice_at_once_gives_one_answer(
    server: RunningServer, model_file: bytes
) -> None:
    request_id = str(uuid.uuid4())

    def upload(_number: int) -> pb.Model:
        return server.upload_model("twice", model_file, request_id=request_id)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(upload, range(6)))
    assert all(answer == answers[0] for answer in answers)


def test_broken_uploads_do_not_pile_up(tmp_path: Path, model_file: bytes) -> None:
    server = start_server(tmp_path / "store", "--max-broken-uploads", "3")
    try:
        ids = [str(uuid.uuid4()) for _ in range(6)]
        for number, request_id in enumerate(ids):
            header = model_header(f"broken-{number}", model_file, request_id=request_id)
            assert drop_stream(server, header, model_file, sent=4000) == 4000
        wait_until(lambda: len(server.leftovers()) <= 4)
        newest = server.models.GetUpload(pb.GetUploadRequest(name=f"uploads/{ids[-1]}"))
        assert newest.committed_bytes == 4000
        with pytest.raises(grpc.RpcError) as caught:
            server.models.GetUpload(pb.GetUploadRequest(name=f"uploads/{ids[0]}"))
        assert ending(caught.value) == (grpc.StatusCode.NOT_FOUND, "UPLOAD_NOT_FOUND")
    finally:
        server.stop()
