"""The objects of the server, made and joined in one place."""

from __future__ import annotations

from dataclasses import dataclass

from smidgen_service.clock import now_us
from smidgen_service.data_dir import DataDir
from smidgen_service.handlers.aliases import AliasHandler
from smidgen_service.handlers.calibration import CalibrationHandler
from smidgen_service.handlers.datasets import DatasetHandler
from smidgen_service.handlers.inference import InferenceHandler
from smidgen_service.handlers.inspection import DatasetInspector, ModelInspector
from smidgen_service.handlers.jobs import JobHandler
from smidgen_service.handlers.keeping import Keeper
from smidgen_service.handlers.models import ModelHandler
from smidgen_service.handlers.optimization import OptimizationHandler
from smidgen_service.handlers.receiving import UploadReceiver
from smidgen_service.handlers.reports import ReportHandler
from smidgen_service.handlers.repository import RepositoryHandler
from smidgen_service.handlers.streams import StreamReader
from smidgen_service.handlers.swapping import Swapper
from smidgen_service.handlers.uploading import Uploader
from smidgen_service.jobs.announcements import Announcements
from smidgen_service.jobs.calls import CallWorkers
from smidgen_service.jobs.checkpoints import Checkpoints
from smidgen_service.jobs.gauges import JobGauges
from smidgen_service.jobs.runner import JobRunner, RunnerOptions
from smidgen_service.jobs.work import JobWork
from smidgen_service.limit_metrics import show_limits
from smidgen_service.logs import log
from smidgen_service.loop_lag import LoopLag
from smidgen_service.metrics import Metrics
from smidgen_service.quotas import Quotas
from smidgen_service.serving import Serving, environment_of_workers
from smidgen_service.settings import Settings
from smidgen_service.statistics import Counted
from smidgen_service.store import models
from smidgen_service.store.blobs import BlobStore
from smidgen_service.store.database import Database
from smidgen_service.store.paging import PageTokens, load_or_make_key
from smidgen_service.store.reserve import Reserve
from smidgen_service.store.store import Store
from smidgen_service.store.tenancy import metric_label
from smidgen_service.store.uploads import UploadFiles
from smidgen_service.store_metrics import StoreMetrics
from smidgen_service.threads import Threads
from smidgen_service.upkeep import Upkeep

_IO_THREADS = 4
_INSPECTORS = 2


@dataclass(frozen=True, slots=True)
class Handlers:
    """What the servicers call, and threads for reading requests that take long to read."""

    models: ModelHandler
    aliases: AliasHandler
    datasets: DatasetHandler
    calibration: CalibrationHandler
    optimization: OptimizationHandler
    jobs: JobHandler
    reports: ReportHandler
    inference: InferenceHandler
    repository: RepositoryHandler
    receiver: UploadReceiver
    threads: Threads


@dataclass(frozen=True, slots=True)
class Answering:
    """Where inferences are answered.

    Attributes:
        keeper: Keeps versions ready there.
        counted: What was counted there.
    """

    keeper: Keeper
    counted: Counted


class Application:
    """Everything behind the gRPC services.

    Attributes:
        admission: What inferences wait in that are answered here.

    Args:
        settings: Those of the server.
        data_dir: Where everything is stored.
        metrics: Count what happens.
        quotas: Hold tenants to their limits.
        answering: Where inferences are answered; None for here.
    """

    def __init__(
        self,
        settings: Settings,
        data_dir: DataDir,
        metrics: Metrics,
        quotas: Quotas,
        answering: Answering | None = None,
    ) -> None:
        self._metrics = metrics
        self._quotas = quotas
        store_metrics = StoreMetrics(metrics)
        self._lag = LoopLag(metrics.loop_lag.labels())
        self._store = Store(
            Database(data_dir.database, Reserve(data_dir.reserve), store_metrics),
            BlobStore(data_dir.blobs, store_metrics),
            grace_s=settings.blob_grace_seconds,
        )
        self._database = self._store.database
        self._io_threads = Threads(_IO_THREADS, "io")
        self.announcements = Announcements()
        environment = environment_of_workers(settings)
        gauges = JobGauges(metrics, Checkpoints(data_dir.jobs, settings.checkpoint_seconds))
        show_limits(metrics, settings, data_dir.root)
        work = JobWork(
            self._store,
            self._io_threads,
            gauges,
            environment=environment,
            worker_threads=settings.worker_threads,
            checkpoint_interval_s=settings.checkpoint_seconds,
            silence_s=settings.worker_silence_seconds,
            clock=now_us,
        )
        self.runner = JobRunner(
            self._database,
            work,
            self.announcements,
            gauges,
            root=data_dir.jobs,
            options=RunnerOptions(
                settings.job_workers, settings.cancel_grace_seconds, settings.job_attempts
            ),
            clock=now_us,
        )
        workers = CallWorkers(
            data_dir.jobs,
            most=settings.call_workers,
            threads=settings.worker_threads,
            environment=environment,
            admit=quotas.worker_call,
        )
        tokens = PageTokens(load_or_make_key(data_dir.key))
        self._serving = Serving(
            settings,
            self._database,
            self._store.blobs,
            self._io_threads,
            metrics,
            quotas=quotas,
            decoders=data_dir.decoders,
        )
        self.admission = self._serving.admission
        answering = answering or Answering(self._serving.keeper, metrics.counted)
        self.handlers = self._make_handlers(settings, data_dir, workers, tokens, answering)
        self._upkeep = Upkeep(self._store, self.handlers.receiver, clock=now_us)

    async def start(self) -> None:
        """Opens the store and puts in order what an earlier server left."""
        self._io_threads.run_what_has_no_pool()
        self._lag.start()
        await self._database.open()
        await self.runner.recover()
        await self.handlers.receiver.recover()
        await self._serving.start()
        await self._upkeep.run_once()
        for tenant, model_id, version, size in await self._database.read(models.artifact_sizes):
            label = metric_label(tenant, model_id)
            self._metrics.artifact_bytes.labels(label, str(version)).set(size)
        log("store_recovered")
        self.runner.start()
        self._upkeep.start()

    async def stop(self) -> None:
        """Ends running jobs and closes the store."""
        self._lag.stop()
        await self._upkeep.stop()
        await self.runner.stop()
        await self._serving.stop()
        await self._database.close()
        self._io_threads.close()

    def _make_handlers(
        self,
        settings: Settings,
        data_dir: DataDir,
        workers: CallWorkers,
        tokens: PageTokens,
        answering: Answering,
    ) -> Handlers:
        store, database, io_threads = self._store, self._store.database, self._io_threads
        stream = StreamReader(settings.stream_idle_seconds, settings.stream_seconds)
        receiver = UploadReceiver(
            database,
            UploadFiles(data_dir.uploads),
            io_threads,
            stream,
            ttl_s=settings.upload_ttl_seconds,
            most_broken=settings.max_broken_uploads,
            clock=now_us,
        )
        uploader = Uploader(
            store, receiver, io_threads, self._metrics, quotas=self._quotas, clock=now_us
        )
        # Apart from the workers of calls, which a slow client may hold for long.
        inspectors = CallWorkers(
            data_dir.jobs,
            most=_INSPECTORS,
            threads=1,
            environment=environment_of_workers(settings),
        )
        swapper = Swapper(database, answering.keeper)
        return Handlers(
            models=ModelHandler(
                store,
                uploader,
                tokens,
                io_threads,
                self._metrics,
                inspector=ModelInspector(inspectors, io_threads),
                swapper=swapper,
                most_bytes=settings.max_upload_bytes,
                clock=now_us,
            ),
            aliases=AliasHandler(database, tokens, swapper, clock=now_us),
            datasets=DatasetHandler(
                store,
                uploader,
                tokens,
                inspector=DatasetInspector(inspectors, io_threads),
                most_bytes=settings.max_dataset_bytes,
                clock=now_us,
            ),
            calibration=CalibrationHandler(
                store, workers, stream, tokens, io_threads, quotas=self._quotas, clock=now_us
            ),
            optimization=OptimizationHandler(
                store,
                self.runner,
                workers,
                self.announcements,
                io_threads,
                quotas=self._quotas,
                clock=now_us,
            ),
            jobs=JobHandler(store, self.runner, self.announcements, tokens, self._quotas),
            reports=ReportHandler(database),
            inference=self._serving.inference,
            repository=self._serving.repository(
                answering.keeper, answering.counted, places=settings.max_concurrent_inferences
            ),
            receiver=receiver,
            threads=io_threads,
        )
