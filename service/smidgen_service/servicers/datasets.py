"""DatasetService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from google.protobuf.empty_pb2 import Empty
from grpc import aio

from smidgen.v1 import dataset_service_pb2 as pb
from smidgen.v1 import dataset_service_pb2_grpc
from smidgen_service import names
from smidgen_service.converters.datasets import (
    dataset_creation,
    dataset_to_message,
    dataset_upload,
)
from smidgen_service.converters.scalars import request_key
from smidgen_service.converters.uploads import chunks_from_messages
from smidgen_service.handlers.datasets import DatasetHandler
from smidgen_service.servicers.streams import first_message

Context = aio.ServicerContext[Any, Any]


class DatasetServicer(dataset_service_pb2_grpc.DatasetServiceServicer):
    """Stores datasets."""

    def __init__(self, handler: DatasetHandler) -> None:
        self._handler = handler

    async def UploadDataset(
        self, request_iterator: AsyncIterator[pb.UploadDatasetRequest], context: Context
    ) -> pb.Dataset:
        """Uploads a dataset."""
        first = await first_message(request_iterator)
        chunks = chunks_from_messages(request_iterator)
        return dataset_to_message(await self._handler.upload(dataset_upload(first.header), chunks))

    async def CreateDataset(self, request: pb.CreateDatasetRequest, context: Context) -> pb.Dataset:
        """Makes a dataset of stored ones."""
        return dataset_to_message(await self._handler.create(dataset_creation(request)))

    async def GetDataset(self, request: pb.GetDatasetRequest, context: Context) -> pb.Dataset:
        """Returns one dataset."""
        return dataset_to_message(await self._handler.get(names.parse_dataset(request.name)))

    async def ListDatasets(
        self, request: pb.ListDatasetsRequest, context: Context
    ) -> pb.ListDatasetsResponse:
        """Lists datasets."""
        page = await self._handler.list(page_size=request.page_size, page_token=request.page_token)
        return pb.ListDatasetsResponse(
            datasets=[dataset_to_message(dataset) for dataset in page.items],
            next_page_token=page.next_token,
        )

    async def DeleteDataset(self, request: pb.DeleteDatasetRequest, context: Context) -> Empty:
        """Deletes one dataset."""
        key = request_key("DeleteDataset", request, request.request_id)
        dataset_id = names.parse_dataset(request.name)
        await self._handler.delete(dataset_id, key, validate_only=request.validate_only)
        return Empty()
