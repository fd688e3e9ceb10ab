"""Time and memory of reading a large model: `python -m benchmarks.importing`.

Each measurement is a process of its own that has read a small model before, so that what is loaded
once for all models does not count. Memory is what the process takes at most beyond that, in
anonymous pages and, apart from them, in pages of the mapped file, which the kernel may drop.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.environment import environment

LARGE, SMALL = "resnet50", "mobilenet_v2"
IMAGE = (3, 224, 224)
CONTESTANTS = ("smidgen", "torch.export.load")
_WATCH_SECONDS = 0.001


def main() -> None:
    """Runs all contestants in turns and prints a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.importing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where to keep the results")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        contestant, large, small = options.child
        print(json.dumps(_measure(contestant, Path(large), Path(small))))  # noqa: T201
        return
    with tempfile.TemporaryDirectory() as name:
        large, small = (_exported(Path(name), net) for net in (LARGE, SMALL))
        size = large.stat().st_size
        runs: dict[str, list[dict[str, float]]] = {contestant: [] for contestant in CONTESTANTS}
        for _ in range(options.rounds):
            for contestant, found in runs.items():
                found.append(_in_process(contestant, large, small))
    rows = {contestant: summarize(found, size) for contestant, found in runs.items()}
    Console().print(_table(rows, size))
    if options.json is not None:
        document = {**environment(), "net": LARGE, "file_bytes": size, "rows": rows}
        options.json.write_text(json.dumps(document, indent=1) + "\n")


def _exported(folder: Path, net_name: str) -> Path:
    import torch  # noqa: PLC0415  # children that measure import it when they are ready

    from benchmarks.nets import make_net  # noqa: PLC0415

    net = make_net(net_name, "random")
    example = torch.zeros((2, *IMAGE))
    shapes = ({0: torch.export.Dim("batch", min=1, max=64)},)
    path = folder / f"{net_name}.pt2"
    torch.export.save(torch.export.export(net, (example,), dynamic_shapes=shapes), path)
    return path


def _in_process(contestant: str, large: Path, small: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.importing", "--child", contestant]
    ended = subprocess.run(
        [*command, str(large), str(small)], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, float] = json.loads(ended.stdout)
    return found


def _measure(contestant: str, large: Path, small: Path) -> dict[str, float]:
    load = _loader(contestant)
    load(small)
    with memory_peaks() as peaks:
        began, began_cpu = time.perf_counter(), time.process_time()
        kept = load(large)
        seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    del kept
    return {"seconds": seconds, "cpu_seconds": cpu, **peaks.bytes}


def _loader(contestant: str) -> Callable[[Path], object]:
    import torch  # noqa: PLC0415

    torch.set_num_threads(1)
    if contestant == CONTESTANTS[0]:
        from smidgen.pipeline import load_model  # noqa: PLC0415

        return load_model
    warnings.simplefilter("ignore")
    return torch.export.load  # which runs what is in a file: this one was exported right here


class MemoryPeaks:
    """The most memory that this process took beyond what it had.

    Attributes:
        bytes: Of anonymous pages, and of mapped ones.
    """

    def __init__(self) -> None:
        self._before = _resident()
        self.bytes = dict.fromkeys(_KINDS.values(), 0.0)

    def take(self) -> None:
        """Looks at the memory now."""
        for kind, found in _resident().items():
            self.bytes[kind] = max(self.bytes[kind], found - self._before[kind])


@contextmanager
def memory_peaks() -> Iterator[MemoryPeaks]:
    """Watches memory during the block, about once a millisecond, and at its end."""
    peaks, is_over = MemoryPeaks(), threading.Event()

    def watch() -> None:
        while not is_over.wait(_WATCH_SECONDS):
            peaks.take()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peaks
        peaks.take()
    finally:
        is_over.set()
        watcher.join()


_KINDS = {"RssAnon": "anonymous", "RssFile": "mapped"}


def _resident() -> dict[str, float]:
    lines = Path("/proc/self/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return {name: 1024.0 * int(found[kind].split()[0]) for kind, name in _KINDS.items()}


def summarize(runs: list[dict[str, float]], size: int) -> dict[str, Any]:
    """Returns times, and the most memory as shares of the file's size."""
    seconds = [run["seconds"] for run in runs]
    return {
        "median_s": statistics.median(seconds),
        "minimum_s": min(seconds),
        "cpu_median_s": statistics.median(run["cpu_seconds"] for run in runs),
        "rounds": len(runs),
        **{f"{kind}_ratio": max(run[kind] for run in runs) / size for kind in _KINDS.values()},
    }


def _table(rows: dict[str, dict[str, Any]], size: int) -> Table:
    table = Table(title=f"Reading {LARGE}, {size / 1e6:.1f} MB")
    for column in ("", "median s", "minimum s", "CPU s", "anonymous", "mapped"):
        table.add_column(column)
    for name, row in rows.items():
        times = (f"{row[key]:.2f}" for key in ("median_s", "minimum_s", "cpu_median_s"))
        shares = (f"{row[f'{kind}_ratio']:.2f}x" for kind in _KINDS.values())
        table.add_row(name, *times, *shares)
    return table


if __name__ == "__main__":
    main()
