"""Memory does not grow with the number of images."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.python.data.image_files import encode, pictures

_READ = """
import sys
from pathlib import Path
from smidgen.config import Extent, Preprocessing
from smidgen.data.opening import open_dataset, source_of
from smidgen.data.source import source_batches
from smidgen.tensor_spec import TensorSpec

preprocessing = Preprocessing(resize=Extent(8, 8))
dataset = open_dataset(Path(sys.argv[1]), preprocessing=preprocessing)
source = source_of(dataset, [TensorSpec("x", "float32", (None, 3, 8, 8))])
count = sum(len(rows.inputs["x"]) for rows in source_batches(source, 64))
assert count == source.sample_count == int(sys.argv[2])
status = Path("/proc/self/status").read_text()
print(status.partition("VmHWM:")[2].split()[0])
"""


def peak_kilobytes(tmp_path: Path, count: int) -> int:
    """Returns the most memory that a process takes, shared pages included, which reads a shard."""
    path, image = tmp_path / f"{count}.tar", encode(pictures(1)[0])
    block = tarfile.TarInfo("0.png")
    block.size = len(image)
    with path.open("wb") as file:
        for number in range(count):
            block.name = f"{number:07}.png"
            file.write(block.tobuf() + image + bytes(-len(image) % 512))
        file.write(bytes(1024))
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(path), str(count)],
        check=True,
        capture_output=True,
        text=True,
    )
    return int(done.stdout)


@pytest.mark.slow
def test_a_hundred_times_the_images_take_the_same_memory(tmp_path: Path) -> None:
    few, many = peak_kilobytes(tmp_path, 200), peak_kilobytes(tmp_path, 20_000)
    assert many <= 1.05 * few
