"""A running server that is attacked: it refuses, stays small, and serves others meanwhile.

The short form of each attack. While it goes on, another client asks for the health of the server.
"""

from __future__ import annotations

import socket
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.serving.http2 import (
    CANCEL,
    ENHANCE_YOUR_CALM,
    GOAWAY,
    HEADERS,
    PING,
    REFUSED_STREAM,
    RST_STREAM,
    Http2,
)
from smidgen.v1 import model_service_pb2, upload_pb2
from tests.service.running_server import (
    FRONTS,
    RunningServer,
    details,
    ending,
    error_details_pb2,
    start_server,
)

CONNECTIONS = 24
CALLS = 200
STREAMS = 100
OF_ADDRESS = CALLS // 4
HANDSHAKE_S = 1.0
PATIENT_S = 60.0  # where the limit is not what a test is about: a busy client takes its time
IDLE_S = 1.0
MOST_GROWTH = 64 << 20
LEAST_ASKED = 10
WATCH = "/grpc.health.v1.Health/Watch"
CHECK = "/grpc.health.v1.Health/Check"
LIST = "/smidgen.v1.ModelService/ListModels"


@contextmanager
def limited_server(folder: Path, handshake_s: float) -> Iterator[RunningServer]:
    running = start_server(
        folder / "store",
        *("--max-connections", str(CONNECTIONS), "--handshake-seconds", str(handshake_s)),
        *("--stream-idle-seconds", str(IDLE_S), "--max-message-bytes", str(4 << 20)),
        *("--job-workers", "0", "--no-reflection", "--max-concurrent-calls", str(CALLS)),
    )
    yield running
    running.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with limited_server(tmp_path_factory.mktemp("data"), PATIENT_S) as running:
        yield running


@pytest.fixture(scope="module")
def hasty_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with limited_server(tmp_path_factory.mktemp("data"), HANDSHAKE_S) as running:
        yield running


class Bystander:
    """A client that wants to know whether the server serves, again and again."""

    def __init__(self, server: RunningServer) -> None:
        self.answers = 0
        self.failures: list[str] = []
        self._health = health_pb2_grpc.HealthStub(server.channel)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        while not self._is_over.wait(0.005) or self.answers + len(self.failures) < LEAST_ASKED:
            try:
                self._health.Check(health_pb2.HealthCheckRequest(), timeout=10)
                self.answers += 1
            except grpc.RpcError as error:
                self.failures.append(repr(error))

    def start(self) -> None:
        self._health.Check(health_pb2.HealthCheckRequest(), timeout=10, wait_for_ready=True)
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join()


@contextmanager
def attack(server: RunningServer) -> Iterator[None]:
    """Attacks within the block; meanwhile and right after it the server answers others every time.

    How long it takes them is measured by `python -m benchmarks.serving --parts attacks`.
    """
    bystander = Bystander(server)
    bystander.start()
    before = resident_bytes(server)
    try:
        yield
    finally:
        bystander.stop()
    assert not bystander.failures
    assert bystander.answers >= LEAST_ASKED
    assert resident_bytes(server) - before < MOST_GROWTH
    assert server.process.poll() is None


def resident_bytes(server: RunningServer) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) << 10


def peak_bytes(server: RunningServer) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


def trailers_of(connection: Http2, stream: int) -> bytes:
    """Returns the headers with which the server ends a stream."""
    while (found := connection.frames_until(HEADERS)) is not None:
        if found[0] == stream and b"grpc-status" in found[1]:
            return found[1]
    return b""


def test_silent_connections_are_closed(hasty_server: RunningServer) -> None:
    with attack(hasty_server):
        opened = [socket.create_connection(("127.0.0.1", hasty_server.port)) for _ in range(200)]
        started_s = time.monotonic()
        for connection in opened:
            connection.settimeout(PATIENT_S)
            while connection.recv(1 << 10):
                pass
            connection.close()
        assert time.monotonic() - started_s < 5 * HANDSHAKE_S


def test_a_flood_of_connections_meets_a_limit(server: RunningServer) -> None:
    with attack(server):
        opened = []
        for _ in range(2 * CONNECTIONS):
            try:
                opened.append(Http2(server.port))
            except ConnectionError:  # closed while it was greeting
                continue
        alive = sum(connection.is_open() for connection in opened)
        assert 0 < alive < CONNECTIONS
        for connection in opened:
            connection.close()


def test_a_client_has_to_acknowledge_the_settings(
    hasty_server: RunningServer, server: RunningServer
) -> None:
    """Where it is given longer, an older connection lasts longer: it is the limit that ends one."""
    with (
        attack(hasty_server),
        Http2(server.port) as elsewhere,
        Http2(hasty_server.port, PATIENT_S) as connection,
    ):
        started_s = time.monotonic()
        assert connection.frames_until(GOAWAY) is not None
        assert not connection.is_open()
        assert time.monotonic() - started_s < 5 * HANDSHAKE_S
        assert elsewhere.is_open()


@pytest.mark.parametrize(
    ("has_acknowledged", "code"), [(True, REFUSED_STREAM), (False, ENHANCE_YOUR_CALM)]
)
def test_streams_beyond_the_limit_are_refused(
    server: RunningServer, has_acknowledged: bool, code: int
) -> None:
    with attack(server), Http2(server.port) as connection:
        if has_acknowledged:
            connection.acknowledge()
        for _ in range(STREAMS + 50):
            connection.begin(CHECK)
        found = connection.frames_until(RST_STREAM)
        assert found is not None
        assert found == (2 * STREAMS + 1, code.to_bytes(4, "big"))


def test_rapid_reset(server: RunningServer) -> None:
    with attack(server):
        for _ in range(3):
            with Http2(server.port) as connection:
                try:
                    for _ in range(2000):
                        stream = connection.begin(LIST)
                        connection.send(RST_STREAM, 0, stream, CANCEL.to_bytes(4, "big"))
                except ConnectionError:
                    pass  # the server may have had enough


def test_a_flood_of_pings_ends_the_connection(server: RunningServer) -> None:
    with attack(server), Http2(server.port) as connection:
        try:
            for number in range(2000):
                connection.send(PING, 0, 0, number.to_bytes(8, "big"))
        except ConnectionError:
            pass
        found = connection.frames_until(GOAWAY)
        assert found is None or b"too_many_pings" in found[1]
        assert not connection.is_open()


def test_large_metadata_is_refused(server: RunningServer) -> None:
    with attack(server):
        for size in (9_000, 100_000):
            with pytest.raises(grpc.RpcError) as caught:
                server.models.ListModels(
                    model_service_pb2.ListModelsRequest(), metadata=(("x-large", "x" * size),)
                )
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        with Http2(server.port) as connection:
            connection.acknowledge()
            stream = connection.begin(LIST, ("x-large", "x" * 12_000))
            assert b"exceeds hard limit" in trailers_of(connection, stream)
        # grpc's limit binds a client that has acknowledged it, or had the time to; ours all others.
        with Http2(server.port) as connection:
            stream = connection.begin(LIST, ("x-large", "x" * 1_000_000))
            refusal = trailers_of(connection, stream)
            assert (
                b"the metadata of the call have 1000" in refusal
                or b"exceeds hard limit (1000350 vs. 8192)" in refusal
            )
    server.models.ListModels(
        model_service_pb2.ListModelsRequest(), metadata=(("x-fine", "x" * 6_000),)
    )


def test_compressed_messages_are_not_inflated(server: RunningServer) -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = bytes(1 << 20)
    bomb = b"".join(compressor.compress(piece) for _ in range(512)) + compressor.flush()
    assert len(bomb) < 1 << 20  # half a gigabyte of zeros
    before = peak_bytes(server)
    with attack(server):
        for encoding in ("gzip", "deflate"):
            with Http2(server.port) as connection:
                stream = connection.begin(LIST, ("grpc-encoding", encoding))
                try:
                    connection.message(stream, bomb, is_compressed=True)
                except ConnectionError:
                    continue
                assert b"grpc-status\x0212" in trailers_of(connection, stream)
    assert peak_bytes(server) - before < MOST_GROWTH
    with pytest.raises(grpc.RpcError) as caught:
        server.models.ListModels(
            model_service_pb2.ListModelsRequest(), compression=grpc.Compression.Gzip
        )
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_messages_beyond_the_limit_are_refused(server: RunningServer) -> None:
    call = server.channel.unary_unary(LIST)
    with attack(server):
        for _ in range(20):
            with pytest.raises(grpc.RpcError) as caught:
                call(bytes(5 << 20), timeout=20)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        for _ in range(20):
            with pytest.raises(grpc.RpcError) as caught:
                call(b"\x07" * (4 << 20), timeout=20)
            assert ending(caught.value) == (
                grpc.StatusCode.INVALID_ARGUMENT,
                "MESSAGE_MALFORMED",
            )


def test_streams_that_say_nothing_end(server: RunningServer) -> None:
    is_over = threading.Event()

    def silence(*messages: model_service_pb2.UploadModelRequest) -> Iterator[object]:
        yield from messages
        is_over.wait(20)

    header = model_service_pb2.UploadModelHeader(
        model_id="slow",
        format=model_service_pb2.MODEL_FORMAT_PT2,
        total_bytes=10,
        sha256="0" * 64,
    )
    begun = (
        model_service_pb2.UploadModelRequest(header=header),
        model_service_pb2.UploadModelRequest(chunk=upload_pb2.UploadChunk(data=b"x")),
    )
    try:
        with attack(server):
            calls = [
                server.models.UploadModel.future(silence(*messages))
                for messages in ((), begun, (), begun)
            ]
            for call in calls:
                with pytest.raises(grpc.RpcError) as caught:
                    call.result(timeout=20 * IDLE_S)
                assert ending(caught.value) == (
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                    "STREAM_IDLE",
                )
    finally:
        is_over.set()


def test_calls_of_one_address_meet_a_limit_and_do_not_last(server: RunningServer) -> None:
    """Some need no credentials, and none may hold its place for long. Others have their places."""
    elsewhere = "127.0.0.2"
    with (
        attack(server),
        Http2(server.port, 30.0, source=elsewhere) as first,
        Http2(server.port, 30.0, source=elsewhere) as second,
    ):
        for connection in (first, second):
            connection.acknowledge()
            for number in range(OF_ADDRESS):
                connection.begin((CHECK, LIST)[number % 2 if connection is first else 1])
        assert wait_for_headers(second, b"calls of this kind from the caller's address")
        server.models.ListModels(model_service_pb2.ListModelsRequest(), timeout=10)
        started_s = time.monotonic()
        assert wait_for_headers(first, b"no message arrived within")
        assert time.monotonic() - started_s < 20 * IDLE_S


@pytest.mark.skipif(
    FRONTS > 1, reason="processes divide the limit, and the kernel the attackers among them"
)
def test_all_calls_together_meet_a_limit_beside_which_health_is_told(
    server: RunningServer,
) -> None:
    with attack(server), ExitStack() as stack:
        attackers = [Http2(server.port, 30.0, source=f"127.0.0.{n}") for n in range(2, 7)]
        for connection in attackers:
            stack.enter_context(connection)
            connection.acknowledge()
        with pytest.raises(grpc.RpcError) as caught:
            list_beside(attackers, server)
    assert ending(caught.value) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
    assert details(caught.value)[error_details_pb2.RetryInfo].retry_delay.ToMilliseconds() == 1000


def list_beside(attackers: Sequence[Http2], server: RunningServer) -> None:
    """Calls while the server comes to look at calls that say nothing.

    Those end soon, and others take their places.
    """
    for _ in range(20):
        for connection in attackers:
            for _ in range(OF_ADDRESS):
                connection.begin(LIST)
        for _ in range(50):
            server.models.ListModels(model_service_pb2.ListModelsRequest(), timeout=10)


def wait_for_headers(connection: Http2, text: bytes) -> bool:
    """Tells whether any stream of a connection gets headers with a text."""
    while (found := connection.frames_until(HEADERS)) is not None:
        if text in found[1]:
            return True
    return False


def test_watches_meet_a_limit(server: RunningServer) -> None:
    with attack(server), ExitStack() as stack:
        request = health_pb2.HealthCheckRequest()
        watches = [health_pb2_grpc.HealthStub(server.channel).Watch(request) for _ in range(90)]
        for watch in watches:
            next(watch)
        for number in range(2):
            connection = Http2(server.port, 30.0, source=f"127.0.0.{number + 2}")
            stack.enter_context(connection)
            connection.acknowledge()
            for _ in range(STREAMS):
                connection.message(connection.begin(WATCH), b"")
            if number == 0:
                for _ in range(STREAMS):
                    assert connection.frames_until(HEADERS) is not None
        assert wait_for_headers(connection, b"256 watch streams are open")
        for watch in watches:
            watch.cancel()
