from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from smidgen.client import Client, RemoteError
from smidgen.client.uploads import CHUNK_BYTES, LocalFile
from smidgen.errors import ArtifactError, InvalidDatasetError, InvalidModelError
from smidgen.v1 import dataset_service_pb2 as datasets_pb
from smidgen.v1 import model_service_pb2 as models_pb
from tests.python.client.canned_server import ARTIFACT, PIECE_BYTES, State
from tests.python.open_files import count_open_files

DATA = bytes(range(256)) * (CHUNK_BYTES // 64) + b"tail"  # four chunks and four bytes
FIRST_PIECES = 2 * PIECE_BYTES


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "digits.pt2"
    path.write_bytes(DATA)
    return path


def test_upload_sends_header_and_chunks(client: Client, state: State, model_file: Path) -> None:
    seen: list[tuple[int, int]] = []
    model = client.upload_model(
        model_file,
        "fresh",
        display_name="Fresh",
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert model.name == "models/fresh"
    assert model.sha256 == hashlib.sha256(DATA).hexdigest()
    (header,) = state.headers
    assert header.display_name == "Fresh"
    assert header.format == models_pb.MODEL_FORMAT_PT2
    assert header.total_bytes == len(DATA)
    assert len(header.request_id) == 36
    assert state.offsets == [0, CHUNK_BYTES, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES, 4 * CHUNK_BYTES]
    assert seen[0] == (CHUNK_BYTES, len(DATA))
    assert seen[-1] == (len(DATA), len(DATA))


def test_chunks_given_up_half_way_hold_no_file(model_file: Path) -> None:
    before = count_open_files()
    chunks = LocalFile.inspect(model_file).chunks(CHUNK_BYTES, lambda done, total: None)
    assert next(chunks).data == DATA[CHUNK_BYTES : 2 * CHUNK_BYTES]
    assert count_open_files() == before


def test_cut_upload_continues_where_it_stopped(
    client: Client, state: State, model_file: Path
) -> None:
    state.break_uploads_after = [2, 0, 1]
    model = client.upload_model(model_file, "fresh")
    assert model.sha256 == hashlib.sha256(DATA).hexdigest()
    assert state.offsets == [0, CHUNK_BYTES, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES, 4 * CHUNK_BYTES]
    assert len({header.request_id for header in state.headers}) == 1
    assert len(state.headers) == 4


def test_upload_of_an_earlier_process_is_resumed_by_its_request_id(
    client: Client, state: State, model_file: Path
) -> None:
    state.uploads["my-id"] = bytearray(DATA[:CHUNK_BYTES])
    client.upload_model(model_file, "fresh", request_id="my-id")
    assert state.offsets[0] == CHUNK_BYTES


def test_refused_upload_tells_why(client: Client, model_file: Path) -> None:
    with pytest.raises(RemoteError) as caught:
        client.upload_model(model_file, "digits")
    assert caught.value.code == "ALREADY_EXISTS"
    assert caught.value.reason == "MODEL_EXISTS"
    assert caught.value.metadata == {"name": "models/digits"}


def test_validated_upload_is_not_stored(client: Client, state: State, model_file: Path) -> None:
    client.upload_model(model_file, "fresh", validate_only=True)
    assert "models/fresh" not in state.models


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.pt2", models_pb.MODEL_FORMAT_PT2),
        ("a.onnx", models_pb.MODEL_FORMAT_ONNX),
        ("a.smidgen", models_pb.MODEL_FORMAT_ARTIFACT),
    ],
)
def test_extension_tells_the_model_format(
    client: Client, state: State, tmp_path: Path, name: str, expected: int
) -> None:
    (tmp_path / name).write_bytes(b"x")
    client.upload_model(tmp_path / name, "fresh")
    assert state.headers[0].format == expected


def test_content_tells_the_format_where_the_name_does_not(
    client: Client, state: State, tmp_path: Path
) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"PK\x03\x04 and so on")
    client.upload_model(path, "fresh")
    assert state.headers[0].format == models_pb.MODEL_FORMAT_PT2


def test_a_chosen_format_wins(client: Client, state: State, tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(b"x")
    client.upload_model(path, "fresh", file_format=models_pb.MODEL_FORMAT_ONNX)
    assert state.headers[0].format == models_pb.MODEL_FORMAT_ONNX


def test_unknown_extensions_are_refused(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"x")
    with pytest.raises(InvalidModelError, match=r"\.pt2 or \.onnx or \.smidgen"):
        client.upload_model(path, "fresh")
    with pytest.raises(InvalidDatasetError, match=r"\.npz or \.npy or \.safetensors"):
        client.upload_dataset(path, "fresh")
    chosen = datasets_pb.DATASET_FORMAT_NPZ
    assert client.upload_dataset(path, "fresh", file_format=chosen).format == chosen


def test_cut_dataset_upload_continues(client: Client, state: State, tmp_path: Path) -> None:
    path = tmp_path / "train.safetensors"
    path.write_bytes(DATA)
    state.break_uploads_after = [3]
    dataset = client.upload_dataset(path, "train")
    assert dataset.sha256 == hashlib.sha256(DATA).hexdigest()
    assert dataset.format == datasets_pb.DATASET_FORMAT_SAFETENSORS
    assert state.offsets[-1] == 4 * CHUNK_BYTES


def test_download_resumes_and_verifies(client: Client, state: State, tmp_path: Path) -> None:
    state.break_downloads_after = [2, 1]
    seen: list[int] = []
    path = tmp_path / "digits.smidgen"
    version = client.download_artifact(
        "digits", path, on_progress=lambda done, _total: seen.append(done)
    )
    assert path.read_bytes() == ARTIFACT
    assert version.name == "models/digits/versions/2"
    assert state.read_offsets == [0, FIRST_PIECES, FIRST_PIECES + PIECE_BYTES]
    assert seen == sorted(seen)
    assert seen[-1] == len(ARTIFACT)
    assert [entry.name for entry in tmp_path.iterdir()] == ["digits.smidgen"]


def test_download_goes_on_from_an_earlier_process(
    client: Client, state: State, tmp_path: Path
) -> None:
    digest = hashlib.sha256(ARTIFACT).hexdigest()
    (tmp_path / f".a.smidgen.{digest[:16]}.part").write_bytes(ARTIFACT[:1000])
    client.download_artifact("digits", tmp_path / "a.smidgen", version=2)
    assert (tmp_path / "a.smidgen").read_bytes() == ARTIFACT
    assert state.read_offsets == [1000]


def test_damaged_download_is_discarded(client: Client, state: State, tmp_path: Path) -> None:
    state.damage_artifact = True
    with pytest.raises(ArtifactError) as caught:
        client.download_artifact("digits", tmp_path / "a.smidgen")
    assert caught.value.reason == "ARTIFACT_DIGEST_MISMATCH"
    assert list(tmp_path.iterdir()) == []


def test_download_that_ends_early_is_an_error(client: Client, state: State, tmp_path: Path) -> None:
    state.versions["models/digits/versions/2"].size_bytes += 1
    with pytest.raises(ArtifactError) as caught:
        client.download_artifact("digits", tmp_path / "a.smidgen")
    assert caught.value.reason == "ARTIFACT_TRUNCATED"
    assert not (tmp_path / "a.smidgen").exists()
