"""A net of one's own: trained in PyTorch, and served in int8 by a server that runs.

smidgen serve &
python examples/quickstart.py
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import nn

from smidgen.client import Client

EPOCHS, BATCH, TRAINING = 12, 64, 1297
Images = NDArray[np.float32]
Labels = NDArray[np.int64]


class Net(nn.Sequential):
    """Images [N, 1, 8, 8] in, logits [N, 10] out."""

    def __init__(self) -> None:
        super().__init__(
            *(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.Conv2d(16, 32, 3, stride=2, bias=False), nn.BatchNorm2d(32), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(32 * 3 * 3, 10)),
        )


def train(model: nn.Module, images: Images, labels: Labels) -> nn.Module:
    """Trains in float, as one always has; nothing here knows of quantization."""
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images)).split(BATCH):
            logits = model(torch.from_numpy(images)[rows])
            loss = nn.functional.cross_entropy(logits, torch.from_numpy(labels)[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def export(model: nn.Module, example: Images, path: Path) -> None:
    """Writes the model; the batch is dynamic, so that a request may have any number of images."""
    batch = {0: torch.export.Dim("batch")}
    exported = torch.export.export(model, (torch.from_numpy(example),), dynamic_shapes=(batch,))
    torch.export.save(exported, path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains, uploads, calibrates, converts and asks; returns 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", default="127.0.0.1:8001", help="host:port")
    server = parser.parse_args(arguments).server

    torch.manual_seed(0)
    pixels, digits = load_digits(return_X_y=True)
    images = (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    labels = digits.astype(np.int64)
    test_images, test_labels = images[TRAINING:], labels[TRAINING:]
    model = train(Net(), images[:TRAINING], labels[:TRAINING])

    with tempfile.TemporaryDirectory() as folder, Client(server) as client:
        path = Path(folder) / "quickstart.pt2"
        export(model, images[:2], path)
        client.upload_model(path, "quickstart")
        calibration = client.calibrate("quickstart", [images[:256]])
        job = client.convert("quickstart", calibration=calibration.name, wait_s=60)
        client.wait_job(job.name)
        answers = client.infer("quickstart", test_images)["output"]

    with torch.inference_mode():
        in_float = model(torch.from_numpy(test_images)).numpy()
    for title, logits in (("float32", in_float), ("int8, served", answers)):
        print(f"{title}: {(logits.argmax(axis=1) == test_labels).mean():.1%} of {len(logits)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
