"""Sends files in chunks and continues where a broken upload stopped."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import grpc

from smidgen.client.calls import Caller
from smidgen.client.errors import RemoteError, UnavailableError
from smidgen.client.patience import Patience
from smidgen.formats.dataset import DatasetFormat, format_of
from smidgen.formats.model_file import ModelFormat, guess_format
from smidgen.regular_file import open_regular
from smidgen.v1 import dataset_service_pb2 as datasets_pb
from smidgen.v1 import model_service_pb2 as models_pb
from smidgen.v1 import upload_pb2 as uploads_pb

CHUNK_BYTES = 1024 * 1024
"""Bytes in one message, the most the protocol allows."""

TransferProgress = Callable[[int, int], None]
"""Is told the bytes transferred so far and the bytes in all."""

Request = TypeVar("Request", models_pb.UploadModelRequest, datasets_pb.UploadDatasetRequest)
Response = TypeVar("Response")

MODEL_FORMATS = {
    ModelFormat.PT2: models_pb.MODEL_FORMAT_PT2,
    ModelFormat.ONNX: models_pb.MODEL_FORMAT_ONNX,
    ModelFormat.QUANTIZED_ONNX: models_pb.MODEL_FORMAT_QUANTIZED_ONNX,
    ModelFormat.ARTIFACT: models_pb.MODEL_FORMAT_ARTIFACT,
}
"""What the protocol calls the formats of models."""

_DATASET_FORMATS = {
    DatasetFormat.NPZ: datasets_pb.DATASET_FORMAT_NPZ,
    DatasetFormat.NPY: datasets_pb.DATASET_FORMAT_NPY,
    DatasetFormat.SAFETENSORS: datasets_pb.DATASET_FORMAT_SAFETENSORS,
    DatasetFormat.WEB_DATASET: datasets_pb.DATASET_FORMAT_WEB_DATASET,
    DatasetFormat.IMAGE_ZIP: datasets_pb.DATASET_FORMAT_IMAGE_ZIP,
}


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to upload.

    Attributes:
        path: Where it is.
        size_bytes: Its size.
        sha256: Its digest, 64 lower-case hexadecimal digits.
    """

    path: Path
    size_bytes: int
    sha256: str

    @staticmethod
    def inspect(path: Path) -> LocalFile:
        """Reads a file once for its size and digest. Raises: OSError."""
        with open_regular(path) as file:
            digest = hashlib.file_digest(file, "sha256")
            return LocalFile(path, file.tell(), digest.hexdigest())

    def chunks(
        self, offset: int, on_progress: TransferProgress
    ) -> Iterator[uploads_pb.UploadChunk]:
        """Yields the file from offset on, reporting after each chunk.

        The file is open only while a chunk is read: a call that fails gives the iterator up, and
        when it would be closed then is left to chance.
        """
        while data := self._read(offset):
            yield uploads_pb.UploadChunk(offset=offset, data=data)
            offset += len(data)
            on_progress(offset, self.size_bytes)

    def _read(self, offset: int) -> bytes:
        with open_regular(self.path) as file:
            file.seek(offset)
            return file.read(CHUNK_BYTES)


def model_format(path: Path) -> models_pb.ModelFormat.ValueType:
    """Tells a model's format by the file's name and content. Raises: InvalidModelError; OSError."""
    return MODEL_FORMATS[guess_format(path)]


def dataset_format(path: Path) -> datasets_pb.DatasetFormat.ValueType:
    """Tells a dataset's format by the file's extension. Raises: InvalidDatasetError."""
    return _DATASET_FORMATS[format_of(path)]


@dataclass(frozen=True, slots=True)
class Upload(Generic[Request, Response]):
    """One file on its way to the server.

    Attributes:
        caller: Makes the calls.
        get_upload: The method that tells how far an upload has come.
        method: The method that takes the file.
        header: The first message, with a request_id in it.
        wrap: Makes a message of a chunk.
        file: What to send.
        request_id: The id in the header.
        is_continued: Whether an earlier process may have begun this upload.
    """

    caller: Caller
    get_upload: grpc.UnaryUnaryMultiCallable[models_pb.GetUploadRequest, uploads_pb.Upload]
    method: grpc.StreamUnaryMultiCallable[Request, Response]
    header: Request
    wrap: Callable[[uploads_pb.UploadChunk], Request]
    file: LocalFile
    request_id: str
    is_continued: bool

    def run(self, patience: Patience, on_progress: TransferProgress) -> Response:
        """Sends what the server does not have yet, as often as the connection breaks.

        Raises: RemoteError.
        """
        furthest = -1
        is_begun = self.is_continued
        while True:
            try:
                offset = self._committed_bytes() if is_begun else 0
                is_begun = True
                if offset > furthest:
                    furthest = offset
                    patience.seen()
                return self.caller.send(self.method, self._requests(offset, on_progress))
            except UnavailableError as error:
                patience.wait(error)

    def _committed_bytes(self) -> int:
        request = models_pb.GetUploadRequest(name=f"uploads/{self.request_id}")
        try:
            return self.caller.unary(self.get_upload, request).committed_bytes
        except RemoteError as error:
            if error.code != "NOT_FOUND":
                raise
            return 0  # not begun; or complete, and the header alone brings the answer back

    def _requests(self, offset: int, on_progress: TransferProgress) -> Iterator[Request]:
        yield self.header
        for chunk in self.file.chunks(offset, on_progress):
            yield self.wrap(chunk)
