"""Who may call what: the one table, in which every method has a row. What has none is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from smidgen_service.security.roles import Role


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may call a method.

    Attributes:
        roles: One of these is enough.
        is_public: Whether everyone may, without saying who it is.
    """

    roles: frozenset[Role]
    is_public: bool = False


def _of(*roles: Role) -> Rule:
    return Rule(frozenset(roles))


ANYONE = Rule(frozenset(Role), is_public=True)
ANY_ROLE = Rule(frozenset(Role))
READ = _of(Role.READER, Role.OPTIMIZER, Role.ADMIN)
INFER = _of(Role.INFERENCER, Role.ADMIN)
OPTIMIZE = _of(Role.OPTIMIZER, Role.ADMIN)
MANAGE = _of(Role.ADMIN)


def _rows(service: str, **rules: Rule) -> dict[str, Rule]:
    return {f"/{service}/{method}": rule for method, rule in rules.items()}


PERMISSIONS: Mapping[str, Rule] = {
    **_rows(
        "smidgen.v1.ModelService",
        UploadModel=OPTIMIZE,
        GetUpload=OPTIMIZE,
        GetModel=ANY_ROLE,
        ListModels=ANY_ROLE,
        DeleteModel=MANAGE,
        GetModelVersion=ANY_ROLE,
        ListModelVersions=ANY_ROLE,
        DownloadArtifact=READ,
        SetAlias=MANAGE,
        GetAlias=ANY_ROLE,
        ListAliases=ANY_ROLE,
        RollbackAlias=MANAGE,
        DeleteAlias=MANAGE,
    ),
    **_rows(
        "smidgen.v1.DatasetService",
        UploadDataset=OPTIMIZE,
        CreateDataset=OPTIMIZE,
        GetDataset=READ,
        ListDatasets=READ,
        DeleteDataset=OPTIMIZE,
    ),
    **_rows(
        "smidgen.v1.OptimizationService",
        Calibrate=OPTIMIZE,
        GetCalibration=READ,
        ListCalibrations=READ,
        TrainQAT=OPTIMIZE,
        Convert=OPTIMIZE,
    ),
    **_rows(
        "smidgen.v1.JobService",
        GetJob=READ,
        ListJobs=READ,
        WatchJob=READ,
        CancelJob=OPTIMIZE,
        ResumeJob=OPTIMIZE,
        DeleteJob=OPTIMIZE,
    ),
    **_rows("smidgen.v1.ReportService", GetReport=READ),
    **_rows("smidgen.v1.InferenceService", Infer=INFER),
    # Probes of containers and balancers have no credentials.
    **_rows("grpc.health.v1.Health", Check=ANYONE, Watch=ANYONE, List=ANYONE),
    **_rows("grpc.reflection.v1alpha.ServerReflection", ServerReflectionInfo=ANY_ROLE),
    **_rows("grpc.reflection.v1.ServerReflection", ServerReflectionInfo=ANY_ROLE),
    **_rows(
        "inference.GRPCInferenceService",
        ServerLive=ANYONE,
        ServerReady=ANYONE,
        ModelReady=ANY_ROLE,
        ServerMetadata=ANY_ROLE,
        ModelMetadata=ANY_ROLE,
        ModelConfig=ANY_ROLE,
        ModelStatistics=ANY_ROLE,
        RepositoryIndex=ANY_ROLE,
        ModelInfer=INFER,
        ModelStreamInfer=INFER,
        RepositoryModelLoad=MANAGE,
        RepositoryModelUnload=MANAGE,
        TraceSetting=MANAGE,
        LogSettings=MANAGE,
        SystemSharedMemoryStatus=MANAGE,
        SystemSharedMemoryRegister=MANAGE,
        SystemSharedMemoryUnregister=MANAGE,
        CudaSharedMemoryStatus=MANAGE,
        CudaSharedMemoryRegister=MANAGE,
        CudaSharedMemoryUnregister=MANAGE,
    ),
}

NOT_ALWAYS_SERVED = (
    "/grpc.health.v1.Health/List",
    "/grpc.reflection.",
)
"""Beginnings of paths whose rows may stand here although a server has no such methods."""


class UnlistedMethodError(Exception):
    """A method that is served has no row in the table."""


def check_listed(paths: Iterable[str]) -> None:
    """Keeps a server from serving what nobody has thought about.

    Raises:
        UnlistedMethodError: a path has no row.
    """
    unlisted = sorted(set(paths) - set(PERMISSIONS))
    if unlisted:
        raise UnlistedMethodError(
            f"{', '.join(unlisted)} has no row in smidgen_service/security/permissions.py; decide "
            "who may call it"
        )
