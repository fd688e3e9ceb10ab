"""Health, reflection, request ids, metrics and logs of a running server."""

from __future__ import annotations

from pathlib import Path

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from smidgen.v1 import model_service_pb2
from smidgen_service.metrics import TABLE
from tests.service.running_server import RunningServer, details, ending, start_server, tensor

SERVICES = (
    "smidgen.v1.ModelService",
    "smidgen.v1.DatasetService",
    "smidgen.v1.OptimizationService",
    "smidgen.v1.JobService",
    "smidgen.v1.ReportService",
    "smidgen.v1.InferenceService",
)


@pytest.mark.parametrize("service", ["", *SERVICES])
def test_health_is_serving(server: RunningServer, service: str) -> None:
    stub = health_pb2_grpc.HealthStub(server.channel)
    response = stub.Check(health_pb2.HealthCheckRequest(service=service))
    assert response.status == health_pb2.HealthCheckResponse.SERVING


def test_health_of_an_unknown_service_is_not_found(server: RunningServer) -> None:
    stub = health_pb2_grpc.HealthStub(server.channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(health_pb2.HealthCheckRequest(service="absent"))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_reflection_lists_every_service(server: RunningServer) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(server.channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    response = next(iter(stub.ServerReflectionInfo(iter([request]))))
    listed = {service.name for service in response.list_services_response.service}
    assert listed >= {*SERVICES, "grpc.health.v1.Health"}


def test_unknown_method_is_unimplemented(server: RunningServer) -> None:
    call = server.channel.unary_unary("/smidgen.v1.ModelService/Absent")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"")
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_request_id_comes_back(server: RunningServer) -> None:
    metadata = (("x-request-id", "my-id.1"),)
    request = model_service_pb2.ListModelsRequest()
    _, call = server.models.ListModels.with_call(request, metadata=metadata)
    assert dict(call.initial_metadata())["x-request-id"] == "my-id.1"
    with pytest.raises(grpc.RpcError) as caught:
        server.models.GetModel(
            model_service_pb2.GetModelRequest(name="models/absent"), metadata=metadata
        )
    assert details(caught.value)[error_details_pb2.RequestInfo].request_id == "my-id.1"
    assert dict(caught.value.trailing_metadata())["x-request-id"] == "my-id.1"


def test_bad_request_id_is_replaced(server: RunningServer) -> None:
    request = model_service_pb2.ListModelsRequest()
    metadata = (("x-request-id", "x" * 65),)
    _, call = server.models.ListModels.with_call(request, metadata=metadata)
    found = dict(call.trailing_metadata())["x-request-id"]
    assert found
    assert found != "x" * 65


def test_error_names_the_field(server: RunningServer) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.models.GetModel(model_service_pb2.GetModelRequest(name="nonsense"))
    assert ending(caught.value) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_NAME")
    violation = details(caught.value)[error_details_pb2.BadRequest].field_violations[0]
    assert violation.field == "name"
    assert violation.reason == "INVALID_NAME"


def test_every_metric_of_the_table_is_scraped(server: RunningServer) -> None:
    families = {family.name for family in text_string_to_metric_families(server.metrics())}
    assert {name.removesuffix("_total") for name in TABLE} <= families
    assert {"process_cpu_seconds", "python_gc_collections"} <= families


def test_calls_and_jobs_are_counted(
    server: RunningServer, model_file: bytes, images: np.ndarray
) -> None:
    server.upload_model("counted", model_file)
    calibration = server.calibrate("models/counted", images[:8])
    server.convert("models/counted", calibration=calibration.name)
    server.infer("models/counted", tensor(images[:3]))
    with pytest.raises(grpc.RpcError):
        server.infer("models/counted")
    with pytest.raises(grpc.RpcError):
        server.upload_model("counted-2", b"nonsense")
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(server.metrics())
        for sample in family.samples
    }

    def value(name: str, **labels: str) -> float:
        return samples[name, tuple(sorted(labels.items()))]

    infer = {"grpc_service": "smidgen.v1.InferenceService", "grpc_method": "Infer"}
    handled = {**infer, "grpc_type": "unary"}
    assert value("grpc_server_handled_total", **handled, grpc_code="OK") == 1
    assert value("grpc_server_handled_total", **handled, grpc_code="INVALID_ARGUMENT") == 1
    assert value("grpc_server_started_total", **handled) == 2
    assert value("grpc_server_handling_seconds_count", **handled) == 2
    upload = {
        "grpc_type": "client_stream",
        "grpc_service": "smidgen.v1.ModelService",
        "grpc_method": "UploadModel",
    }
    assert value("grpc_server_msg_received_total", **upload) >= 4
    model = {"model": "counted", "version": "1"}
    assert value("smidgen_inference_requests_total", **model, outcome="ok") == 1
    assert value("smidgen_inference_requests_total", **model, outcome="invalid") == 1
    assert value("smidgen_inference_batch_size_sum", **model) == 3
    for stage in ("queue", "input", "compute", "output"):
        assert value("smidgen_inference_stage_seconds_count", **model, stage=stage) == 1
    assert value("smidgen_artifact_bytes", **model) > 0
    assert value("smidgen_jobs", kind="convert", state="succeeded") == 1
    assert value("smidgen_job_duration_seconds_count", kind="convert", state="succeeded") == 1
    assert [name for name, _ in samples if name == "smidgen_upload_rejected_total"]


def test_server_never_imports_torch(
    server: RunningServer, model_file: bytes, images: np.ndarray
) -> None:
    server.upload_model("untorched", model_file)
    server.calibrate("models/untorched", images[:4])
    maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "numpy" in maps
    assert "torch" not in maps


def test_logs_are_json_and_silent_about_data(server: RunningServer) -> None:
    lines = server.logs()
    started = next(line for line in lines if line["event"] == "server_started")
    assert started["port"] == server.port
    assert started["metrics_port"] == server.metrics_port
    assert all({"ts", "level", "event"} <= line.keys() for line in lines)
    failed = [line for line in lines if line["event"] == "rpc" and line["code"] == "NOT_FOUND"]
    assert all(line["request_id"] and line["method"] for line in failed)


def test_text_logs_and_no_metrics(tmp_path: Path) -> None:
    server = start_server(tmp_path / "store", "--log-format", "text", "--metrics-port", "-1")
    assert server.metrics_port is None
    assert server.stop() == 0
    assert "server_started version=" in server.log_path.read_text()
