"""The image `full`, as confined as `infer`, calibrates, converts, trains and serves."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.built_image import (
    Image,
    assert_is_confined,
    bill_of,
    built,
    data_folder,
    files_of,
    record,
    size_of,
    start,
)
from tests.deploy.manifests import ROOT
from tools.images.machine import lacks

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(lacks() is not None, reason=f"no images here: {lacks()}"),
]

# Torch with CUDA takes several gigabytes more.
MOST_BYTES = 1_500_000_000
# Run on this machine, in the network of the container.
TRAIN = """
import sys
from pathlib import Path
import numpy as np
from sklearn.datasets import load_digits
from smidgen.client import Client
from smidgen.config import QATConfig

path = Path(sys.argv[1])
pixels, digits = load_digits(return_X_y=True)
images = (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8)
np.savez(path, inputs=images[:256], labels=digits[:256])
with Client("127.0.0.1:8001") as client:
    client.upload_dataset(path, "digits")
    calibration = client.calibrate("quickstart", [images[:64]])
    config = QATConfig(epochs=1, fine_tune_epochs=0)
    job = client.train_qat(
        "quickstart", calibration=calibration.name, dataset="digits", config=config
    )
    client.wait_job(job.name)
    converted = client.convert("quickstart", train_job=job.name, wait_s=60)
    client.wait_job(converted.name)
    answer = client.infer("quickstart", images[256:512])
    print(answer.model_version, (answer["output"].argmax(axis=1) == digits[256:512]).mean())
"""


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    with built("full") as image:
        yield image


def test_it_makes_versions_confined_and_serves_them(image: Image, tmp_path: Path) -> None:
    container = start(image, tmp_path, data_folder(tmp_path), "smidgen-image-full")
    try:
        container.wait_for("server_started")
        done = container.run_beside(sys.executable, str(ROOT / "examples" / "quickstart.py"))
        assert done.returncode == 0, done.stderr + container.log
        in_float, in_int8 = (
            float(line.split()[-3].removesuffix("%")) for line in done.stdout.splitlines()
        )
        assert in_float > 90
        assert in_int8 >= in_float - 1

        digits = str(tmp_path / "digits.npz")
        done = container.run_beside(sys.executable, "-c", TRAIN, digits)
        assert done.returncode == 0, done.stderr + container.log
        version, accuracy = done.stdout.split()
        assert version == "models/quickstart/versions/2"
        assert float(accuracy) > 0.9

        assert_is_confined(container)
        assert container.stop() == 0, container.log
    finally:
        container.remove()


def test_its_size_is_that_of_torch_without_cuda(image: Image) -> None:
    size = size_of(files_of(image))
    record(image, size_bytes=size)
    assert size < MOST_BYTES
    assert not list(image.root.glob("opt/smidgen/bin/pip*"))
    assert not (image.root / "opt" / "build").exists()
    assert not (image.root / "etc" / "pip.conf").exists()


def test_its_bill_of_materials_has_the_torch_of_the_lock_file(image: Image) -> None:
    versions = {
        component["name"]: component["version"] for component in bill_of(image)["components"]
    }
    locked = dict(
        line.split("==")
        for line in (ROOT / "requirements.lock").read_text().split()
        if "==" in line
    )
    assert versions["torch"].partition("+")[0] == locked["torch"]
    assert versions["onnx"] == locked["onnx"]
    assert not [name for name in versions if name.startswith("nvidia-")]
