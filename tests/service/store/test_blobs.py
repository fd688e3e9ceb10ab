"""The directory of files by digest."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from smidgen_service.errors import DataLossError
from smidgen_service.store.blobs import BlobStore, file_sha256


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def put(blobs: BlobStore, tmp_path: Path, data: bytes) -> str:
    source = tmp_path / "source"
    source.write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    assert file_sha256(source) == sha256
    blobs.adopt(source, sha256)
    assert not source.exists()
    return sha256


def test_adopted_file_is_found_by_its_digest(blobs: BlobStore, tmp_path: Path) -> None:
    sha256 = put(blobs, tmp_path, b"content")
    path = blobs.verify(sha256)
    assert path.read_bytes() == b"content"
    assert path.stat().st_mode & 0o777 == 0o444
    assert path.parts[-3:] == ("sha256", sha256[:2], sha256[2:])
    assert put(blobs, tmp_path, b"content") == sha256
    assert blobs.digests() == {sha256}


def test_damaged_file_is_data_loss(blobs: BlobStore, tmp_path: Path) -> None:
    sha256 = put(blobs, tmp_path, b"content")
    path = blobs.path(sha256)
    path.chmod(0o644)
    path.write_bytes(b"Content")
    with pytest.raises(DataLossError) as caught:
        blobs.verify(sha256)
    assert caught.value.reason == "STORED_BYTES_DAMAGED"
    path.unlink()
    with pytest.raises(DataLossError) as caught:
        blobs.verify(sha256)
    assert caught.value.reason == "STORED_BYTES_MISSING"


def test_only_unneeded_files_are_collected(blobs: BlobStore, tmp_path: Path) -> None:
    referenced, pinned, unneeded = (put(blobs, tmp_path, data) for data in (b"a", b"b", b"c"))
    with blobs.pinned(pinned), blobs.pinned(pinned):
        digests = {referenced, pinned, unneeded}
        assert blobs.collect(digests, lambda sha256: sha256 == referenced) == 1
    assert blobs.digests() == {referenced, pinned}
    assert blobs.collect({pinned}, lambda _: False) == 1
    assert blobs.collect({pinned}, lambda _: False) == 1  # already gone is fine
    assert blobs.digests() == {referenced}
