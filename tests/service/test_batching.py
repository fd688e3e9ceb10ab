"""Dynamic batching in a real server: equal answers, fewer computations, and what is shown of it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from pydantic import ValidationError

from smidgen.artifact import encode_artifact
from smidgen.engine import Engine
from smidgen_service.open_inference import inference_service_pb2 as pb
from smidgen_service.settings import Settings
from tests.service.handlers.test_joining import EXAMPLE, IMAGE, PROGRAM
from tests.service.running_server import RunningServer, array, start_server, tensor

REQUESTS = 24
SERVICE = "/inference.GRPCInferenceService/"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One that joins up to four samples, of the model `single` none."""
    flags = ("--max-concurrent-inferences", "1", "--max-batch", "4", "--batch-delay-ms", "20")
    overrides = ("--batching", '{"single": {"max_batch": 1}}')
    running = start_server(tmp_path_factory.mktemp("data") / "store", *flags, *overrides)
    try:
        for model_id in ("joined", "single"):
            running.upload_model(model_id, encode_artifact(PROGRAM), is_artifact=True)
        yield running
    finally:
        running.stop()


def call(server: RunningServer, name: str, request: object, answer: type) -> object:
    method = server.channel.unary_unary(
        SERVICE + name,
        request_serializer=type(request).SerializeToString,
        response_deserializer=answer.FromString,
    )
    return method(request, timeout=30)


def statistics(server: RunningServer, model_id: str) -> pb.ModelStatistics:
    found = call(
        server,
        "ModelStatistics",
        pb.ModelStatisticsRequest(name=model_id),
        pb.ModelStatisticsResponse,
    )
    return found.model_stats[0]


@pytest.mark.parametrize(("model_id", "is_joined"), [("joined", True), ("single", False)])
def test_answers_are_equal_and_computations_fewer(
    server: RunningServer, model_id: str, is_joined: bool
) -> None:
    draw = np.random.default_rng(0)
    inputs = [
        draw.normal(size=(1 + index % 2, *EXAMPLE.shape[1:])).astype(np.float32)
        for index in range(REQUESTS)
    ]
    engine = Engine(PROGRAM, threads=1)
    with ThreadPoolExecutor(REQUESTS) as callers:
        answers = list(
            callers.map(lambda values: server.infer(f"models/{model_id}", tensor(values)), inputs)
        )
    for values, answer in zip(inputs, answers, strict=True):
        expected = engine.run({IMAGE: values})
        for output in answer.outputs:
            np.testing.assert_array_equal(array(output), expected[output.name])
    found = statistics(server, model_id)
    assert found.inference_count == sum(len(values) for values in inputs)
    assert found.inference_stats.success.count == REQUESTS
    assert (found.execution_count < REQUESTS) is is_joined
    assert sum(batch.compute_infer.count for batch in found.batch_stats) == found.execution_count
    assert max(batch.batch_size for batch in found.batch_stats) <= 4
    metrics = server.metrics()
    runs = f'smidgen_inference_batch_size_count{{model="{model_id}",version="1"}}'
    assert f"{runs} {found.execution_count:.1f}" in metrics


@pytest.mark.parametrize(("model_id", "is_joined"), [("joined", True), ("single", False)])
def test_the_configuration_shows_it(server: RunningServer, model_id: str, is_joined: bool) -> None:
    request = pb.ModelConfigRequest(name=model_id)
    config = call(server, "ModelConfig", request, pb.ModelConfigResponse).config
    assert config.HasField("dynamic_batching") is is_joined
    if is_joined:
        assert config.max_batch_size == 4
        assert config.dynamic_batching.max_queue_delay_microseconds == 20_000
    else:
        assert config.max_batch_size > 4


def test_a_refused_value_is_its_senders_alone(server: RunningServer) -> None:
    good = np.ones((1, *EXAMPLE.shape[1:]), np.float32)
    bad = np.full_like(good, np.nan)
    with ThreadPoolExecutor(4) as callers:
        futures = [
            callers.submit(server.infer, "models/joined", tensor(values))
            for values in (good, bad, good, good)
        ]
    codes = [getattr(future.exception(), "code", lambda: None)() for future in futures]
    assert codes == [None, grpc.StatusCode.INVALID_ARGUMENT, None, None]


def test_settings_of_unknown_form_are_refused() -> None:
    with pytest.raises(ValidationError, match="max_batch"):
        Settings(batching={"a": {"most": 1}})
