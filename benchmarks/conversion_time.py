"""How long Convert of a trained net takes, and torchao's convert_pt2e of the same net.

Ours makes the program, proves it on every instruction set of the machine and encodes the artifact;
torchao's rewrites the graph. Each measurement is a process of its own, as Convert is a worker of
its own in the service, and the contestants take turns. What comes before is not measured: import,
export and one step of quantization-aware training.

    python -m benchmarks.conversion_time --rounds 5 --json out.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.environment import environment
from benchmarks.nets import NETS, Arrays, make_net
from smidgen.pipeline import TrainedModel, calibrate, convert, load_model
from smidgen.qat.prepare import prepare_qat
from smidgen.qat.trained import TrainingSummary
from smidgen_service.jobs.process import worker_environment

SAMPLES = 4
LEARNING_RATE = 1e-4


def main() -> None:
    """Measures, prints a table and writes the figures."""
    options = _options()
    if options.contestant:
        measured = _CONTESTANTS[options.contestant](options.net, options.threads)
        sys.stdout.write(f"{json.dumps(measured)}\n")
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in options.contestants}
    for _ in range(options.rounds):
        for name, runs in found.items():
            runs.append(_measure_in_process(name, options.net, options.threads))
    rows = {name: _summary(runs) for name, runs in found.items()}
    for name, row in rows.items():
        sys.stdout.write(
            f"{name:8} wall {row['median_s']:6.2f} s median, {row['minimum_s']:6.2f} s minimum; "
            f"CPU {row['cpu_median_s']:6.2f} s median, {row['cpu_minimum_s']:6.2f} s minimum\n"
        )
    if options.json:
        packages = {name: version(name) for name in ("smidgen", "torch", "torchao")}
        document = {
            **environment(),
            "net": options.net,
            "threads": options.threads,
            "rows": rows,
            "versions": packages,
        }
        options.json.write_text(json.dumps(document, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time the conversion of a trained net.")
    parser.add_argument("--net", default="resnet18", choices=sorted(NETS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--contestants", nargs="+", default=list(_CONTESTANTS), choices=list(_CONTESTANTS)
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--contestant", choices=list(_CONTESTANTS), help=argparse.SUPPRESS)
    return parser.parse_args()


def _measure_in_process(contestant: str, net: str, threads: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.conversion_time", "--contestant", contestant]
    finished = subprocess.run(
        [*command, "--net", net, "--threads", str(threads)],
        env={**os.environ, **worker_environment(threads=threads, isa=None)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    measured: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    return measured


def _smidgen(net: str, threads: int) -> dict[str, float]:
    torch.set_num_threads(threads)
    samples = NETS[net].samples(SAMPLES)
    example = tuple(torch.from_numpy(values) for values in samples.values())
    batch = torch.export.Dim("batch", max=64)
    dynamic = tuple({0: batch} for _ in example)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.pt2"
        exported = torch.export.export(_net(net), example, dynamic_shapes=dynamic)
        torch.export.save(exported, path)
        model = load_model(path)
    profile = calibrate(model, [samples])
    prepared = prepare_qat(model.graph, profile.ranges)
    _train_one_step(prepared.train(), samples)
    state = {name: value.clone() for name, value in prepared.state_dict().items()}
    summary = TrainingSummary(None, None, 0.0, 0.0, 1, 1)
    trained = TrainedModel(model.exported.sha256, profile, summary, state)
    return _timed(lambda: convert(model, profile, trained))


def _torchao(net: str, threads: int) -> dict[str, float]:
    from torchao.quantization.pt2e import (  # noqa: PLC0415 - slow to import
        move_exported_model_to_eval,
        move_exported_model_to_train,
    )
    from torchao.quantization.pt2e.quantize_pt2e import (  # noqa: PLC0415
        convert_pt2e,
        prepare_qat_pt2e,
    )
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer  # noqa: PLC0415

    torch.set_num_threads(threads)
    samples = NETS[net].samples(SAMPLES)
    example = tuple(torch.from_numpy(values) for values in samples.values())
    quantizer = x86_inductor_quantizer.X86InductorQuantizer()
    config = x86_inductor_quantizer.get_default_x86_inductor_quantization_config(is_qat=True)
    quantizer.set_global(config)
    exported = torch.export.export(_net(net).train(), example).module()
    prepared = prepare_qat_pt2e(exported, quantizer)
    move_exported_model_to_train(prepared)
    _train_one_step(prepared, samples)
    move_exported_model_to_eval(prepared)
    return _timed(lambda: convert_pt2e(prepared))


def _net(name: str) -> nn.Module:
    net = make_net(name, "random")
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1  # torch.export cannot train what averages over all batches
    return net


def _train_one_step(net: nn.Module, samples: Arrays) -> None:
    outputs = net(*(torch.from_numpy(values) for values in samples.values()))
    first = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
    optimizer = torch.optim.SGD(net.parameters(), LEARNING_RATE)
    first.square().mean().backward()
    optimizer.step()


def _timed(run: Callable[[], Any]) -> dict[str, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run()
    return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def _summary(runs: list[dict[str, float]]) -> Mapping[str, float]:
    wall, cpu = ([run[name] for run in runs] for name in ("wall_s", "cpu_s"))
    return {
        "median_s": statistics.median(wall),
        "minimum_s": min(wall),
        "cpu_median_s": statistics.median(cpu),
        "cpu_minimum_s": min(cpu),
        "rounds": len(runs),
    }


_CONTESTANTS: Mapping[str, Callable[[str, int], dict[str, float]]] = {
    "smidgen": _smidgen,
    "torchao": _torchao,
}


if __name__ == "__main__":
    main()
