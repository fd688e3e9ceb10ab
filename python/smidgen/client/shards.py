"""Uploading a folder: what each of its files is called on the server, and how far it has come."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from smidgen.client.uploads import TransferProgress
from smidgen.data.opening import shards_of
from smidgen.errors import InvalidConfigError

_MOST_ID_CHARACTERS = 63


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of a folder.

    Attributes:
        path: Where it is.
        dataset_id: Its own id on the server.
        request_id: Its own request id; empty where the folder has none.
        start_bytes: Bytes of the files before it.
        size_bytes: Its own.
        total_bytes: Those of the folder.
    """

    path: Path
    dataset_id: str
    request_id: str
    start_bytes: int
    size_bytes: int
    total_bytes: int

    def report_to(self, on_progress: TransferProgress) -> Callable[[int, int], None]:
        """Returns what tells of the shard as a part of its folder.

        What is sent may have another size than the file, as a Parquet file has.
        """

        def report(done: int, total: int) -> None:
            own = self.size_bytes * done // total
            on_progress(self.start_bytes + own, self.total_bytes)

        return report


def plan_shards(folder: Path, dataset_id: str, request_id: str) -> Iterator[Shard]:
    """Yields the files of a folder in order.

    Args:
        folder: Holds files of one format alone.
        dataset_id: Of the data set that they become; theirs are `{dataset_id}-000` and so on.
        request_id: A UUID of which theirs are derived, or empty.

    Raises:
        InvalidDatasetError: DATASET_BAD_FOLDER.
        InvalidConfigError: The request_id is no UUID.
        OSError: A file is gone.
    """
    paths = shards_of(folder)
    sizes = [path.stat().st_size for path in paths]
    starts = accumulate(sizes, initial=0)
    digits = max(3, len(str(len(paths) - 1)))
    base = dataset_id[: _MOST_ID_CHARACTERS - 1 - digits].rstrip("-")
    for number, (path, size, start) in enumerate(zip(paths, sizes, starts, strict=False)):
        yield Shard(
            path,
            dataset_id=f"{base}-{number:0{digits}}",
            request_id=_derived(request_id, number),
            start_bytes=start,
            size_bytes=size,
            total_bytes=sum(sizes),
        )


def _derived(request_id: str, number: int) -> str:
    if not request_id:
        return ""
    try:
        return str(uuid.uuid5(uuid.UUID(request_id), str(number)))
    except ValueError:
        raise InvalidConfigError(
            f"The request_id is {request_id[:80]!r}, expected a UUID.",
            reason="INVALID_REQUEST_ID",
            field="request_id",
        ) from None
