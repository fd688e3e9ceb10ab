"""What is computed on the event loop, and what is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from smidgen.engine import Engine
from smidgen_service.handlers.brief import BriefComputations
from smidgen_service.handlers.computation import Wanted
from smidgen_service.handlers.run_times import RunTimes
from smidgen_service.handlers.versions import Served
from tests.python.program.random_image_nets import RandomImageNet

NET = RandomImageNet(3)
PROGRAM = NET.program()


@pytest.mark.parametrize("count", [0, 5])
def test_sorting_out_the_greatest_values_is_never_brief(count: int) -> None:
    """Whoever asks for the classes of large outputs would hold up all others."""
    engine, run_times = Engine(PROGRAM), RunTimes()
    arrays = dict(NET.inputs)
    engine.run(arrays)
    shapes = tuple(np.shape(array) for array in arrays.values())
    for _ in range(3):
        run_times.record_held("digest", shapes, 1e-6)
    counted = SimpleNamespace(note_usual=lambda _seconds: None)
    brief = BriefComputations(cast(Any, None), cast(Any, counted), run_times, cast(Any, None))
    served = SimpleNamespace(
        record=SimpleNamespace(sha256="digest"),
        series=SimpleNamespace(executed=lambda *_counts: None),
    )
    names = tuple(PROGRAM.outputs)
    wanted = Wanted(names, {names[0]: count} if count else {}, 1 << 30)
    computed = brief.in_place(engine, cast(Served, served), arrays, wanted)
    assert (computed is None) is bool(count)
