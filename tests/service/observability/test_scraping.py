"""A real Prometheus scrapes real servers: it sees what their clients did, and takes every line."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from smidgen.v1 import inference_service_pb2, inference_service_pb2_grpc
from tests.service.observability.prometheus_server import (
    PROMTOOL,
    PrometheusServer,
    needs_prometheus,
)
from tests.service.processes.fronts import channels
from tests.service.running_server import (
    EVERY_CALL_LOGGED,
    RunningServer,
    scraped,
    start_server,
    tensor,
)

pytestmark = needs_prometheus

FRONTS = 2
CALLS, SAMPLES = 7, 3
MODEL = 'model="seen",version="1"'
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACED = (("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"),)
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture(scope="module")
def used(
    tmp_path_factory: pytest.TempPathFactory, model_file: bytes, images: np.ndarray
) -> Iterator[RunningServer]:
    """A server of two processes, each of which has computed, refused, and seen a trace."""
    folder = tmp_path_factory.mktemp("data")
    server = start_server(folder / "store", "--processes", str(FRONTS), *EVERY_CALL_LOGGED)
    try:
        server.upload_model("seen", model_file)
        calibration = server.calibrate("models/seen", images[:8])
        server.convert("models/seen", calibration=calibration.name)
        request = inference_service_pb2.InferRequest(
            name="models/seen", inputs=[tensor(images[:SAMPLES])]
        )
        empty = inference_service_pb2.InferRequest(name="models/seen")
        with channels(server, FRONTS) as fronts:
            for channel in fronts:
                stub = inference_service_pb2_grpc.InferenceServiceStub(channel)
                for _ in range(CALLS):
                    stub.Infer(request, timeout=60, metadata=TRACED)
                with pytest.raises(grpc.RpcError):
                    stub.Infer(empty, timeout=60)
        yield server
    finally:
        server.stop()


def test_prometheus_sees_what_clients_did(used: RunningServer, tmp_path: Path) -> None:
    with PrometheusServer(tmp_path, used.metrics_port) as prometheus:
        prometheus.until_scraped()
        infer = 'grpc_service="smidgen.v1.InferenceService",grpc_method="Infer"'
        calls = FRONTS * CALLS
        for query, expected in {
            f'smidgen_inference_requests_total{{{MODEL},outcome="ok"}}': calls,
            f'smidgen_inference_requests_total{{{MODEL},outcome="invalid"}}': FRONTS,
            f'smidgen_inference_stage_seconds_count{{{MODEL},stage="compute"}}': calls,
            f"smidgen_inference_batch_size_sum{{{MODEL}}}": calls * SAMPLES,
            f'smidgen_inference_batch_size_bucket{{{MODEL},le="2.0"}}': 0,
            f'smidgen_inference_batch_size_bucket{{{MODEL},le="4.0"}}': calls,
            f'grpc_server_handled_total{{{infer},grpc_code="OK"}}': calls,
            f'grpc_server_handled_total{{{infer},grpc_code="INVALID_ARGUMENT"}}': FRONTS,
            f"grpc_server_handling_seconds_count{{{infer}}}": calls + FRONTS,
            'smidgen_job_attempts_total{kind="convert",outcome="succeeded"}': 1,
            "smidgen_processes": FRONTS,
            # The same counts under Triton's names.
            f"nv_inference_request_success{{{MODEL}}}": calls,
            f'nv_inference_request_failure{{{MODEL},reason="OTHER"}}': FRONTS,
            f'nv_inference_request_failure{{{MODEL},reason="REJECTED"}}': 0,
            f"nv_inference_count{{{MODEL}}}": calls * SAMPLES,
            f"nv_inference_exec_count{{{MODEL}}}": calls,
            f"nv_inference_pending_request_count{{{MODEL}}}": 0,
        }.items():
            assert prometheus.value(query) == expected, query
        microseconds = prometheus.value(f"nv_inference_compute_infer_duration_us{{{MODEL}}}")
        seconds = prometheus.value(
            f'smidgen_inference_stage_seconds_sum{{{MODEL},stage="compute"}}'
        )
        assert microseconds is not None
        assert seconds is not None
        assert abs(microseconds - seconds * 1e6) <= FRONTS
        assert 0 <= (prometheus.value("nv_cpu_utilization") or 0.0) <= 1
        metadata = prometheus.metadata()
        kinds = {name: metadata[name]["type"] for name in ("nv_inference_count", "smidgen_jobs")}
        assert kinds == {"nv_inference_count": "unknown", "smidgen_jobs": "gauge"}
        assert metadata["grpc_server_handling_seconds"]["type"] == "histogram"
        exemplars = prometheus.exemplars(f"grpc_server_handling_seconds_bucket{{{infer}}}")
        assert exemplars
        for series in exemplars:
            assert {one["labels"]["trace_id"] for one in series["exemplars"]} == {TRACE}


def test_promtool_finds_nothing_wrong_with_our_names(used: RunningServer) -> None:
    # Triton's names are as they are.
    text = "".join(line for line in used.metrics().splitlines(True) if "nv_" not in line)
    assert PROMTOOL is not None
    command = [PROMTOOL, "check", "metrics"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_openmetrics_is_well_formed(used: RunningServer) -> None:
    text = scraped(used.metrics_port, OPENMETRICS)
    assert text.endswith("# EOF\n")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["nv_inference_count"].type == "unknown"
    assert families["smidgen_inference_requests"].type == "counter"
    traces = {
        sample.exemplar.labels["trace_id"]
        for sample in families["grpc_server_handling_seconds"].samples
        if sample.exemplar is not None
    }
    assert traces == {TRACE}
    assert TRACE not in used.metrics()  # which the older format has no place for


def test_metrics_can_be_asked_for_by_name(used: RunningServer) -> None:
    query = "name[]=smidgen_processes&name[]=nv_inference_count"
    lines = scraped(used.metrics_port, "", query).splitlines()
    values = [line for line in lines if not line.startswith("#")]
    assert values == [
        f"smidgen_processes {FRONTS}.0",
        f"nv_inference_count{{{MODEL}}} {FRONTS * CALLS * SAMPLES}.0",
    ]
