"""Calls about datasets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

from smidgen.client.connection import Connection
from smidgen.client.errors import RemoteError
from smidgen.client.names import dataset_name
from smidgen.client.paging import pages
from smidgen.client.requests import new_request_id
from smidgen.client.shards import plan_shards
from smidgen.client.uploads import (
    LocalFile,
    TransferProgress,
    Upload,
    dataset_format,
)
from smidgen.data.parquet import as_archive
from smidgen.errors import InvalidConfigError
from smidgen.v1 import dataset_service_pb2 as datasets_pb


def _ignore(_done_bytes: int, _total_bytes: int) -> None:
    """Reports transfers to nobody."""


class DatasetCalls(Connection):
    """Uploads, joins, lists and deletes datasets."""

    def upload_dataset(
        self,
        path: str | Path,
        dataset_id: str,
        *,
        file_format: datasets_pb.DatasetFormat.ValueType | None = None,
        request_id: str = "",
        validate_only: bool = False,
        on_progress: TransferProgress = _ignore,
    ) -> datasets_pb.Dataset:
        """Uploads a dataset (`.npz`, `.safetensors`, or images in `.tar`, `.zip` or `.parquet`).

        Resumes as upload_model does. A `.parquet` file whose format is not given is rewritten as a
        shard of WebDataset first.

        Of a folder, each file becomes a dataset of its own, `{dataset_id}-000` and so on in the
        order of their names, and these are joined. Called again after it was broken off, it sends
        what is not there yet.

        Raises: InvalidDatasetError where the extension tells no format, the Parquet file is
            malformed, or the folder holds files of several formats; InvalidConfigError where
            validate_only is asked of a folder; MissingExtraError; OSError; RemoteError.
        """
        given = Path(path)
        if not given.is_dir():
            return self._upload_file(
                given, dataset_id, file_format, request_id, on_progress, validate_only=validate_only
            )
        if validate_only:
            raise InvalidConfigError(
                "The files of a folder can only be joined when they are stored. Validate them one "
                "by one.",
                reason="VALIDATE_ONLY_OF_FOLDER",
                field="validate_only",
            )
        names = [
            self._upload_file(
                shard.path,
                shard.dataset_id,
                file_format,
                shard.request_id,
                shard.report_to(on_progress),
                is_shard=True,
            ).name
            for shard in plan_shards(given, dataset_id, request_id)
        ]
        return self.create_dataset(dataset_id, names, request_id=request_id)

    def create_dataset(
        self,
        dataset_id: str,
        shards: Sequence[str],
        *,
        request_id: str = "",
        validate_only: bool = False,
    ) -> datasets_pb.Dataset:
        """Makes one dataset of stored ones: their samples one after the other, in this order.

        Nothing is copied, and the shards may be deleted afterwards.

        Raises: RemoteError.
        """
        request = datasets_pb.CreateDatasetRequest(
            dataset_id=dataset_id,
            shards=[dataset_name(shard) for shard in shards],
            request_id=request_id or new_request_id(),
            validate_only=validate_only,
        )
        return self._caller.unary(self._datasets.CreateDataset, request)

    def _upload_file(
        self,
        given: Path,
        dataset_id: str,
        file_format: datasets_pb.DatasetFormat.ValueType | None,
        request_id: str,
        on_progress: TransferProgress,
        *,
        validate_only: bool = False,
        is_shard: bool = False,
    ) -> datasets_pb.Dataset:
        """Uploads one file; a shard that is there already, with the same bytes, is taken as it is.

        Raises: See upload_dataset.
        """
        with as_archive(given) if file_format is None else nullcontext(given) as archive:
            file = LocalFile.inspect(archive)
            header = datasets_pb.UploadDatasetHeader(
                dataset_id=dataset_id,
                format=dataset_format(archive) if file_format is None else file_format,
                total_bytes=file.size_bytes,
                sha256=file.sha256,
                request_id=request_id or new_request_id(),
                validate_only=validate_only,
            )
            upload = Upload(
                caller=self._caller,
                get_upload=self._models.GetUpload,
                method=self._datasets.UploadDataset,
                header=datasets_pb.UploadDatasetRequest(header=header),
                wrap=lambda chunk: datasets_pb.UploadDatasetRequest(chunk=chunk),
                file=file,
                request_id=header.request_id,
                is_continued=bool(request_id),
            )
            try:
                return upload.run(self._patience(), on_progress)
            except RemoteError as error:
                if not is_shard or error.code != "ALREADY_EXISTS":
                    raise
                found = self.get_dataset(dataset_id)
                if (found.sha256, found.format) != (header.sha256, header.format):
                    raise
                return found

    def get_dataset(self, dataset: str) -> datasets_pb.Dataset:
        """Returns a dataset."""
        request = datasets_pb.GetDatasetRequest(name=dataset_name(dataset))
        return self._caller.unary(self._datasets.GetDataset, request)

    def list_datasets(self) -> Iterator[datasets_pb.Dataset]:
        """Yields all datasets, newest first."""
        request = datasets_pb.ListDatasetsRequest()
        for page in pages(self._caller, self._datasets.ListDatasets, request):
            yield from page.datasets

    def delete_dataset(self, dataset: str, *, validate_only: bool = False) -> None:
        """Deletes a dataset."""
        request = datasets_pb.DeleteDatasetRequest(
            name=dataset_name(dataset), request_id=new_request_id(), validate_only=validate_only
        )
        self._caller.unary(self._datasets.DeleteDataset, request)
