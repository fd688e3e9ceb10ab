"""Images through a real socket: uploaded, calibrated and trained on, and inferred from."""

from __future__ import annotations

import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from smidgen.client import Client
from smidgen.config import Extent, Preprocessing
from smidgen.data.preprocess import preprocess
from smidgen.v1 import dataset_service_pb2 as datasets_pb
from smidgen.v1 import inference_service_pb2 as inference_pb
from smidgen.v1 import optimization_service_pb2 as pb
from smidgen.v1 import preprocessing_pb2, tensor_pb2
from tests.python.data.image_files import encode, pictures, png, write_shard, write_tar, write_zip
from tests.service.running_server import RunningServer, ending, tensor

INVALID = grpc.StatusCode.INVALID_ARGUMENT
MODEL = "models/color"
IMAGES = pictures(48, 11, 14)
LABELS = np.random.default_rng(3).integers(0, 4, len(IMAGES))
MESSAGE = preprocessing_pb2.Preprocessing(
    resize=preprocessing_pb2.ImageExtent(height=8, width=8), mean=[0.5], std=[0.25]
)
PREPROCESSING = Preprocessing(resize=Extent(8, 8), mean=(0.5,), std=(0.25,))
AUGMENTATION = preprocessing_pb2.Augmentation(flip=True, least_area=0.5)
SHARD = datasets_pb.DATASET_FORMAT_WEB_DATASET
FOLDERS = datasets_pb.DATASET_FORMAT_IMAGE_ZIP


@pytest.fixture(scope="module", autouse=True)
def uploaded(
    server: RunningServer, other_model_file: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server.upload_model("color", other_model_file)
    path = tmp_path_factory.mktemp("images") / "shard.tar"
    shard = write_shard(path, IMAGES, LABELS).read_bytes()
    found = server.upload_dataset("shard", shard, format=SHARD)
    assert found.sample_count == len(IMAGES)
    assert [(a.name, list(a.shape)) for a in found.arrays] == [
        ("images", [-1, -1, -1, -1]),
        ("labels", [-1]),
    ]


@pytest.fixture(scope="module")
def calibration(server: RunningServer, uploaded: None) -> str:
    found = server.calibrate(MODEL, dataset="datasets/shard", preprocessing=MESSAGE)
    assert found.sample_count == len(IMAGES)
    return found.name


@pytest.fixture(scope="module")
def training(server: RunningServer, calibration: str) -> str:
    """A training on the shard."""
    job = server.train(
        MODEL, calibration, "datasets/shard", preprocessing=MESSAGE, augmentation=AUGMENTATION
    )
    server.wait_for(job.name)
    return job.name


@pytest.fixture(scope="module")
def version(server: RunningServer, training: str) -> str:
    """A version that was trained on the shard and records its preprocessing."""
    done = server.convert(MODEL, train_job=training, evaluation_dataset="datasets/shard")
    assert done.convert.report.float_accuracy >= 0
    return done.convert.model_version


def samples(images: np.ndarray) -> np.ndarray:
    return np.stack([preprocess(i, PREPROCESSING, Extent(8, 8), "it") for i in images])


def infer(server: RunningServer, version: str, **fields: Any) -> np.ndarray:
    answer = server.inference.Infer(inference_pb.InferRequest(name=version, **fields))
    return np.frombuffer(answer.outputs[0].data, np.float32).reshape(answer.outputs[0].shape)


def test_a_shard_calibrates_as_its_samples_do(server: RunningServer, calibration: str) -> None:
    streamed = server.calibrate(MODEL, samples(IMAGES))
    stored = server.optimization.GetCalibration(pb.GetCalibrationRequest(name=calibration))
    assert stored.ranges == streamed.ranges


def test_pixels_in_arrays_calibrate_as_a_shard_does(
    server: RunningServer, calibration: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "pixels.npz", inputs=IMAGES, labels=LABELS)
    server.upload_dataset("pixels", (tmp_path / "pixels.npz").read_bytes())
    found = server.calibrate(MODEL, dataset="datasets/pixels", preprocessing=MESSAGE)
    stored = server.optimization.GetCalibration(pb.GetCalibrationRequest(name=calibration))
    assert found.ranges == stored.ranges


def test_a_parquet_file_calibrates_as_a_shard_does(
    server: RunningServer, calibration: str, tmp_path: Path
) -> None:
    columns = {"image": [encode(image) for image in IMAGES], "label": LABELS}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with Client(f"127.0.0.1:{server.port}") as client:
        sent = client.upload_dataset(tmp_path / "a.parquet", "parquet")
    assert (sent.format, sent.sample_count) == (SHARD, len(IMAGES))
    found = server.calibrate(MODEL, dataset=sent.name, preprocessing=MESSAGE)
    stored = server.optimization.GetCalibration(pb.GetCalibrationRequest(name=calibration))
    assert found.ranges == stored.ranges


def test_images_and_pixels_give_what_tensors_give(server: RunningServer, version: str) -> None:
    expected = infer(server, version, inputs=[tensor(samples(IMAGES[:5]))])
    encoded = infer(server, version, images=[encode(image) for image in IMAGES[:5]])
    pixels = infer(server, version, pixels=tensor(IMAGES[:5]))
    assert expected.shape == (5, 4)
    np.testing.assert_array_equal(encoded, expected)
    np.testing.assert_array_equal(pixels, expected)


def test_the_decoder_goes_on_after_a_bad_image(server: RunningServer, version: str) -> None:
    good = [encode(IMAGES[0])]
    before = infer(server, version, images=good)
    for _ in range(3):
        with pytest.raises(grpc.RpcError) as caught:
            infer(server, version, images=[*good, b"GIF89a"])
        assert ending(caught.value) == (INVALID, "IMAGE_UNKNOWN_FORMAT")
    np.testing.assert_array_equal(infer(server, version, images=good), before)


def bad_images() -> Iterator[Any]:
    good = encode(IMAGES[0])
    pixels = IMAGES[:1]
    yield "bomb", {"images": [png(65535, 65535)]}, "IMAGE_TOO_LARGE"
    yield "damaged", {"images": [good[:-30]]}, "IMAGE_MALFORMED"
    yield "empty", {"images": [b""]}, "IMAGE_UNKNOWN_FORMAT"
    yield "too_many", {"images": [b"x"] * 2000}, "TOO_MANY_TENSORS"
    yield "both", {"images": [good], "pixels": tensor(pixels)}, "INPUTS_AND_IMAGES"
    yield "inputs", {"images": [good], "inputs": [tensor(pixels)]}, "INPUTS_AND_IMAGES"
    yield "floats", {"pixels": tensor(samples(pixels))}, "TENSOR_DTYPE_MISMATCH"
    yield "rank", {"pixels": tensor(pixels[0])}, "TENSOR_SHAPE_MISMATCH"
    yield "scalar", {"pixels": tensor(pixels, shape=[])}, "TENSOR_SHAPE_MISMATCH"
    yield "channels", {"pixels": tensor(pixels[..., :2].copy())}, "TENSOR_SHAPE_MISMATCH"
    yield "none", {"pixels": tensor(pixels[:0])}, "TENSOR_SHAPE_MISMATCH"
    yield "negative", {"pixels": tensor(pixels, shape=[-1, -11, 14, 3])}, "TENSOR_SHAPE_MISMATCH"
    yield "short", {"pixels": tensor(pixels, shape=[2, 11, 14, 3])}, "TENSOR_LENGTH_MISMATCH"
    yield "huge", {"pixels": tensor(pixels, shape=[2**62, 1, 1, 3])}, "INFERENCE_TOO_LARGE"
    unspecified = tensor(pixels, data_type=tensor_pb2.DATA_TYPE_UNSPECIFIED)
    yield "unspecified", {"pixels": unspecified}, "TENSOR_DTYPE_MISMATCH"
    many = np.zeros((100_000, 1, 1, 3), np.uint8)
    yield "many", {"pixels": tensor(many)}, "INFERENCE_TOO_LARGE"


@pytest.mark.parametrize(
    ("fields", "reason"), [pytest.param(*case, id=name) for name, *case in bad_images()]
)
def test_bad_images_are_refused(
    server: RunningServer, version: str, fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        infer(server, version, **fields)
    assert ending(caught.value) == (INVALID, reason)


def test_a_version_without_a_preprocessing_takes_no_images(
    server: RunningServer, calibration: str
) -> None:
    plain = server.convert(MODEL, calibration=calibration).convert.model_version
    with pytest.raises(grpc.RpcError) as caught:
        infer(server, plain, images=[encode(IMAGES[0])])
    assert ending(caught.value) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "PREPROCESSING_MISSING",
    )


def test_images_need_a_preprocessing(server: RunningServer, calibration: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.calibrate(MODEL, dataset="datasets/shard")
    assert ending(caught.value) == (INVALID, "PREPROCESSING_MISSING")
    for fields in ({}, {"augmentation": AUGMENTATION}):
        with pytest.raises(grpc.RpcError) as caught:
            server.train(MODEL, calibration, "datasets/shard", **fields)
        assert ending(caught.value) == (INVALID, "PREPROCESSING_MISSING")


def test_weights_are_made_ready_on_images(server: RunningServer, calibration: str) -> None:
    fields = {
        "post_training": pb.PostTrainingConfig(equalize=True, correct_bias=True),
        "calibration_dataset": "datasets/shard",
    }
    done = server.convert(MODEL, calibration=calibration, preprocessing=MESSAGE, **fields)
    assert done.convert.report.parity.max_difference == 0
    plain = server.convert(MODEL, calibration=calibration, preprocessing=MESSAGE)
    assert plain.convert.sha256 != done.convert.sha256
    assert infer(server, done.convert.model_version, images=[encode(IMAGES[0])]).shape == (1, 4)
    with pytest.raises(grpc.RpcError) as caught:
        server.convert(MODEL, calibration=calibration, **fields)
    assert ending(caught.value) == (INVALID, "PREPROCESSING_MISSING")


def test_labels_of_samples_for_weights_are_no_matter(
    server: RunningServer, calibration: str, tmp_path: Path
) -> None:
    path = write_shard(tmp_path / "a.tar", IMAGES[:3], np.array([0, 1000, 1]))
    server.upload_dataset("numbered", path.read_bytes(), format=SHARD)
    done = server.convert(
        MODEL,
        calibration=calibration,
        preprocessing=MESSAGE,
        post_training=pb.PostTrainingConfig(correct_bias=True),
        calibration_dataset="datasets/numbered",
    )
    assert done.convert.report.parity.max_difference == 0


def bad_preprocessings() -> Iterator[Any]:
    yield {"channels": 2}, "INVALID_CONFIG"
    yield {"std": [0.0]}, "INVALID_CONFIG"
    yield {"mean": [float("nan")]}, "INVALID_CONFIG"
    yield {"mean": [0.0] * 100}, "INVALID_CONFIG"
    yield {"shorter_side": -1}, "INVALID_CONFIG"
    yield {"resampling": 9}, "INVALID_CONFIG"
    yield {"input": "x" * 1000}, "INVALID_CONFIG"
    yield {"input": "other"}, "PREPROCESSING_MISMATCH"
    yield {"resize": preprocessing_pb2.ImageExtent(height=9, width=8)}, "PREPROCESSING_MISMATCH"
    yield {"resize": preprocessing_pb2.ImageExtent(height=1 << 30, width=8)}, "INVALID_CONFIG"


@pytest.mark.parametrize(("change", "reason"), list(bad_preprocessings()))
def test_bad_preprocessings_are_refused(
    server: RunningServer, calibration: str, change: dict[str, Any], reason: str
) -> None:
    changed = preprocessing_pb2.Preprocessing()
    changed.CopyFrom(MESSAGE)
    for name in change:
        changed.ClearField(name)  # type: ignore[arg-type]  # a name of the parameters above
    changed.MergeFrom(preprocessing_pb2.Preprocessing(**change))
    for call in (
        lambda: server.train(MODEL, calibration, "datasets/shard", preprocessing=changed),
        lambda: server.calibrate(MODEL, dataset="datasets/shard", preprocessing=changed),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call()
        assert ending(caught.value) == (INVALID, reason)


def test_trained_weights_get_the_values_that_they_know(
    server: RunningServer, training: str, version: str
) -> None:
    other = preprocessing_pb2.Preprocessing(resize=MESSAGE.resize, mean=[0.5], std=[0.003])
    with pytest.raises(grpc.RpcError) as caught:
        server.convert(MODEL, train_job=training, preprocessing=other)
    assert ending(caught.value) == (INVALID, "PREPROCESSING_GIVEN_TWICE")
    assert "std [0.003, 0.003, 0.003] for [0.25, 0.25, 0.25] of jobs/" in str(
        caught.value.details()
    )
    # Crops are another thing: they say which pixels are seen.
    cropped = preprocessing_pb2.Preprocessing(
        resize=preprocessing_pb2.ImageExtent(height=10, width=10),
        crop=MESSAGE.resize,
        mean=[0.5, 0.5, 0.5],
        std=MESSAGE.std,
    )
    done = server.convert(MODEL, train_job=training, preprocessing=cropped)
    plain = infer(server, version, pixels=tensor(IMAGES[:1]))
    assert not np.array_equal(
        infer(server, done.convert.model_version, pixels=tensor(IMAGES[:1])), plain
    )


def test_classes_that_the_model_lacks_are_refused_at_once(
    server: RunningServer, calibration: str, tmp_path: Path
) -> None:
    path = write_shard(tmp_path / "a.tar", IMAGES[:3], np.array([0, 4, 1]))
    server.upload_dataset("wide", path.read_bytes(), format=SHARD)
    with pytest.raises(grpc.RpcError) as caught:
        server.train(MODEL, calibration, "datasets/wide", preprocessing=MESSAGE)
    assert ending(caught.value) == (INVALID, "LABELS_OUT_OF_RANGE")


def bad_uploads(tmp_path: Path) -> Iterator[tuple[bytes, int, str]]:
    good = encode(IMAGES[0])
    bomb = write_tar(tmp_path / "b.tar", {"a.png": png(65535, 65535)}).read_bytes()
    yield bomb, SHARD, "IMAGE_TOO_LARGE"
    yield b"x" * 3000, SHARD, "TAR_BAD_HEADER"
    folders = write_zip(tmp_path / "a.zip", {"a/1.png": good, "a/x.exe": b"MZ"}).read_bytes()
    yield folders, FOLDERS, "DATASET_UNEXPECTED_FILE"
    yield folders, SHARD, "TAR_BAD_HEADER"
    nothing = write_zip(tmp_path / "n.zip", {"a/1.png": b""}).read_bytes()
    yield nothing, FOLDERS, "IMAGE_UNKNOWN_FORMAT"


def test_bad_archives_are_refused_when_they_are_uploaded(
    server: RunningServer, tmp_path: Path
) -> None:
    for data, kind, reason in bad_uploads(tmp_path):
        with pytest.raises(grpc.RpcError) as caught:
            server.upload_dataset("bad", data, format=kind, request_id=str(uuid.uuid4()))
        assert ending(caught.value) == (INVALID, reason)
    assert server.leftovers() == []


def test_folders_are_classes(server: RunningServer, tmp_path: Path, calibration: str) -> None:
    members = {f"{'abcd'[n % 4]}/{n:03}.png": encode(IMAGES[n]) for n in range(16)}
    path = write_zip(tmp_path / "a.zip", members, zipfile.ZIP_DEFLATED)
    found = server.upload_dataset("folders", path.read_bytes(), format=FOLDERS)
    assert found.sample_count == 16
    job = server.train(MODEL, calibration, "datasets/folders", preprocessing=MESSAGE)
    server.wait_for(job.name)
