"""What Triton's client does with a server, as JSON: run in a process that has the client.

The client registers messages under the names that the server's have, so the two never share a
process. Every scenario is a function of the client; its name and what it found are printed, and
tests look at that. Nothing of this repository is imported.
"""

from __future__ import annotations

import asyncio
import json
import queue
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import google.protobuf
import grpc
import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

TIMEOUT = 30
A = np.arange(32, dtype=np.int64).reshape(2, 16)
B = np.ones((2, 16), np.int64)


class Session:
    """A client, the stub below it, and the files that are sent."""

    def __init__(self, address: str, images: list[bytes]) -> None:
        self.address = address
        self.images = images
        self.client = triton.InferenceServerClient(address)
        self.channel = grpc.insecure_channel(address)
        self.stub = service_pb2_grpc.GRPCInferenceServiceStub(self.channel)


def tensor(name: str, array: np.ndarray, datatype: str, aio: bool = False) -> Any:
    made = (triton_aio if aio else triton).InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array)
    return made


def simple_inputs(a: np.ndarray = A, b: np.ndarray = B) -> list[Any]:
    return [tensor("INPUT0", a, "INT64"), tensor("INPUT1", b, "INT64")]


def failure(call: Callable[[], object]) -> list[str]:
    """Returns code and text of the error that a call ends with."""
    try:
        call()
    except InferenceServerException as error:
        return [error.status(), error.message()]
    except grpc.RpcError as error:
        return [str(error.code()), error.details()]
    return ["OK", ""]


def health(s: Session) -> Any:
    models = [
        *(("simple", ""), ("simple", "1"), ("simple", "9"), ("absent", ""), ("float-model", "")),
        ("simple", "one"),  # an alias, which there is not
    ]
    ready = [s.client.is_model_ready(*model) for model in models]
    malformed = failure(lambda: s.client.is_model_ready("simple", "1.0"))
    return [s.client.is_server_live(), s.client.is_server_ready(), ready, malformed]


def server_metadata(s: Session) -> Any:
    return s.client.get_server_metadata(as_json=True)


def model_metadata(s: Session) -> Any:
    names = ("simple", "fixed", "pictures", "flags")
    return [s.client.get_model_metadata(name, as_json=True) for name in names]


def model_config(s: Session) -> Any:
    return [s.client.get_model_config(name, as_json=True)["config"] for name in ("simple", "fixed")]


def infer(s: Session) -> Any:
    outputs = [triton.InferRequestedOutput("OUTPUT1"), triton.InferRequestedOutput("OUTPUT0")]
    result = s.client.infer(
        "simple",
        simple_inputs(),
        model_version="1",
        request_id="first",
        outputs=outputs,
        priority=3,
        timeout=60_000_000,
        sequence_id=7,
        sequence_start=True,
        parameters={"mine": "x", "other": 1.5, "third": True, "fourth": 4},
    )
    response = result.get_response()
    return {
        "names": [output.name for output in response.outputs],
        "raw": len(response.raw_output_contents),
        "types": [output.datatype for output in response.outputs],
        "head": [response.model_name, response.model_version, response.id],
        "sum": result.as_numpy("OUTPUT0").tolist(),
        "difference": result.as_numpy("OUTPUT1").tolist(),
    }


def infer_with_few_words(s: Session) -> Any:
    result = s.client.infer("simple", simple_inputs()[::-1])
    response = result.get_response()
    return [[o.name for o in response.outputs], response.id, result.as_numpy("OUTPUT1").tolist()]


def other_types(s: Session) -> Any:
    rows = [[0, 1, 2, 3], [4, 250, 0, 1]]
    floats = np.array([[0.5, -1, 2, 3]], np.float32)
    return [
        s.client.infer("levels", [tensor("INPUT", np.array(rows, np.uint8), "UINT8")])
        .as_numpy("OUTPUT")
        .tolist(),
        s.client.infer("flags", [tensor("INPUT", np.array([[True, False] * 2]), "BOOL")])
        .as_numpy("OUTPUT")
        .tolist(),
        s.client.infer("scores", [tensor("INPUT", floats, "FP32")]).as_numpy("OUTPUT").tolist(),
    ]


def compressed(s: Session) -> Any:
    return [
        s.client.infer("simple", simple_inputs(), compression_algorithm=algorithm)
        .as_numpy("OUTPUT0")
        .tolist()
        for algorithm in ("gzip", "deflate")
    ]


def keepalive_and_channel_arguments(s: Session) -> Any:
    options = triton.KeepAliveOptions(keepalive_time_ms=60_000)
    arguments = [("grpc.primary_user_agent", "mine")]
    with triton.InferenceServerClient(s.address, keepalive_options=options) as kept:
        first = kept.is_server_live()
    with triton.InferenceServerClient(s.address, channel_args=arguments) as other:
        return [first, other.infer("simple", simple_inputs()).as_numpy("OUTPUT0").tolist()]


def reused_inputs(s: Session) -> Any:
    inputs = simple_inputs()
    first = s.client.infer("simple", inputs).as_numpy("OUTPUT0")
    inputs[0].set_data_from_numpy(A * 2)
    return [first.tolist(), s.client.infer("simple", inputs).as_numpy("OUTPUT0").tolist()]


def async_infer(s: Session) -> Any:
    answers: queue.Queue[Any] = queue.Queue()
    for number in range(20):
        s.client.async_infer(
            "simple",
            simple_inputs(A + number),
            callback=lambda result, error: answers.put((result, error)),
            request_id=str(number),
        )
    found = {}
    for _ in range(20):
        result, error = answers.get(timeout=TIMEOUT)
        assert error is None, error
        found[int(result.get_response().id)] = int(result.as_numpy("OUTPUT0")[0, 0])
    s.client.async_infer("absent", simple_inputs(), lambda result, error: answers.put(error))
    error = answers.get(timeout=TIMEOUT)
    return [[found[number] for number in range(20)], error.status()]


def streaming(s: Session) -> Any:
    answers: queue.Queue[Any] = queue.Queue()
    client = triton.InferenceServerClient(s.address)
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    for number in range(30):
        model = "absent" if number == 10 else "simple"
        client.async_stream_infer(model, simple_inputs(A + number), request_id=str(number))
    found: list[Any] = []
    for _ in range(30):
        result, error = answers.get(timeout=TIMEOUT)
        if error is not None:
            found.append(error.message())
        else:
            response = result.get_response()
            is_final = response.parameters["triton_final_response"].bool_param
            found.append([response.id, int(result.as_numpy("OUTPUT0")[0, 0]), is_final])
    client.stop_stream()
    return found


def raw_request(model: str, request_id: str = "") -> Any:
    request = service_pb2.ModelInferRequest(model_name=model, id=request_id)
    for name, array in (("INPUT0", A), ("INPUT1", B)):
        request.inputs.add(name=name, datatype="INT64", shape=array.shape)
        request.raw_input_contents.append(array.tobytes())
    return request


def failure_in_a_stream_has_its_id(s: Session) -> Any:
    requests = [raw_request("simple", "a"), raw_request("absent", "b"), raw_request("simple", "c")]
    answers = s.stub.ModelStreamInfer(iter(requests), timeout=TIMEOUT)
    return [[a.error_message, a.infer_response.id, len(a.infer_response.outputs)] for a in answers]


def stream_that_ends_at_a_failure(s: Session) -> Any:
    requests = [raw_request("simple", "a"), raw_request("absent", "b"), raw_request("simple", "c")]
    answers = s.stub.ModelStreamInfer(
        iter(requests), metadata=(("triton_grpc_error", "true"),), timeout=TIMEOUT
    )
    first = next(answers)
    return [first.infer_response.id, *failure(lambda: next(answers))]


def aio(s: Session) -> Any:
    inputs = [tensor("INPUT0", A, "INT64", aio=True), tensor("INPUT1", B, "INT64", aio=True)]

    async def requests() -> Any:
        for number in range(5):
            yield {"model_name": "simple", "inputs": inputs, "request_id": str(number)}

    async def run() -> Any:
        async with triton_aio.InferenceServerClient(s.address) as client:
            results = await asyncio.gather(*(client.infer("simple", inputs) for _ in range(8)))
            ids = []
            async for result, error in client.stream_infer(requests()):
                assert error is None, error
                ids.append(result.get_response().id)
            return [
                await client.is_server_live(),
                await client.is_model_ready("simple"),
                [int(result.as_numpy("OUTPUT0")[1, 15]) for result in results],
                ids,
            ]

    return asyncio.run(run())


def explicit(model: str, datatype: str, shape: list[int], **contents: Any) -> Any:
    request = service_pb2.ModelInferRequest(model_name=model)
    entry = request.inputs.add(name="INPUT", datatype=datatype, shape=shape)
    entry.contents.SetInParent()
    for field, values in contents.items():
        getattr(entry.contents, field).extend(values)
    return request


def explicit_contents(s: Session) -> Any:
    request = service_pb2.ModelInferRequest(model_name="simple")
    for name, array in (("INPUT0", A), ("INPUT1", B)):
        entry = request.inputs.add(name=name, datatype="INT64", shape=array.shape)
        entry.contents.int64_contents.extend(array.ravel().tolist())

    def answer(request: Any, dtype: type) -> list[float]:
        raw = s.stub.ModelInfer(request, timeout=TIMEOUT).raw_output_contents[0]
        values: list[float] = np.frombuffer(raw, dtype).tolist()
        return values

    return [
        answer(request, np.int64)[:3],
        answer(explicit("levels", "UINT8", [1, 4], uint_contents=[0, 1, 254, 255]), np.float32),
        answer(
            explicit("flags", "BOOL", [1, 4], bool_contents=[True, False, True, True]), np.int64
        ),
        answer(explicit("scores", "FP32", [1, 4], fp32_contents=[0.5, -1, 2, 3]), np.float32),
        answer(explicit("scores", "FP32", [10000, 4], fp32_contents=[1, 2] * 20000), np.float32)[
            -4:
        ],
    ]


def images(s: Session) -> Any:
    encoded = np.array([[image] for image in s.images], dtype=np.object_)
    raw = s.client.infer("pictures", [tensor("INPUT", encoded, "BYTES")]).as_numpy("OUTPUT")
    flat = s.client.infer("pictures", [tensor("INPUT", encoded[:, 0], "BYTES")]).as_numpy("OUTPUT")
    request = explicit("pictures", "BYTES", [len(s.images)], bytes_contents=s.images)
    answer = s.stub.ModelInfer(request, timeout=TIMEOUT).raw_output_contents[0]
    return [raw.tolist(), flat.tolist(), np.frombuffer(answer, np.float32).tolist()]


def classification(s: Session) -> Any:
    values = np.array([[0.5, -1, 2, 3], [-7, -7, 0, 1]], np.float32)
    outputs = [triton.InferRequestedOutput("OUTPUT", class_count=2)]
    result = s.client.infer("scores", [tensor("INPUT", values, "FP32")], outputs=outputs)
    return [[text.decode() for text in row] for row in result.as_numpy("OUTPUT")]


def errors(s: Session) -> Any:
    found = {}
    for name, call in error_cases(s):
        found[name] = failure(call)
    return found


def error_cases(s: Session) -> Iterator[tuple[str, Callable[[], object]]]:
    infer = partial(s.client.infer, "simple")
    floats = tensor("INPUT0", A.astype(np.float32), "FP32")
    one, other = simple_inputs()
    yield "unknown_model", lambda: s.client.infer("absent", [one, other])
    yield "name_no_model_has", lambda: s.client.infer("No_Such/Model", [one, other])
    yield "unknown_version", lambda: infer([one, other], model_version="9")
    yield "malformed_version", lambda: infer([one, other], model_version="-1")
    yield "not_converted", lambda: s.client.infer("float-model", [one, other])
    yield "missing_input", lambda: infer([one])
    yield "unknown_input", lambda: infer([one, other, tensor("INPUT2", A, "INT64")])
    yield "input_twice", lambda: infer([one, one])
    yield "datatype", lambda: infer([floats, other])
    half = tensor("INPUT0", A.astype(np.float16), "FP16")
    yield "half", lambda: infer([half, other])
    yield "shape", lambda: infer([tensor("INPUT0", A[:, :3], "INT64"), other])
    yield "rank", lambda: infer([tensor("INPUT0", A[0], "INT64"), other])
    no_samples = [tensor(name, A[:0], "INT64") for name in ("INPUT0", "INPUT1")]
    yield "no_samples", lambda: infer(no_samples)
    outputs = [triton.InferRequestedOutput("OUTPUT7")]
    yield "unknown_output", lambda: infer([one, other], outputs=outputs)
    words = tensor("INPUT0", np.array([b"x"] * 2, dtype=np.object_), "BYTES")
    yield "bytes_among_others", lambda: infer([words, other])
    yield (
        "bytes_without_preprocessing",
        lambda: s.client.infer(
            "scores", [tensor("INPUT", np.array([b"x"], dtype=np.object_), "BYTES")]
        ),
    )
    yield (
        "image_for_other_input",
        lambda: s.client.infer(
            "pictures", [tensor("OTHER", np.array([s.images[0]], dtype=np.object_), "BYTES")]
        ),
    )
    shared = triton.InferInput("INPUT0", [2, 16], "INT64")
    shared.set_shared_memory("region", 256)
    yield "shared_memory_input", lambda: infer([shared, other])
    output = triton.InferRequestedOutput("OUTPUT0")
    output.set_shared_memory("region", 256)
    yield "shared_memory_output", lambda: infer([one, other], outputs=[output])
    yield from raw_error_cases(s)


def raw_error_cases(s: Session) -> Iterator[tuple[str, Callable[[], object]]]:
    def case(change: Callable[[Any], object]) -> Callable[[], object]:
        request = raw_request("simple")
        change(request)
        return lambda: s.stub.ModelInfer(request, timeout=TIMEOUT)

    def send(request: Any) -> Callable[[], object]:
        return lambda: s.stub.ModelInfer(request, timeout=TIMEOUT)

    def set_parameter(request: Any, name: str, field: str, value: object) -> None:
        setattr(request.parameters[name], field, value)

    def set_raw(request: Any, value: bytes) -> None:
        request.raw_input_contents[0] = value

    yield "length", case(lambda r: set_raw(r, b"1234567"))
    yield "contents_and_raw", case(lambda r: r.inputs[0].contents.int64_contents.extend([1]))
    yield "raw_count", case(lambda r: r.raw_input_contents.append(b""))
    yield "neither", case(lambda r: r.ClearField("raw_input_contents"))
    yield "unknown_datatype", case(lambda r: setattr(r.inputs[0], "datatype", "FLOAT"))
    yield "timeout_type", case(lambda r: set_parameter(r, "timeout", "string_param", "1"))
    yield "reserved", case(lambda r: set_parameter(r, "triton_x", "bool_param", True))
    yield "narrow", send(explicit("levels", "UINT8", [1, 4], uint_contents=[0, 1, 256, 2]))
    yield "wrong_field", send(explicit("scores", "FP32", [1, 4], fp64_contents=[1.0] * 4))
    yield "half_contents", send(explicit("scores", "FP16", [1, 4], fp32_contents=[1.0] * 4))
    yield "few_contents", send(explicit("scores", "FP32", [1, 4], fp32_contents=[1.0] * 3))
    yield (
        "large_contents",
        send(explicit("scores", "FP32", [1 << 19, 4], fp32_contents=[1] * 2**21)),
    )
    yield "not_finite", send(explicit("scores", "FP32", [1, 4], fp32_contents=[1, 2, 3, np.inf]))
    plain = s.channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
    yield "garbage", lambda: plain(b"\x3a\xff", timeout=TIMEOUT)
    yield "not_utf8", lambda: plain(b"\x0a\x01\xff", timeout=TIMEOUT)


def statistics(s: Session) -> Any:
    def of(name: str) -> Any:
        return s.client.get_inference_statistics(name, as_json=True)["model_stats"]

    before = of("counted")
    for samples in (1, 3, 3):
        values = np.zeros((samples, 4), np.float32)
        s.client.infer("counted", [tensor("INPUT", values, "FP32")])
    failure(lambda: s.client.infer("counted", [tensor("INPUT", A, "INT64")]))
    all_names = [entry["name"] for entry in of("")]
    unknown = failure(lambda: s.client.get_inference_statistics("absent"))
    return [before, of("counted"), all_names, unknown]


def index(s: Session) -> list[list[str]]:
    entries = s.client.get_model_repository_index().models
    return [[e.name, e.version, e.state, e.reason] for e in entries]


def repository(s: Session) -> Any:
    client = s.client
    values = np.array([[1, 2, 3, 4]], np.float32)
    before = index(s)
    client.unload_model("scores")
    client.unload_model("scores", unload_dependents=True)
    unloaded = [
        client.is_model_ready("scores"),
        failure(lambda: client.infer("scores", [tensor("INPUT", values, "FP32")])),
        failure(lambda: client.get_model_metadata("scores")),
        [entry for entry in index(s) if entry[0] == "scores"],
    ]
    ready = s.stub.RepositoryIndex(service_pb2.RepositoryIndexRequest(ready=True)).models
    client.load_model("scores")
    client.load_model("scores")
    loaded = [
        client.is_model_ready("scores"),
        client.infer("scores", [tensor("INPUT", values, "FP32")]).as_numpy("OUTPUT").tolist(),
    ]
    named = service_pb2.RepositoryIndexRequest(repository_name="other")
    dependents = service_pb2.RepositoryModelUnloadRequest(model_name="scores")
    dependents.parameters["unload_dependents"].string_param = "yes"
    refused = [
        failure(lambda: client.load_model("absent")),
        failure(lambda: client.load_model("float-model")),
        failure(lambda: client.unload_model("absent")),
        failure(lambda: client.load_model("scores", config="{}")),
        failure(lambda: client.load_model("scores", config="{}", files={"file:1/m": b"x"})),
        failure(lambda: s.stub.RepositoryIndex(named)),
        failure(lambda: s.stub.RepositoryModelUnload(dependents)),
    ]
    return [before, unloaded, [entry.name for entry in ready], loaded, refused]


def what_is_not_supported(s: Session) -> Any:
    client = s.client
    return [
        failure(client.get_system_shared_memory_status),
        failure(lambda: client.register_system_shared_memory("r", "/key", 16)),
        failure(client.unregister_system_shared_memory),
        failure(client.get_cuda_shared_memory_status),
        failure(lambda: client.register_cuda_shared_memory("r", b"aGFuZGxl", 0, 16)),
        failure(client.unregister_cuda_shared_memory),
        failure(client.get_trace_settings),
        failure(lambda: client.update_trace_settings(settings={"trace_rate": "1"})),
        failure(client.get_log_settings),
        failure(lambda: client.update_log_settings({"log_info": True})),
    ]


def descriptors(s: Session) -> Any:
    """Returns fields, values and methods of the client's protocol, by full name."""
    found: dict[str, Any] = {}
    for file in (service_pb2.DESCRIPTOR, model_config_pb2.DESCRIPTOR):
        for message in file.message_types_by_name.values():
            describe(message, found)
        for enum in file.enum_types_by_name.values():
            found[enum.full_name] = {value.name: value.number for value in enum.values}
    for method in service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods:
        kinds = [method.client_streaming, method.server_streaming]
        found[method.full_name] = [
            method.input_type.full_name,
            method.output_type.full_name,
            *kinds,
        ]
    return found


def describe(message: Any, found: dict[str, Any]) -> None:
    found[message.full_name] = {
        field.name: [field.number, field.type, field.is_repeated] for field in message.fields
    }
    for enum in message.enum_types:
        found[enum.full_name] = {value.name: value.number for value in enum.values}
    for nested in message.nested_types:
        describe(nested, found)


def versions(s: Session) -> Any:
    return [google.protobuf.__version__, grpc.__version__]


SCENARIOS: tuple[Callable[[Session], Any], ...] = (
    health,
    server_metadata,
    model_metadata,
    model_config,
    infer,
    infer_with_few_words,
    other_types,
    compressed,
    keepalive_and_channel_arguments,
    reused_inputs,
    async_infer,
    streaming,
    failure_in_a_stream_has_its_id,
    stream_that_ends_at_a_failure,
    aio,
    explicit_contents,
    images,
    classification,
    errors,
    statistics,
    repository,
    what_is_not_supported,
    descriptors,
    versions,
)


def main(address: str, image_paths: list[str]) -> None:
    session = Session(address, [Path(path).read_bytes() for path in image_paths])
    found: dict[str, Any] = {}
    for scenario in SCENARIOS:
        try:
            found[scenario.__name__] = {"found": scenario(session)}
        except Exception:  # the test of this scenario shows it
            found[scenario.__name__] = {"error": traceback.format_exc()}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
