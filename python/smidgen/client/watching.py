"""Follows a job's events through broken connections and restarts of the server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from smidgen.client.calls import Caller
from smidgen.client.errors import DeadlineExceededError, UnavailableError
from smidgen.client.patience import Patience
from smidgen.v1 import job_service_pb2 as pb
from smidgen.v1.job_service_pb2_grpc import JobServiceStub

FINAL_STATES = frozenset((pb.JOB_STATE_SUCCEEDED, pb.JOB_STATE_FAILED, pb.JOB_STATE_CANCELLED))
"""States that a job does not leave."""
RESTING_STATES = FINAL_STATES | {pb.JOB_STATE_INTERRUPTED}
"""States that a job does not leave by itself."""


@dataclass(frozen=True, slots=True)
class JobWatch:
    """Watches one job.

    Attributes:
        caller: Makes the calls.
        jobs: The service.
        name: The job, `jobs/{job}`.
    """

    caller: Caller
    jobs: JobServiceStub
    name: str

    def events(self, after_sequence: int, patience: Patience) -> Iterator[pb.JobEvent]:
        """Yields each event after after_sequence once, in order, until the job has ended or rests.

        Raises: RemoteError.
        """
        last = after_sequence
        while True:
            try:
                for event in self._stream(last):
                    patience.seen()
                    last = event.sequence
                    yield event
                    if event.state in FINAL_STATES:
                        return
                job = self.caller.unary(self.jobs.GetJob, pb.GetJobRequest(name=self.name))
                if job.state in RESTING_STATES and job.last_sequence <= last:
                    return
            except UnavailableError as error:
                patience.wait(error)
            except DeadlineExceededError:
                continue  # a quiet job outlived the deadline of one stream

    def _stream(self, last: int) -> Iterator[pb.JobEvent]:
        request = pb.WatchJobRequest(name=self.name, after_sequence=last)
        for event in self.caller.receive(self.jobs.WatchJob, request):
            if event.sequence > last:
                last = event.sequence
                yield event
