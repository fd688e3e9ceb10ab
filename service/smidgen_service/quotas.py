"""The most that a tenant may store, run and ask for at the same time."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from smidgen_service.errors import QuotaExceededError
from smidgen_service.store import usage
from smidgen_service.store.tenancy import current_tenant

_RETRY_AFTER_S = 0.1


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """The most that a tenant may have; None stands for no limit.

    Attributes:
        stored_bytes: Of models, datasets, calibrations, versions, results and checkpoints.
        jobs: Queued and running together.
        inferences: In progress, those that wait for their turn among them.
        worker_calls: Of Calibrate and validate_only in progress, waiting ones among them.
    """

    stored_bytes: int | None = None
    jobs: int | None = None
    inferences: int | None = None
    worker_calls: int | None = None

    def or_else(self, other: TenantLimits) -> TenantLimits:
        """Returns these limits, and the other's where these have none."""
        return TenantLimits(
            *(
                getattr(other if getattr(self, name) is None else self, name)
                for name in TenantLimits.__slots__
            )
        )


class Quotas:
    """Holds callers to the limits of their tenants.

    Args:
        limits_of: Returns the limits of a tenant, which may change at any time.
        checkpoint_bytes: Returns the size of a job's checkpoint; None where no jobs are run.
    """

    def __init__(
        self,
        limits_of: Callable[[str], TenantLimits],
        checkpoint_bytes: Callable[[str], int] | None = None,
    ) -> None:
        self._limits_of = limits_of
        self._checkpoint_bytes = checkpoint_bytes
        self._receiving: Counter[tuple[str, str, int]] = Counter()
        self._inferences: Counter[str] = Counter()
        self._worker_calls: Counter[str] = Counter()

    @contextmanager
    def receiving(self, upload_id: str, size_bytes: int) -> Iterator[None]:
        """Counts an upload among what its tenant stores while it is received.

        Args:
            upload_id: Its request id, or another one that is new.
            size_bytes: What it will have.
        """
        entry = (current_tenant(), upload_id, size_bytes)
        self._receiving[entry] += 1
        try:
            yield
        finally:
            self._receiving[entry] -= 1
            if not self._receiving[entry]:
                del self._receiving[entry]

    def check_bytes(
        self, tx: sqlite3.Connection, more_bytes: int = 0, *, resumed: str | None = None
    ) -> None:
        """Refuses what the tenant has no room for.

        Args:
            tx: The transaction.
            more_bytes: What is to be stored beside the uploads that are being received.
            resumed: Id of a job whose checkpoint does not count, as it is what goes on.

        Raises:
            QuotaExceededError: with it the tenant would have more than it may.
        """
        most = self._limits().stored_bytes
        if most is None:
            return
        tenant = current_tenant()
        promised = usage.promised_bytes(tx)
        promised |= {entry[1]: entry[2] for entry in self._receiving if entry[0] == tenant}
        stored, uploading = self._stored_bytes(tx, resumed), sum(promised.values())
        if stored + uploading + more_bytes > most:
            raise QuotaExceededError(
                f"the tenant may store {most} bytes; it has {stored}, and uploads that have begun "
                f"will have {uploading}; delete what is not needed, or ask the operator for more",
                tenant=tenant,
                reason="STORAGE_QUOTA_EXCEEDED",
                most=most,
                stored=stored,
                uploading=uploading,
            )

    def _stored_bytes(self, tx: sqlite3.Connection, resumed: str | None) -> int:
        size_of = self._checkpoint_bytes
        if size_of is None:
            return usage.stored_bytes(tx)
        unfinished = usage.unfinished_jobs(tx) - {resumed}
        return usage.stored_bytes(tx) + sum(size_of(job_id) for job_id in unfinished)

    def check_jobs(self, tx: sqlite3.Connection, *, resumed: str | None = None) -> None:
        """Refuses a job where there are as many as may be, or no room for what it makes.

        Args:
            tx: The transaction.
            resumed: The id of the job, where it was begun before.

        Raises:
            QuotaExceededError: the tenant has to wait for its jobs, or to delete something.
        """
        most = self._limits().jobs
        active = usage.active_jobs(tx) if most is not None else 0
        if most is not None and active >= most:
            raise QuotaExceededError(
                f"the tenant may have {most} jobs queued and running, and has {active}; wait for "
                "one to end or cancel it, or ask the operator for more",
                tenant=current_tenant(),
                reason="JOB_QUOTA_EXCEEDED",
                most=most,
                active=active,
            )
        self.check_bytes(tx, more_bytes=1, resumed=resumed)

    def inference(self) -> AbstractContextManager[None]:
        """Counts an inference for the time of a block.

        Raises:
            QuotaExceededError: the tenant has as many in progress as it may.
        """
        return _Counted(self._inferences, self.check_inference())

    def check_inference(self) -> str:
        """Checks that the tenant may have one more inference in progress; returns the tenant.

        Raises:
            QuotaExceededError: the tenant has as many in progress as it may.
        """
        tenant = current_tenant()
        most = self._limits_of(tenant).inferences
        if most is not None and self._inferences[tenant] >= most:
            raise _too_many(tenant, most, "inferences in progress", "INFERENCE_QUOTA_EXCEEDED")
        return tenant

    def worker_call(self) -> AbstractContextManager[None]:
        """Counts a call that needs a worker process for the time of a block.

        Raises:
            QuotaExceededError: the tenant has as many in progress as it may.
        """
        tenant = current_tenant()
        most = self._limits_of(tenant).worker_calls
        if most is not None and self._worker_calls[tenant] >= most:
            what = "calls of Calibrate and validate_only in progress"
            raise _too_many(tenant, most, what, "WORKER_CALL_QUOTA_EXCEEDED")
        return _Counted(self._worker_calls, tenant)

    def _limits(self) -> TenantLimits:
        return self._limits_of(current_tenant())


def _too_many(tenant: str, most: int, what: str, reason: str) -> QuotaExceededError:
    return QuotaExceededError(
        f"the tenant may have {most} {what}, and has that many; try again when one has "
        "ended, or ask the operator for more",
        tenant=tenant,
        reason=reason,
        retry_after_s=_RETRY_AFTER_S,
        most=most,
    )


class _Counted(AbstractContextManager[None]):
    """One more of something of a tenant, for the time of a block."""

    __slots__ = ("_counter", "_tenant")

    def __init__(self, counter: Counter[str], tenant: str) -> None:
        self._counter = counter
        self._tenant = tenant

    def __enter__(self) -> None:
        self._counter[self._tenant] += 1

    def __exit__(self, *_error: object) -> None:
        self._counter[self._tenant] -= 1
        if not self._counter[self._tenant]:
            del self._counter[self._tenant]
