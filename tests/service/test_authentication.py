"""A running server that tells its callers apart by tokens."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from smidgen.cli.app import run
from smidgen.client import Client, RemoteError
from smidgen.v1 import model_service_pb2, model_service_pb2_grpc
from smidgen_service.security import identity_file
from smidgen_service.security.roles import Role
from smidgen_service.security.tokens import NewToken
from tests.service.running_server import (
    EVERY_CALL_LOGGED,
    RunningServer,
    details,
    ending,
    start_server,
)

MISSING = (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_MISSING")
INVALID = (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_INVALID")
DENIED = (grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING")
LIST = model_service_pb2.ListModelsRequest()


@pytest.fixture(scope="module")
def auth_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("auth") / "auth.json"


def create(auth_file: Path, *roles: Role) -> NewToken:
    now = datetime.now(tz=UTC)
    return identity_file.create_token(auth_file, tenant="acme", roles=frozenset(roles), now=now)


@pytest.fixture(scope="module")
def reader(auth_file: Path) -> NewToken:
    return create(auth_file, Role.READER)


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, auth_file: Path, reader: NewToken
) -> Iterator[RunningServer]:
    data_dir = tmp_path_factory.mktemp("data") / "store"
    running = start_server(
        data_dir, *EVERY_CALL_LOGGED, "--auth-file", str(auth_file), "--job-workers", "0"
    )
    yield running
    running.stop()


def bearer(text: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {text}"),)


def refused(server: RunningServer, *metadata: tuple[str, str]) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        server.models.ListModels(LIST, metadata=metadata, timeout=10)
    return caught.value


def test_a_call_needs_a_token(server: RunningServer, reader: NewToken) -> None:
    error = refused(server, ("x-request-id", "mine"))
    assert ending(error) == MISSING
    assert details(error)[error_details_pb2.RequestInfo].request_id == "mine"
    assert ("x-request-id", "mine") in [tuple(entry) for entry in error.trailing_metadata()]
    assert ending(refused(server, *bearer("x"))) == INVALID
    answer = server.models.ListModels(LIST, metadata=bearer(reader.text))
    assert list(answer.models) == []


def test_the_client_and_the_command_line_send_it(
    server: RunningServer, reader: NewToken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(server.target, token=reader.text) as client:
        client.wait_ready(10)
        assert list(client.list_models()) == []
        with pytest.raises(RemoteError, match="DeleteModel is for the roles admin") as caught:
            client.delete_model("m")
        assert (caught.value.code, caught.value.reason) == ("PERMISSION_DENIED", "ROLE_MISSING")
    with Client(server.target) as client, pytest.raises(RemoteError, match="no credentials"):
        list(client.list_models())
    monkeypatch.setenv("SMIDGEN_SERVER", server.target)
    assert run(["models", "list"]) == 1
    assert run(["health"]) == 0
    (tmp_path / "token").write_text(reader.text + "\n")
    assert run(["--token-file", str(tmp_path / "token"), "models", "list"]) == 0
    monkeypatch.setenv("SMIDGEN_TOKEN", reader.text)
    assert run(["models", "list"]) == 0


def test_probes_need_none(server: RunningServer) -> None:
    stub = health_pb2_grpc.HealthStub(server.channel)
    for metadata in ((), bearer("rubbish")):
        answer = stub.Check(health_pb2.HealthCheckRequest(), metadata=metadata)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    watch = stub.Watch(health_pb2.HealthCheckRequest())
    assert next(iter(watch)).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()


def test_reflection_needs_a_role(server: RunningServer, reader: NewToken) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(server.channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    with pytest.raises(grpc.RpcError) as caught:
        next(iter(stub.ServerReflectionInfo(iter([request]))))
    assert ending(caught.value) == MISSING
    answers = stub.ServerReflectionInfo(iter([request]), metadata=bearer(reader.text))
    assert len(next(iter(answers)).list_services_response.service) > 5


def test_nothing_of_an_unknown_caller_is_read(server: RunningServer) -> None:
    """A body that would be refused for its size, were it looked at, is not."""
    call = server.channel.unary_unary("/smidgen.v1.ModelService/ListModels")
    with pytest.raises(grpc.RpcError) as caught:
        call(bytes(65 << 20), timeout=10)
    assert ending(caught.value) == MISSING


def test_a_method_that_there_is_not_is_unimplemented(server: RunningServer) -> None:
    call = server.channel.unary_unary("/smidgen.v1.ModelService/Absent")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_rotation_has_two_tokens_and_then_one(
    server: RunningServer, auth_file: Path, reader: NewToken
) -> None:
    new = create(auth_file, Role.ADMIN)
    reload(server)
    for token in (reader, new):
        server.models.ListModels(LIST, metadata=bearer(token.text))
    identity_file.revoke_token(auth_file, new.id)
    reload(server)
    assert ending(refused(server, *bearer(new.text))) == INVALID
    server.models.ListModels(LIST, metadata=bearer(reader.text))


def test_a_file_that_is_no_use_leaves_the_tokens_valid(
    server: RunningServer, auth_file: Path, reader: NewToken
) -> None:
    good = auth_file.read_bytes()
    auth_file.write_text('{"version": 1, "tokens": [{}]}')
    reload(server, "reload_refused")
    server.models.ListModels(LIST, metadata=bearer(reader.text))
    entry = [entry for entry in server.logs() if entry["event"] == "reload_refused"][-1]
    assert "tokens[0] has no create_time" in entry["error_text"]
    auth_file.write_bytes(good)
    reload(server)
    server.models.ListModels(LIST, metadata=bearer(reader.text))


def reload(server: RunningServer, event: str = "reloaded") -> None:
    """Waits until the server has noticed by itself that the file changed, or was told to look."""

    def count() -> int:
        return sum(entry["event"] == event for entry in server.logs())

    before, end = count(), time.monotonic() + 10
    server.process.send_signal(signal.SIGHUP)
    while count() == before and time.monotonic() < end:
        time.sleep(0.02)


def test_the_log_names_the_caller_and_no_secret(server: RunningServer, reader: NewToken) -> None:
    server.models.ListModels(LIST, metadata=bearer(reader.text))
    refused(server, *bearer(reader.text[:-1] + "_"))
    calls = [entry for entry in server.logs() if entry["event"] == "rpc"]
    assert any(e.get("caller") == reader.id and e["tenant"] == "acme" for e in calls)
    assert any(e["code"] == "UNAUTHENTICATED" and "caller" not in e for e in calls)
    assert reader.text.partition(".")[2] not in server.log_path.read_text()
    assert reader.text.partition(".")[2] not in server.metrics()


def test_refusals_are_counted(server: RunningServer) -> None:
    name = 'smidgen_auth_failures_total{reason="CREDENTIALS_MISSING"}'

    def count() -> float:
        lines = server.metrics().splitlines()
        return float(next(line for line in lines if line.startswith(name)).split()[1])

    before = count()
    refused(server)
    assert count() == before + 1


def test_a_file_that_is_missing_keeps_the_server_from_starting(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "smidgen_service", "--data-dir", str(tmp_path / "store")]
    command += ["--auth-file", str(tmp_path / "absent.json")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "smidgen token create" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_stubs_of_another_channel_are_refused_as_well(server: RunningServer) -> None:
    with grpc.insecure_channel(server.target) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.UploadModel(iter([model_service_pb2.UploadModelRequest()]), timeout=10)
        assert ending(caught.value) == MISSING
        watch = stub.DownloadArtifact(model_service_pb2.DownloadArtifactRequest(), timeout=10)
        with pytest.raises(grpc.RpcError) as caught:
            list(watch)
        assert ending(caught.value) == MISSING
