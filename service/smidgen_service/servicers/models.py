"""ModelService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from google.protobuf.empty_pb2 import Empty
from grpc import aio

from smidgen.v1 import model_service_pb2 as pb
from smidgen.v1 import model_service_pb2_grpc, upload_pb2
from smidgen_service import names
from smidgen_service.converters.aliases import (
    alias_change,
    alias_removal,
    alias_rollback,
    alias_to_message,
)
from smidgen_service.converters.models import (
    model_to_message,
    model_upload,
    piece_to_message,
    version_to_message,
)
from smidgen_service.converters.scalars import request_key
from smidgen_service.converters.uploads import chunks_from_messages, upload_to_message
from smidgen_service.handlers.aliases import AliasHandler
from smidgen_service.handlers.models import ModelHandler
from smidgen_service.handlers.receiving import UploadReceiver
from smidgen_service.servicers.streams import first_message

Context = aio.ServicerContext[Any, Any]


class ModelServicer(model_service_pb2_grpc.ModelServiceServicer):
    """Stores models and converted versions of them."""

    def __init__(
        self, handler: ModelHandler, aliases: AliasHandler, receiver: UploadReceiver
    ) -> None:
        self._handler = handler
        self._aliases = aliases
        self._receiver = receiver

    async def UploadModel(
        self, request_iterator: AsyncIterator[pb.UploadModelRequest], context: Context
    ) -> pb.Model:
        """Uploads a model."""
        first = await first_message(request_iterator)
        chunks = chunks_from_messages(request_iterator)
        return model_to_message(await self._handler.upload(model_upload(first.header), chunks))

    async def GetUpload(self, request: pb.GetUploadRequest, context: Context) -> upload_pb2.Upload:
        """Tells how far an upload has come."""
        request_id = names.parse_upload(request.name)
        return upload_to_message(await self._receiver.status(request_id))

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.Model:
        """Returns one model."""
        return model_to_message(await self._handler.get(names.parse_model(request.name)))

    async def ListModels(
        self, request: pb.ListModelsRequest, context: Context
    ) -> pb.ListModelsResponse:
        """Lists models."""
        page = await self._handler.list(page_size=request.page_size, page_token=request.page_token)
        return pb.ListModelsResponse(
            models=[model_to_message(model) for model in page.items],
            next_page_token=page.next_token,
        )

    async def DeleteModel(self, request: pb.DeleteModelRequest, context: Context) -> Empty:
        """Deletes one model."""
        key = request_key("DeleteModel", request, request.request_id)
        model_id = names.parse_model(request.name)
        await self._handler.delete(model_id, key, validate_only=request.validate_only)
        return Empty()

    async def GetModelVersion(
        self, request: pb.GetModelVersionRequest, context: Context
    ) -> pb.ModelVersion:
        """Returns one version."""
        model_id, version = names.parse_version_or_alias(request.name)
        return version_to_message(await self._handler.resolve(model_id, version))

    async def ListModelVersions(
        self, request: pb.ListModelVersionsRequest, context: Context
    ) -> pb.ListModelVersionsResponse:
        """Lists the versions of a model."""
        page = await self._handler.list_versions(
            names.parse_model(request.parent, field="parent"),
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListModelVersionsResponse(
            model_versions=[version_to_message(version) for version in page.items],
            next_page_token=page.next_token,
        )

    async def DownloadArtifact(
        self, request: pb.DownloadArtifactRequest, context: Context
    ) -> AsyncIterator[pb.DownloadArtifactResponse]:
        """Streams the artifact file of a version."""
        model_id, version = names.parse_model_or_version(request.name)
        pieces = self._handler.download(model_id, version, read_offset=request.read_offset)
        async for piece in pieces:
            yield piece_to_message(piece)

    async def SetAlias(self, request: pb.SetAliasRequest, context: Context) -> pb.Alias:
        """Makes or moves an alias."""
        return alias_to_message(await self._aliases.set(alias_change(request)))

    async def GetAlias(self, request: pb.GetAliasRequest, context: Context) -> pb.Alias:
        """Returns one alias."""
        return alias_to_message(await self._aliases.get(*names.parse_alias(request.name)))

    async def ListAliases(
        self, request: pb.ListAliasesRequest, context: Context
    ) -> pb.ListAliasesResponse:
        """Lists the aliases of a model."""
        page = await self._aliases.list(
            names.parse_model(request.parent, field="parent"),
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListAliasesResponse(
            aliases=[alias_to_message(alias) for alias in page.items],
            next_page_token=page.next_token,
        )

    async def RollbackAlias(self, request: pb.RollbackAliasRequest, context: Context) -> pb.Alias:
        """Undoes a move of an alias."""
        return alias_to_message(await self._aliases.roll_back(alias_rollback(request)))

    async def DeleteAlias(self, request: pb.DeleteAliasRequest, context: Context) -> Empty:
        """Deletes one alias."""
        await self._aliases.delete(alias_removal(request))
        return Empty()
