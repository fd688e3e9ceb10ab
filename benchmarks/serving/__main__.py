"""`python -m benchmarks.serving`: the service beside a bare server and the engine, and in distress.

python -m benchmarks.serving --json out.json
python -m benchmarks.serving --parts floor overload --seconds 10 --weights random
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.environment import environment
from benchmarks.serving import attacks, floor, health, overload, scaling, throughput
from benchmarks.serving.attackers import ATTACKS
from benchmarks.serving.programs import IMAGE_NETS, NET


def main() -> None:
    """Measures, prints and writes the figures."""
    options = _options()
    found: dict[str, Any] = {**environment(), "load_average": os.getloadavg()[0]}
    for part in options.parts:
        with tempfile.TemporaryDirectory() as folder:
            found[part] = _PARTS[part](options, Path(folder))
        sys.stdout.write(f"{part} {json.dumps(found[part], indent=1)}\n")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


def _floor(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    rows = floor.measure_floor(
        folder, rounds=options.rounds, slices=options.slices, slice_s=options.slice_seconds
    )
    return {"most_ratio": floor.BAR, **{name: asdict(row) for name, row in rows.items()}}


def _throughput(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    measured = throughput.measure_throughput(
        folder,
        weights=options.weights,
        batch=options.batch,
        workers=options.workers,
        slices=options.slices,
        slice_s=options.slice_seconds,
    )
    return {"least_share": throughput.BAR, **asdict(measured)}


def _overload(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    measured = overload.measure_overload(
        folder,
        weights=options.weights,
        net=options.net,
        workers=options.workers,
        factor=options.factor,
        turns=options.slices,
        seconds=options.seconds,
    )
    bars = {
        "least_goodput_ratio": overload.GOODPUT_BAR,
        "most_latency_ratio": overload.LATENCY_BAR,
        "most_rejection_ms": overload.REJECTION_BAR_MS,
        "most_recovery_s": overload.RECOVERY_BAR_S,
    }
    return {"net": options.net, **bars, **asdict(measured)}


def _health(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    measured = health.measure_health(
        folder,
        weights=options.weights,
        workers=options.workers,
        rounds=options.slices,
        slice_s=options.slice_seconds,
    )
    return {"least_ratio": health.BAR, **asdict(measured)}


def _attacks(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    rows = attacks.measure_attacks(folder, seconds=options.attack_seconds, names=options.attacks)
    return {"most_p99_ms": attacks.BAR_MS, **{name: asdict(row) for name, row in rows.items()}}


def _scaling(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    rows = scaling.measure_scaling(
        folder, options.processes, slices=options.slices, slice_s=options.slice_seconds
    )
    return {name: asdict(row) for name, row in rows.items()}


_PARTS: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
    "floor": _floor,
    "throughput": _throughput,
    "scaling": _scaling,
    "overload": _overload,
    "health": _health,
    "attacks": _attacks,
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the service.")
    parser.add_argument("--parts", nargs="+", default=list(_PARTS), choices=list(_PARTS))
    parser.add_argument("--weights", default="pretrained", choices=("random", "pretrained"))
    parser.add_argument("--net", default=NET, choices=IMAGE_NETS, help="of the overload")
    parser.add_argument("--rounds", type=int, default=2000, help="calls of the floor")
    parser.add_argument("--slices", type=int, default=5, help="turns of each contestant")
    parser.add_argument("--slice-seconds", type=float, default=2.0)
    parser.add_argument("--batch", type=int, default=1, help="images of a request")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--processes", nargs="+", type=int, default=[1, 2], help="servers of the scaling"
    )
    parser.add_argument("--factor", type=float, default=3.0, help="of the capacity")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the overload")
    parser.add_argument("--attack-seconds", type=float, default=10.0, help="of each attack")
    parser.add_argument("--attacks", nargs="+", default=[], choices=list(ATTACKS))
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
