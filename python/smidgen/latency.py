"""Times a float model and its integer program layer by layer on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import fx

from smidgen.cpus import cpu_name
from smidgen.engine import Engine
from smidgen.evaluation import Arrays
from smidgen.float_execution import input_tensors
from smidgen.measured import LatencyReport, LayerLatency
from smidgen.plan_description import PlannedStep
from smidgen.program import Dequantize, Program, Quantize
from smidgen.program_writer.writer import output_nodes
from smidgen.tensor_spec import TensorSpec

ROUNDS_SECONDS = 1.0
"""How long the runs of one measurement take together, if that is enough for FEWEST_ROUNDS."""
FEWEST_ROUNDS, MOST_ROUNDS = 3, 50


def measure_latency(
    graph: fx.GraphModule, program: Program, batch: Arrays, specs: Sequence[TensorSpec]
) -> LatencyReport:
    """Times whole runs in turns, then steps and layers. The least of several runs counts.

    Both run on one thread: threads that wait for each other on a busy machine would be timed too.

    Args:
        graph: The fused float graph in eval mode that the program was written from.
        program: The program.
        batch: One array for each input, of as many samples as a call shall have.
        specs: The model's inputs in order.
    """
    engine = Engine(program, threads=1)
    tensors = input_tensors(batch, specs)
    with torch.inference_mode(), _one_thread():
        rounds = _rounds(graph, tensors)
        engine.time_runs(batch, rounds=2)  # the first one tunes
        whole = [
            (_seconds(graph, tensors), float(engine.time_runs(batch, rounds=1)[0]))
            for _ in range(rounds)
        ]
        floats = _node_seconds(graph, tensors, rounds)
    steps = {
        name: float(np.min(seconds))
        for name, seconds in engine.time_steps(batch, rounds=rounds).items()
    }
    plan = engine.describe_plan({name: array.shape for name, array in batch.items()})
    layers = _layers(graph, plan.steps, steps, floats, step_owners(graph, program))
    quantized_us = sum(layer.quantized_us for layer in layers)
    return LatencyReport(
        quantized_us=1e6 * min(seconds for _, seconds in whole),
        float_us=1e6 * min(seconds for seconds, _ in whole),
        conversions_us=max(0.0, 1e6 * sum(steps.values()) - quantized_us),
        layers=layers,
        batch=len(batch[specs[0].name]),
        rounds=rounds,
        threads=engine.threads,
        isa=engine.isa,
        cpu=cpu_name(),
    )


def imported_name(node: fx.Node) -> str:
    """Returns the first node of the imported graph that a fused node stands for."""
    return str(node.meta.get("sources", (node.name,))[0])


def step_owners(graph: fx.GraphModule, program: Program) -> dict[str, str]:
    """Returns the node that each step of a program works for, by the tensor that the step writes.

    A node may take several steps, as a layer in float whose ReLU is a step of its own. Conversions
    between floats and integers work for no node.
    """
    (output,) = (node for node in graph.graph.nodes if node.op == "output")
    results = {
        name: node.name for name, node in zip(program.outputs, output_nodes(output), strict=True)
    }
    return {
        step.output: results.get(step.output) or step.output.partition(".")[0]
        for step in program.steps
        if not isinstance(step, Quantize | Dequantize)
    }


def _layers(
    graph: fx.GraphModule,
    plan: Sequence[PlannedStep],
    steps: Mapping[str, float],
    floats: Mapping[str, float],
    owners: Mapping[str, str],
) -> tuple[LayerLatency, ...]:
    """Puts the layers that one step of the engine does together, and the steps of one layer."""
    groups: list[tuple[list[str], float]] = []
    left = dict(steps)  # the time of an output that several steps write is their sum
    for step in plan:
        done = dict.fromkeys(owners.get(name, "") for name in (*step.absorbed, step.output))
        names = [name for name in done if name in floats]
        if not names:
            continue
        seconds = left.pop(step.output, 0.0)
        apart = [group for group in groups if not set(names) & set(group[0])]
        for earlier in (group for group in groups if group not in apart):
            names = list(dict.fromkeys([*earlier[0], *names]))
            seconds += earlier[1]
        groups = [*apart, (names, seconds)]
    seen = {name for names, _ in groups for name in names}
    groups += [([name], 0.0) for name in floats if name not in seen]
    nodes = {node.name: node for node in graph.graph.nodes}
    return tuple(
        _layer([nodes[name] for name in names], seconds, floats) for names, seconds in groups
    )


def _layer(done: Sequence[fx.Node], seconds: float, floats: Mapping[str, float]) -> LayerLatency:
    names = [imported_name(node) for node in done]
    return LayerLatency(
        node=names[0],
        quantized_us=1e6 * seconds,
        float_us=1e6 * sum(floats[node.name] for node in done),
        covers=tuple(names[1:]),
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _rounds(graph: fx.GraphModule, tensors: Sequence[torch.Tensor]) -> int:
    """Returns how many runs to measure. The first run, which allocates memory, is not counted."""
    graph(*tensors)
    seconds = _seconds(graph, tensors)
    return max(FEWEST_ROUNDS, min(MOST_ROUNDS, int(ROUNDS_SECONDS / max(seconds, 1e-9))))


def _seconds(graph: fx.GraphModule, tensors: Sequence[torch.Tensor]) -> float:
    start = time.perf_counter()
    graph(*tensors)
    return time.perf_counter() - start


def _node_seconds(
    graph: fx.GraphModule, tensors: Sequence[torch.Tensor], rounds: int
) -> dict[str, float]:
    """Returns the least time of every node that computes something, by name."""
    timer = _Timer(graph)
    for _ in range(rounds):
        timer.run(*tensors)
    return timer.seconds


class _Timer(fx.Interpreter):
    """Runs a graph and keeps the least time of each node's call, without the interpreter's own."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.seconds: dict[str, float] = {}
        self._node = ""

    def run_node(self, n: fx.Node) -> Any:
        """Runs one node and notes which it is."""
        self._node = n.name
        return super().run_node(n)

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Times a module."""
        module = self.fetch_attr(target)
        return self._timed(module, args, kwargs)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Times a function."""
        return self._timed(target, args, kwargs)

    def _timed(self, function: Any, args: Any, kwargs: Any) -> Any:
        start = time.perf_counter()
        value = function(*args, **kwargs)
        seconds = time.perf_counter() - start
        self.seconds[self._node] = min(seconds, self.seconds.get(self._node, seconds))
        return value
