"""Runs the journey and shows what it brought: `python -m examples.digits`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.interleaved import measure
from examples.digits import journey
from examples.digits.data import Digits, load_split
from examples.digits.model import EPOCHS, DigitNet, export, predict, train
from examples.digits.server import RunningServer, serve
from smidgen.artifact import load_artifact
from smidgen.client import Client
from smidgen.engine import Engine

FOLDER = Path("build/demo")
LARGEST_LOSS = 0.005  # accuracy that int8 after training may lose
SHOWN_METRICS = (
    "smidgen_inference_requests_total{",
    "smidgen_inference_stage_seconds_sum{",
    "smidgen_jobs{",
    "smidgen_train_steps_total",
    "smidgen_train_loss",
    "smidgen_artifact_bytes",
    "smidgen_kernel_info",
)


def main() -> int:
    """Returns 0 if everything worked and int8 kept its accuracy, 1 otherwise."""
    console = Console()
    torch.manual_seed(0)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    digits = load_split()
    model = train_float(console, digits)
    float_accuracy = float((predict(model, digits.test_images) == digits.test_labels).mean())
    with serve(FOLDER / "data") as server, Client(server.target) as client:
        client.wait_ready()
        console.print(f"serving at {server.target}, metrics at {server.metrics_url}")
        outcome = journey.run(client, console, digits, FOLDER)
        latencies = measure_latencies(client, digits, model)
        show_metrics(console, server)
    console.print(summary(outcome, float_accuracy, latencies))
    lost = float_accuracy - outcome.qat.accuracy
    if lost > LARGEST_LOSS:
        console.print(f"[red]int8 lost {lost:.1%}, at most {LARGEST_LOSS:.1%} are allowed")
        return 1
    return 0


def train_float(console: Console, digits: Digits) -> DigitNet:
    """Trains the float model and writes model and datasets for the upload."""
    console.print("training a float model on 1,297 scanned digits")
    with Progress(console=console) as progress:
        bar = progress.add_task("float training", total=EPOCHS)
        model = train(digits, lambda epoch, _loss: progress.update(bar, completed=epoch))
    export(model, FOLDER / "digits.pt2")
    digits.save_training(FOLDER / "training.npz")
    digits.save_test(FOLDER / "test.npz")
    return model


def measure_latencies(client: Client, digits: Digits, model: DigitNet) -> dict[str, float]:
    """Returns median milliseconds at batch 1: PyTorch and engine on one thread, and over gRPC."""
    torch.set_num_threads(1)
    program = load_artifact(FOLDER / "digits.smidgen")
    engine = Engine(program, threads=1)
    image = digits.test_images[:1]
    (name,) = program.inputs
    tensor = torch.from_numpy(image)
    with torch.inference_mode():
        latencies = measure(
            lambda: model(tensor),
            lambda: engine.run({name: image}),
            lambda: client.infer(journey.MODEL, image),
        )
    medians = [latency.median_ms for latency in latencies]
    return dict(zip(("float", "int8", "served"), medians, strict=True))


def summary(outcome: journey.Outcome, float_accuracy: float, latencies: dict[str, float]) -> Table:
    """Returns the table of accuracies, sizes and latencies."""
    table = Table(title="digits, 500 test images")
    for heading in ("model", "accuracy", "bytes", "of float", "latency, batch 1"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    table.add_row(
        "float32, PyTorch",
        f"{float_accuracy:.1%}",
        f"{outcome.float_bytes:,}",
        "1.00",
        f"{latencies['float']:.3f} ms",
    )
    rows = {"int8, post-training": outcome.post_training, "int8, after QAT": outcome.qat}
    for title, converted in rows.items():
        is_measured = converted is outcome.qat
        table.add_row(
            title,
            f"{converted.accuracy:.1%}",
            f"{converted.artifact_bytes:,}",
            f"{converted.artifact_bytes / outcome.float_bytes:.2f}",
            f"{latencies['int8']:.3f} ms" if is_measured else "",
        )
    table.caption = (
        f"one thread; instruction set {outcome.qat.isa}; "
        f"over gRPC {latencies['served']:.3f} ms a request"
    )
    return table


def show_metrics(console: Console, server: RunningServer) -> None:
    """Prints the metrics that tell of the journey, without those that are zero."""
    console.print("\nfrom /metrics:")
    for line in server.scrape().splitlines():
        if line.startswith(SHOWN_METRICS) and not line.endswith(" 0.0"):
            console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
