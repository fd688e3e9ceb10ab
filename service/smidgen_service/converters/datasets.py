"""Datasets."""

from __future__ import annotations

from smidgen.formats.dataset import DatasetFormat
from smidgen.v1 import dataset_service_pb2 as pb
from smidgen_service import names
from smidgen_service.converters.scalars import request_key, timestamp
from smidgen_service.converters.tensors import spec_to_message
from smidgen_service.errors import InvalidArgumentError
from smidgen_service.handlers.datasets import DatasetUpload
from smidgen_service.handlers.receiving import UploadTicket
from smidgen_service.handlers.shards import DatasetCreation
from smidgen_service.store.records import DatasetRecord

_FORMATS = {
    pb.DATASET_FORMAT_NPZ: DatasetFormat.NPZ,
    pb.DATASET_FORMAT_NPY: DatasetFormat.NPY,
    pb.DATASET_FORMAT_SAFETENSORS: DatasetFormat.SAFETENSORS,
    pb.DATASET_FORMAT_WEB_DATASET: DatasetFormat.WEB_DATASET,
    pb.DATASET_FORMAT_IMAGE_ZIP: DatasetFormat.IMAGE_ZIP,
}
_FORMAT_ENUMS = {value: key for key, value in _FORMATS.items()}


def dataset_upload(header: pb.UploadDatasetHeader) -> DatasetUpload:
    """Returns the header of an upload.

    Raises:
        InvalidArgumentError: the format is not set, or the request_id is not a UUID.
    """
    dataset_format = _FORMATS.get(header.format)
    if dataset_format is None:
        raise InvalidArgumentError(
            f"format is {header.format}, expected "
            f"{', '.join(pb.DatasetFormat.Name(known) for known in _FORMATS)}",
            field="header.format",
            reason="INVALID_FORMAT",
        )
    key = request_key("UploadDataset", header, header.request_id)
    return DatasetUpload(
        dataset_id=header.dataset_id,
        format=dataset_format,
        ticket=UploadTicket(header.total_bytes, header.sha256, key),
        validate_only=header.validate_only,
    )


def dataset_creation(request: pb.CreateDatasetRequest) -> DatasetCreation:
    """Returns a request for a dataset of shards.

    Raises:
        InvalidArgumentError: a shard is no name of a dataset, or the request_id is not a UUID.
    """
    return DatasetCreation(
        dataset_id=request.dataset_id,
        shard_ids=tuple(names.parse_dataset(shard, field="shards") for shard in request.shards),
        key=request_key("CreateDataset", request, request.request_id),
        validate_only=request.validate_only,
    )


def dataset_to_message(dataset: DatasetRecord) -> pb.Dataset:
    """Returns a dataset as a message."""
    return pb.Dataset(
        name=names.dataset_name(dataset.id),
        format=_FORMAT_ENUMS[dataset.format],
        sha256=dataset.sha256,
        size_bytes=dataset.size_bytes,
        sample_count=dataset.sample_count,
        arrays=[spec_to_message(spec) for spec in dataset.arrays],
        create_time=timestamp(dataset.create_time),
        file_count=len(dataset.files),
    )


def optional_dataset(name: str, field: str) -> str | None:
    """Returns the id of a dataset that a request may name."""
    return names.parse_dataset(name, field=field) if name else None
