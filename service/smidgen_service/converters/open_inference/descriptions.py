"""Metadata, configuration, statistics and the index of models."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.tensor_spec import TensorSpec
from smidgen_service.converters.open_inference.datatypes import BY_DTYPE
from smidgen_service.handlers.repository import CountedVersion, ServedVersion
from smidgen_service.open_inference import inference_service_pb2 as pb
from smidgen_service.statistics import Spent, StageSpent
from smidgen_service.store.records import IndexEntry

PLATFORM = "smidgen"
_DIGEST = "artifact_sha256"


def metadata_to_message(served: ServedVersion) -> pb.ModelMetadataResponse:
    """Returns names, types and shapes, which have the batch in them."""
    record = served.record
    return pb.ModelMetadataResponse(
        name=record.model_id,
        versions=[str(number) for number in served.numbers],
        platform=PLATFORM,
        inputs=[_metadata(spec) for spec in record.inputs],
        outputs=[_metadata(spec) for spec in record.outputs],
        properties={_DIGEST: record.sha256},
    )


def config_to_message(served: ServedVersion) -> pb.ModelConfigResponse:
    """Returns the configuration; its dims leave the batch out where there is one."""
    record = served.record
    first = 1 if served.most_samples else 0
    most_samples, batching = served.most_samples, None
    if served.batching is not None:
        most_samples = min(most_samples, served.batching.most_samples)
        batching = pb.ModelDynamicBatching(
            max_queue_delay_microseconds=round(served.batching.most_delay_s * 1e6)
        )
    config = pb.ModelConfig(
        name=record.model_id,
        platform=PLATFORM,
        backend=PLATFORM,
        dynamic_batching=batching,
        version_policy=pb.ModelVersionPolicy(all=pb.ModelVersionPolicy.All()),
        max_batch_size=most_samples,
        input=[
            pb.ModelInput(name=spec.name, data_type=_data_type(spec), dims=_extents(spec, first))
            for spec in record.inputs
        ],
        output=[
            pb.ModelOutput(name=spec.name, data_type=_data_type(spec), dims=_extents(spec, first))
            for spec in record.outputs
        ],
        instance_group=[
            pb.ModelInstanceGroup(
                name=record.model_id,
                kind=pb.ModelInstanceGroup.KIND_CPU,
                count=served.most_running,
            )
        ],
        parameters={_DIGEST: pb.ModelParameter(string_value=record.sha256)},
        model_transaction_policy=pb.ModelTransactionPolicy(decoupled=False),
    )
    return pb.ModelConfigResponse(config=config)


def statistics_to_message(counted: Sequence[CountedVersion]) -> pb.ModelStatisticsResponse:
    """Returns the statistics of versions."""
    return pb.ModelStatisticsResponse(model_stats=[_statistics(entry) for entry in counted])


def index_to_message(entries: Sequence[IndexEntry]) -> pb.RepositoryIndexResponse:
    """Returns the index of models."""
    return pb.RepositoryIndexResponse(models=[_index_entry(entry) for entry in entries])


def _metadata(spec: TensorSpec) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(
        name=spec.name, datatype=BY_DTYPE[spec.dtype].name, shape=_extents(spec)
    )


def _data_type(spec: TensorSpec) -> pb.DataType.ValueType:
    return BY_DTYPE[spec.dtype].in_config


def _extents(spec: TensorSpec, first: int = 0) -> list[int]:
    return [-1 if extent is None else extent for extent in spec.shape[first:]]


def _statistics(entry: CountedVersion) -> pb.ModelStatistics:
    counted = entry.statistics
    return pb.ModelStatistics(
        name=entry.model_id,
        version=str(entry.version),
        last_inference=counted.last_inference_us // 1000,
        inference_count=counted.inference_count,
        execution_count=counted.execution_count,
        inference_stats=pb.InferStatistics(
            success=_duration(counted.success),
            fail=_duration(counted.fail),
            queue=_duration(counted.queue),
            compute_input=_duration(counted.stages.input),
            compute_infer=_duration(counted.stages.compute),
            compute_output=_duration(counted.stages.output),
        ),
        batch_stats=[_batch(size, counted.batches[size]) for size in sorted(counted.batches)],
    )


def _batch(size: int, spent: StageSpent) -> pb.InferBatchStatistics:
    return pb.InferBatchStatistics(
        batch_size=size,
        compute_input=_duration(spent.input),
        compute_infer=_duration(spent.compute),
        compute_output=_duration(spent.output),
    )


def _duration(spent: Spent) -> pb.StatisticDuration:
    return pb.StatisticDuration(count=spent.count, ns=spent.ns)


def _index_entry(entry: IndexEntry) -> pb.RepositoryIndexResponse.ModelIndex:
    reason = ""
    if entry.version is None:
        reason = "not converted"
    elif entry.is_unloaded:
        reason = "unloaded"
    return pb.RepositoryIndexResponse.ModelIndex(
        name=entry.model_id,
        version="" if entry.version is None else str(entry.version),
        state="UNAVAILABLE" if reason else "READY",
        reason=reason,
    )
