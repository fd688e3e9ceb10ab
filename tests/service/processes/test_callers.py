"""Who is calling, through two fronts: tokens, certificates, and what nobody may say itself."""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest

from smidgen.artifact import encode_artifact
from smidgen.client import Access
from smidgen.v1 import model_service_pb2 as pb
from smidgen.v1.model_service_pb2_grpc import ModelServiceStub as Models
from smidgen_service.errors import UnauthenticatedError
from smidgen_service.processes.callers import HEADER, SECRET_BYTES, ForwardedCallers
from smidgen_service.security import identity_file
from smidgen_service.security.identities import CertificateEntry, Identities, encode
from smidgen_service.security.principals import Principal
from smidgen_service.security.roles import Role
from tests.service.handlers.test_joining import PROGRAM
from tests.service.processes import fronts
from tests.service.running_server import EVERY_CALL_LOGGED, RunningServer, ending, start_server
from tests.service.security.authority import Authority

FRONTS = 2
SECONDS = 30.0
ADMIN = Principal("somebody", "acme", frozenset({Role.ADMIN}))
LIST = pb.ListModelsRequest()


@pytest.fixture(scope="module")
def auth_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("auth") / "auth.json"
    entry = CertificateEntry("spiffe://acme/robot", "acme", frozenset({Role.READER}))
    path.write_bytes(encode(Identities(certificates={entry.name: entry})))
    return path


def token(auth_file: Path, tenant: str, role: Role) -> tuple[str, str]:
    now = datetime.now(tz=UTC)
    made = identity_file.create_token(auth_file, tenant=tenant, roles=frozenset({role}), now=now)
    return "authorization", f"Bearer {made.text}"


@pytest.fixture(scope="module")
def tokens(auth_file: Path) -> dict[str, tuple[str, str]]:
    return {tenant: token(auth_file, tenant, Role.ADMIN) for tenant in ("acme", "other")}


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    own = authority.issue("server")
    robot = authority.issue("robot", "URI:spiffe://acme/robot")
    stranger = authority.issue("stranger", "URI:spiffe://acme/stranger")
    return {
        "ca": authority.certificate,
        "server": own.certificate,
        "server.key": own.key,
        "robot": robot.certificate,
        "robot.key": robot.key,
        "stranger": stranger.certificate,
        "stranger.key": stranger.key,
    }


def shown(files: dict[str, Path], name: str) -> grpc.ChannelCredentials:
    found = Access(
        tls_ca=files["ca"], tls_cert=files[name], tls_key=files[f"{name}.key"]
    ).credentials()
    assert found is not None
    return found


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory,
    auth_file: Path,
    tokens: dict[str, tuple[str, str]],
    credentials: dict[str, Path],
) -> Iterator[RunningServer]:
    running = start_server(
        tmp_path_factory.mktemp("data") / "store",
        *EVERY_CALL_LOGGED,
        *("--processes", str(FRONTS), "--job-workers", "0", "--auth-file", str(auth_file)),
        *("--tls-cert", str(credentials["server"]), "--tls-key", str(credentials["server.key"])),
        *("--tls-client-ca", str(credentials["ca"])),
        credentials=shown(credentials, "robot"),
    )
    running.send_as(tokens["acme"][1].removeprefix("Bearer "))
    running.upload_model("mine", encode_artifact(PROGRAM), is_artifact=True)
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def both(server: RunningServer, credentials: dict[str, Path]) -> Iterator[list[Models]]:
    """The service of models at each front, for the certificate of a reader."""
    with fronts.channels(server, FRONTS, shown(credentials, "robot")) as found:
        yield [Models(channel) for channel in found]


def listed(stub: Models, *metadata: tuple[str, str | bytes]) -> int:
    return len(stub.ListModels(LIST, metadata=metadata, timeout=SECONDS).models)


def test_tenants_are_those_of_tokens_and_certificates(
    both: list[Models], tokens: dict[str, tuple[str, str]]
) -> None:
    for stub in both:
        assert listed(stub) == 1  # by its certificate
        assert listed(stub, tokens["acme"]) == 1
        assert listed(stub, tokens["other"]) == 0
        with pytest.raises(grpc.RpcError) as caught:
            stub.DeleteModel(pb.DeleteModelRequest(name="models/mine"))
        assert ending(caught.value) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING")
        with pytest.raises(grpc.RpcError) as caught:
            listed(stub, ("authorization", "Bearer nonsense"))
        assert ending(caught.value) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_INVALID")


def test_nobody_says_itself_who_it_is(
    both: list[Models], tokens: dict[str, tuple[str, str]]
) -> None:
    for secret in (b"", bytes(SECRET_BYTES)):
        forged = ForwardedCallers(secret).entry(ADMIN)
        for stub in both:
            assert listed(stub, tokens["other"], forged) == 0
            with pytest.raises(grpc.RpcError) as caught:
                stub.DeleteModel(pb.DeleteModelRequest(name="models/mine"), metadata=(forged,))
            assert ending(caught.value) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING")


def test_strangers_are_kept_out_by_each_front(
    server: RunningServer, credentials: dict[str, Path]
) -> None:
    with fronts.channels(server, FRONTS, shown(credentials, "stranger")) as found:
        for channel in found:
            with pytest.raises(grpc.RpcError) as caught:
                listed(Models(channel))
            assert ending(caught.value) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_INVALID")


def test_the_private_socket_is_for_fronts_alone(server: RunningServer) -> None:
    folder = server.data_dir / "control"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    forged = ForwardedCallers(bytes(SECRET_BYTES)).entry(ADMIN)
    with grpc.insecure_channel(f"unix:{folder / 'socket'}") as channel:
        stub = Models(channel)
        for metadata in ((), (forged,), (forged, forged)):
            with pytest.raises(grpc.RpcError) as caught:
                listed(stub, *metadata)
            assert ending(caught.value) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_INVALID")


def test_new_tokens_are_known_to_all_fronts(
    server: RunningServer,
    both: list[Models],
    auth_file: Path,
) -> None:
    added = token(auth_file, "third", Role.READER)
    server.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + SECONDS
    for stub in both:
        while not is_let_in(stub, added):
            assert time.monotonic() < end
            time.sleep(0.05)


def is_let_in(stub: Models, metadata: tuple[str, str]) -> bool:
    try:
        return listed(stub, metadata) == 0
    except grpc.RpcError:
        return False


@pytest.mark.parametrize("name", ["", "id", "spiffe://acme/Ünicode\n"])
@pytest.mark.parametrize("roles", [frozenset(), frozenset({Role.READER}), frozenset(Role)])
def test_callers_arrive_as_they_were(name: str, roles: frozenset[Role]) -> None:
    secret = os.urandom(SECRET_BYTES)
    callers = ForwardedCallers(secret)
    principal = Principal(name, "acme", roles)
    key, value = callers.entry(principal)
    assert key == HEADER
    assert callers.authenticate(((key, value),), dict) == principal
    for bad in (
        (),
        ((key, value), (key, value)),
        ((key, value[1:]),),
        ((key, value.decode("latin-1")),),
    ):
        with pytest.raises(UnauthenticatedError):
            callers.check_token(bad)
