"""OptimizationService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from grpc import aio

from smidgen.v1 import job_service_pb2, optimization_service_pb2_grpc
from smidgen.v1 import optimization_service_pb2 as pb
from smidgen_service import names
from smidgen_service.converters.calibrations import (
    batches_from_messages,
    calibration_request,
    calibration_to_message,
)
from smidgen_service.converters.conversion import convert_request
from smidgen_service.converters.jobs import job_to_message
from smidgen_service.converters.training import train_request
from smidgen_service.handlers.calibration import CalibrationHandler
from smidgen_service.handlers.optimization import OptimizationHandler
from smidgen_service.servicers.streams import first_message

Context = aio.ServicerContext[Any, Any]


class OptimizationServicer(optimization_service_pb2_grpc.OptimizationServiceServicer):
    """Calibrates, trains and converts."""

    def __init__(self, calibration: CalibrationHandler, optimization: OptimizationHandler) -> None:
        self._calibration = calibration
        self._optimization = optimization

    async def Calibrate(
        self, request_iterator: AsyncIterator[pb.CalibrateRequest], context: Context
    ) -> pb.Calibration:
        """Runs observers over representative data."""
        first = await first_message(request_iterator)
        request = calibration_request(first.header)
        batches = batches_from_messages(first, request_iterator)
        return calibration_to_message(await self._calibration.calibrate(request, batches))

    async def GetCalibration(
        self, request: pb.GetCalibrationRequest, context: Context
    ) -> pb.Calibration:
        """Returns one calibration."""
        calibration_id = names.parse_calibration(request.name)
        get = self._calibration.get_whole if request.include_histograms else self._calibration.get
        return calibration_to_message(await get(calibration_id))

    async def ListCalibrations(
        self, request: pb.ListCalibrationsRequest, context: Context
    ) -> pb.ListCalibrationsResponse:
        """Lists calibrations."""
        page = await self._calibration.list(
            page_size=request.page_size, page_token=request.page_token
        )
        return pb.ListCalibrationsResponse(
            calibrations=[calibration_to_message(entry) for entry in page.items],
            next_page_token=page.next_token,
        )

    async def TrainQAT(self, request: pb.TrainQATRequest, context: Context) -> job_service_pb2.Job:
        """Starts quantization-aware training."""
        return job_to_message(await self._optimization.train(train_request(request)))

    async def Convert(self, request: pb.ConvertRequest, context: Context) -> job_service_pb2.Job:
        """Turns a calibrated or trained model into a served integer version."""
        return job_to_message(await self._optimization.convert(convert_request(request)))
