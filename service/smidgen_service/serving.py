"""The objects that answer inferences, made and joined in one place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from smidgen_service.handlers.admission import Admission
from smidgen_service.handlers.answers import Answers
from smidgen_service.handlers.batching import BatchLimits, BatchPolicy
from smidgen_service.handlers.decoding import ImageDecoder
from smidgen_service.handlers.engines import EngineCache, EngineLimits
from smidgen_service.handlers.examination import Examination, ExaminationLimits
from smidgen_service.handlers.images import ImageInputs
from smidgen_service.handlers.inference import InferenceHandler
from smidgen_service.handlers.keeping import Keeper, OwnKeeper
from smidgen_service.handlers.repository import RepositoryHandler
from smidgen_service.handlers.run_times import RunTimes
from smidgen_service.handlers.runs import Runs
from smidgen_service.handlers.sampling import Sampler, SamplingLimits
from smidgen_service.handlers.shared_weights import OWN_WEIGHTS, SharedWeights
from smidgen_service.handlers.traced_inference import TracedInferenceHandler
from smidgen_service.handlers.versions import VersionResolver
from smidgen_service.jobs.process import worker_environment
from smidgen_service.jobs.sandbox.limits import Limits
from smidgen_service.metrics import Metrics
from smidgen_service.quotas import Quotas
from smidgen_service.rejections import Rejections
from smidgen_service.settings import Settings
from smidgen_service.statistics import Counted
from smidgen_service.store.blobs import BlobStore
from smidgen_service.store.database import Database
from smidgen_service.threads import Threads

_ANSWER_THREADS = 2  # what takes long there keeps the interpreter's lock for the most part
_ANSWER_OVERHEAD_BYTES = 1 << 16  # names, shapes and times beside the values
_MOST_EXAMINED_WORK = 1 << 35
"""Operations in float for one sample, some seconds. After more than that all versions would rest
for so long that none of them has ratios to show, and a server that ends would wait for it."""
_LEAD_S = 0.005
"""A few times what a busy event loop takes for a turn. A request that comes later and would have
been preferred, as its tenant got less so far, waits for one computation if it comes within this."""


class Serving:
    """What answers inferences in one process.

    Attributes:
        admission: What inferences wait in.
        inference: Computes.
        keeper: Keeps versions ready.

    Args:
        settings: What this process may use.
        database: The rows.
        blobs: The artifacts.
        threads: For reading files.
        metrics: Count and time inferences.
        quotas: Hold tenants to their limits.
        decoders: Where the processes that decode images have their scratch directories.
        owner: Begins their names, where those of several processes are there.
        weights: Has what other processes have packed.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        blobs: BlobStore,
        threads: Threads,
        metrics: Metrics,
        *,
        quotas: Quotas,
        decoders: Path,
        owner: str = "",
        weights: SharedWeights = OWN_WEIGHTS,
    ) -> None:
        self._settings = settings
        self._database = database
        self._io_threads = threads
        self._runs = Runs(settings.max_concurrent_inferences)
        self._answers = Answers(self._runs, Threads(_ANSWER_THREADS, "answers"))
        self._batching = _batch_policy(settings)
        self._examination = Examination(blobs, _examination_limits(settings))
        sampler = Sampler(self._examination, metrics, _sampling_limits(settings))
        self._versions = VersionResolver(database, metrics, self._batching, sampler.of)
        self._decoder = ImageDecoder(
            decoders,
            most=settings.max_concurrent_inferences,
            environment=environment_of_workers(settings),
            owner=owner,
        )
        engines = EngineCache(blobs, threads, metrics, _engine_limits(settings), weights)
        self.admission = admission = Admission(
            metrics,
            most_running=settings.max_concurrent_inferences,
            most_queued=settings.max_queued_inferences,
            most_wait_s=settings.max_queue_ms / 1000 or None,
            lead_s=_LEAD_S,
        )
        run_times = RunTimes()
        self.keeper = OwnKeeper(engines, admission, self._runs, run_times)
        make_inference = InferenceHandler if settings.tracing == "none" else TracedInferenceHandler
        self.inference = make_inference(
            self._versions,
            engines,
            admission,
            self._answers,
            run_times=run_times,
            quotas=quotas,
            rejections=Rejections(metrics),
            images=ImageInputs(self._decoder, threads, most_bytes=settings.max_message_bytes),
            most_answer_bytes=settings.max_message_bytes - _ANSWER_OVERHEAD_BYTES,
            sampler=sampler,
        )

    async def start(self) -> None:
        """Puts in order what an earlier process left."""
        await self._io_threads.run(self._decoder.recover)

    async def stop(self) -> None:
        """Ends what computes, the processes that decode images, and what looks at requests."""
        await self._runs.stop()
        self._answers.close()
        await self._decoder.close()
        await self._io_threads.run(self._examination.close)

    def repository(self, keeper: Keeper, counted: Counted, *, places: int) -> RepositoryHandler:
        """Returns what describes models.

        Args:
            keeper: Keeps versions ready wherever requests are answered.
            counted: What was counted there.
            places: Requests computed there at the same time.
        """
        return RepositoryHandler(
            self._database,
            self._versions,
            keeper,
            counted,
            most_bytes=self._settings.max_message_bytes,
            most_running=places,
            batching=self._batching,
        )


def environment_of_workers(settings: Settings) -> Mapping[str, str]:
    """Returns the variables of all worker processes."""
    return worker_environment(
        threads=settings.worker_threads,
        isa=settings.isa,
        limits=Limits(settings.worker_memory_bytes, settings.worker_file_bytes),
        is_confined=settings.worker_sandbox != "off",
    )


def _engine_limits(settings: Settings) -> EngineLimits:
    return EngineLimits(
        most=settings.max_loaded_engines,
        most_bytes=settings.engine_memory_bytes,
        threads=settings.engine_threads,
        isa=settings.isa,
        most_run_bytes=settings.max_inference_bytes,
        most_work=settings.max_inference_operations,
    )


def _sampling_limits(settings: Settings) -> SamplingLimits:
    return SamplingLimits(settings.health_sample_rate, settings.health_cpu_share)


def _examination_limits(settings: Settings) -> ExaminationLimits:
    return ExaminationLimits(
        most_bytes=settings.health_memory_bytes,
        most_run_bytes=min(settings.max_inference_bytes, settings.health_memory_bytes),
        most_work=min(settings.max_inference_operations, _MOST_EXAMINED_WORK),
    )


def _batch_policy(settings: Settings) -> BatchPolicy:
    return BatchPolicy(
        _batch_limits(settings.max_batch, settings.batch_delay_ms),
        {
            model_id: _batch_limits(one.max_batch, one.delay_ms)
            for model_id, one in settings.batching.items()
        },
    )


def _batch_limits(most_samples: int, delay_ms: float) -> BatchLimits | None:
    return BatchLimits(most_samples, delay_ms / 1000) if most_samples > 1 else None
