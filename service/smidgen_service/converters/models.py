"""Models and versions."""

from __future__ import annotations

from smidgen.formats.model_file import ModelFormat
from smidgen.v1 import model_service_pb2 as pb
from smidgen_service import names
from smidgen_service.converters.reports import report_to_message
from smidgen_service.converters.scalars import request_key, timestamp
from smidgen_service.converters.tensors import spec_to_message
from smidgen_service.errors import InvalidArgumentError
from smidgen_service.handlers.models import ArtifactPiece, ModelUpload
from smidgen_service.handlers.receiving import UploadTicket
from smidgen_service.store.records import ModelRecord, VersionRecord

_FORMATS = {
    pb.MODEL_FORMAT_PT2: ModelFormat.PT2,
    pb.MODEL_FORMAT_ARTIFACT: ModelFormat.ARTIFACT,
    pb.MODEL_FORMAT_ONNX: ModelFormat.ONNX,
    pb.MODEL_FORMAT_QUANTIZED_ONNX: ModelFormat.QUANTIZED_ONNX,
}
_FORMAT_ENUMS = {value: key for key, value in _FORMATS.items()}


def model_upload(header: pb.UploadModelHeader) -> ModelUpload:
    """Returns the header of an upload.

    Raises:
        InvalidArgumentError: the format is not set, or the request_id is not a UUID.
    """
    model_format = _FORMATS.get(header.format)
    if model_format is None:
        raise InvalidArgumentError(
            f"format is {header.format}, expected MODEL_FORMAT_PT2, MODEL_FORMAT_ONNX, "
            "MODEL_FORMAT_QUANTIZED_ONNX or MODEL_FORMAT_ARTIFACT",
            field="header.format",
            reason="INVALID_FORMAT",
        )
    key = request_key("UploadModel", header, header.request_id)
    return ModelUpload(
        model_id=header.model_id,
        display_name=header.display_name,
        format=model_format,
        ticket=UploadTicket(header.total_bytes, header.sha256, key),
        validate_only=header.validate_only,
    )


def model_to_message(model: ModelRecord) -> pb.Model:
    """Returns a model as a message."""
    version = model.latest_version
    return pb.Model(
        name=names.model_name(model.id),
        display_name=model.display_name,
        format=_FORMAT_ENUMS[model.format],
        sha256=model.sha256,
        size_bytes=model.size_bytes,
        inputs=[spec_to_message(spec) for spec in model.inputs],
        outputs=[spec_to_message(spec) for spec in model.outputs],
        parameter_count=model.parameter_count,
        parameter_bytes=model.parameter_bytes,
        create_time=timestamp(model.create_time),
        latest_version=names.version_name(model.id, version) if version is not None else "",
        warnings=model.warnings,
    )


def version_to_message(version: VersionRecord) -> pb.ModelVersion:
    """Returns a version as a message."""
    calibration, train_job = version.calibration_id, version.train_job_id
    return pb.ModelVersion(
        name=names.version_name(version.model_id, version.version),
        sha256=version.sha256,
        size_bytes=version.size_bytes,
        inputs=[spec_to_message(spec) for spec in version.inputs],
        outputs=[spec_to_message(spec) for spec in version.outputs],
        job=names.job_name(version.job_id) if version.job_id is not None else "",
        calibration=names.calibration_name(calibration) if calibration is not None else "",
        train_job=names.job_name(train_job) if train_job is not None else "",
        report=report_to_message(version.report) if version.report is not None else None,
        create_time=timestamp(version.create_time),
    )


def piece_to_message(piece: ArtifactPiece) -> pb.DownloadArtifactResponse:
    """Returns a piece of an artifact as a message."""
    return pb.DownloadArtifactResponse(
        offset=piece.offset,
        data=piece.data,
        total_bytes=piece.total_bytes,
        sha256=piece.sha256,
    )
