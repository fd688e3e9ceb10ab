"""A folder becomes one dataset on the server, file by file."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import pytest

from smidgen.client import Client, RemoteError
from smidgen.client.shards import plan_shards
from smidgen.client.uploads import CHUNK_BYTES
from smidgen.errors import InvalidConfigError, InvalidDatasetError
from smidgen.v1 import dataset_service_pb2 as pb
from tests.python.client.canned_server import State

FILES = {"b.npz": b"bbb", "a.npz": b"a" * (CHUNK_BYTES + 7), "c.npz": b"cc"}
NAMES = ["datasets/train-000", "datasets/train-001", "datasets/train-002"]
REQUEST_ID = str(uuid.UUID(int=7))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "parts"
    folder.mkdir()
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    return folder


def test_files_are_uploaded_in_order_and_joined(client: Client, state: State, folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    found = client.upload_dataset(
        folder, "train", on_progress=lambda done, total: seen.append((done, total))
    )
    assert found == state.datasets["datasets/train"]
    assert list(state.datasets) == [*NAMES, "datasets/train"]
    assert [state.datasets[name].size_bytes for name in NAMES] == [CHUNK_BYTES + 7, 3, 2]
    assert isinstance(state.last_request, pb.CreateDatasetRequest)
    assert list(state.last_request.shards) == NAMES
    total = CHUNK_BYTES + 12
    assert seen == [(done, total) for done in (CHUNK_BYTES, total - 5, total - 2, total)]


def test_files_that_are_there_are_not_sent_again(
    client: Client, state: State, folder: Path
) -> None:
    sha256 = hashlib.sha256(FILES["a.npz"]).hexdigest()
    there = pb.Dataset(name=NAMES[0], sha256=sha256, format=pb.DATASET_FORMAT_NPZ)
    state.datasets[NAMES[0]] = there
    client.upload_dataset(folder, "train")
    assert state.offsets == [0, 0]
    assert state.datasets[NAMES[0]] == there
    assert list(state.last_request.shards) == NAMES


def test_other_datasets_of_their_names_are_not_taken(
    client: Client, state: State, folder: Path
) -> None:
    state.datasets[NAMES[0]] = pb.Dataset(name=NAMES[0], sha256="0" * 64)
    with pytest.raises(RemoteError) as caught:
        client.upload_dataset(folder, "train")
    assert caught.value.code == "ALREADY_EXISTS"
    assert list(state.datasets) == NAMES[:1]


def test_a_file_that_was_broken_off_is_resumed_by_a_later_process(
    client: Client, state: State, folder: Path
) -> None:
    first, *_ = plan_shards(folder, "train", REQUEST_ID)
    state.uploads[first.request_id] = bytearray(FILES["a.npz"][:CHUNK_BYTES])
    client.upload_dataset(folder, "train", request_id=REQUEST_ID)
    assert state.offsets == [CHUNK_BYTES, 0, 0]
    assert state.last_request.request_id == REQUEST_ID
    assert len({header.request_id for header in state.headers} | {REQUEST_ID}) == 4


def test_ids_fit_and_are_in_order(tmp_path: Path) -> None:
    for number in range(1001):
        (tmp_path / f"{number:04}.tar").touch()
    shards = list(plan_shards(tmp_path, "n" * 63, ""))
    assert shards[-1].dataset_id == "n" * 58 + "-1000"
    assert [shard.dataset_id for shard in shards] == sorted(s.dataset_id for s in shards)
    assert {shard.request_id for shard in shards} == {""}


def test_what_is_no_folder_of_shards_is_refused(client: Client, state: State, folder: Path) -> None:
    with pytest.raises(InvalidConfigError, match="expected a UUID"):
        client.upload_dataset(folder, "train", request_id="mine")
    with pytest.raises(InvalidConfigError) as caught:
        client.upload_dataset(folder, "train", validate_only=True)
    assert caught.value.reason == "VALIDATE_ONLY_OF_FOLDER"
    (folder / "readme.txt").touch()
    with pytest.raises(InvalidDatasetError) as refused:
        client.upload_dataset(folder, "train")
    assert refused.value.reason == "DATASET_BAD_FOLDER"
    assert state.datasets == {}
