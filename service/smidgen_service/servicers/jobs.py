"""JobService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from google.protobuf.empty_pb2 import Empty
from grpc import aio

from smidgen.v1 import job_service_pb2 as pb
from smidgen.v1 import job_service_pb2_grpc
from smidgen_service import names
from smidgen_service.clock import now_us
from smidgen_service.converters.jobs import event_to_message, job_to_message
from smidgen_service.converters.scalars import request_key
from smidgen_service.handlers.jobs import JobHandler

Context = aio.ServicerContext[Any, Any]


class JobServicer(job_service_pb2_grpc.JobServiceServicer):
    """Follows, stops and deletes jobs."""

    def __init__(self, handler: JobHandler) -> None:
        self._handler = handler

    async def GetJob(self, request: pb.GetJobRequest, context: Context) -> pb.Job:
        """Returns one job."""
        job = await self._handler.get(names.parse_job(request.name))
        return job_to_message(job, now=now_us())

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        """Lists jobs."""
        page = await self._handler.list(page_size=request.page_size, page_token=request.page_token)
        return pb.ListJobsResponse(
            jobs=[job_to_message(job, now=now_us()) for job in page.items],
            next_page_token=page.next_token,
        )

    async def WatchJob(
        self, request: pb.WatchJobRequest, context: Context
    ) -> AsyncIterator[pb.JobEvent]:
        """Streams a job's events."""
        job_id = names.parse_job(request.name)
        events = self._handler.watch(job_id, after_sequence=request.after_sequence)
        async for event in events:
            yield event_to_message(event)

    async def CancelJob(self, request: pb.CancelJobRequest, context: Context) -> pb.Job:
        """Asks a job to stop."""
        key = request_key("CancelJob", request, request.request_id)
        job_id = names.parse_job(request.name)
        job = await self._handler.cancel(job_id, key, save_checkpoint=request.save_checkpoint)
        return job_to_message(job)

    async def ResumeJob(self, request: pb.ResumeJobRequest, context: Context) -> pb.Job:
        """Lets an interrupted job go on."""
        key = request_key("ResumeJob", request, request.request_id)
        return job_to_message(await self._handler.resume(names.parse_job(request.name), key))

    async def DeleteJob(self, request: pb.DeleteJobRequest, context: Context) -> Empty:
        """Deletes a job that has ended."""
        key = request_key("DeleteJob", request, request.request_id)
        await self._handler.delete(names.parse_job(request.name), key)
        return Empty()
