"""Everything that is not supported in a model, told at once."""

from __future__ import annotations

import pytest

from smidgen.errors import UnsupportedOperatorError
from smidgen.formats.unsupported import UnsupportedOperators


def _message(found: UnsupportedOperators) -> str:
    with pytest.raises(UnsupportedOperatorError) as caught:
        found.raise_if_any()
    assert caught.value.reason == "UNSUPPORTED_OPERATOR"
    return caught.value.message


def test_nothing_is_told_where_nothing_was_found() -> None:
    found = UnsupportedOperators(90)
    found.raise_if_any()
    assert not found


def test_every_node_is_named_by_operator_module_and_line_and_the_page_once() -> None:
    found = UnsupportedOperators(90)
    for index in range(40):
        found.add("torch.ops.aten.erfinv.default", f"n{index}", "net", "", source=f"net.py:{index}")
    found.add("torch.ops.aten.mean.dim", "mean", "", "a mean over the samples")
    found.add("torch.ops.aten.mean.dim", "mean", "", "a mean over the samples")
    message = _message(found)
    assert bool(found)
    assert all(f"n{index} in net (net.py:{index})" in message for index in range(40))
    assert "; aten.mean.dim (a mean over the samples) at mean. Replace" in message
    assert message.endswith("docs/operators.md lists the 90 that are.")


def test_a_message_has_an_end_however_many_nodes_there_are() -> None:
    found = UnsupportedOperators(90)
    for index in range(20_000):
        found.add(f"aten.f{index % 100}.default", f"node_{index}", "a.module", "")
    message = _message(found)
    places = "node_63 in a.module, node_163 in a.module, node_263 in a.module"
    assert f"aten.f63.default at {places} and 197 more" in message
    assert "; and 36 more. Replace" in message
    assert len(message) < 8000


def test_a_message_has_an_end_however_long_what_is_told_of_each_is() -> None:
    found = UnsupportedOperators(90)
    for index in range(200):
        found.add("torch.ops.aten.add.Tensor", f"add_{index}", "net", f"case {index}: " + 290 * "x")
    message = _message(found)
    assert "aten.add.Tensor (case 8: xxx" in message
    assert "; and 191 more. Replace" in message
    assert len(message) < 8000


@pytest.mark.parametrize(
    ("target", "advice"),
    [
        ("torch.ops.aten.lstm.input", "a recurrent layer: write its steps out"),
        ("GRU", "a recurrent layer: write its steps out"),
        ("torch.ops.aten.rnn_tanh.data", "a recurrent layer: write its steps out"),
        ("torch.ops.aten.fill_.Tensor", "put the result together with torch.cat"),
        ("ScatterND", "put the result together with torch.cat"),
        ("torch.ops.aten.floor_divide.default", "with Python's integers, before export"),
        ("TopK", "give all values back and sort outside"),
    ],
)
def test_what_has_no_rule_is_refused_with_what_to_do(target: str, advice: str) -> None:
    found = UnsupportedOperators(90)
    found.add(target, "layer", "", "")
    assert advice in _message(found)


def test_what_is_known_of_a_node_is_told_before_any_advice() -> None:
    found = UnsupportedOperators(90)
    found.add("TopK", "layer", "", "of an axis of the samples")
    assert "TopK (of an axis of the samples) at layer" in _message(found)
