"""Datasets of several files through a real socket: made, used by jobs, and kept."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from smidgen.client import Client
from smidgen.data.joined import joined_digest
from smidgen.v1 import dataset_service_pb2 as pb
from smidgen.v1 import job_service_pb2 as jobs_pb
from smidgen.v1 import optimization_service_pb2 as optimization_pb
from smidgen.v1 import preprocessing_pb2
from smidgen_service.maintenance.backup import back_up, restore
from smidgen_service.maintenance.fsck import check
from tests.python.data.image_files import encode, pictures, write_shard, write_zip
from tests.service.running_server import RunningServer, ending, sha256

INVALID, PRESENT = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.ALREADY_EXISTS
ABSENT = grpc.StatusCode.NOT_FOUND
SMALL = "models/small"
CUTS = (slice(0, 30), slice(30, 37), slice(37, None))
SHARDS = [f"datasets/part-{number}" for number in range(len(CUTS))]
TAR, ZIP = pb.DATASET_FORMAT_WEB_DATASET, pb.DATASET_FORMAT_IMAGE_ZIP
LONG = optimization_pb.QATConfig(epochs=40, fine_tune_epochs=0, batch_size=16)


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, images: np.ndarray, labels: np.ndarray
) -> Path:
    """Shards of the samples, and next to their folder one file with all of them."""
    folder = tmp_path_factory.mktemp("files") / "parts"
    folder.mkdir()
    np.savez(folder.parent / "whole.npz", inputs=images, labels=labels)
    for number, cut in enumerate(CUTS):
        np.savez(folder / f"{number}.npz", inputs=images[cut], labels=labels[cut])
    return folder


@pytest.fixture(scope="module", autouse=True)
def stored(server: RunningServer, folder: Path, model_file: bytes) -> pb.Dataset:
    server.upload_model("small", model_file)
    server.upload_dataset("whole", (folder.parent / "whole.npz").read_bytes())
    for number in range(len(CUTS)):
        server.upload_dataset(f"part-{number}", (folder / f"{number}.npz").read_bytes())
    return create(server, "joined", *SHARDS)


def create(server: RunningServer, dataset_id: str, *shards: str, **fields: Any) -> pb.Dataset:
    request = pb.CreateDatasetRequest(dataset_id=dataset_id, shards=shards, **fields)
    return server.datasets.CreateDataset(request)


def get(server: RunningServer, name: str) -> pb.Dataset:
    return server.datasets.GetDataset(pb.GetDatasetRequest(name=name))


def delete(server: RunningServer, name: str) -> None:
    server.datasets.DeleteDataset(pb.DeleteDatasetRequest(name=name))


@pytest.fixture(scope="module")
def calibration(server: RunningServer, stored: pb.Dataset) -> str:
    whole, joined = (
        server.calibrate(SMALL, dataset=f"datasets/{name}") for name in ("whole", "joined")
    )
    assert joined.ranges == whole.ranges
    assert (joined.sample_count, len(whole.ranges) > 0) == (whole.sample_count, True)
    return whole.name


def test_shards_add_up(
    server: RunningServer, stored: pb.Dataset, folder: Path, images: np.ndarray
) -> None:
    files = [(folder / f"{number}.npz").read_bytes() for number in range(len(CUTS))]
    assert stored == get(server, "datasets/joined")
    assert (stored.name, stored.format) == ("datasets/joined", pb.DATASET_FORMAT_NPZ)
    assert (stored.sample_count, stored.file_count) == (len(images), len(CUTS))
    assert stored.size_bytes == sum(map(len, files))
    assert stored.sha256 == joined_digest([sha256(data) for data in files])
    whole = get(server, "datasets/whole")
    assert stored.arrays == whole.arrays
    assert whole.file_count == 1
    listed = server.datasets.ListDatasets(pb.ListDatasetsRequest()).datasets
    assert stored in listed


def trained(server: RunningServer, job: str) -> str:
    """Returns the digest of a job's weights."""
    with closing(sqlite3.connect(server.data_dir / "smidgen.db")) as connection:
        query = "SELECT result_sha256 FROM jobs WHERE id = ?"
        digest: str = connection.execute(query, (job.removeprefix("jobs/"),)).fetchone()[0]
    assert len(digest) == 64
    return digest


def test_a_folder_is_sent_once(server: RunningServer, stored: pb.Dataset, folder: Path) -> None:
    with Client(server.target) as client:
        sent = client.upload_dataset(folder, "sent")
        assert (sent.sha256, sent.file_count) == (stored.sha256, len(CUTS))
        times = [client.get_dataset(f"sent-00{number}").create_time for number in range(len(CUTS))]
        client.delete_dataset("sent")
        assert client.upload_dataset(folder, "sent").sha256 == sent.sha256
        again = [client.get_dataset(f"sent-00{number}").create_time for number in range(len(CUTS))]
        assert again == times


def test_training_on_shards_gives_the_bytes_of_training_on_one_file(
    server: RunningServer, calibration: str, folder: Path
) -> None:
    """Interrupted, and without its shards as datasets, it goes on with the data it began with."""
    names = [f"datasets/gone-{number}" for number in range(len(CUTS))]
    for number, name in enumerate(names):
        data = (folder / f"{number}.npz").read_bytes()
        server.upload_dataset(name.removeprefix("datasets/"), data)
    create(server, "lasting", *names)
    whole, job = (
        server.train(SMALL, calibration, f"datasets/{name}", config=LONG).name
        for name in ("whole", "lasting")
    )
    expected = server.wait_for(whole)
    for event in server.jobs.WatchJob(jobs_pb.WatchJobRequest(name=job), timeout=120):
        if event.step >= 1:
            break
    server.jobs.CancelJob(jobs_pb.CancelJobRequest(name=job, save_checkpoint=True))
    stopped = server.wait_for(job)
    assert stopped.state == jobs_pb.JOB_STATE_INTERRUPTED
    assert 0 < stopped.progress < 1
    for name in names:
        delete(server, name)
    with pytest.raises(grpc.RpcError) as caught:
        delete(server, "datasets/lasting")
    assert ending(caught.value)[1] == "DATASET_IN_USE"
    server.jobs.ResumeJob(jobs_pb.ResumeJobRequest(name=job))
    ended = server.wait_for(job)
    assert ended.state == jobs_pb.JOB_STATE_SUCCEEDED, ended.error
    assert ended.train_qat == expected.train_qat
    assert trained(server, job) == trained(server, whole)
    delete(server, "datasets/lasting")


@pytest.fixture
def last_file(server: RunningServer, stored: pb.Dataset, folder: Path) -> Iterator[Path]:
    """The stored file of the last shard, which is whole again afterwards."""
    data = (folder / f"{len(CUTS) - 1}.npz").read_bytes()
    digest = sha256(data)
    path = server.data_dir / "blobs" / "sha256" / digest[:2] / digest[2:]
    path.chmod(0o644)
    yield path
    path.write_bytes(data)
    path.chmod(0o444)


def test_damage_that_a_check_meets_is_data_loss(
    server: RunningServer, calibration: str, last_file: Path
) -> None:
    last_file.write_bytes(last_file.read_bytes()[:-10])
    with pytest.raises(grpc.RpcError) as caught:
        server.train(SMALL, calibration, "datasets/joined")
    assert ending(caught.value) == (grpc.StatusCode.DATA_LOSS, "STORED_BYTES_DAMAGED")
    last_file.unlink()
    with pytest.raises(grpc.RpcError) as caught:
        server.train(SMALL, calibration, "datasets/joined")
    assert ending(caught.value) == (grpc.StatusCode.DATA_LOSS, "STORED_BYTES_MISSING")


def test_damage_that_only_a_digest_shows_fails_the_job(
    server: RunningServer, calibration: str, folder: Path, last_file: Path
) -> None:
    last_file.write_bytes((folder / "1.npz").read_bytes())
    job = server.train(SMALL, calibration, "datasets/joined").name
    ended = server.wait_for(job)
    assert ended.state == jobs_pb.JOB_STATE_FAILED
    assert ended.error.reason == "STORED_BYTES_DAMAGED"


def test_conversion_takes_shards_for_evaluation_and_samples(
    server: RunningServer, calibration: str
) -> None:
    config = optimization_pb.PostTrainingConfig(correct_bias=True)
    whole, joined = (
        server.convert(
            SMALL,
            calibration=calibration,
            post_training=config,
            calibration_dataset=f"datasets/{name}",
            evaluation_dataset=f"datasets/{name}",
        ).convert
        for name in ("whole", "joined")
    )
    # The bytes differ in the digest of the samples alone, which an artifact records.
    assert joined.size_bytes == whole.size_bytes > 0
    assert joined.report.quantized_accuracy == whole.report.quantized_accuracy > 0
    assert joined.report.parity == whole.report.parity


def test_files_stay_until_nothing_needs_them(server: RunningServer, tmp_path: Path) -> None:
    digests = []
    for number in range(2):
        np.savez(tmp_path / f"{number}.npz", inputs=np.full((2, 1, 8, 8), number, np.float32))
        data = (tmp_path / f"{number}.npz").read_bytes()
        server.upload_dataset(f"own-{number}", data)
        digests.append(sha256(data))
    create(server, "kept", "datasets/own-1", "datasets/own-0")
    create(server, "nested", "datasets/kept", "datasets/own-0")
    assert get(server, "datasets/nested").file_count == 3
    for name in ("own-0", "own-1", "kept"):
        delete(server, f"datasets/{name}")
        assert server.blobs() >= set(digests)
    delete(server, "datasets/nested")
    assert server.blobs().isdisjoint(digests)


def test_a_directory_with_shards_is_sound_and_restored(
    server: RunningServer, stored: pb.Dataset, tmp_path: Path
) -> None:
    report = check(server.data_dir)
    assert report.findings == ()
    back_up(server.data_dir, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "restored")
    restored = check(tmp_path / "restored")
    assert (restored.findings, restored.blob_count) == ((), report.blob_count)
    with closing(sqlite3.connect(tmp_path / "restored" / "smidgen.db")) as connection:
        query = "SELECT count(*) FROM dataset_files WHERE dataset_id = 'joined'"
        assert connection.execute(query).fetchone() == (len(CUTS),)


def test_creation_is_idempotent(server: RunningServer, stored: pb.Dataset) -> None:
    fields = {"request_id": str(uuid.uuid4())}
    first = create(server, "again", *SHARDS, **fields)
    assert create(server, "again", *SHARDS, **fields) == first
    with pytest.raises(grpc.RpcError) as caught:
        create(server, "again", *SHARDS[:2], **fields)
    assert ending(caught.value) == (INVALID, "REQUEST_ID_REUSED")
    with pytest.raises(grpc.RpcError) as caught:
        create(server, "again", *SHARDS)
    assert ending(caught.value) == (PRESENT, "DATASET_ALREADY_EXISTS")
    checked = create(server, "unstored", *SHARDS, validate_only=True)
    assert (checked.sha256, checked.sample_count) == (stored.sha256, stored.sample_count)
    with pytest.raises(grpc.RpcError) as caught:
        get(server, "datasets/unstored")
    assert caught.value.code() is ABSENT


def refusals() -> Iterator[Any]:
    yield "none", [], INVALID, "INVALID_SHARD_COUNT"
    yield "many", SHARDS[:1] * 2001, INVALID, "INVALID_SHARD_COUNT"
    yield "id", ["part-0"], INVALID, "INVALID_NAME"
    yield "absent", [SHARDS[0], "datasets/absent"], ABSENT, "DATASET_NOT_FOUND"
    yield "unlabelled", [SHARDS[0], "datasets/unlabelled"], INVALID, "DATASET_LABELS_INCOMPLETE"
    yield "large", [SHARDS[0], "datasets/large"], INVALID, "DATASET_SHAPE_MISMATCH"
    yield "format", [SHARDS[0], "datasets/cats"], INVALID, "DATASET_FORMATS_DIFFER"
    yield "classes", ["datasets/cats", "datasets/dogs"], INVALID, "DATASET_CLASSES_DIFFER"


@pytest.fixture(scope="module")
def others(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Datasets that go with none of the shards."""
    folder = tmp_path_factory.mktemp("others")
    inputs, labels = np.zeros((2, 1, 8, 8), np.float32), np.zeros(2, np.int64)
    np.savez(folder / "unlabelled.npz", inputs=inputs)
    np.savez(folder / "large.npz", inputs=np.zeros((2, 1, 9, 8), np.float32), labels=labels)
    for name in ("unlabelled", "large"):
        server.upload_dataset(name, (folder / f"{name}.npz").read_bytes())
    image = encode(pictures(1)[0])
    for name in ("cat", "dog"):
        path = write_zip(folder / f"{name}.zip", {f"{name}/0.png": image})
        server.upload_dataset(f"{name}s", path.read_bytes(), format=ZIP)


@pytest.mark.parametrize(
    ("shards", "code", "reason"),
    [pytest.param(*case, id=name) for name, *case in refusals()],
)
def test_what_does_not_go_together_is_refused(
    server: RunningServer, others: None, shards: list[str], code: grpc.StatusCode, reason: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        create(server, "refused", *shards)
    assert ending(caught.value) == (code, reason)
    with pytest.raises(grpc.RpcError) as caught:
        get(server, "datasets/refused")
    assert caught.value.code() is ABSENT


def test_shards_of_images_are_what_one_archive_is(
    server: RunningServer, other_model_file: bytes, tmp_path: Path
) -> None:
    server.upload_model("color", other_model_file)
    pixels = pictures(48, 11, 14)
    classes = np.random.default_rng(3).integers(0, 4, len(pixels))
    parts = {"all": slice(0, 48), "first": slice(0, 40), "last": slice(40, 48)}
    for name, part in parts.items():
        path = write_shard(tmp_path / f"{name}.tar", pixels[part], classes[part])
        server.upload_dataset(f"tar-{name}", path.read_bytes(), format=TAR)
    other = write_shard(tmp_path / "other.tar", pixels[:2], np.array([0, 4]))
    server.upload_dataset("tar-other", other.read_bytes(), format=TAR)
    create(server, "tars", "datasets/tar-first", "datasets/tar-last")
    create(server, "other-tars", "datasets/tar-first", "datasets/tar-other")
    preprocessing = preprocessing_pb2.Preprocessing(
        resize=preprocessing_pb2.ImageExtent(height=8, width=8), mean=[0.5], std=[0.25]
    )
    fields = {"preprocessing": preprocessing}
    whole, joined = (
        server.calibrate("models/color", dataset=f"datasets/{name}", **fields)
        for name in ("tar-all", "tars")
    )
    assert joined.ranges == whole.ranges
    assert joined.sample_count == len(pixels)
    with pytest.raises(grpc.RpcError) as caught:
        server.train("models/color", joined.name, "datasets/other-tars", **fields)
    assert ending(caught.value) == (INVALID, "LABELS_OUT_OF_RANGE")
