"""Which engines can be made, and at which level they run."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from smidgen.engine import Engine, available_isas
from smidgen.errors import EngineError, ProgramError
from smidgen.program import (
    Quantize,
)
from tests.python.program.nets import Net
from tests.python.program.small_network import small_network


def test_portable_is_the_first_level() -> None:
    assert available_isas()[0] == "portable"


def test_unverified_programs_are_refused() -> None:
    net = Net(0)
    x, q = net.tensor(4, 2, scale=None), net.tensor(4, 2)
    net.steps += [Quantize(x, q), Quantize(x, q)]
    with pytest.raises(ProgramError):
        Engine(net.program((x,), (q,)))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"isa": "sse9"}, "ISA_UNKNOWN"),
        ({"threads": 0}, "THREADS_OUT_OF_RANGE"),
        ({"threads": 1000}, "THREADS_OUT_OF_RANGE"),
    ],
)
def test_impossible_engines_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(EngineError) as caught:
        Engine(small_network(), **options)
    assert caught.value.reason == reason


def test_levels_that_the_cpu_lacks_are_refused_by_name() -> None:
    for isa in {"avx2", "avxvnni", "avx512vnni", "amx"} - set(available_isas()):
        with pytest.raises(EngineError, match=isa) as caught:
            Engine(small_network(), isa=isa)
        assert caught.value.reason == "ISA_UNAVAILABLE"


def test_the_environment_caps_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMIDGEN_ISA", "portable")
    assert Engine(small_network()).isa == "portable"
    assert Engine(small_network(), isa=available_isas()[-1]).isa == available_isas()[-1]
    monkeypatch.setenv("SMIDGEN_ISA", "nonsense")
    with pytest.raises(EngineError, match="nonsense"):
        Engine(small_network())
    monkeypatch.delenv("SMIDGEN_ISA")
    assert Engine(small_network(), threads=3).isa == available_isas()[-1]


def test_the_engine_does_not_import_torch() -> None:
    code = "import sys, smidgen.engine; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
