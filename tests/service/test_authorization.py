"""The matrix of authorization: every method, every role, what is one's own and what is not.

Methods come from the server itself and rules from the table, so that a new method is tried with the
rest. Who may call is tried with requests that have no effect, whose is it with one resource of each
kind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.rpc import error_details_pb2

from smidgen.v1 import (
    dataset_service_pb2,
    inference_service_pb2,
    job_service_pb2,
    model_service_pb2,
    optimization_service_pb2,
    report_service_pb2,
)
from smidgen_service.open_inference import inference_service_pb2 as open_inference_pb2
from smidgen_service.security import identity_file
from smidgen_service.security.permissions import PERMISSIONS
from smidgen_service.security.roles import Role
from smidgen_service.security.tokens import NewToken
from tests.service.running_server import (
    RunningServer,
    details,
    model_header,
    sha256,
    start_server,
    upload_pb2,
)
from tests.service.security.served import registry_of_the_server

ARTIFACT = (Path(__file__).parents[1] / "data" / "artifact-v4.smidgen").read_bytes()
UPLOAD_ID = "8f1f1c0e-0000-4000-8000-000000000001"
ABSENT = {
    "model": "models/absent",
    "version": "models/absent/versions/1",
    "alias": "models/absent/aliases/live",
    "dataset": "datasets/absent",
    "calibration": "calibrations/absent",
    "job": "jobs/absent",
    "upload": "uploads/8f1f1c0e-0000-4000-8000-000000000009",
}
WITH_EFFECT = {"smidgen.v1.JobService/DeleteJob"}
"""What an owner's own request would change: other tests need the job."""
REFERENCES = {
    "name",
    "model_version",
    "expected_version",
    "parent",
    "model",
    "calibration",
    "dataset",
    "evaluation_dataset",
    "calibration_dataset",
    "train_job",
    "base_calibrations",
    "shards",
}
LETS_IN = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
FAULTS = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL}


def _methods() -> Mapping[str, grpc.RpcMethodHandler[Any, Any]]:
    async def look() -> Mapping[str, grpc.RpcMethodHandler[Any, Any]]:
        return registry_of_the_server().methods

    return asyncio.run(look())


METHODS = _methods()


@dataclass(frozen=True)
class Outcome:
    """How a call ended."""

    code: grpc.StatusCode
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class World:
    """A server, the tokens of its callers, and the names of what one tenant has there.

    Attributes:
        roles: Tokens of the tenant that has everything, by role; None stands for no token.
        stranger: Token of an admin of another tenant.
        names: What there is, by kind.
        admin: Id of the token that has made all of it.
    """

    server: RunningServer
    roles: dict[Role | None, str]
    stranger: str
    names: dict[str, str]
    admin: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, model_file: bytes) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("authorization")
    auth_file = folder / "auth.json"

    def token(tenant: str, role: Role) -> NewToken:
        now, roles = datetime.now(tz=UTC), frozenset({role})
        return identity_file.create_token(auth_file, tenant=tenant, roles=roles, now=now)

    tokens = {role: token("owner", role) for role in Role}
    roles: dict[Role | None, str] = {role: token.text for role, token in tokens.items()}
    stranger = token("stranger", Role.ADMIN).text
    flags = ("--auth-file", str(auth_file), "--job-workers", "0")
    server = start_server(folder / "store", *flags)
    dataset = dataset_file(folder)
    server.send_as(stranger)
    server.upload_model("mine", model_file)
    server.send_as(roles[Role.ADMIN])
    names = fill(server, model_file, dataset)
    yield World(server, roles, stranger, names, tokens[Role.ADMIN].id)
    server.stop()


def dataset_file(folder: Path) -> bytes:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(32, 1, 8, 8)).astype(np.float32)
    np.savez(folder / "train.npz", image=images, labels=rng.integers(0, 4, 32))
    return (folder / "train.npz").read_bytes()


def fill(server: RunningServer, model_file: bytes, dataset: bytes) -> dict[str, str]:
    """Stores one thing of each kind."""
    server.upload_model("net", model_file)
    server.upload_model("served", ARTIFACT, is_artifact=True)
    server.upload_dataset("train", dataset)
    calibration = server.calibrate("models/net", np.zeros((2, 1, 8, 8), np.float32)).name
    job = server.train("models/net", calibration, "datasets/train").name
    break_off_an_upload(server, model_file)
    version, alias = "models/served/versions/1", "models/served/aliases/live"
    set_alias = model_service_pb2.SetAliasRequest(name=alias, model_version=version)
    server.models.SetAlias(set_alias)
    return {
        "model": "models/net",
        "version": version,
        "alias": alias,
        "dataset": "datasets/train",
        "calibration": calibration,
        "job": job,
        "upload": f"uploads/{UPLOAD_ID}",
    }


def break_off_an_upload(server: RunningServer, data: bytes) -> None:
    header = model_header("broken", data, request_id=UPLOAD_ID)
    wrong = upload_pb2.UploadChunk(offset=7, data=data[:10])  # which leaves what was received
    messages = [
        model_service_pb2.UploadModelRequest(header=header),
        model_service_pb2.UploadModelRequest(chunk=wrong),
    ]
    with pytest.raises(grpc.RpcError, match="expected 0"):
        server.models.UploadModel(iter(messages))


def call(world: World, path: str, messages: list[bytes], token: str | None) -> Outcome:
    """Calls a method as a client of its kind does; returns how that ended, or began to answer."""
    handler = METHODS[path]
    kinds = {
        (False, False): world.server.channel.unary_unary,
        (False, True): world.server.channel.unary_stream,
        (True, False): world.server.channel.stream_unary,
        (True, True): world.server.channel.stream_stream,
    }
    method = kinds[handler.request_streaming, handler.response_streaming](path)
    request: Any = iter(messages) if handler.request_streaming else messages[0]
    metadata = () if token is None else (("authorization", f"Bearer {token}"),)
    try:
        answer = method(request, metadata=metadata, timeout=30)
        if handler.response_streaming:
            next(iter(answer), None)
            answer.cancel()
    except grpc.RpcError as error:
        info = details(error).get(error_details_pb2.ErrorInfo)
        reason = info.reason if info is not None else ""
        return Outcome(error.code(), reason, error.details() or "")
    return Outcome(grpc.StatusCode.OK)


@pytest.mark.parametrize("path", sorted(METHODS))
def test_who_may_call(world: World, path: str) -> None:
    """An empty message asks for nothing that is there."""
    rule = PERMISSIONS[path]
    messages = [] if METHODS[path].request_streaming else [b""]
    for role in (None, *Role):
        found = call(world, path, messages, world.roles.get(role))
        if rule.is_public or role in rule.roles:
            assert found.code not in LETS_IN | FAULTS, (role, found)
        elif role is None:
            expected = (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_MISSING")
            assert (found.code, found.reason) == expected
        else:
            expected = (grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING")
            assert (found.code, found.reason) == expected, role


Requests = dict[str, tuple[str, list[Message]]]


def naming(names: Mapping[str, str]) -> Requests:
    """Returns the requests that name a resource: path, its kind, and the messages."""
    model, calibration = names["model"], names["calibration"]
    dataset, job = names["dataset"], names["job"]
    models, data = model_service_pb2, dataset_service_pb2
    optimization, jobs = optimization_service_pb2, job_service_pb2
    calibrate = optimization.CalibrateHeader(model=model, validate_only=True)
    return {
        "smidgen.v1.ModelService/GetUpload": (
            "upload",
            [models.GetUploadRequest(name=names["upload"])],
        ),
        "smidgen.v1.ModelService/GetModel": ("model", [models.GetModelRequest(name=model)]),
        "smidgen.v1.ModelService/DeleteModel": (
            "model",
            [models.DeleteModelRequest(name=model, validate_only=True)],
        ),
        "smidgen.v1.ModelService/GetModelVersion": (
            "version",
            [models.GetModelVersionRequest(name=names["version"])],
        ),
        "smidgen.v1.ModelService/ListModelVersions": (
            "model",
            [models.ListModelVersionsRequest(parent=model)],
        ),
        "smidgen.v1.ModelService/DownloadArtifact": (
            "version",
            [models.DownloadArtifactRequest(name=names["version"])],
        ),
        "smidgen.v1.ModelService/SetAlias": (
            "alias",
            [
                models.SetAliasRequest(
                    name=names["alias"],
                    model_version=names["version"],
                    expected_version=names["version"],
                    validate_only=True,
                )
            ],
        ),
        "smidgen.v1.ModelService/GetAlias": (
            "alias",
            [models.GetAliasRequest(name=names["alias"])],
        ),
        "smidgen.v1.ModelService/ListAliases": ("model", [models.ListAliasesRequest(parent=model)]),
        "smidgen.v1.ModelService/RollbackAlias": (
            "alias",
            [
                models.RollbackAliasRequest(
                    name=names["alias"], expected_version=names["version"], validate_only=True
                )
            ],
        ),
        "smidgen.v1.ModelService/DeleteAlias": (
            "alias",
            [models.DeleteAliasRequest(name=names["alias"], validate_only=True)],
        ),
        "smidgen.v1.DatasetService/CreateDataset": (
            "dataset",
            [
                data.CreateDatasetRequest(
                    dataset_id="joined", shards=[dataset, dataset], validate_only=True
                )
            ],
        ),
        "smidgen.v1.DatasetService/GetDataset": ("dataset", [data.GetDatasetRequest(name=dataset)]),
        "smidgen.v1.DatasetService/DeleteDataset": (
            "dataset",
            [data.DeleteDatasetRequest(name=dataset, validate_only=True)],
        ),
        "smidgen.v1.OptimizationService/Calibrate": (
            "model",
            [optimization.CalibrateRequest(header=calibrate)],
        ),
        "smidgen.v1.OptimizationService/GetCalibration": (
            "calibration",
            [optimization.GetCalibrationRequest(name=calibration)],
        ),
        "smidgen.v1.OptimizationService/TrainQAT": (
            "model",
            [optimization.TrainQATRequest(name=model, calibration=calibration, dataset=dataset)],
        ),
        "smidgen.v1.OptimizationService/Convert": (
            "model",
            [optimization.ConvertRequest(name=model, calibration=calibration)],
        ),
        "smidgen.v1.ReportService/GetReport": (
            "job",
            [report_service_pb2.GetReportRequest(name=job)],
        ),
        "smidgen.v1.InferenceService/Infer": (
            "version",
            [inference_service_pb2.InferRequest(name=names["version"])],
        ),
        "smidgen.v1.JobService/GetJob": ("job", [jobs.GetJobRequest(name=job)]),
        "smidgen.v1.JobService/WatchJob": ("job", [jobs.WatchJobRequest(name=job)]),
        "smidgen.v1.JobService/ResumeJob": ("job", [jobs.ResumeJobRequest(name=job)]),
        "smidgen.v1.JobService/CancelJob": ("job", [jobs.CancelJobRequest(name=job)]),
        "smidgen.v1.JobService/DeleteJob": ("job", [jobs.DeleteJobRequest(name=job)]),
    }


def test_every_method_that_names_something_is_tried() -> None:
    pool = descriptor_pool.Default()
    found = set()
    for path in METHODS:
        service, method = path[1:].split("/")
        if not service.startswith("smidgen."):
            continue
        descriptor: MethodDescriptor = pool.FindServiceByName(service).methods_by_name[method]
        fields = list(descriptor.input_type.fields)
        if "header" in descriptor.input_type.fields_by_name:
            fields += descriptor.input_type.fields_by_name["header"].message_type.fields
        if any(f.name in REFERENCES and f.type == FieldDescriptor.TYPE_STRING for f in fields):
            found.add(path[1:])
    assert found == set(naming(ABSENT))


@pytest.mark.parametrize("path", list(naming(ABSENT)))
def test_what_is_not_yours_is_not_there(world: World, path: str) -> None:
    kind, absent = naming(ABSENT)[path]
    _, present = naming(world.names)[path]
    owner = world.roles[Role.ADMIN]

    def ask(messages: list[Message], token: str) -> Outcome:
        return call(world, f"/{path}", [m.SerializeToString() for m in messages], token)

    not_there = ask(absent, owner)
    assert not_there.code is grpc.StatusCode.NOT_FOUND
    expected = not_there.message.replace(ABSENT[kind], world.names[kind])
    if kind in ("version", "alias"):  # what is missing then is the model
        expected = expected.replace("models/absent", "models/served")
    foreign = ask(present, world.stranger)
    assert (foreign.code, foreign.reason) == (not_there.code, not_there.reason)
    assert foreign.message == expected
    if path not in WITH_EFFECT:
        assert ask(present, owner).code not in {grpc.StatusCode.NOT_FOUND} | LETS_IN | FAULTS


def foreign_references(names: Mapping[str, str]) -> dict[str, tuple[str, Message, str]]:
    """Returns requests on one's own model that name what is another's: path, message, its kind."""
    optimization = optimization_service_pb2
    own = "models/mine"
    calibrate = "smidgen.v1.OptimizationService/Calibrate"
    convert = "smidgen.v1.OptimizationService/Convert"

    def header(**fields: Any) -> Message:
        made = optimization.CalibrateHeader(model=own, validate_only=True, **fields)
        return optimization.CalibrateRequest(header=made)

    calibration, dataset, job = names["calibration"], names["dataset"], names["job"]
    return {
        "create-shard": (
            "smidgen.v1.DatasetService/CreateDataset",
            dataset_service_pb2.CreateDatasetRequest(dataset_id="joined", shards=[dataset]),
            "dataset",
        ),
        "calibrate-dataset": (calibrate, header(dataset=dataset), "dataset"),
        "calibrate-base": (calibrate, header(base_calibrations=[calibration]), "calibration"),
        "train-calibration": (
            "smidgen.v1.OptimizationService/TrainQAT",
            optimization.TrainQATRequest(name=own, calibration=calibration, dataset=dataset),
            "calibration",
        ),
        "convert-calibration": (
            convert,
            optimization.ConvertRequest(name=own, calibration=calibration),
            "calibration",
        ),
        "convert-train-job": (
            convert,
            optimization.ConvertRequest(name=own, train_job=job),
            "job",
        ),
    }


@pytest.mark.parametrize("case", list(foreign_references(ABSENT)))
def test_references_reach_no_further_than_the_tenant(world: World, case: str) -> None:
    path, message, kind = foreign_references(world.names)[case]
    found = call(world, f"/{path}", [message.SerializeToString()], world.stranger)
    assert (found.code, found.reason) == (
        grpc.StatusCode.NOT_FOUND,
        f"{kind.upper()}_NOT_FOUND",
    )
    assert found.message.startswith(f"{world.names[kind]} does not exist")


def test_lists_hold_what_is_ones_own(world: World) -> None:
    server = world.server

    def listed() -> dict[str, list[str]]:
        optimization = server.optimization
        models = server.models.ListModels(model_service_pb2.ListModelsRequest()).models
        data = server.datasets.ListDatasets(dataset_service_pb2.ListDatasetsRequest()).datasets
        jobs = server.jobs.ListJobs(job_service_pb2.ListJobsRequest()).jobs
        calibrations = optimization.ListCalibrations(
            optimization_service_pb2.ListCalibrationsRequest()
        ).calibrations
        return {
            kind: [entry.name for entry in entries]
            for kind, entries in (
                ("model", models),
                ("dataset", data),
                ("job", jobs),
                ("calibration", calibrations),
            )
        }

    server.send_as(world.roles[Role.READER])
    own = listed()
    assert own.pop("model") == ["models/served", "models/net"]
    assert world.names["job"] in own.pop("job")
    assert own == {kind: [world.names[kind]] for kind in ("dataset", "calibration")}
    server.send_as(world.stranger)
    assert listed() == {"model": ["models/mine"], "dataset": [], "job": [], "calibration": []}


def test_moves_of_an_alias_say_who_made_them(world: World) -> None:
    world.server.send_as(world.roles[Role.INFERENCER])  # who may see the model may see this
    request = model_service_pb2.GetAliasRequest(name=world.names["alias"])
    (move,) = world.server.models.GetAlias(request).moves
    assert move.caller == world.admin


def test_a_taken_id_is_free_for_others(world: World, model_file: bytes) -> None:
    """An upload that ends after its header tells whether the id was free."""
    header = model_header("net", model_file)
    message = model_service_pb2.UploadModelRequest(header=header).SerializeToString()
    path = "/smidgen.v1.ModelService/UploadModel"
    own = call(world, path, [message], world.roles[Role.ADMIN])
    assert own.code is grpc.StatusCode.ALREADY_EXISTS
    foreign = call(world, path, [message], world.stranger)
    assert foreign.reason == "UPLOAD_TRUNCATED"


def test_a_digest_gives_access_to_nothing(world: World, model_file: bytes) -> None:
    """Whoever knows the digest of another's file still has to have the file."""
    assert sha256(ARTIFACT) in world.server.blobs()
    header = model_header("stolen", ARTIFACT, is_artifact=True)
    message = model_service_pb2.UploadModelRequest(header=header).SerializeToString()
    found = call(world, "/smidgen.v1.ModelService/UploadModel", [message], world.stranger)
    assert found.reason == "UPLOAD_TRUNCATED"


OPEN_INFERENCE = {
    "ModelReady": "name",
    "ModelMetadata": "name",
    "ModelConfig": "name",
    "ModelStatistics": "name",
    "ModelInfer": "model_name",
    "ModelStreamInfer": "model_name",
    "RepositoryModelLoad": "model_name",
    "RepositoryModelUnload": "model_name",
}


def open_request(method: str, model: str) -> list[bytes]:
    input_type = "ModelInfer" if method == "ModelStreamInfer" else method
    request = getattr(open_inference_pb2, f"{input_type}Request")
    return [request(**{OPEN_INFERENCE[method]: model}).SerializeToString()]


def answer(world: World, method: str, model: str, token: str) -> tuple[grpc.StatusCode, bytes]:
    """Returns how a call ended, and what it said: the message of an error, or all of an answer."""
    path = f"/inference.GRPCInferenceService/{method}"
    is_stream = METHODS[path].request_streaming
    channel = world.server.channel
    call_method: Any = channel.stream_stream(path) if is_stream else channel.unary_unary(path)
    messages = open_request(method, model)
    metadata = (("authorization", f"Bearer {token}"),)
    try:
        if is_stream:
            answers = call_method(iter(messages), metadata=metadata, timeout=30)
            return grpc.StatusCode.OK, b"".join(answers)
        return grpc.StatusCode.OK, call_method(messages[0], metadata=metadata, timeout=30)
    except grpc.RpcError as error:
        return error.code(), (error.details() or "").encode()


@pytest.mark.parametrize("method", list(OPEN_INFERENCE))
def test_models_of_others_are_unknown_to_clients_of_triton(world: World, method: str) -> None:
    owner = world.roles[Role.ADMIN]
    absent_code, absent = answer(world, method, "absent", owner)
    foreign = answer(world, method, "served", world.stranger)
    assert foreign == (absent_code, absent.replace(b"absent", b"served"))
    assert answer(world, method, "served", owner) != foreign
    if method == "RepositoryModelUnload":
        answer(world, "RepositoryModelLoad", "served", owner)


def test_the_index_of_the_repository_holds_what_is_ones_own(world: World) -> None:
    path = "/inference.GRPCInferenceService/RepositoryIndex"

    def listed(token: str) -> set[str]:
        call_method = world.server.channel.unary_unary(path)
        found = call_method(b"", metadata=(("authorization", f"Bearer {token}"),), timeout=30)
        response = open_inference_pb2.RepositoryIndexResponse.FromString(found)
        return {model.name for model in response.models}

    assert listed(world.roles[Role.INFERENCER]) == {"net", "served"}
    assert listed(world.stranger) == {"mine"}


def test_every_method_of_triton_that_names_a_model_is_tried() -> None:
    served = {path.rpartition("/")[2] for path in METHODS if path.startswith("/inference.")}
    untried = served - set(OPEN_INFERENCE)
    assert untried == {
        "ServerLive",
        "ServerReady",
        "ServerMetadata",
        "RepositoryIndex",
        "TraceSetting",
        "LogSettings",
        *(
            f"{kind}SharedMemory{verb}"
            for kind in ("System", "Cuda")
            for verb in ("Status", "Register", "Unregister")
        ),
    }
