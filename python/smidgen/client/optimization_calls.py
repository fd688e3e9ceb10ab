"""Calls that calibrate, train and convert."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from smidgen.client import requests
from smidgen.client.job_calls import JobCalls
from smidgen.client.names import calibration_name
from smidgen.client.paging import pages
from smidgen.client.requests import Batch
from smidgen.config import (
    Augmentation,
    CalibrationConfig,
    ConversionConfig,
    ObserverMethod,
    PrecisionConfig,
    Preprocessing,
    QATConfig,
)
from smidgen.v1 import job_service_pb2 as jobs_pb
from smidgen.v1 import optimization_service_pb2 as optimization_pb


class OptimizationCalls(JobCalls):
    """Calibrates, trains and converts."""

    def calibrate(
        self,
        model: str,
        batches: Iterable[Batch],
        *,
        method: ObserverMethod = ObserverMethod.MIN_MAX,
        averaging_constant: float = 0.1,
        percentile: float = 99.99,
        bases: Sequence[str] = (),
        validate_only: bool = False,
    ) -> optimization_pb.Calibration:
        """Streams batches, each at most 64 MiB, to the server, which stores nothing of them.

        Args:
            model: The model.
            batches: Samples. With bases there may be none: then these are merged, and their ranges
                chosen anew, without running the model.
            method: How ranges are estimated.
            averaging_constant: Weight of a new batch in the moving average.
            percentile: Percent of the values that ObserverMethod.PERCENTILE keeps at either end.
            bases: Calibrations of the model whose statistics are merged in.
            validate_only: Whether to store nothing.

        Raises: RemoteError; InvalidTensorError; what iterating over batches raises.
        """
        config = CalibrationConfig(method, averaging_constant, percentile)
        header = requests.calibrate_header(model, config, bases=bases, validate_only=validate_only)
        messages = requests.calibrate_requests(header, batches)
        return self._caller.send(self._optimization.Calibrate, messages)

    def calibrate_on_dataset(
        self,
        model: str,
        dataset: str,
        *,
        method: ObserverMethod = ObserverMethod.MIN_MAX,
        averaging_constant: float = 0.1,
        percentile: float = 99.99,
        bases: Sequence[str] = (),
        preprocessing: Preprocessing | None = None,
        validate_only: bool = False,
    ) -> optimization_pb.Calibration:
        """Calibrates on a stored dataset; the options are calibrate's.

        Images need a preprocessing.

        Raises: RemoteError.
        """
        config = CalibrationConfig(method, averaging_constant, percentile)
        header = requests.calibrate_header(
            model,
            config,
            dataset=dataset,
            bases=bases,
            preprocessing=preprocessing,
            validate_only=validate_only,
        )
        messages = requests.calibrate_requests(header, ())
        return self._caller.send(self._optimization.Calibrate, messages)

    def train_qat(
        self,
        model: str,
        *,
        calibration: str,
        dataset: str,
        evaluation_dataset: str = "",
        config: QATConfig | None = None,
        precision: PrecisionConfig | None = None,
        preprocessing: Preprocessing | None = None,
        augmentation: Augmentation | None = None,
        validate_only: bool = False,
    ) -> jobs_pb.Job:
        """Starts quantization-aware training and returns the job.

        Datasets of images need a preprocessing, and may be augmented.

        Raises: RemoteError.
        """
        request = requests.train_qat_request(
            model,
            calibration=calibration,
            dataset=dataset,
            evaluation_dataset=evaluation_dataset,
            config=config or QATConfig(),
            precision=precision,
            preprocessing=preprocessing,
            augmentation=augmentation,
            validate_only=validate_only,
        )
        return self._caller.unary(self._optimization.TrainQAT, request)

    def convert(
        self,
        model: str,
        *,
        calibration: str = "",
        train_job: str = "",
        evaluation_dataset: str = "",
        precision: PrecisionConfig | None = None,
        config: ConversionConfig | None = None,
        calibration_dataset: str = "",
        preprocessing: Preprocessing | None = None,
        wait_s: float = 0.0,
        validate_only: bool = False,
    ) -> jobs_pb.Job:
        """Starts a conversion and returns the job as it is after wait_s seconds.

        Args:
            model: The model.
            calibration: Ranges for post-training quantization.
            train_job: A TrainQAT job that has succeeded, instead of calibration.
            evaluation_dataset: Labelled data to report accuracies on.
            precision: Bits of each layer's weights; a train_job has its own, and takes no other.
            config: What is done to the weights of a calibrated model first, what the program must
                keep of the float model on evaluation_dataset, or the job fails with
                ACCURACY_GATE_FAILED, and what is measured for get_report; nothing by default.
            calibration_dataset: Samples for post-training, best those of the calibration.
            preprocessing: How images become the model's input, for infer_images; that of the
                training job by default.
            wait_s: How long the server waits for the end before it answers, 0 to 600 seconds.
            validate_only: Whether to check and answer with a plan only.

        Raises: InvalidConfigError for two sources; RemoteError, for none too unless the model was
            uploaded quantized.
        """
        request = requests.convert_request(
            model,
            calibration=calibration,
            train_job=train_job,
            evaluation_dataset=evaluation_dataset,
            precision=precision,
            config=config or ConversionConfig(),
            calibration_dataset=calibration_dataset,
            preprocessing=preprocessing,
            wait_s=wait_s,
            validate_only=validate_only,
        )
        return self._caller.unary(
            self._optimization.Convert, request, timeout_s=wait_s + self._caller.timeout_s
        )

    def get_calibration(
        self, calibration: str, *, histograms: bool = False
    ) -> optimization_pb.Calibration:
        """Returns a calibration, with the histogram of each activation if asked."""
        request = optimization_pb.GetCalibrationRequest(
            name=calibration_name(calibration), include_histograms=histograms
        )
        return self._caller.unary(self._optimization.GetCalibration, request)

    def list_calibrations(self) -> Iterator[optimization_pb.Calibration]:
        """Yields all calibrations, newest first."""
        request = optimization_pb.ListCalibrationsRequest()
        for page in pages(self._caller, self._optimization.ListCalibrations, request):
            yield from page.calibrations
