"""Calls about jobs."""

from __future__ import annotations

from collections.abc import Iterator

from smidgen.client.connection import Connection
from smidgen.client.errors import JobFailedError
from smidgen.client.names import job_name
from smidgen.client.paging import pages
from smidgen.client.requests import new_request_id
from smidgen.client.watching import JobWatch
from smidgen.v1 import job_service_pb2 as jobs_pb
from smidgen.v1 import report_service_pb2 as reports_pb


class JobCalls(Connection):
    """Follows jobs, ends them, and fetches their reports."""

    def get_job(self, job: str) -> jobs_pb.Job:
        """Returns a job as it is now."""
        return self._caller.unary(self._jobs.GetJob, jobs_pb.GetJobRequest(name=job_name(job)))

    def list_jobs(self) -> Iterator[jobs_pb.Job]:
        """Yields all jobs, newest first."""
        for page in pages(self._caller, self._jobs.ListJobs, jobs_pb.ListJobsRequest()):
            yield from page.jobs

    def watch_job(self, job: str, *, after_sequence: int = 0) -> Iterator[jobs_pb.JobEvent]:
        """Yields each event after after_sequence once, past ones first, until the job has ended.

        Survives broken connections and a restart of the server.
        """
        watch = JobWatch(self._caller, self._jobs, job_name(job))
        return watch.events(after_sequence, self._patience())

    def wait_job(self, job: str) -> jobs_pb.Job:
        """Returns the job when it has succeeded.

        Raises: JobFailedError if it fails, is cancelled or interrupted; RemoteError.
        """
        for _ in self.watch_job(job):
            pass
        ended = self.get_job(job)
        if ended.state != jobs_pb.JOB_STATE_SUCCEEDED:
            raise JobFailedError(ended)
        return ended

    def cancel_job(self, job: str, *, save_checkpoint: bool = False) -> jobs_pb.Job:
        """Asks a job to stop and returns it as it is then.

        With save_checkpoint a training can be resumed.
        """
        request = jobs_pb.CancelJobRequest(
            name=job_name(job), request_id=new_request_id(), save_checkpoint=save_checkpoint
        )
        return self._caller.unary(self._jobs.CancelJob, request)

    def resume_job(self, job: str) -> jobs_pb.Job:
        """Lets an interrupted training go on and returns the job. Raises: RemoteError."""
        request = jobs_pb.ResumeJobRequest(name=job_name(job), request_id=new_request_id())
        return self._caller.unary(self._jobs.ResumeJob, request)

    def delete_job(self, job: str) -> None:
        """Deletes a job that has ended, with what it trained. Raises: RemoteError."""
        request = jobs_pb.DeleteJobRequest(name=job_name(job), request_id=new_request_id())
        self._caller.unary(self._jobs.DeleteJob, request)

    def get_report(self, job: str, *, histograms: bool = False) -> reports_pb.Report:
        """Returns what a job brought, layer by layer; with histograms of activations if asked.

        `smidgen.client.report_documents.report_document` makes of it what
        `smidgen.html_report.render` shows.
        """
        request = reports_pb.GetReportRequest(name=job_name(job), include_histograms=histograms)
        return self._caller.unary(self._reports.GetReport, request)
