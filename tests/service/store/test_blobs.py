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


def test_a_file_that_is_stored_again_stays_the_one_that_workers_may_read(
    blobs: BlobStore, tmp_path: Path
) -> None:
    sha256 = put(blobs, tmp_path, b"content")
    path = blobs.path(sha256)
    earlier = path.stat().st_ino
    put(blobs, tmp_path, b"content")
    assert path.stat().st_ino == earlier
    path.chmod(0o644)
    path.write_bytes(b"Content")
    with path.open("rb"):  # so that its number is not used again
        put(blobs, tmp_path, b"content")
        assert path.stat().st_ino != earlier
    assert blobs.verify(sha256).read_bytes() == b"content"


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


def test_several_files_are_pinned_at_once(blobs: BlobStore, tmp_path: Path) -> None:
    first, second = (put(blobs, tmp_path, data) for data in (b"a", b"b"))
    with blobs.pinned(first):
        with blobs.pinned(first, second, first):
            assert not blobs.delete(first)
            assert not blobs.delete(second)
        assert not blobs.delete(first)
        assert blobs.delete(second)
    assert blobs.delete(first)


def test_pinned_files_are_not_deleted(blobs: BlobStore, tmp_path: Path) -> None:
    kept, unneeded = (put(blobs, tmp_path, data) for data in (b"a", b"b"))
    with blobs.pinned(kept):
        with blobs.pinned(kept):
            assert blobs.is_pinned(kept)
            assert not blobs.is_pinned(unneeded)
            assert blobs.delete(unneeded)
            assert blobs.delete(unneeded)  # already gone is fine
        assert not blobs.delete(kept)
    assert blobs.digests() == {kept}
    assert blobs.delete(kept)
    assert blobs.digests() == set()


def test_one_process_deletes_while_none_keeps(tmp_path: Path) -> None:
    one, other = BlobStore(tmp_path), BlobStore(tmp_path)
    with one.deleting() as may_delete, other.deleting() as may_too:
        assert (may_delete, may_too) == (True, False)
    with one.kept(), other.kept(), one.deleting() as may_delete:
        assert not may_delete
    with one.deleting() as may_delete:
        assert may_delete
