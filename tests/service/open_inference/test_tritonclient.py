"""Triton's own client, unmodified, against a real server: everything it can ask for."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor

from smidgen.artifact import encode_artifact
from smidgen.config import Extent
from smidgen.data.preprocess import preprocess
from smidgen_service.open_inference import inference_service_pb2 as pb
from tests.service.open_inference import programs
from tests.service.open_inference.conftest import PIXELS, Found, overlay
from tests.service.running_server import RunningServer

PAGE = Path(__file__).resolve().parents[3] / "docs" / "triton.md"
A = np.arange(32).reshape(2, 16)
INVALID = "StatusCode.INVALID_ARGUMENT"
NOT_FOUND = "StatusCode.NOT_FOUND"
PRECONDITION = "StatusCode.FAILED_PRECONDITION"
UNIMPLEMENTED = "StatusCode.UNIMPLEMENTED"

ERRORS = {
    "unknown_model": (NOT_FOUND, "Request for unknown model: 'absent' is not found"),
    "name_no_model_has": (NOT_FOUND, "Request for unknown model: 'No_Such/Model' is not found"),
    "unknown_version": (NOT_FOUND, "Request for unknown model: 'simple' version 9 is not found"),
    "malformed_version": (INVALID, "failed to get model version from specified version string"),
    "not_converted": (
        PRECONDITION,
        "Request for unknown model: 'float-model' has no available versions",
    ),
    "missing_input": (
        INVALID,
        "expected 2 inputs but got 1 inputs for model 'simple'. Got input(s) ['INPUT0'], but "
        "missing required input(s) ['INPUT1']. Please provide all required input(s).",
    ),
    "unknown_input": (INVALID, "unexpected inference input 'INPUT2' for model 'simple'"),
    "input_twice": (INVALID, "input 'INPUT0' is given twice"),
    "datatype": (
        INVALID,
        "inference input 'INPUT0' data-type is 'FP32', but model 'simple' expects 'INT64'",
    ),
    "half": (
        INVALID,
        "inference input 'INPUT0' data-type is 'FP16', but model 'simple' expects 'INT64'",
    ),
    "shape": (
        INVALID,
        "unexpected shape for input 'INPUT0' for model 'simple'. Expected [-1,16], got [2,3]",
    ),
    "rank": (
        INVALID,
        "unexpected shape for input 'INPUT0' for model 'simple'. Expected [-1,16], got [16]",
    ),
    "no_samples": (
        INVALID,
        "unexpected shape for input 'INPUT0' for model 'simple'. Expected [-1,16], got [0,16]",
    ),
    "unknown_output": (INVALID, "unexpected inference output 'OUTPUT7' for model 'simple'"),
    "bytes_among_others": (
        INVALID,
        "inference input 'INPUT0' data-type is 'BYTES', but model 'simple' expects 'INT64'",
    ),
    "bytes_without_preprocessing": (PRECONDITION, "does not say how images become its input"),
    "image_for_other_input": (INVALID, "unexpected inference input 'OTHER' for model 'pictures'"),
    "shared_memory_input": (UNIMPLEMENTED, "the server does not support shared memory"),
    "shared_memory_output": (UNIMPLEMENTED, "the server does not support shared memory"),
    "length": (
        INVALID,
        "input byte size mismatch for input 'INPUT0' for model 'simple'. Expected 256, got 7",
    ),
    "contents_and_raw": (
        INVALID,
        "contents field must not be specified when using raw_input_contents for 'INPUT0' for "
        "model 'simple'",
    ),
    "raw_count": (INVALID, "raw_input_contents has 3 entries, expected one for each of 2 inputs"),
    "neither": (INVALID, "input 'INPUT0' has no values"),
    "unknown_datatype": (INVALID, "input 'INPUT0' has datatype 'FLOAT', expected one of BOOL"),
    "timeout_type": (INVALID, "invalid value for 'timeout' parameter"),
    "reserved": (INVALID, "parameter keys starting with 'triton_' are reserved"),
    "narrow": (INVALID, "input 'INPUT' of type UINT8 has 256 at flat index 2, expected 0 to 255"),
    "wrong_field": (
        INVALID,
        "unexpected explicit tensor data for input tensor 'INPUT' for model 'scores'",
    ),
    "half_contents": (INVALID, "of type FP16 has values in contents, expected raw_input_contents"),
    "few_contents": (INVALID, "input byte size mismatch for input 'INPUT' for model 'scores'"),
    "large_contents": (
        "StatusCode.RESOURCE_EXHAUSTED",
        "bytes beside raw_input_contents, expected at most 4194304",
    ),
    "not_finite": (INVALID, "input 'INPUT' has inf at flat index 3"),
    "garbage": (INVALID, "a message is not of the type that this method takes"),
    "not_utf8": (INVALID, "a message is not of the type that this method takes"),
}


def test_client_is_the_one_that_is_pinned(found: Found) -> None:
    assert found("versions") == ["6.33.6", "1.81.1"]


def test_health(found: Found) -> None:
    live, ready, models, malformed = found("health")
    assert (live, ready) == (True, True)
    assert models == [True, True, False, False, False, False]
    assert malformed[0] == INVALID


def test_server_metadata_names_what_works(found: Found) -> None:
    metadata = found("server_metadata")
    assert metadata["name"] == "smidgen"
    assert metadata["extensions"] == [
        "classification",
        "model_repository",
        "model_repository(unload_dependents)",
        "model_configuration",
        "binary_tensor_data",
        "parameters",
        "statistics",
    ]


def test_model_metadata_has_the_batch_in_its_shapes(found: Found) -> None:
    simple, fixed, pictures, flags = found("model_metadata")
    assert simple["versions"] == ["1"]
    assert simple["platform"] == "smidgen"
    assert [entry["name"] for entry in simple["inputs"]] == ["INPUT0", "INPUT1"]
    assert simple["outputs"][1] == {"name": "OUTPUT1", "datatype": "INT64", "shape": ["-1", "16"]}
    assert fixed["inputs"] == [{"name": "INPUT", "datatype": "FP32", "shape": ["2", "3"]}]
    assert pictures["inputs"][0]["shape"] == ["-1", "3", "8", "8"]
    assert flags["inputs"][0]["datatype"] == "BOOL"


def test_model_config_has_the_batch_beside_its_dims(found: Found) -> None:
    simple, fixed = found("model_config")
    assert simple["max_batch_size"] == (64 << 20) // 256
    assert simple["input"][0] == {"name": "INPUT0", "data_type": "TYPE_INT64", "dims": ["16"]}
    assert simple["output"][0]["dims"] == ["16"]
    assert simple["instance_group"] == [{"name": "simple", "count": 2, "kind": "KIND_CPU"}]
    digest = hashlib.sha256(encode_artifact(programs.simple())).hexdigest()
    assert simple["parameters"]["artifact_sha256"] == {"string_value": digest}
    assert (simple["backend"], simple["version_policy"]) == ("smidgen", {"all": {}})
    assert "max_batch_size" not in fixed  # 0
    assert fixed["input"][0]["dims"] == ["2", "3"]


def test_infer_answers_with_what_was_asked_for(found: Found) -> None:
    answer = found("infer")
    assert answer["names"] == ["OUTPUT1", "OUTPUT0"]
    assert answer["types"] == ["INT64", "INT64"]
    assert answer["raw"] == 2
    assert answer["head"] == ["simple", "1", "first"]
    assert answer["sum"] == (A + 1).tolist()
    assert answer["difference"] == (A - 1).tolist()
    names, request_id, difference = found("infer_with_few_words")
    assert (names, request_id) == (["OUTPUT0", "OUTPUT1"], "")
    assert difference == (A - 1).tolist()


def test_other_types(found: Found) -> None:
    levels, flags, scores = found("other_types")
    assert levels == [[0.0, 0.5, 1.0, 1.5], [2.0, 125.0, 0.0, 0.5]]
    assert flags == [[1, 0, 1, 0]]
    assert scores == [[-0.5, 1.0, -2.0, -3.0]]


def test_compressed_requests_are_taken(found: Found) -> None:
    assert found("compressed") == [(A + 1).tolist()] * 2


def test_compressed_message_is_held_to_the_limit_of_what_it_unpacks_to(
    triton_server: RunningServer,
) -> None:
    channel = grpc.insecure_channel(
        f"127.0.0.1:{triton_server.port}", options=[("grpc.max_send_message_length", -1)]
    )
    with channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(
            b"\x3a" + bytes(66 << 20), compression=grpc.Compression.Gzip, timeout=60
        )
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_options_of_the_channel(found: Found) -> None:
    assert found("keepalive_and_channel_arguments") == [True, (A + 1).tolist()]
    assert found("reused_inputs") == [(A + 1).tolist(), (A * 2 + 1).tolist()]


def test_async_infer(found: Found) -> None:
    assert found("async_infer") == [list(range(1, 21)), NOT_FOUND]


def test_streams_answer_in_order_and_go_on_after_a_failure(found: Found) -> None:
    expected: list[Any] = [[str(number), number + 1, True] for number in range(30)]
    expected[10] = "Request for unknown model: 'absent' is not found"
    assert found("streaming") == expected
    assert found("failure_in_a_stream_has_its_id") == [
        ["", "a", 2],
        ["Request for unknown model: 'absent' is not found", "b", 0],
        ["", "c", 2],
    ]


def test_stream_ends_at_a_failure_where_that_is_asked_for(found: Found) -> None:
    assert found("stream_that_ends_at_a_failure") == [
        "a",
        NOT_FOUND,
        "Request for unknown model: 'absent' is not found",
    ]


def test_asyncio_client(found: Found) -> None:
    assert found("aio") == [True, True, [32] * 8, ["0", "1", "2", "3", "4"]]


def test_explicit_contents(found: Found) -> None:
    assert found("explicit_contents") == [
        [1, 2, 3],
        [0.0, 0.5, 127.0, 127.5],
        [1, 0, 1, 1],
        [-0.5, 1.0, -2.0, -3.0],
        [-1.0, -2.0, -1.0, -2.0],
    ]


def test_encoded_images_are_bytes(found: Found) -> None:
    samples = [preprocess(i, programs.PREPROCESSING, Extent(8, 8), "it") for i in PIXELS]
    rows, flat, explicit = (np.array(values, np.float32) for values in found("images"))
    np.testing.assert_allclose(rows, np.stack(samples).mean(3), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(flat, rows)
    np.testing.assert_array_equal(explicit, rows.ravel())


def test_classification_gives_the_greatest_values(found: Found) -> None:
    assert found("classification") == [
        ["1.000000:1", "-0.500000:0"],
        ["7.000000:0", "7.000000:1"],
    ]


@pytest.mark.parametrize("case", ERRORS)
def test_errors_have_tritons_words(found: Found, case: str) -> None:
    code, text = found("errors")[case]
    expected_code, expected_text = ERRORS[case]
    assert code == expected_code
    assert expected_text in text


def test_every_error_case_is_expected(found: Found) -> None:
    assert set(found("errors")) == set(ERRORS)


def test_statistics_count_samples_and_computations(found: Found) -> None:
    before, after, names, unknown = found("statistics")
    assert before[0]["inference_stats"]["success"] == {}
    (counted,) = after
    assert (counted["name"], counted["version"]) == ("counted", "1")
    assert counted["inference_count"] == "7"
    assert counted["execution_count"] == "3"
    assert int(counted["last_inference"]) > 1_700_000_000_000
    stats = counted["inference_stats"]
    assert {name: stats[name]["count"] for name in stats} == {
        "success": "3",
        "fail": "1",
        "queue": "3",
        "compute_input": "3",
        "compute_infer": "3",
        "compute_output": "3",
    }
    parts = ("queue", "compute_input", "compute_infer", "compute_output")
    assert 0 < sum(int(stats[name]["ns"]) for name in parts) <= int(stats["success"]["ns"])
    sizes = [
        (batch["batch_size"], batch["compute_infer"]["count"]) for batch in counted["batch_stats"]
    ]
    assert sizes == [("1", "1"), ("3", "2")]
    assert names == [
        "counted",
        "digits",
        "fixed",
        "flags",
        "levels",
        "pictures",
        "scores",
        "simple",
    ]
    assert unknown[0] == NOT_FOUND


def test_repository_lists_loads_and_unloads(found: Found) -> None:
    before, unloaded, ready, loaded, refused = found("repository")
    assert ["scores", "1", "READY", ""] in before
    assert ["float-model", "", "UNAVAILABLE", "not converted"] in before
    is_ready, infer, metadata, index = unloaded
    assert not is_ready
    text = "Request for unknown model: 'scores' is not at ready state; load it first"
    assert infer == metadata == [PRECONDITION, text]
    assert index == [["scores", "1", "UNAVAILABLE", "unloaded"]]
    assert ready == ["counted", "digits", "fixed", "flags", "levels", "pictures", "simple"]
    assert loaded == [True, [[-1.0, -2.0, -3.0, -4.0]]]
    assert [code for code, _ in refused] == [
        NOT_FOUND,
        PRECONDITION,
        NOT_FOUND,
        *[UNIMPLEMENTED] * 4,
    ]
    assert refused[0][1].startswith("failed to load 'absent', failed to poll from model repository")
    assert refused[1][1].startswith("failed to load 'float-model', no version is available")
    assert "the parameter 'config' is not supported" in refused[3][1]
    assert "'repository_name' specification is not supported" in refused[5][1]


def test_what_is_not_supported_says_so(found: Found) -> None:
    answers = found("what_is_not_supported")
    assert {code for code, _ in answers} == {UNIMPLEMENTED}
    assert all(text.startswith("the server does not support ") for _, text in answers)
    assert len(answers) == 10


def test_documentation_runs_as_it_stands_there_but_for_the_port(
    triton_server: RunningServer,
) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    prelude = "import numpy as np\nimages = np.ones((7, 1, 8, 8), np.float32)\n"
    check = "\nassert logits.shape == (7, 1, 8) and (logits == 1).all(), logits\n"
    script = prelude + block.replace(":8001", f":{triton_server.port}") + check
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, check=False, env=overlay("triton"), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_own_client_shares_a_process_with_tritons() -> None:
    code = "import tritonclient.grpc, smidgen.client, smidgen.v1.inference_service_pb2 as pb, sys\n"
    code += "assert not any('open_inference' in name for name in sys.modules)\n"
    code += "print(pb.InferRequest.DESCRIPTOR.full_name)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, env=overlay("triton"), capture_output=True)
    assert done.stdout.decode().strip() == "smidgen.v1.InferRequest"


def test_every_field_and_method_is_the_clients(found: Found) -> None:
    theirs, ours = found("descriptors"), own_descriptors()
    # Of the Open Inference Protocol, but not of Triton's.
    del ours["inference.ModelMetadataResponse.PropertiesEntry"]
    del ours["inference.ModelMetadataResponse"]["properties"]
    assert theirs.keys() >= ours.keys()
    for name, members in ours.items():
        expected = theirs[name]
        if isinstance(members, dict):
            expected = {key: expected.get(key) for key in members}
        assert members == expected, name


def own_descriptors() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for message in pb.DESCRIPTOR.message_types_by_name.values():
        describe(message, found)
    for enum in pb.DESCRIPTOR.enum_types_by_name.values():
        found[enum.full_name] = values(enum)
    for method in pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods:
        kinds = [method.client_streaming, method.server_streaming]
        types = [method.input_type.full_name, method.output_type.full_name]
        found[method.full_name] = [*types, *kinds]
    return found


def describe(message: Descriptor, found: dict[str, Any]) -> None:
    found[message.full_name] = {
        field.name: [field.number, field.type, field.is_repeated] for field in message.fields
    }
    for enum in message.enum_types:
        found[enum.full_name] = values(enum)
    for nested in message.nested_types:
        describe(nested, found)


def values(enum: EnumDescriptor) -> dict[str, int]:
    return {value.name: value.number for value in enum.values}
