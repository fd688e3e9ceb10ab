"""The table of operators agrees with the schemas of torch."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from smidgen.graph.arguments import Type
from smidgen.graph.operator_table import OPERATORS, PREFIX, find_operator

# Parameters that the table adds so that several operators share one meaning; no file has them.
ADDED = {
    "t.default": {"dims"},
    "numpy_T.default": {"dims"},
    "squeeze.default": {"dim"},
    "clamp_min.default": {"max"},
    "clamp_max.default": {"min"},
    "clamp_min_.default": {"max"},
    "clamp_max_.default": {"min"},
    "amax.default": {"dtype"},
    "_to_copy.default": {"copy"},
}


def _schema(name: str) -> torch._C.FunctionSchema:
    base, overload = name.split(".")
    return getattr(getattr(torch.ops.aten, base), overload)._schema


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_row_agrees_with_torch(name: str) -> None:
    operator = OPERATORS[name]
    schema = _schema(name)
    expected = {argument.name: argument for argument in schema.arguments}
    parameters = {parameter.name: parameter for parameter in operator.parameters}
    assert parameters.keys() - ADDED.get(name, set()) == expected.keys()
    for key, argument in expected.items():
        parameter = parameters[key]
        if parameter.type is Type.IGNORED:
            continue
        if argument.has_default_value():
            default = parameter.default
            pair = list(default) if isinstance(default, tuple) else default
            found = argument.default_value
            assert found in (pair, default) or [found, found] == pair, key
            assert not parameter.is_required
    assert schema.is_mutable == operator.is_in_place


def test_targets_are_found_by_their_full_name() -> None:
    operator = find_operator(PREFIX + "relu_.default")
    assert operator is not None
    assert operator.is_in_place
    for target in ("relu.default", "torch.ops.aten.relu", "torch.ops.prims.relu.default", ""):
        assert find_operator(target) is None


def test_reading_models_needs_no_torch() -> None:
    modules = "formats.pt2, smidgen.formats.dataset, smidgen.graph.printing, smidgen.graph.shapes"
    code = f"import sys, smidgen.{modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
