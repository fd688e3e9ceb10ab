"""The settings of the server: flags, variables that begin with SMIDGEN_, or a file."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from smidgen.engine import available_isas
from smidgen.run_queue import MOST_RUN_THREADS
from smidgen_service.machine import machine_memory_bytes
from smidgen_service.quotas import TenantLimits
from smidgen_service.security.certificates import CertificateFiles
from smidgen_service.settings_file import SettingsFile
from smidgen_service.tracing.requirements import check_tracing

MIB = 1 << 20
GIB = 1 << 30
_MOST_CALLS = 1_000_000  # grpc counts in 32 bits


class ModelBatching(BaseModel):
    """Dynamic batching of one model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_batch: int = Field(ge=1, le=4096)
    delay_ms: float = Field(0.0, ge=0, le=1000)


class Settings(BaseSettings):
    """Serves Smidgen: Calibrate, TrainQAT, Convert and Infer over gRPC."""

    model_config = SettingsConfigDict(
        env_prefix="SMIDGEN_",
        use_attribute_docstrings=True,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_prog_name="python -m smidgen_service",
        frozen=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on, of IPv4 or IPv6. Other than loopback only with TLS and authentication,
    or with --insecure-bind."""
    port: int = Field(8001, ge=0, le=65535)
    """Port of gRPC. 0 takes any free one; <data-dir>/server.json tells which."""
    processes: int = Field(1, ge=1, le=64)
    """Processes that share the port and answer inferences, each with engines of its own, whose
    packed weights are there once; connections are spread over them. Beside two or more, one more
    keeps the store and runs the jobs. 1 does everything in one process."""
    share_weights: bool = True
    """Keep packed weights in memory once for all of several processes. Without it each has its own,
    which large models may prefer on Linux before 6.1, where shared ones lie in small pages."""
    metrics_port: int = Field(8002, ge=-1, le=65535)
    """Port of the Prometheus endpoint. 0 takes any free one, -1 turns it off."""
    metrics_host: str | None = None
    """Address of the Prometheus endpoint, which has neither TLS nor authentication and names models
    and tenants. Default: that of --host where it is loopback or --insecure-bind is given, else
    127.0.0.1."""
    metrics_compat: Literal["triton", "none"] = "triton"
    """Names of metrics beside the server's own: those of Triton, for dashboards made for it, or
    none."""
    insecure_bind: bool = False
    """Allow an address beyond loopback without TLS or without authentication."""
    tls_cert: Path | None = None
    """PEM file of the server's certificate and those up to its root. Default: no TLS. Files of
    certificates and keys are read again when they change, and on SIGHUP."""
    tls_key: Path | None = None
    """PEM file of the certificate's private key, without a passphrase."""
    tls_client_ca: Path | None = None
    """PEM file of the roots that clients' certificates must come from; every client needs one
    then."""
    data_dir: Path = Path("smidgen-data")
    """Directory for everything that is stored. One server at a time may use it."""
    max_message_bytes: int = Field(64 * MIB, ge=2 * MIB, le=GIB)
    """Largest message received or sent, in bytes."""
    max_upload_bytes: int = Field(2 * GIB, ge=1)
    """Largest model file, in bytes."""
    max_dataset_bytes: int = Field(4 * GIB, ge=1, le=4 * GIB)
    """Largest dataset file, in bytes."""
    upload_ttl_seconds: int = Field(86_400, ge=60)
    """How long the bytes of a broken upload wait to be continued."""
    max_broken_uploads: int = Field(64, ge=1)
    """Broken uploads of a tenant that may wait to be continued; of more, the oldest are dropped."""
    blob_grace_seconds: int = Field(600, ge=0)
    """How long a stored file stays after the last model, dataset or job that needed it."""
    stream_idle_seconds: float = Field(60.0, gt=0)
    """Longest silence of a client within an upload or a calibration, and before the message of any
    other call."""
    stream_seconds: float = Field(3600.0, gt=0)
    """Longest duration of one upload or calibration; a broken upload can be continued after it."""
    engine_threads: int = Field(1, ge=1, le=256)
    """Threads of one inference."""
    isa: str | None = None
    """Instruction set: portable, avx2, avxvnni, avx512vnni or amx. Default: the best."""
    max_concurrent_inferences: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, le=MOST_RUN_THREADS
    )
    """Inferences computed at the same time. Default: the number of CPUs."""
    max_inference_bytes: int = Field(GIB, ge=MIB)
    """Most memory for the activations of one inference, in bytes; larger ones are refused."""
    max_inference_operations: int = Field(1 << 40, ge=1 << 20)
    """Most operations of one inference, roughly multiplications; longer ones are refused."""
    max_queued_inferences: int = Field(256, ge=0)
    """Inferences that may wait for their turn; more are refused with RESOURCE_EXHAUSTED, those of
    the tenant that has most waiting first."""
    max_queue_ms: float = Field(0.0, ge=0)
    """How long an inference may wait for its turn, in milliseconds. One that would wait for longer,
    by the times of earlier ones, or has, is refused with RESOURCE_EXHAUSTED. 0 for as long as its
    client waits."""
    max_batch: int = Field(1, ge=1, le=4096)
    """Most samples of requests to a version that are computed together (dynamic batching). 1 joins
    none."""
    batch_delay_ms: float = Field(0.0, ge=0, le=1000)
    """How long a request waits for others to be joined with, in milliseconds. 0 joins only what
    waits for a place anyway."""
    batching: dict[str, ModelBatching] = Field(default_factory=dict)
    """For single models, by id: `{"lite0": {"max_batch": 8, "delay_ms": 2}}`."""
    max_loaded_engines: int = Field(16, ge=1)
    """Converted versions kept ready in memory; the one unused for longest goes first."""
    engine_memory_bytes: int = Field(
        default_factory=lambda: machine_memory_bytes() * 2 // 3, ge=MIB
    )
    """Most memory of all versions that are ready, for weights and plans, in bytes. Unused ones give
    way to others, the one unused for longest first. Default: two thirds of the memory of the
    machine or container."""
    health_sample_rate: float = Field(1.0, ge=0, le=1000)
    """Requests a second, of each version, whose quantization is looked at: the first sample is
    computed once more in float, beside all requests. 0 looks at none."""
    health_cpu_share: float = Field(0.01, gt=0, le=1)
    """Most CPU time that this may take, as a share of one CPU: it rests in between."""
    health_memory_bytes: int = Field(256 * MIB, ge=0)
    """Most memory of the versions in float that it needs, in bytes; larger versions are not looked
    at."""
    job_workers: int = Field(1, ge=0, le=64)
    """Jobs that run at the same time, each in a process of its own. 0 leaves them queued."""
    job_attempts: int = Field(3, ge=1)
    """Attempts in a row that a job may lose, to a killed worker or server, without getting further
    before it has failed. 1 begins nothing again: lost trainings wait to be resumed."""
    worker_silence_seconds: float = Field(30.0, gt=0)
    """How long the worker of a job may be silent before it is given up; it reports three times as
    often."""
    worker_memory_bytes: int = Field(default_factory=lambda: 2 * machine_memory_bytes(), ge=GIB)
    """Most address space of one worker process, in bytes, mapped files included. Default: twice the
    memory of the machine or container."""
    worker_file_bytes: int = Field(16 * GIB, ge=MIB)
    """Largest file that a worker may write, in bytes."""
    worker_sandbox: Literal["auto", "require", "off"] = "auto"
    """Confine workers by Landlock and seccomp: as far as the kernel has them, or refuse to start
    where one is missing, or not at all."""
    call_workers: int = Field(2, ge=1, le=64)
    """Worker processes for Calibrate and validate_only at the same time; further calls wait."""
    worker_threads: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    """Threads of one worker process. Default: the number of CPUs."""
    cancel_grace_seconds: float = Field(10.0, gt=0)
    """How long a cancelled job may take to stop by itself before its process is killed."""
    checkpoint_seconds: float = Field(60.0, ge=0)
    """Time between two checkpoints of a training job, from which it goes on after an interruption;
    0 writes one at every step."""
    auth_file: Path | None = None
    """File of identities, as `smidgen token create` makes it: callers need a token then, and see
    what their tenant has and their roles allow. Default: callers are not told apart. Read again
    when it changes, and on SIGHUP."""
    tenant_stored_bytes: int | None = Field(None, ge=0)
    """Most bytes that a tenant may store, where the file of identities says nothing else.
    Default: no limit."""
    tenant_jobs: int | None = Field(None, ge=0)
    """Most jobs of a tenant that are queued and running. Default: no limit."""
    tenant_inferences: int | None = Field(None, ge=0)
    """Most inferences of a tenant in progress, waiting ones among them. Default: no limit."""
    tenant_worker_calls: int | None = Field(None, ge=0)
    """Most calls of a tenant that need a worker process, Calibrate and validate_only, in progress,
    waiting ones among them. Below --call-workers, some are left to others. Default: no limit."""
    max_connections: int = Field(512, ge=1, le=_MOST_CALLS)
    """Most connections at the same time; further ones are closed at once."""
    max_connection_streams: int = Field(100, ge=1, le=_MOST_CALLS)
    """Most calls in progress of one connection; clients keep further ones back. Each costs memory
    and time before anything here sees it, also where a client takes it back at once."""
    max_concurrent_calls: int = Field(4096, ge=1, le=_MOST_CALLS)
    """Most calls in progress, of whatever kind; further ones are refused. The last resort behind
    all other limits. Health, readiness and reflection have 512 of their own."""
    max_calls_per_address: int | None = Field(None, ge=1)
    """Most of these calls from one address (of IPv6, from one /64), so that no caller takes all.
    Behind a proxy, which has one address for all its clients, set the same as for
    --max-concurrent-calls. Default: a quarter of that."""
    handshake_seconds: float = Field(10.0, ge=0.1, le=3600)
    """How long a connection may take to complete its TLS and HTTP/2 handshake."""
    accept_compressed: bool = False
    """Take compressed messages. gRPC inflates one whole before it looks at its size, so each may
    cost a thousand times its bytes of memory for a moment: for clients that you trust."""
    lame_duck_seconds: float = Field(5.0, ge=0, le=600)
    """How long calls are served after SIGTERM though health says NOT_SERVING already, so that
    balancers send nothing more once calls are refused. SIGINT does not wait. 0 where nothing
    chooses between servers."""
    drain_seconds: float = Field(20.0, ge=0)
    """How long calls in progress may take to end after that."""
    log_format: Literal["json", "text"] = "json"
    """Form of the log on stderr: one JSON object a line, or text for people."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe events that are logged."""
    tracing: Literal["none", "otlp"] = "none"
    """Make OpenTelemetry spans of calls and send them by OTLP, over gRPC, to the endpoint that
    OTEL_EXPORTER_OTLP_ENDPOINT names (default: port 4317 of this machine). OpenTelemetry's other
    variables hold as well. Needs smidgen[otel]."""
    reflection: bool = True
    """Serve gRPC reflection, so that grpcurl and the like need no proto files."""
    settings_file: Path | None = None
    """TOML file of other settings, by the names of their flags without the dashes before them
    (`max-batch = 8`). Flags and variables win over it. It is read when the server starts."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Returns where settings come from, the strongest first."""
        return (init_settings, env_settings, SettingsFile(settings_cls))

    @field_validator("host", "metrics_host")
    @classmethod
    def _bracket(cls, host: str | None) -> str | None:
        """Returns an IPv6 address in brackets, so that a port can follow it."""
        return f"[{host}]" if host is not None and _is_ipv6(host) else host

    @field_validator("isa")
    @classmethod
    def _refuse_other_isas(cls, isa: str | None) -> str | None:
        if isa is not None and isa not in available_isas():
            raise ValueError(
                f"instruction set is {isa[:40]!r}, this CPU has {', '.join(available_isas())}; "
                "choose one of these or leave the choice to the server"
            )
        return isa

    @field_validator("tracing")
    @classmethod
    def _refuse_tracing_without_opentelemetry(cls, tracing: str) -> str:
        if tracing != "none":
            check_tracing()
        return tracing

    @model_validator(mode="after")
    def _refuse_half_of_tls(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            given, missing = ("cert", "key") if self.tls_key is None else ("key", "cert")
            raise ValueError(
                f"--tls-{given} is given without --tls-{missing}; TLS needs the certificate and "
                "its key"
            )
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ValueError(
                "--tls-client-ca is given without --tls-cert and --tls-key; clients can show "
                "their certificates over TLS alone"
            )
        return self

    @property
    def metrics_address(self) -> str:
        """The host of the Prometheus endpoint, without brackets."""
        host = self.metrics_host
        if host is None:
            host = self.host if self.insecure_bind or _is_loopback(self.host) else "127.0.0.1"
        return host.strip("[]")

    @property
    def tenant_limits(self) -> TenantLimits:
        """The limits of tenants for which the file of identities has none."""
        return TenantLimits(
            stored_bytes=self.tenant_stored_bytes,
            jobs=self.tenant_jobs,
            inferences=self.tenant_inferences,
            worker_calls=self.tenant_worker_calls,
        )

    @property
    def certificate_files(self) -> CertificateFiles | None:
        """The files of TLS; None without it."""
        if self.tls_cert is None or self.tls_key is None:
            return None
        return CertificateFiles(self.tls_cert, self.tls_key, self.tls_client_ca)

    @model_validator(mode="after")
    def _refuse_open_bind(self) -> Self:
        """Refuses what strangers could use, or listen to."""
        missing = []
        if self.tls_cert is None:
            missing.append("encryption (--tls-cert and --tls-key)")
        if self.auth_file is None and self.tls_client_ca is None:
            missing.append("authentication (--auth-file or --tls-client-ca)")
        if missing and not (self.insecure_bind or _is_loopback(self.host)):
            raise ValueError(
                f"host is {self.host}, which other machines may reach, and this server has no "
                f"{' and no '.join(missing)}; add it, use 127.0.0.1, or add --insecure-bind behind "
                "a proxy that does this"
            )
        return self


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
