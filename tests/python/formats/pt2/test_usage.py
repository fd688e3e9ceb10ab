"""Nodes whose results were dropped are found, those that write or state something are kept."""

from __future__ import annotations

from smidgen.formats.pt2.records import (
    Argument,
    NamedArgument,
    RawGraph,
    RawNode,
    SymbolRef,
    TensorRef,
)
from smidgen.formats.pt2.usage import unused_nodes


def call(target: str, reads: tuple[Argument, ...], *makes: Argument) -> RawNode:
    inputs = tuple(NamedArgument(f"argument_{index}", arg) for index, arg in enumerate(reads))
    return RawNode(f"torch.ops.aten.{target}", inputs, makes, {})


def graph(*nodes: RawNode, outputs: tuple[Argument, ...] = (TensorRef("y"),)) -> RawGraph:
    return RawGraph((TensorRef("x"),), outputs, nodes, {}, {}, {})


X, Y, A, B = (TensorRef(name) for name in "xyab")


def test_a_chain_that_ends_nowhere_is_unused() -> None:
    nodes = (
        call("relu.default", (X,), A),
        call("neg.default", (A,), B),
        call("tanh.default", (X,), Y),
    )
    assert unused_nodes(graph(*nodes)) == {0, 1}


def test_what_an_output_needs_is_used_however_far_away() -> None:
    nodes = (
        call("relu.default", (X,), A),
        call("neg.default", (A,), B),
        call("tanh.default", (B,), Y),
    )
    assert unused_nodes(graph(*nodes)) == frozenset()


def test_one_of_several_results_is_enough() -> None:
    split = call("split.Tensor", (X, 2), (A, B))
    assert unused_nodes(graph(split, call("relu.default", (B,), Y))) == frozenset()


def test_tensors_and_sizes_in_lists_are_read() -> None:
    nodes = (
        call("relu.default", (X,), A),
        call("sym_size.int", (X, 0), SymbolRef("s")),
        call("cat.default", ((A, X), 1), B),
        call("view.default", (B, (SymbolRef("s"), -1)), Y),
    )
    assert unused_nodes(graph(*nodes)) == frozenset()


def test_what_writes_to_its_argument_is_used_and_so_is_what_it_reads() -> None:
    nodes = (
        call("relu.default", (X,), A),
        call("add_.Tensor", (X, A), B),
        call("neg.default", (X,), Y),
    )
    assert unused_nodes(graph(*nodes)) == frozenset()


def test_what_makes_nothing_is_used_and_so_is_what_it_states_something_about() -> None:
    nodes = (
        call("sym_size.int", (X, 0), SymbolRef("s")),
        call("sym_constrain_range_for_size.default", (SymbolRef("s"),)),
        call("neg.default", (X,), Y),
    )
    assert unused_nodes(graph(*nodes)) == frozenset()


def test_a_result_that_only_a_later_unused_node_reads_is_unused() -> None:
    nodes = (call("relu.default", (X,), A), call("neg.default", (X,), Y), call("abs.x", (A,), B))
    assert unused_nodes(graph(*nodes)) == {0, 2}


def test_all_outputs_count() -> None:
    nodes = (call("relu.default", (X,), A), call("neg.default", (X,), Y))
    assert unused_nodes(graph(*nodes, outputs=((A,), Y))) == frozenset()
    assert unused_nodes(graph(*nodes, outputs=(A,))) == {1}
