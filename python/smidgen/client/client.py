"""The synchronous client of a Smidgen server."""

from __future__ import annotations

from smidgen.client.alias_calls import AliasCalls
from smidgen.client.dataset_calls import DatasetCalls
from smidgen.client.inference_calls import InferenceCalls
from smidgen.client.model_calls import ModelCalls
from smidgen.client.optimization_calls import OptimizationCalls


class Client(ModelCalls, AliasCalls, DatasetCalls, OptimizationCalls, InferenceCalls):
    """Calls a Smidgen server. Safe to use from several threads.

    Models, jobs and the like are the messages of the protocol; tensors are numpy arrays. Names may
    be ids (`digits`) or full names (`models/digits`). Every call has a deadline, is repeated while
    no server answers, and raises RemoteError.

        with Client("127.0.0.1:8001") as client:
            client.upload_model("digits.pt2", "digits")
            calibration = client.calibrate("digits", batches)
            job = client.convert("digits", calibration=calibration.name, wait_s=60)
            logits = client.infer("digits", images)["logits"]

    Args:
        target: `host:port` of the server.
        timeout_s: Deadline of calls with one answer, in seconds.
        stream_timeout_s: Deadline of one upload, download or calibration, in seconds.
        patience_s: How long an upload, a download or a watch waits for a server that went away, in
            seconds.
        credentials: For TLS, for instance those of `smidgen.client.Access`; without them the
            connection is plain text.
        waits_for_server: Whether calls with one answer wait until their deadline for a server that
            is not there, starts or stops, instead of failing within about a second: for programs
            that go on while a server is restarted.
        token: Says who is calling, where the server wants to know. Over plain text it is sent to
            this machine alone.
        tls_name: Name in the server's certificate, where it is not the target's host.

    Raises: AccessError for a token that must not be sent.
    """
