"""The spans of inferences of a server process, as a collector gets them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from smidgen.artifact import encode_artifact
from smidgen.v1 import inference_service_pb2, model_service_pb2
from smidgen_service.open_inference import inference_service_pb2 as pb
from tests.service.handlers.test_joining import EXAMPLE, IMAGE, PROGRAM
from tests.service.running_server import EVERY_CALL_LOGGED, RunningServer, start_server, tensor
from tests.service.tracing.collecting import Collector, attributes, collecting

INFER = "smidgen.v1.InferenceService/Infer"
MODEL_INFER = "inference.GRPCInferenceService/ModelInfer"
STAGES = {"admit", "queue", "batch", "input", "compute", "output"}
BATCHING = '{"joined": {"max_batch": 2, "delay_ms": 1000}}'


@pytest.fixture(scope="module")
def collector() -> Iterator[tuple[Collector, str]]:
    with collecting() as found:
        yield found


@pytest.fixture(scope="module")
def server(
    collector: tuple[Collector, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """One of one front or several that joins two requests to the model `joined`."""
    running = start_server(
        tmp_path_factory.mktemp("data") / "store",
        *("--tracing", "otlp", "--batching", BATCHING, *EVERY_CALL_LOGGED),
        environment=variables(collector[1]),
    )
    try:
        for model_id in ("single", "joined"):
            running.upload_model(model_id, encode_artifact(PROGRAM), is_artifact=True)
        yield running
    finally:
        running.stop()


def variables(endpoint: str) -> dict[str, str]:
    own = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "20"}
    return {**os.environ, **own}


def infer(server: RunningServer, model: str, values: np.ndarray, trace: str, parent: str) -> None:
    request = inference_service_pb2.InferRequest(name=model, inputs=[tensor(values)])
    metadata = (("traceparent", f"00-{trace}-{parent}-01"),)
    server.inference.Infer(request, timeout=60, metadata=metadata)


def new_ids() -> tuple[str, str]:
    return secrets.token_hex(16), secrets.token_hex(8)


def server_span(spans: list[Span]) -> Span | None:
    return next((span for span in spans if span.kind == Span.SPAN_KIND_SERVER), None)


def check_tree(spans: list[Span], parent: str) -> dict[str, Span]:
    """Checks who is within whom, and returns the spans by name."""
    found = {span.name: span for span in spans}
    assert set(found) == {INFER, *STAGES}
    assert len(spans) == len(found)
    call, batch = found[INFER], found["batch"]
    assert call.parent_span_id.hex() == parent
    for name in ("admit", "queue", "batch"):
        assert found[name].parent_span_id == call.span_id
    for name in ("input", "compute", "output"):
        assert found[name].parent_span_id == batch.span_id
    starts = [found[name].start_time_unix_nano for name in ("admit", "queue", "batch")]
    ends = [found[name].end_time_unix_nano for name in ("admit", "queue", "batch")]
    assert call.start_time_unix_nano <= starts[0]
    assert starts[1:] == ends[:-1]
    assert ends[-1] <= call.end_time_unix_nano
    starts = [found[name].start_time_unix_nano for name in ("input", "compute", "output")]
    ends = [found[name].end_time_unix_nano for name in ("input", "compute", "output")]
    assert starts == [batch.start_time_unix_nano, *ends[:-1]]
    assert ends == sorted(ends)
    assert ends[-1] == batch.end_time_unix_nano
    return found


@pytest.mark.parametrize("calls", [1, 20])
def test_an_inference_is_a_tree(
    server: RunningServer, collector: tuple[Collector, str], calls: int
) -> None:
    """Of one that waited for its plan, and of one so short that it is computed at once."""
    for _ in range(calls):
        trace, parent = new_ids()
        infer(server, "models/single", np.ones_like(EXAMPLE), trace, parent)
    found = check_tree(collector[0].spans_of(trace, server_span), parent)
    assert attributes(found[INFER]) == {
        "rpc.system.name": "grpc",
        "rpc.method": INFER,
        "rpc.response.status_code": "OK",
    }
    described = attributes(found["batch"])
    assert described["smidgen.version"] == "models/single/versions/1"
    assert described["smidgen.samples"] == len(EXAMPLE)
    assert described["smidgen.batch.requests"] == 1
    assert described["smidgen.isa"] in ("portable", "avx2", "avxvnni", "avx512vnni", "amx")
    assert not found["batch"].links
    assert found["batch"].end_time_unix_nano > found["batch"].start_time_unix_nano
    resource = collector[0].resources[-1]
    assert resource["service.name"] == "smidgen"


def test_joined_requests_are_linked(
    server: RunningServer, collector: tuple[Collector, str]
) -> None:
    values = np.ones((1, *EXAMPLE.shape[1:]), np.float32)
    ids = [new_ids(), new_ids()]
    with ThreadPoolExecutor(2) as callers:
        list(callers.map(lambda one: infer(server, "models/joined", values, *one), ids))
    trees = [check_tree(collector[0].spans_of(trace, server_span), parent) for trace, parent in ids]
    for (other_trace, _), own, other in zip(reversed(ids), trees, reversed(trees), strict=True):
        (link,) = own["batch"].links
        assert link.trace_id.hex() == other_trace
        assert link.span_id == other[INFER].span_id
        assert attributes(own["batch"])["smidgen.batch.requests"] == 2
        assert attributes(own["batch"])["smidgen.samples"] == 1


def test_what_is_late_ends_in_the_queue(
    server: RunningServer, collector: tuple[Collector, str]
) -> None:
    trace, parent = new_ids()
    request = pb.ModelInferRequest(model_name="joined")
    request.parameters["timeout"].int64_param = 100_000  # in microseconds; the client waits on
    request.inputs.add(name=IMAGE, datatype="FP32", shape=[1, *EXAMPLE.shape[1:]])
    request.raw_input_contents.append(EXAMPLE[:1].tobytes())
    metadata = (("traceparent", f"00-{trace}-{parent}-01"),)
    infer_model = server.channel.unary_unary(
        f"/{MODEL_INFER}", request_serializer=pb.ModelInferRequest.SerializeToString
    )
    with pytest.raises(grpc.RpcError) as caught:
        infer_model(request, timeout=60, metadata=metadata)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    spans = collector[0].spans_of(trace, server_span)
    found = {span.name: span for span in spans}
    assert set(found) == {MODEL_INFER, "admit", "queue"}
    for name in (MODEL_INFER, "queue"):
        assert found[name].status.code == Status.STATUS_CODE_ERROR
        assert attributes(found[name])["error.type"] == "DEADLINE_EXCEEDED"
    assert attributes(found[MODEL_INFER])["rpc.response.status_code"] == "DEADLINE_EXCEEDED"
    assert found["admit"].end_time_unix_nano == found["queue"].start_time_unix_nano


def test_a_refused_value_has_the_clients_code(
    server: RunningServer, collector: tuple[Collector, str]
) -> None:
    trace, parent = new_ids()
    with pytest.raises(grpc.RpcError):
        infer(server, "models/single", np.full_like(EXAMPLE, np.nan), trace, parent)
    (span,) = collector[0].spans_of(trace, server_span)
    assert attributes(span)["rpc.response.status_code"] == "INVALID_ARGUMENT"
    assert span.status.code == Status.STATUS_CODE_UNSET


def test_the_log_names_the_trace(server: RunningServer) -> None:
    trace, parent = new_ids()
    request = model_service_pb2.GetModelRequest(name="models/single")
    server.models.GetModel(request, metadata=(("traceparent", f"00-{trace}-{parent}-00"),))
    server.models.GetModel(request)
    lines = [line for line in server.logs() if line.get("method", "").endswith("GetModel")]
    assert lines[-2]["trace_id"] == trace
    assert len(lines[-1]["trace_id"]) == 32
    assert lines[-1]["trace_id"] != trace


def test_a_call_is_one_span_though_another_process_answers(
    server: RunningServer, collector: tuple[Collector, str]
) -> None:
    trace, parent = new_ids()
    request = model_service_pb2.GetModelRequest(name="models/single")
    server.models.GetModel(request, metadata=(("traceparent", f"00-{trace}-{parent}-01"),))
    spans = collector[0].spans_of(trace, server_span)
    assert [span.name for span in spans] == ["smidgen.v1.ModelService/GetModel"]
