"""Runs one target for a while: by atheris where it is installed, or by a loop of random recipes."""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fuzz.targets import Target

CORPUS = Path(__file__).resolve().parent.parent / "tests" / "data" / "fuzz" / "inputs"
FOUND = Path("build") / "fuzz"
_MOST_BYTES = 512
_MOST_MEGABYTES = 384


def main(arguments: Sequence[str]) -> int:
    """Fuzzes, or sorts the inputs that it found; returns 1 where a target raised."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("target", help="a name of the table fuzz.targets.TARGETS")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=("atheris", "loop"))
    parser.add_argument("--keep", action="store_true", help="keep what the last runs found")
    options = parser.parse_args(arguments)
    if options.keep:
        return _keep(options.target)
    engine = options.engine or ("atheris" if find_spec("atheris") else "loop")
    run = _run_atheris if engine == "atheris" else _run_loop
    return run(options.target, options.seconds, options.seed)


def _named(target: str) -> Target:
    # The table's module imports the readers, which atheris must see being imported.
    from fuzz.targets import TARGETS  # noqa: PLC0415

    if target not in TARGETS:
        raise SystemExit(f"no target is named {target!r}; there are {', '.join(TARGETS)}")
    (FOUND / target / "inputs").mkdir(parents=True, exist_ok=True)
    return TARGETS[target]


def _keep(target: str) -> int:
    from fuzz.keeping import keep  # noqa: PLC0415 - after atheris, where that runs

    count, reached = keep(_named(target), FOUND / target / "inputs", CORPUS / target)
    sys.stderr.write(f"{target}: kept {count} inputs that reach {reached} pairs of lines\n")
    return 0


def _run_atheris(target: str, seconds: int, seed: int) -> int:
    import atheris  # noqa: PLC0415 - only where it is wanted; it hooks into the imports that follow

    with atheris.instrument_imports(include=["smidgen"]):
        fuzz_target = _named(target)
    found = FOUND / target
    flags = [
        f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={_MOST_BYTES}", "-len_control=0",
        "-timeout=20",
        f"-rss_limit_mb={_MOST_MEGABYTES}", f"-artifact_prefix={found}/", "-print_final_stats=1",
    ]  # fmt: skip
    folders = [str(folder) for folder in (found / "inputs", CORPUS / target) if folder.is_dir()]
    atheris.Setup([sys.argv[0], *flags, *folders], fuzz_target)
    atheris.Fuzz()
    return 0


def _run_loop(target: str, seconds: int, seed: int) -> int:
    fuzz_target = _named(target)
    sys.stderr.write(f"{target}: no atheris here, so random recipes of seed {seed}\n")
    chance = random.Random(seed)
    kept = [path.read_bytes() for path in sorted((CORPUS / target).glob("*"))] or [b""]
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data = _mutated(chance, kept) if count >= len(kept) else kept[count]
        count += 1
        try:
            fuzz_target(data)
        except Exception:
            path = FOUND / target / f"failure-{count}"
            path.write_bytes(data)
            traceback.print_exc()
            sys.stderr.write(f"The input is kept in {path}.\n")
            return 1
    sys.stderr.write(f"{target}: {count} inputs, none of them wrong\n")
    return 0


def _mutated(chance: random.Random, kept: Sequence[bytes]) -> bytes:
    data = bytearray(chance.choice(kept) if chance.random() < 0.5 else b"")
    data[chance.randrange(len(data) + 1) :] = chance.randbytes(chance.randrange(1, 40))
    return bytes(data)


sys.exit(main(sys.argv[1:]))
