"""All services of the server by their descriptors, and their registration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from google.protobuf.descriptor import FileDescriptor
from grpc import aio
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from smidgen.v1 import (
    dataset_service_pb2,
    dataset_service_pb2_grpc,
    inference_service_pb2,
    job_service_pb2,
    job_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
    optimization_service_pb2,
    optimization_service_pb2_grpc,
    report_service_pb2,
    report_service_pb2_grpc,
)
from smidgen_service.application import Handlers
from smidgen_service.handlers.inference import InferenceHandler
from smidgen_service.handlers.repository import RepositoryHandler
from smidgen_service.lifecycle import Lifecycle
from smidgen_service.open_inference import inference_service_pb2 as open_inference_pb2
from smidgen_service.security.registry import Registry
from smidgen_service.servicers.datasets import DatasetServicer
from smidgen_service.servicers.inference import InferenceServicer
from smidgen_service.servicers.jobs import JobServicer
from smidgen_service.servicers.models import ModelServicer
from smidgen_service.servicers.open_inference import OpenInferenceServicer
from smidgen_service.servicers.optimization import OptimizationServicer
from smidgen_service.servicers.registration import add_service
from smidgen_service.servicers.reports import ReportServicer
from smidgen_service.surroundings import Method
from smidgen_service.threads import Threads

_PROTOS: tuple[FileDescriptor, ...] = (
    model_service_pb2.DESCRIPTOR,
    dataset_service_pb2.DESCRIPTOR,
    optimization_service_pb2.DESCRIPTOR,
    job_service_pb2.DESCRIPTOR,
    report_service_pb2.DESCRIPTOR,
    inference_service_pb2.DESCRIPTOR,
    open_inference_pb2.DESCRIPTOR,
)


def service_names() -> tuple[str, ...]:
    """Returns the full names of all services, without health and reflection."""
    return tuple(
        service.full_name for proto in _PROTOS for service in proto.services_by_name.values()
    )


def rpc_methods() -> Iterator[Method]:
    """Yields the methods of these services."""
    for proto in _PROTOS:
        for service in proto.services_by_name.values():
            for method in service.methods:
                path = f"/{service.full_name}/{method.name}"
                yield Method(path, method.client_streaming, method.server_streaming)


def register(
    registry: Registry,
    handlers: Handlers,
    health_servicer: object,
    lifecycle: Lifecycle,
    *,
    reflects: bool,
) -> None:
    """Adds all services to a server."""
    # The generated functions want a server, of which they call what a Registry has.
    server = cast(aio.Server, registry)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(
        ModelServicer(handlers.models, handlers.aliases, handlers.receiver), server
    )
    dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server(
        DatasetServicer(handlers.datasets), server
    )
    optimization_service_pb2_grpc.add_OptimizationServiceServicer_to_server(
        OptimizationServicer(handlers.calibration, handlers.optimization), server
    )
    job_service_pb2_grpc.add_JobServiceServicer_to_server(JobServicer(handlers.jobs), server)
    report_service_pb2_grpc.add_ReportServiceServicer_to_server(
        ReportServicer(handlers.reports), server
    )
    register_inference(
        registry, handlers.inference, handlers.repository, handlers.threads, lifecycle
    )
    register_probes(registry, health_servicer, reflects=reflects)


def register_inference(
    registry: Registry,
    inference: InferenceHandler,
    repository: RepositoryHandler,
    threads: Threads,
    lifecycle: Lifecycle,
) -> None:
    """Adds the services that infer."""
    server = cast(aio.Server, registry)
    add_service(
        inference_service_pb2.DESCRIPTOR.services_by_name["InferenceService"],
        InferenceServicer(inference),
        server,
        encoded={"Infer"},
    )
    add_service(
        open_inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"],
        OpenInferenceServicer(inference, repository, threads, lifecycle),
        server,
        encoded={"ModelInfer", "ModelStreamInfer"},
    )


def register_probes(registry: Registry, health_servicer: object, *, reflects: bool) -> None:
    """Adds what tells about the server: health, and reflection if it is asked for."""
    server = cast(aio.Server, registry)
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    if reflects:
        names = (*service_names(), health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            reflection.aio.ReflectionServicer(names), server
        )
