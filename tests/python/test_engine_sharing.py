"""Engines of several processes that have their packed weights in common."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smidgen.artifact import save_artifact
from smidgen.engine import Engine, available_isas
from tests.python.test_engine_memory import CHANNELS, wide_net

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs Linux's memfd")
NAME = "smidgen-test-engines"
PROGRAM = wide_net()
PIXELS = {"x": np.random.default_rng(0).integers(0, 256, (1, CHANNELS, 8, 8)).astype(np.uint8)}

SHARE = """
import sys
from smidgen.artifact import load_artifact
from smidgen.engine import Engine

print(Engine(load_artifact(sys.argv[1])).share_weights(int(sys.argv[2])))
"""


@pytest.fixture
def file() -> Iterator[int]:
    descriptor = os.memfd_create(NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    yield descriptor
    os.close(descriptor)


def mappings() -> int:
    """Returns how often files in memory are mapped by this process."""
    return sum(NAME in line for line in Path("/proc/self/maps").read_text().splitlines())


@pytest.mark.parametrize("isa", available_isas())
def test_engines_that_share_compute_what_they_computed(file: int, isa: str) -> None:
    engines = [Engine(PROGRAM, isa=isa, tune=False) for _ in range(2)]
    expected = engines[0].run(PIXELS)
    bytes_before = engines[0].memory_bytes
    for count, engine in enumerate(engines, 1):
        assert engine.share_weights(file) == "shared"
        assert mappings() == count
        np.testing.assert_equal(engine.run(PIXELS), expected)
    weights = sum(value.nbytes for value in PROGRAM.constants.values())
    assert weights <= engines[0].shareable_bytes == os.fstat(file).st_size
    assert engines[0].memory_bytes == bytes_before
    del engines, engine
    assert mappings() == 0


@pytest.mark.parametrize("isa", available_isas())
def test_runs_go_on_while_weights_are_shared(file: int, isa: str) -> None:
    expected = Engine(PROGRAM, isa=isa, tune=False).run(PIXELS)
    for _ in range(10):
        engine = Engine(PROGRAM, isa=isa, threads=2, tune=False)
        begun, is_shared = threading.Event(), threading.Event()

        def run(
            engine: Engine = engine,
            begun: threading.Event = begun,
            is_shared: threading.Event = is_shared,
        ) -> int:
            count = 0
            while not (is_shared.is_set() and count > 2):
                np.testing.assert_equal(engine.run(PIXELS), expected)
                count += 1
                begun.set()
            return count

        with ThreadPoolExecutor() as threads:
            runs = threads.submit(run)
            assert begun.wait(60)
            assert engine.share_weights(file) == "shared"
            is_shared.set()
            assert runs.result() > 2


def test_weights_outlive_the_process_that_packed_them(file: int, tmp_path: Path) -> None:
    save_artifact(PROGRAM, tmp_path / "net.smidgen")
    other = subprocess.run(
        [sys.executable, "-c", SHARE, str(tmp_path / "net.smidgen"), str(file)],
        pass_fds=(file,),
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout == "shared\n"
    engine = Engine(PROGRAM)
    expected = engine.run(PIXELS)
    assert engine.share_weights(file) == "shared"
    np.testing.assert_equal(engine.run(PIXELS), expected)


def test_other_weights_stay_what_they_are(file: int) -> None:
    constants = {**PROGRAM.constants, "t5.bias": np.full(CHANNELS, 1000, np.int32)}
    other = Engine(replace(PROGRAM, constants=constants))
    expected = other.run(PIXELS)
    assert Engine(PROGRAM).share_weights(file) == "shared"
    assert other.share_weights(file) == "unequal"
    assert mappings() == 0
    np.testing.assert_equal(other.run(PIXELS), expected)


def test_what_is_no_file_in_memory_is_not_used() -> None:
    engine = Engine(PROGRAM)
    expected = engine.run(PIXELS)
    with tempfile.TemporaryFile() as on_disk:
        on_disk.write(b"text")
        on_disk.flush()
        assert engine.share_weights(on_disk.fileno()) == "impossible"
        on_disk.seek(0)
        assert on_disk.read() == b"text"
    assert engine.share_weights(-1) == "impossible"
    np.testing.assert_equal(engine.run(PIXELS), expected)
