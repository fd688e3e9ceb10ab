"""A real server on a file system of 32 MiB that is full."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import grpc
import numpy as np
import pytest

from smidgen.v1 import dataset_service_pb2 as datasets_pb
from smidgen_service.store.reserve import PORTION_BYTES, PORTIONS
from tests.service.running_server import (
    RunningServer,
    ending,
    start_server,
)

SIZE = 32 << 20
RESERVE = PORTIONS * PORTION_BYTES
FULL = (grpc.StatusCode.RESOURCE_EXHAUSTED, "STORAGE_FULL")
NAMES = [f"d{number}" for number in range(6)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("file systems can be mounted by a privileged root only")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def dataset(number: int) -> bytes:
    """Returns the file of a dataset of a MiB."""
    file = io.BytesIO()
    np.savez(file, images=np.random.default_rng(number).random((4096, 64), np.float32))
    return file.getvalue()


def fill(disk: Path) -> Path:
    """Leaves no room on a disk; returns the file that takes it."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert shutil.disk_usage(disk).free == 0
    return filler


def held(server: RunningServer) -> int:
    """Returns the bytes of the reserve."""
    return sum(path.stat().st_size for path in (server.data_dir / "reserve").iterdir())


def delete(server: RunningServer, name: str) -> None:
    server.datasets.DeleteDataset(datasets_pb.DeleteDatasetRequest(name=f"datasets/{name}"))


def free_by_deletion(server: RunningServer, disk: Path, name: str) -> None:
    """Deletes a dataset on a disk that others have filled to the last byte."""
    fill(disk)
    stored = len(server.blobs())
    delete(server, name)
    assert len(server.blobs()) == stored - 1
    assert shutil.disk_usage(disk).free >= 1 << 20


def refuses_uploads(server: RunningServer) -> bool:
    with pytest.raises(grpc.RpcError) as caught:
        server.upload_dataset("more", dataset(len(NAMES)))
    return ending(caught.value) == FULL


def refused_start(data_dir: Path) -> str:
    """Returns what a server says that does not start."""
    command = [sys.executable, "-m", "smidgen_service", "--port", "0", "--metrics-port", "-1"]
    ended = subprocess.run(
        [*command, "--data-dir", str(data_dir)], capture_output=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    line = json.loads(ended.stderr.splitlines()[-1])
    assert line["event"] == "server_refused"
    return str(line["error_text"])


def test_full_disk_is_emptied_by_deletions(small_disk: Path) -> None:
    server = start_server(small_disk / "store")
    try:
        for number, name in enumerate(NAMES):
            server.upload_dataset(name, dataset(number))
        assert held(server) == RESERVE
        filler = fill(small_disk)
        assert refuses_uploads(server)
        free_by_deletion(server, small_disk, NAMES[0])
        assert server.stop() == 0  # which takes SQLite's log away, and so the room that it had
        fill(small_disk)
        server = start_server(small_disk / "store")
        for name in NAMES[1:]:
            free_by_deletion(server, small_disk, name)
        assert 0 < held(server) < RESERVE
        assert refuses_uploads(server)
        filler.unlink()
        server.upload_dataset("more", dataset(len(NAMES)))
        assert held(server) == RESERVE
        assert server.leftovers() == []
        assert {"reserve_used", "reserve_kept"} <= {line["event"] for line in server.logs()}
    finally:
        server.stop()


def test_start_without_any_room_says_what_to_do(small_disk: Path) -> None:
    data_dir = small_disk / "store"
    data_dir.mkdir()
    filler = fill(small_disk)
    text = refused_start(data_dir)
    assert f"the disk of the data directory {data_dir} is full" in text
    assert "0 bytes are free" in text
    assert "enlarge the disk" in text
    filler.unlink()
    start_server(data_dir).stop()
