"""Serves the digits, sends clean and changed ones, and shows what the server finds of them.

`python -m examples.drift`
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

import smidgen
from examples.digits.data import Digits, load_split
from examples.digits.model import export, train
from examples.digits.server import RunningServer, serve
from smidgen.client import Client

FOLDER = Path("build/drift")
CALIBRATION_COUNT = 512
LEAST_SAMPLED = 200
MOST_ROUNDS = 20
FLAGS = ("--health-sample-rate", "1000", "--health-cpu-share", "1")  # all that it can
_PREFIX = "smidgen_quantization_"

Images = NDArray[np.float32]
CHANGES: Mapping[str, Callable[[Images], Images]] = {
    "clean": lambda images: images,
    "brighter": lambda images: images + np.float32(0.25),
    "contrast": lambda images: images * np.float32(1.5),
    "noise": lambda images: images + _noise(images),
}
"""By the name of the model that gets them: one version, under four names."""


def main() -> int:
    """Returns 0 if the server tells the changed digits from the clean ones, 1 otherwise."""
    console = Console()
    torch.manual_seed(0)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    digits = load_split()
    artifact = convert(console, digits)
    with serve(FOLDER / "data", *FLAGS) as server, Client(server.target) as client:
        client.wait_ready()
        for name, change in CHANGES.items():
            client.upload_model(artifact, name)
            send(client, server, name, change(digits.test_images))
        found = {name: metrics_of(server, name) for name in CHANGES}
    console.print(table(found))
    drifts = {name: found[name]["drift_ratio", "0:image"] for name in CHANGES}
    return (
        0 if all(drifts[name] > 0.1 > drifts["clean"] for name in drifts if name != "clean") else 1
    )


def convert(console: Console, digits: Digits) -> Path:
    """Trains the float model, and returns the artifact that is made of it."""
    console.print("training a float model on 1,297 scanned digits")
    export(train(digits, lambda _epoch, _loss: None), FOLDER / "digits.pt2")
    samples = digits.training_images[:CALIBRATION_COUNT]
    conversion = smidgen.quantize(FOLDER / "digits.pt2", calibration=samples)
    artifact = FOLDER / "digits.smidgen"
    smidgen.save_artifact(conversion.program, artifact)
    return artifact


def send(client: Client, server: RunningServer, model: str, images: Images) -> None:
    """Sends images one by one until enough of them were looked at."""
    for _ in range(MOST_ROUNDS):
        for image in images:
            client.infer(model, image[None])
        if metrics_of(server, model).get(("sampled_total", ""), 0) >= LEAST_SAMPLED:
            return


def metrics_of(server: RunningServer, model: str) -> dict[tuple[str, str], float]:
    """Returns what the server says of a model's quantization, by metric and layer."""
    return {
        (sample.name.removeprefix(_PREFIX), sample.labels.get("layer", "")): sample.value
        for family in text_string_to_metric_families(server.scrape())
        for sample in family.samples
        if sample.name.startswith(_PREFIX) and sample.labels["model"] == model
    }


def table(found: Mapping[str, Mapping[tuple[str, str], float]]) -> Table:
    """Returns drift and clipped share of each layer, and the share of answers that differ."""
    shown = Table(title="drift, and share of values clipped")
    shown.add_column("layer")
    for name in found:
        shown.add_column(name, justify="right")
    for layer in [layer for name, layer in found["clean"] if name == "drift_ratio"]:
        cells = [
            f"{numbers['drift_ratio', layer]:.3f} {numbers['clipped_ratio', layer]:3.0%}"
            for numbers in found.values()
        ]
        shown.add_row(layer, *cells)
    shown.add_row(
        "answers that differ", *(f"{_differing(numbers):.1%}" for numbers in found.values())
    )
    return shown


def _differing(numbers: Mapping[tuple[str, str], float]) -> float:
    return numbers["disagreement_total", ""] / numbers["compared_total", ""]


def _noise(images: Images) -> Images:
    return np.random.default_rng(0).normal(0, 0.1, images.shape).astype(np.float32)


if __name__ == "__main__":
    sys.exit(main())
