"""Triton's client and a server that tells its callers apart."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from smidgen.artifact import encode_artifact
from smidgen.client import Client
from smidgen_service.security import identity_file
from smidgen_service.security.roles import Role
from tests.service.open_inference import programs
from tests.service.open_inference.conftest import overlay
from tests.service.running_server import start_server

SESSION = """
import json, queue, sys
import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

address, token = sys.argv[1:]
headers = {"authorization": f"Bearer {token}"}
client = triton.InferenceServerClient(address)
x = triton.InferInput("INPUT", [1, 4], "FP32")
x.set_data_from_numpy(np.ones((1, 4), np.float32))

def code(call):
    try:
        return call() or "OK"
    except InferenceServerException as error:
        return error.status()

def stream(headers):
    answers = queue.Queue()
    with triton.InferenceServerClient(address) as other:
        other.start_stream(lambda result, error: answers.put((result, error)), headers=headers)
        try:
            other.async_stream_infer("scores", [x])
        except InferenceServerException:
            pass  # the stream was refused before there was a request; the answer tells why
        result, error = answers.get(timeout=30)
        return error.status() if error else result.as_numpy("OUTPUT").tolist()

found = [
    client.is_server_live(),
    client.is_server_ready(),
    code(lambda: client.infer("scores", [x]).get_response().id),
    code(lambda: client.infer("scores", [x], headers=headers).as_numpy("OUTPUT").tolist()),
    stream(None),
    stream(headers),
    code(lambda: client.get_model_metadata("scores", headers=headers, as_json=True)["name"]),
    code(lambda: client.unload_model("scores", headers=headers)),
]
print(json.dumps(found))
"""


def test_tokens_are_taken_as_headers_and_roles_are_held_to(tmp_path: Path) -> None:
    auth_file = tmp_path / "auth.json"
    admin, inferencer = (
        identity_file.create_token(
            auth_file, tenant="acme", roles=frozenset({role}), now=datetime.now(tz=UTC)
        ).text
        for role in (Role.ADMIN, Role.INFERENCER)
    )
    artifact = tmp_path / "scores.smidgen"
    artifact.write_bytes(encode_artifact(programs.scores()))
    server = start_server(tmp_path / "store", "--auth-file", str(auth_file))
    try:
        with Client(server.target, token=admin) as client:
            client.upload_model(artifact, "scores")
        command = [sys.executable, "-c", SESSION, server.target, inferencer]
        done = subprocess.run(
            command, check=False, env=overlay("triton"), capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
    finally:
        server.stop()
    answer = [[-1.0] * 4]
    assert json.loads(done.stdout) == [
        True,
        True,
        "StatusCode.UNAUTHENTICATED",
        answer,
        "StatusCode.UNAUTHENTICATED",
        answer,
        "scores",
        "StatusCode.PERMISSION_DENIED",
    ]
