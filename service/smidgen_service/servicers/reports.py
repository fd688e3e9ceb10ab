"""ReportService."""

from __future__ import annotations

from typing import Any

from grpc import aio

from smidgen.v1 import report_service_pb2 as pb
from smidgen.v1 import report_service_pb2_grpc
from smidgen_service import names
from smidgen_service.converters.job_reports import job_report_to_message
from smidgen_service.handlers.reports import ReportHandler

Context = aio.ServicerContext[Any, Any]


class ReportServicer(report_service_pb2_grpc.ReportServiceServicer):
    """Reports on jobs."""

    def __init__(self, handler: ReportHandler) -> None:
        self._handler = handler

    async def GetReport(self, request: pb.GetReportRequest, context: Context) -> pb.Report:
        """Returns all that is known about what a job made."""
        job_id = names.parse_job(request.name)
        report = await self._handler.get(job_id, include_histograms=request.include_histograms)
        return job_report_to_message(report)
