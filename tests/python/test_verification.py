"""The comparison of engine and reference, and what it counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from smidgen import verification
from smidgen.engine import Engine, available_isas
from smidgen.errors import EngineError
from smidgen.program import Program, interpret
from smidgen.verification import check_parity, differing_bytes, random_samples
from tests.python.program.small_programs import every_step_program


def test_bytes_that_differ_are_counted() -> None:
    x = np.array([1.0, 2.0, np.nan, 0.0], np.float32)
    other = x.copy()
    assert differing_bytes(x, other) == 0  # a NaN equals itself, byte by byte
    other[3] = -0.0
    assert differing_bytes(x, other) == 1
    other[0] = np.float32(-1.5)
    assert differing_bytes(x, other) == 3
    assert differing_bytes(x, x.reshape(2, 2)) == 16
    assert differing_bytes(x, x.astype(np.float64)) == 32


@pytest.mark.parametrize("threads", [1, 2, None])
def test_every_byte_at_every_level_counts(threads: int | None) -> None:
    program = every_step_program()
    samples = random_samples(program, 3)
    values = interpret(program, samples)
    written = sum(values[step.output].nbytes for step in program.steps)
    outputs = sum(values[name].nbytes for name in program.outputs)
    certificate = check_parity(program, samples, threads=threads)
    assert certificate.isas == available_isas()
    assert certificate.sample_count == 3
    assert certificate.differing_bytes == 0
    assert certificate.compared_bytes == len(available_isas()) * written + outputs


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("threads", [1, 2])
def test_one_bit_at_one_level_is_found(
    isa: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = every_step_program()

    class Damaged(Engine):
        def run_all(self, *args: Any, **options: Any) -> dict[str, NDArray[Any]]:
            found = super().run_all(*args, **options)
            if self.isa == isa:
                last = program.steps[-1].output
                found[last] = np.array(found[last])
                found[last].view(np.uint8)[..., -1] ^= 1
            return found

    monkeypatch.setattr(verification, "Engine", Damaged)
    with pytest.raises(EngineError, match=rf"on {isa} differs .*, 3 of \d+ bytes") as caught:
        check_parity(program, random_samples(program, 3), threads=threads)
    assert caught.value.reason == "PARITY_FAILED"
    assert caught.value.metadata["isa"] == isa


def test_fused_plan_that_serves_is_compared_too(monkeypatch: pytest.MonkeyPatch) -> None:
    program: Program = every_step_program()

    class Damaged(Engine):
        def run(self, *args: Any, **options: Any) -> dict[str, NDArray[Any]]:
            return {name: value + 1 for name, value in super().run(*args, **options).items()}

    monkeypatch.setattr(verification, "Engine", Damaged)
    with pytest.raises(EngineError) as caught:
        check_parity(program, random_samples(program, 2))
    assert caught.value.metadata["isa"] == Engine(program).isa
