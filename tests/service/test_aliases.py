"""Aliases on a real server: what names a version may name an alias, of every protocol."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from smidgen.v1 import model_service_pb2 as pb
from smidgen_service.open_inference import inference_service_pb2 as open_pb
from tests.service.running_server import (
    FRONTS,
    RunningServer,
    array,
    details,
    ending,
    start_server,
    tensor,
)
from tests.service.running_server import error_details_pb2 as google

MODEL, LIVE = "models/small", "models/small/aliases/live"
IMAGES = np.random.default_rng(0).normal(size=(2, 1, 8, 8)).astype(np.float32)


def version(number: int) -> str:
    return f"{MODEL}/versions/{number}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, model_file: bytes) -> Iterator[RunningServer]:
    """A server with two versions of a model, which answer differently; the first was measured."""
    folder = tmp_path_factory.mktemp("aliases")
    running = start_server(folder / "store")
    try:
        running.upload_model("small", model_file)
        running.upload_dataset("labelled", labelled(folder))
        for scale, fields in ((1.0, {"evaluation_dataset": "datasets/labelled"}), (0.1, {})):
            calibration = running.calibrate(MODEL, IMAGES * scale).name
            job = running.convert(MODEL, calibration=calibration, **fields)
            assert job.convert.model_version, job
        yield running
    finally:
        running.stop()


def labelled(folder: Path) -> bytes:
    np.savez(folder / "data.npz", image=IMAGES, labels=np.array([0, 1]))
    return (folder / "data.npz").read_bytes()


@pytest.fixture(autouse=True)
def live(server: RunningServer) -> Iterator[pb.Alias]:
    """The alias at version 1; it is gone after each test."""
    yield set_alias(server, 1)
    server.models.DeleteAlias(pb.DeleteAliasRequest(name=LIVE))


def set_alias(server: RunningServer, number: int, **fields: Any) -> pb.Alias:
    request = pb.SetAliasRequest(name=LIVE, model_version=version(number), **fields)
    return server.models.SetAlias(request)


def outputs(server: RunningServer, name: str) -> tuple[str, np.ndarray]:
    answer = server.infer(name, tensor(IMAGES))
    return answer.model_version, array(answer.outputs[0])


def open_infer(server: RunningServer, choice: str) -> Any:
    request = open_pb.ModelInferRequest(model_name="small", model_version=choice)
    request.inputs.add(name="image", datatype="FP32", shape=IMAGES.shape)
    request.raw_input_contents.append(IMAGES.tobytes())
    return open_call(server, "ModelInfer", request, open_pb.ModelInferResponse)


def open_call(server: RunningServer, method: str, request: Any, response: Any) -> Any:
    call = server.channel.unary_unary(f"/inference.GRPCInferenceService/{method}")
    return response.FromString(call(request.SerializeToString(), timeout=60))


def test_every_way_to_name_a_version_takes_an_alias(server: RunningServer) -> None:
    for number in (1, 2):
        if number == 2:
            set_alias(server, 2, expected_version=version(1))
        answered, values = outputs(server, LIVE)
        assert answered == version(number)
        np.testing.assert_array_equal(values, outputs(server, version(number))[1])
        found = open_infer(server, "live")
        assert found.model_version == str(number)
        assert found.raw_output_contents[0] == values.tobytes()
        get_version = pb.GetModelVersionRequest(name=LIVE)
        stored = server.models.GetModelVersion(get_version)
        assert stored.name == version(number)
        pieces = server.models.DownloadArtifact(pb.DownloadArtifactRequest(name=LIVE))
        assert {piece.sha256 for piece in pieces} == {stored.sha256}
        metadata = open_call(
            server,
            "ModelReady",
            open_pb.ModelReadyRequest(name="small", version="live"),
            open_pb.ModelReadyResponse,
        )
        assert metadata.ready
    assert not np.array_equal(outputs(server, version(1))[1], outputs(server, version(2))[1])
    with pytest.raises(grpc.RpcError) as caught:
        open_infer(server, "absent")
    assert ending(caught.value) == (grpc.StatusCode.NOT_FOUND, "ALIAS_NOT_FOUND")
    expected = "Request for unknown model: 'small' version absent is not found"
    assert caught.value.details() == expected


def test_moves_and_rollback_tell_their_history(server: RunningServer, live: pb.Alias) -> None:
    assert (live.name, live.model_version, live.rollback_version) == (LIVE, version(1), "")
    moved = set_alias(server, 2, etag=live.etag)
    assert (moved.model_version, moved.rollback_version) == (version(2), version(1))
    request = pb.RollbackAliasRequest(name=LIVE, expected_version=version(2))
    back = server.models.RollbackAlias(request)
    assert back.model_version == version(1)
    assert back == server.models.GetAlias(pb.GetAliasRequest(name=LIVE))
    listed = server.models.ListAliases(pb.ListAliasesRequest(parent=MODEL))
    assert list(listed.aliases) == [back]
    moves = [(move.model_version, move.previous_version, move.is_rollback) for move in back.moves]
    assert moves == [
        (version(1), version(2), True),
        (version(2), version(1), False),
        (version(1), "", False),
    ]
    times = [move.time.ToNanoseconds() for move in back.moves]
    assert times == sorted(times, reverse=True)
    assert back.update_time == back.moves[0].time
    with pytest.raises(grpc.RpcError) as caught:
        server.models.RollbackAlias(request)
    assert ending(caught.value) == (grpc.StatusCode.ABORTED, "ALIAS_MOVED")
    assert outputs(server, LIVE)[0] == version(1)


def test_no_request_is_lost_while_the_alias_moves(server: RunningServer) -> None:
    expected = {version(number): outputs(server, version(number))[1] for number in (1, 2)}
    is_over = threading.Event()

    def ask() -> Counter[str]:
        answers: Counter[str] = Counter()
        while not is_over.is_set():
            answered, values = outputs(server, LIVE)
            np.testing.assert_array_equal(values, expected[answered])
            answers[answered] += 1
        return answers

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        try:
            for number in (2, 1) * 5:
                set_alias(server, number, expected_version=version(3 - number))
                assert outputs(server, LIVE)[0] == version(number)
        finally:
            is_over.set()
        answers = sum((done.result() for done in asking), Counter())
    assert min(answers[version(1)], answers[version(2)]) > 0


def test_a_version_is_loaded_before_it_serves_and_goes_when_nothing_names_it(
    server: RunningServer,
) -> None:
    digests = {
        number: server.models.GetModelVersion(
            pb.GetModelVersionRequest(name=version(number))
        ).sha256
        for number in (1, 2)
    }

    def events(start: int) -> list[tuple[str, str]]:
        lines = server.logs()[start:]
        return [(line["event"], line["artifact"]) for line in lines if "artifact" in line]

    def loaded() -> str:
        """Asks all processes, which have then done what they were told before."""
        lines = server.metrics().splitlines()
        return next(line for line in lines if line.startswith("smidgen_loaded_engines"))

    outputs(server, LIVE)
    set_alias(server, 2, expected_version=version(1))
    loaded()
    start = len(server.logs())
    server.models.RollbackAlias(pb.RollbackAliasRequest(name=LIVE, expected_version=version(2)))
    # Version 2 is the newest one, and stays.
    assert events(start) == [("engine_loaded", digests[1])] * FRONTS
    set_alias(server, 2, expected_version=version(1))
    assert loaded() == f"smidgen_loaded_engines {FRONTS}.0"
    assert events(start)[FRONTS:] == [("engine_unloaded", digests[1])] * FRONTS
    outputs(server, LIVE)
    assert len(events(start)) == 2 * FRONTS


def test_only_a_measured_version_meets_a_condition(server: RunningServer) -> None:
    condition = pb.PromotionCondition(max_drop=1.0)
    request = {"expected_version": version(1), "condition": condition}
    set_alias(server, 2, expected_version=version(1))
    moved = set_alias(server, 1, expected_version=version(2), condition=condition)
    assert moved.moves[0].condition == condition
    report = server.models.GetModelVersion(pb.GetModelVersionRequest(name=LIVE)).report
    assert moved.moves[0].measured_drop == pytest.approx(
        report.float_accuracy - report.quantized_accuracy
    )
    with pytest.raises(grpc.RpcError) as caught:
        set_alias(server, 2, **request)
    expected = (grpc.StatusCode.FAILED_PRECONDITION, "PROMOTION_NOT_MEASURED")
    assert ending(caught.value) == expected
    (violation,) = details(caught.value)[google.PreconditionFailure].violations
    assert (violation.type, violation.subject) == ("PROMOTION_NOT_MEASURED", version(2))


def test_a_model_with_an_alias_is_not_deleted(server: RunningServer) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.models.DeleteModel(pb.DeleteModelRequest(name=MODEL))
    expected = (grpc.StatusCode.FAILED_PRECONDITION, "MODEL_HAS_ALIASES")
    assert ending(caught.value) == expected
    assert LIVE in (caught.value.details() or "")


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"name": f"{MODEL}/aliases/1st"}, "name", "INVALID_NAME"),
        ({"name": version(1)}, "name", "INVALID_NAME"),
        ({"model_version": ""}, "model_version", "INVALID_NAME"),
        ({"model_version": MODEL}, "model_version", "INVALID_NAME"),
        ({"model_version": "models/a/versions/1"}, "model_version", "VERSION_OF_OTHER_MODEL"),
        ({"expected_version": LIVE}, "expected_version", "INVALID_NAME"),
        ({"expected_version": "models/a/versions/1"}, "expected_version", "VERSION_OF_OTHER_MODEL"),
        ({"expected_version": version(1), "etag": "e"}, "etag", "EXPECTATION_AMBIGUOUS"),
        (
            {"condition": pb.PromotionCondition(max_drop=1.5)},
            "condition.max_drop",
            "INVALID_MAX_DROP",
        ),
        (
            {"condition": pb.PromotionCondition(max_drop=float("nan"))},
            "condition.max_drop",
            "INVALID_MAX_DROP",
        ),
        ({"request_id": "1"}, "request_id", "INVALID_REQUEST_ID"),
    ],
)
def test_malformed_requests_are_refused(
    server: RunningServer, fields: dict[str, Any], field: str, reason: str
) -> None:
    request = pb.SetAliasRequest(**{"name": LIVE, "model_version": version(1), **fields})
    with pytest.raises(grpc.RpcError) as caught:
        server.models.SetAlias(request)
    assert ending(caught.value) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert details(caught.value)[google.BadRequest].field_violations[0].field == field


def test_a_rollback_says_where_the_alias_is(server: RunningServer) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.models.RollbackAlias(pb.RollbackAliasRequest(name=LIVE))
    assert ending(caught.value) == (grpc.StatusCode.INVALID_ARGUMENT, "EXPECTATION_MISSING")
