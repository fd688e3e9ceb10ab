"""`smidgen bench`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Group, RenderableType

from smidgen.cli.arrays import Arrays, read_samples
from smidgen.cli.connecting import connect
from smidgen.cli.exits import UsageError
from smidgen.cli.options import DEFAULT_TARGET, AsJson, Server, Version
from smidgen.cli.output import emit
from smidgen.cli.usage import refuse_file, refuse_given
from smidgen.cli.views import facts, listing
from smidgen.client import Client
from smidgen.client.tensors import decode_spec
from smidgen.tensor_spec import TensorSpec

Result = TypeVar("Result")

_WARM_UP_RUNS = 5


@dataclass(frozen=True, slots=True)
class Measurement:
    """Latencies at one batch size.

    Attributes:
        batch_size: Samples in a run.
        runs: Runs measured, after some that were not.
        median_ms: Half of the runs took at most this long, in milliseconds.
        p95_ms: 95 of 100 runs took at most this long, in milliseconds.
        samples_per_s: Samples a second at the median.
        compute_median_ms: Median of the computation alone, as the server reports it; None for local
            runs.
    """

    batch_size: int
    runs: int
    median_ms: float
    p95_ms: float
    samples_per_s: float
    compute_median_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What was measured, and on what.

    Attributes:
        model: The version, or the path of the artifact.
        isa: Instruction set of the kernels.
        measurements: One for each batch size.
        threads: Threads of the engine; None over gRPC, where the server decides.
    """

    model: str
    isa: str
    measurements: tuple[Measurement, ...]
    threads: int | None = None


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("bench")(bench)


def bench(
    context: typer.Context,
    model: Annotated[
        str, typer.Argument(help="Id of a model; with --local the path of a .smidgen file.")
    ],
    *,
    data: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Samples, .npz or .npy. Default: random."),
    ] = None,
    batch_size: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Samples in a run; repeatable. Default: 1 and 8."),
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="Runs to measure at each batch size.")] = 200,
    version: Version = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads, with --local.")] = 1,
    server: Server = DEFAULT_TARGET,
    as_json: AsJson = False,
    local: Annotated[
        bool, typer.Option("--local", help="Measure an artifact file here, without a server.")
    ] = False,
) -> None:
    """Measure the latency of a model: one run at a time, median and 95th percentile.

    Over gRPC the round trip is measured, with encoding and transfer; --local measures the engine
    alone.
    """
    if local:
        refuse_given(context, ["version"], "a file with --local is one version")
    else:
        refuse_file(model)
        refuse_given(context, ["threads"], "the server decides; see its --engine-threads")
    samples = read_samples(data) if data else None
    sizes = batch_size or [1, 8]
    if local:
        result = _bench_file(Path(model), samples, sizes, runs=runs, threads=threads)
    else:
        with connect(server) as client:
            result = _bench_server(client, model, version, samples, sizes, runs=runs)
    emit(asdict(result), _view(result), as_json=as_json)


def _bench_file(
    path: Path, samples: Arrays | None, sizes: Sequence[int], *, runs: int, threads: int
) -> Benchmark:
    from smidgen.cli.local_model import LocalModel  # noqa: PLC0415  (it loads the engine)

    loaded = LocalModel.load(path, threads)
    measurements = []
    for size in sizes:
        batch = _batch(loaded.inputs, samples, size)
        timed = _repeat(partial(loaded.run, batch), runs)
        measurements.append(_summary(size, [time_ms for time_ms, _ in timed]))
    return Benchmark(str(path), loaded.engine.isa, tuple(measurements), threads)


def _bench_server(
    client: Client,
    model: str,
    version: str | None,
    samples: Arrays | None,
    sizes: Sequence[int],
    *,
    runs: int,
) -> Benchmark:
    found = client.get_version(model, version)
    specs = [decode_spec(spec) for spec in found.inputs]
    measurements = []
    isa = ""
    for size in sizes:
        batch = _batch(specs, samples, size)
        inputs = batch.get("", batch)
        timed = _repeat(partial(client.infer, found.name, inputs), runs)
        isa = timed[-1][1].isa
        compute_ms = float(np.median([result.compute_time_s for _, result in timed])) * 1000
        measurements.append(_summary(size, [time_ms for time_ms, _ in timed], compute_ms))
    return Benchmark(found.name, isa, tuple(measurements))


def _repeat(run: Callable[[], Result], runs: int) -> list[tuple[float, Result]]:
    """Returns milliseconds and result of each run; the first few, to warm up, are not counted."""
    for _ in range(_WARM_UP_RUNS):
        run()
    return [_timed(run) for _ in range(runs)]


def _timed(run: Callable[[], Result]) -> tuple[float, Result]:
    start = time.perf_counter()
    result = run()
    return (time.perf_counter() - start) * 1000, result


def _summary(
    batch_size: int, times_ms: Sequence[float], compute_median_ms: float | None = None
) -> Measurement:
    median_ms, p95_ms = (float(value) for value in np.percentile(times_ms, (50, 95)))
    return Measurement(
        batch_size=batch_size,
        runs=len(times_ms),
        median_ms=median_ms,
        p95_ms=p95_ms,
        samples_per_s=batch_size / median_ms * 1000,
        compute_median_ms=compute_median_ms,
    )


def _batch(specs: Sequence[TensorSpec], samples: Arrays | None, size: int) -> Arrays:
    if samples is None:
        return {spec.name: _random_batch(spec, size) for spec in specs}
    # Samples are repeated until there are enough; what is in them does not change the time.
    return {name: np.resize(array, (size, *array.shape[1:])) for name, array in samples.items()}


def _random_batch(spec: TensorSpec, size: int) -> NDArray[Any]:
    if None in spec.shape[1:]:
        raise UsageError(
            f"Input {spec.name} has shape {spec.describe_shape()}, which does not tell how large a "
            "sample is; give samples with --data",
            reason="SHAPE_UNKNOWN",
            input=spec.name,
        )
    if spec.shape and spec.shape[0] not in (None, size):
        raise UsageError(
            f"Input {spec.name} has shape {spec.describe_shape()}, which does not take {size} "
            f"samples; use --batch-size {spec.shape[0]}",
            reason="BATCH_SIZE_FIXED",
            input=spec.name,
        )
    shape = (size, *(extent for extent in spec.shape[1:] if extent is not None))
    values = np.random.default_rng(0).normal(size=shape)
    return values.astype(spec.dtype)


def _view(result: Benchmark) -> RenderableType:
    is_local = result.threads is not None
    computation = () if is_local else ("Of it compute",)
    table = listing(
        ("Batch", "Runs", "Median", "95 %", "Samples/s", *computation),
        (
            (
                m.batch_size,
                m.runs,
                f"{m.median_ms:.3f} ms",
                f"{m.p95_ms:.3f} ms",
                f"{m.samples_per_s:.0f}",
                *(() if m.compute_median_ms is None else (f"{m.compute_median_ms:.3f} ms",)),
            )
            for m in result.measurements
        ),
    )
    head = facts(
        [("Model", result.model), ("Instruction set", result.isa), ("Threads", result.threads)]
    )
    return Group(head, table)
