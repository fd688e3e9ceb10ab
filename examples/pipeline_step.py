"""One step of a pipeline, in a container: a model in, an artifact and its metrics out.

Kubeflow Pipelines, Argo and the like hand a step paths of its inputs and outputs, and look at its
exit code. Nothing else is needed: no server, no network.

    python examples/pipeline_step.py --model model.pt2
        --training training.npz --evaluation test.npz --max-drop 0.01
        --artifact out/model.smidgen --metrics out/metrics.json

Exit codes: 0 for a model that keeps its accuracy, 1 for one that does not, of which there are
metrics and no artifact, 2 for inputs that cannot be used.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import smidgen
from smidgen.config import ConversionConfig, GateConfig
from smidgen.errors import GateError, SmidgenError

KEPT, LOST, UNUSABLE = 0, 1, 2


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Returns the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help=".pt2 or .onnx")
    parser.add_argument("--training", type=Path, required=True, help="to calibrate with, .npz")
    parser.add_argument("--evaluation", type=Path, required=True, help="labelled, .npz")
    parser.add_argument("--max-drop", type=float, default=0.01, help="accuracy that may be lost")
    parser.add_argument("--artifact", type=Path, required=True, help="output")
    parser.add_argument("--metrics", type=Path, required=True, help="output, JSON")
    return parser.parse_args(arguments)


def write_metrics(path: Path, values: Mapping[str, float]) -> None:
    """Writes numbers in the form that Kubeflow Pipelines shows beside a run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metrics = [{"name": name, "numberValue": value} for name, value in values.items()]
    path.write_text(json.dumps({"metrics": metrics}, indent=2) + "\n")


def convert(options: argparse.Namespace) -> int:
    """Converts and writes both outputs; returns the exit code."""
    limit = ConversionConfig(gate=GateConfig(max_drop=options.max_drop))
    try:
        conversion = smidgen.quantize(
            options.model,
            smidgen.read_dataset(options.training),
            evaluation=smidgen.read_dataset(options.evaluation),
            conversion=limit,
        )
    except GateError as error:
        sys.stderr.write(f"{error}\n")
        write_metrics(options.metrics, {"is-accuracy-kept": 0})
        return LOST
    report = conversion.report
    options.artifact.parent.mkdir(parents=True, exist_ok=True)
    smidgen.save_artifact(conversion.program, options.artifact)
    measured = {
        "is-accuracy-kept": 1,
        "accuracy-float": report.float_accuracy or 0.0,
        "accuracy-int8": report.quantized_accuracy or 0.0,
        "bytes-float": report.float_bytes,
        "bytes-int8": options.artifact.stat().st_size,
    }
    write_metrics(options.metrics, measured)
    return KEPT


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    try:
        return convert(parse(arguments))
    except (SmidgenError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return UNUSABLE


if __name__ == "__main__":
    raise SystemExit(main())
