"""Peak memory of calibration over the number of samples: `python -m benchmarks.calibration_memory`.

Each measurement is a process of its own: it calibrates a small net on images of 12 KiB and reports
the most memory that it ever had resident, pages of mapped files included.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

IMAGE = (3, 32, 32)
BATCH = 64
SAMPLES = (100, 100_000)


class Source(StrEnum):
    """Where the samples are: in batches that come one by one, or in a file."""

    STREAM = "stream"
    NPZ = "npz"
    SAFETENSORS = "safetensors"


def write_model(path: Path) -> None:
    """Exports the net."""
    import torch  # noqa: PLC0415  # the parent process measures nothing and needs no torch
    from torch import nn  # noqa: PLC0415

    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 8 * 8, 10),
    ).eval()
    example = torch.zeros((2, *IMAGE))
    shapes = ({0: torch.export.Dim("batch")},)
    torch.export.save(torch.export.export(net, (example,), dynamic_shapes=shapes), path)


def batches(count: int) -> Iterator[NDArray[np.float32]]:
    """Yields images in batches, always the same ones."""
    rng = np.random.default_rng(0)
    for start in range(0, count, BATCH):
        shape = (min(BATCH, count - start), *IMAGE)
        yield rng.standard_normal(shape, np.float32)


def write_dataset(path: Path, count: int) -> None:
    """Writes a data set batch by batch; its extension says the format."""
    raw = path.with_suffix(".npy")
    array = np.lib.format.open_memmap(raw, "w+", np.dtype("<f4"), (count, *IMAGE))
    for number, batch in enumerate(batches(count)):
        array[number * BATCH : number * BATCH + len(batch)] = batch
    array.flush()
    if path.suffix == ".npz":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            archive.write(raw, "inputs.npy")
    else:
        from safetensors.numpy import save_file  # noqa: PLC0415

        save_file({"inputs": array}, path)
    raw.unlink()


def peak_bytes(source: Source, count: int, folder: Path) -> int:
    """Calibrates in another process and returns its peak of resident memory."""
    model = folder / "net.pt2"
    if not model.exists():
        write_model(model)
    dataset = folder / f"{count}.{source}"
    if source is not Source.STREAM and not dataset.exists():
        write_dataset(dataset, count)
    arguments = [source, str(count), str(model), str(dataset)]
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.calibration_memory", "--child", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(ended.stdout)


def calibrate(source: Source, count: int, model_path: Path, dataset_path: Path) -> None:
    """Calibrates once and prints the peak of this process in bytes."""
    import torch  # noqa: PLC0415

    from smidgen.formats.dataset import read_dataset  # noqa: PLC0415
    from smidgen.pipeline import Calibrator, load_model  # noqa: PLC0415

    torch.set_num_threads(1)
    model = load_model(model_path)
    inputs = model.exported.inputs
    calibrator = Calibrator(model)
    if source is Source.STREAM:
        for batch in batches(count):
            calibrator.observe({inputs[0].name: batch})
    else:
        for rows in read_dataset(dataset_path).batches(inputs, BATCH):
            calibrator.observe(rows)
    profile = calibrator.finish()
    assert profile.sample_count == count
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    print(1024 * int(peak.split()[1]))  # noqa: T201


def main() -> None:
    """Prints a row for each source."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, nargs=2, default=SAMPLES)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        source, count, model, dataset = arguments.child
        calibrate(Source(source), int(count), Path(model), Path(dataset))
        return
    few, many = arguments.samples
    table = Table("source", f"{few:,} samples", f"{many:,} samples", "ratio")
    with tempfile.TemporaryDirectory() as folder:
        for source in Source:
            less, more = (peak_bytes(source, count, Path(folder)) for count in (few, many))
            table.add_row(
                source, f"{less / 1e6:.1f} MB", f"{more / 1e6:.1f} MB", f"{more / less:.3f}"
            )
    Console().print(table)


if __name__ == "__main__":
    main()
