"""Calls about models and their versions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from smidgen.client.connection import Connection
from smidgen.client.downloads import Download
from smidgen.client.errors import RemoteError
from smidgen.client.names import (
    model_name,
    version_name,
)
from smidgen.client.paging import pages
from smidgen.client.requests import new_request_id
from smidgen.client.uploads import (
    LocalFile,
    TransferProgress,
    Upload,
    model_format,
)
from smidgen.v1 import model_service_pb2 as models_pb


def _ignore(_done_bytes: int, _total_bytes: int) -> None:
    """Reports transfers to nobody."""


class ModelCalls(Connection):
    """Uploads, lists and deletes models, and fetches their versions."""

    def upload_model(
        self,
        path: str | Path,
        model_id: str,
        *,
        display_name: str = "",
        file_format: models_pb.ModelFormat.ValueType | None = None,
        request_id: str = "",
        validate_only: bool = False,
        on_progress: TransferProgress = _ignore,
    ) -> models_pb.Model:
        """Uploads a float model (`.pt2` or `.onnx`) or an artifact (`.smidgen`).

        A broken connection is resumed where it stopped. With a request_id of its own, a UUID, an
        upload can also be resumed by a later process.

        Raises: InvalidModelError where name and content tell no format, or different ones; OSError;
        RemoteError.
        """
        file = LocalFile.inspect(Path(path))
        is_continued = bool(request_id)
        request_id = request_id or new_request_id()
        header = models_pb.UploadModelHeader(
            model_id=model_id,
            display_name=display_name,
            format=model_format(file.path) if file_format is None else file_format,
            total_bytes=file.size_bytes,
            sha256=file.sha256,
            request_id=request_id,
            validate_only=validate_only,
        )
        return Upload(
            caller=self._caller,
            get_upload=self._models.GetUpload,
            method=self._models.UploadModel,
            header=models_pb.UploadModelRequest(header=header),
            wrap=lambda chunk: models_pb.UploadModelRequest(chunk=chunk),
            file=file,
            request_id=request_id,
            is_continued=is_continued,
        ).run(self._patience(), on_progress)

    def download_artifact(
        self,
        model: str,
        path: str | Path,
        *,
        version: int | str | None = None,
        on_progress: TransferProgress = _ignore,
    ) -> models_pb.ModelVersion:
        """Fetches a version's artifact file, the newest by default, and returns the version.

        A version may be named by an alias here and below.

        The file appears at path when it is whole and its SHA-256 is right; a broken download is
        resumed.

        Raises: ArtifactError for bytes that are not the version's; OSError; RemoteError.
        """
        found = self.get_version(model, version)
        patience = self._patience()
        patience.seen()
        method = self._models.DownloadArtifact
        Download(self._caller, method, found, on_progress).run(Path(path), patience)
        return found

    def get_model(self, model: str) -> models_pb.Model:
        """Returns a model."""
        request = models_pb.GetModelRequest(name=model_name(model))
        return self._caller.unary(self._models.GetModel, request)

    def list_models(self) -> Iterator[models_pb.Model]:
        """Yields all models, newest first."""
        request = models_pb.ListModelsRequest()
        for page in pages(self._caller, self._models.ListModels, request):
            yield from page.models

    def delete_model(self, model: str, *, validate_only: bool = False) -> None:
        """Deletes a model with its versions and calibrations."""
        request = models_pb.DeleteModelRequest(
            name=model_name(model), request_id=new_request_id(), validate_only=validate_only
        )
        self._caller.unary(self._models.DeleteModel, request)

    def get_version(self, model: str, version: int | str | None = None) -> models_pb.ModelVersion:
        """Returns a version of a model, by number or alias, the newest by default."""
        name = version_name(model, version)
        if "/versions/" not in name and "/aliases/" not in name:
            name = self.get_model(model).latest_version
            if not name:
                raise RemoteError(
                    f"{model_name(model)} has no converted version; calibrate and convert it first",
                    code="FAILED_PRECONDITION",
                    reason="MODEL_NOT_CONVERTED",
                    metadata={"name": model_name(model)},
                )
        request = models_pb.GetModelVersionRequest(name=name)
        return self._caller.unary(self._models.GetModelVersion, request)

    def list_versions(self, model: str) -> Iterator[models_pb.ModelVersion]:
        """Yields a model's versions, newest first."""
        request = models_pb.ListModelVersionsRequest(parent=model_name(model))
        for page in pages(self._caller, self._models.ListModelVersions, request):
            yield from page.model_versions
