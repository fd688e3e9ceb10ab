"""Harmless re-creations of the public attacks on .pt2 files: nothing in a file is ever run.

Each file holds code that would create a file, the canary, at one of the places where
torch.export.load runs or trusts what a file says.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from smidgen.errors import InvalidModelError, UnsupportedOperatorError
from smidgen.formats.pt2 import Pt2Reason as R
from smidgen.formats.pt2 import read_pt2
from smidgen.formats.strict_json import JsonReason
from tests.python.formats.corpus.pt2_models import (
    Change,
    argument,
    entry,
    expression,
    good_file,
    graph,
    module,
    node,
    program,
    tree,
    weight,
)
from tests.python.formats.pt2_files import CONSTANTS, WEIGHTS, Edit

ACCEPTED = "accepted"
UNSUPPORTED = "UNSUPPORTED_OPERATOR"


class _Command:
    """A pickle that runs a shell command when it is loaded."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (self.command,))


@dataclass(frozen=True)
class Payload:
    """Code that creates the canary.

    Attributes:
        pickled: As a pickle.
        code: As a Python expression.
        command: As a shell command.
    """

    pickled: bytes
    code: str
    command: str

    @classmethod
    def for_canary(cls, canary: Path) -> Payload:
        command = f"touch {canary}"
        code = f"__import__('os').system({command!r})"
        return cls(pickle.dumps(_Command(command)), code, command)


def _rename_value(old: str, new: str) -> Change:
    """Renames a value of the graph wherever it occurs."""

    def apply(document: Any) -> None:
        text = json.dumps(document["graph_module"])
        document["graph_module"] = json.loads(text.replace(json.dumps(old), json.dumps(new)))

    return program(apply)


def _library(payload: Payload) -> bytes:
    """Returns what begins as a shared library does; a real one would be run when it is loaded."""
    return b"\x7fELF\x02\x01\x01" + payload.command.encode()


def _tree_of(kind: str, context: str) -> str:
    leaf = {"type": None, "context": None, "children_spec": []}
    return json.dumps([1, {"type": kind, "context": context, "children_spec": [leaf]}])


def _amplified(count: int) -> Edit:
    """Adds values that nothing defines, of which the published file has 90,000."""

    def edit(document: Any) -> None:
        values = document["tensor_values"]
        values.update({f"ghost_{index}": values["x"] for index in range(count)})

    return edit


Make = Callable[[Payload], Change]

ATTACKS: dict[str, tuple[Make, str]] = {
    "pickled weight file": (
        lambda p: entry("data/weights/model.pt", p.pickled),
        R.PICKLE_FORBIDDEN,
    ),
    "pickled constant file": (
        lambda p: entry("data/constants/model.pt", p.pickled),
        R.PICKLE_FORBIDDEN,
    ),
    "weight stored as pickle": (
        lambda p: (
            lambda file: weight(lambda row: row.update(use_pickle=True))(
                entry("data/weights/weight_0", p.pickled)(file)
            )
        ),
        R.PICKLE_FORBIDDEN,
    ),
    "weight that is a pickle": (
        lambda p: entry("data/weights/weight_0", p.pickled),
        R.WEIGHT_OUT_OF_BOUNDS,
    ),
    "custom object": (
        lambda p: entry("data/constants/custom_obj_0", p.pickled),
        R.PICKLE_FORBIDDEN,
    ),
    "opaque object": (
        lambda p: entry("data/constants/opaque_obj_0", p.pickled),
        R.PICKLE_FORBIDDEN,
    ),
    "legacy archive of pickles": (
        lambda p: entry("serialized_state_dict.pt", p.pickled),
        R.LEGACY_FORMAT,
    ),
    "pickled sample inputs": (lambda p: entry("data/sample_inputs/model.pt", p.pickled), ACCEPTED),
    "pickle beside the model": (lambda p: entry("extra/note", p.pickled), ACCEPTED),
    "pickle for an identifier": (lambda p: entry(".data/serialization_id", p.pickled), ACCEPTED),
    "pickle for a program": (lambda p: entry("models/model.json", p.pickled), "JSON_MALFORMED"),
    "pickle for a weight table": (lambda p: entry(WEIGHTS, p.pickled), "JSON_MALFORMED"),
    "pickle for a constant table": (lambda p: entry(CONSTANTS, p.pickled), "JSON_MALFORMED"),
    "sympy expression": (lambda p: expression(p.code), R.SYMBOLIC_EXPR_UNSUPPORTED),
    "sympy expression inside a known one": (
        lambda p: expression(f"Add(Integer(1), {p.code})"),
        R.SYMBOLIC_EXPR_UNSUPPORTED,
    ),
    "hint of an expression": (
        lambda p: graph(
            lambda g: g["tensor_values"]["x"]["sizes"][0]["as_expr"].update(
                hint={"as_string": p.code}
            )
        ),
        R.BAD_SCHEMA,
    ),
    "symbol of a range": (
        lambda p: program(
            lambda d: d["range_constraints"].update({p.code: {"min_val": 1, "max_val": 2}})
        ),
        ACCEPTED,
    ),
    "guards": (lambda p: program(lambda d: d.update(guards_code=[p.code] * 3)), ACCEPTED),
    "name of a node": (
        lambda p: node("relu.default", lambda n: n.update(name=f"a):\n    {p.code}\n    #")),
        ACCEPTED,
    ),
    "name of a value": (lambda p: _rename_value("relu", f"a; {p.code}; b"), R.BAD_NAME),
    "name of an input": (lambda p: _rename_value("x", f"x={p.code}"), R.BAD_NAME),
    "name of a weight": (lambda p: _rename_value("p_conv_weight", f"w={p.code}"), R.BAD_NAME),
    "argument of forward": (
        lambda p: module(
            lambda m: m["module_call_graph"][0]["signature"].update(
                forward_arg_names=[f"x={p.code}"]
            )
        ),
        ACCEPTED,
    ),
    "target in torch.os": (
        lambda p: node("relu.default", lambda n: n.update(target="torch.os.system")),
        UNSUPPORTED,
    ),
    "target in the operator module": (
        lambda p: node("relu.default", lambda n: n.update(target="_operator.methodcaller")),
        UNSUPPORTED,
    ),
    "target that is code": (
        lambda p: node("relu.default", lambda n: n.update(target=p.code[:500])),
        UNSUPPORTED,
    ),
    "operator as an argument": (
        lambda p: argument("relu.default", "self", {"as_operator": "torch.os.system"}),
        R.UNSUPPORTED_ARGUMENT,
    ),
    "registered extension": (
        lambda p: node("relu.default", lambda n: n.update(target=f"#os:{p.command}"[:500])),
        UNSUPPORTED,
    ),
    "tree of a defaultdict": (
        lambda p: tree(
            _tree_of(
                "collections.defaultdict",
                json.dumps({"default_factory_module": "os", "default_factory_name": p.command}),
            )
        ),
        R.BAD_TREE,
    ),
    "tree with an enum": (
        lambda p: tree(
            _tree_of(
                "builtins.dict",
                json.dumps([{"__enum__": True, "fqn": "os.system", "name": p.command}]),
            )
        ),
        R.BAD_TREE,
    ),
    "tree of a class": (lambda p: tree(_tree_of("os.system", p.command)), R.BAD_TREE),
    "tree that is code": (lambda p: tree(p.code), "JSON_MALFORMED"),
    "metadata with stacks": (
        lambda p: node(
            "relu.default",
            lambda n: n["metadata"].update(
                source_fn_stack=p.code, from_node=p.code, custom=p.code, nn_module_stack=p.code
            ),
        ),
        ACCEPTED,
    ),
    "compiled library": (
        lambda p: entry("data/aotinductor/model/model.so", _library(p)),
        R.COMPILED_CODE,
    ),
    "compiled kernel": (
        lambda p: entry("data/aotinductor/model/kernel.cubin", _library(p)),
        R.COMPILED_CODE,
    ),
    "executorch program": (
        lambda p: entry("data/executorch/model.pte", _library(p)),
        R.COMPILED_CODE,
    ),
    "payload of no bytes": (
        lambda p: entry("data/weights/weight_0", b""),
        R.WEIGHT_OUT_OF_BOUNDS,
    ),
    "path as payload": (
        lambda p: weight(lambda row: row.update(path_name=f"../../../{p.command}")),
        R.BAD_WEIGHT,
    ),
    "unused values": (lambda p: graph(_amplified(10_000)), R.UNUSED_VALUE),
    "more unused values": (lambda p: graph(_amplified(30_000)), JsonReason.TOO_LARGE),
}


def _outcome(path: Path) -> str:
    try:
        read_pt2(path)
    except (InvalidModelError, UnsupportedOperatorError) as refusal:
        return refusal.reason
    return ACCEPTED


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_creates_no_canary(name: str, tmp_path: Path) -> None:
    make, expected = ATTACKS[name]
    canary = tmp_path / "canary"
    path = make(Payload.for_canary(canary))(good_file()).write(tmp_path / "m.pt2")
    assert _outcome(path) == expected
    assert not canary.exists()


def test_the_payloads_are_live(tmp_path: Path) -> None:
    for form in ("pickle.load(sys.stdin.buffer)", "eval(sys.stdin.read())"):
        canary = tmp_path / "canary"
        payload = Payload.for_canary(canary)
        data = payload.pickled if "pickle" in form else payload.code.encode()
        script = f"import pickle, sys; {form}"
        subprocess.run([sys.executable, "-I", "-c", script], input=data, check=True, timeout=60)
        assert canary.exists()
        canary.unlink()


def test_expressions_are_live_in_sympy(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    script = "import sympy, sys; sympy.sympify(sys.stdin.read())"
    code = Payload.for_canary(canary).code.encode()
    subprocess.run(
        [sys.executable, "-c", script], input=code, check=False, timeout=120, capture_output=True
    )
    assert canary.exists()
