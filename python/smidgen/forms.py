"""In which form each value of a float graph is held: quantized to uint8, or plain as it is.

A node with an integer step reads and writes quantized values. A node that has none runs in plain
steps, mostly on float32. Where both are possible, as for functions of one number and for what only
moves values, the node takes the form that its surroundings have, so that islands of plain values
are entered and left once and nothing inside them is quantized.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from torch import fx

from smidgen.convertible import plain_problem, quantized_problem
from smidgen.passes.operators import (
    MOVING_KINDS,
    SOURCE_KINDS,
    UNBOUNDED,
    Kind,
    clamp_of,
    is_mask_of,
    kind_of,
)


class Form(enum.Enum):
    """How a value is held."""

    QUANTIZED = "quantized"
    PLAIN = "plain"


BOTH = frozenset(Form)


@dataclass(frozen=True, slots=True)
class Forms:
    """The forms of a graph's values, by node name.

    Attributes:
        reads: In which form a node reads its operands; inputs and constants read nothing.
        writes: In which form a node's value is made. Inputs and constants are plain; where they
            are read quantized, as any other plain value, they are quantized on the way.
    """

    reads: Mapping[str, Form]
    writes: Mapping[str, Form]

    def is_quantized_for(self, node: fx.Node, user: fx.Node) -> bool:
        """Tells whether `user` reads the value of `node` as uint8 holds it."""
        if self.writes[node.name] is Form.QUANTIZED:
            return True
        return self.reads[user.name] is Form.QUANTIZED and not is_mask_of(node, user)

    def is_quantized(self, node: fx.Node) -> bool:
        """Tells whether the value of a node is quantized for anyone."""
        if self.writes[node.name] is Form.QUANTIZED:
            return True
        return any(self.is_quantized_for(node, user) for user in node.users)


def assign_forms(graph: fx.GraphModule) -> Forms:
    """Chooses the forms in a graph that check_convertible accepts."""
    nodes = list(graph.graph.nodes)
    possible = {node: possible_forms(graph, node) for node in nodes}
    wanted = _wanted(nodes, possible)
    reads: dict[str, Form] = {}
    writes: dict[str, Form] = {}
    for node in nodes:
        if kind_of(node) in SOURCE_KINDS:
            writes[node.name] = Form.PLAIN
            continue
        form = _form(node, possible[node], writes, wanted[node])
        reads[node.name] = writes[node.name] = form
        if _gives_floats(graph, node) and wanted[node] == {Form.PLAIN}:
            writes[node.name] = Form.PLAIN
    return Forms(reads, writes)


def possible_forms(graph: fx.GraphModule, node: fx.Node) -> frozenset[Form]:
    """Returns the forms in which a node can run; none if it is not supported."""
    problems = {
        Form.QUANTIZED: quantized_problem(graph, node),
        Form.PLAIN: plain_problem(graph, node),
    }
    return frozenset(form for form, problem in problems.items() if problem is None)


def _wanted(
    nodes: list[fx.Node], possible: Mapping[fx.Node, frozenset[Form]]
) -> dict[fx.Node, frozenset[Form]]:
    """Returns in which forms the readers of each value want it, looking through the indifferent."""
    wanted: dict[fx.Node, frozenset[Form]] = {}
    for node in reversed(nodes):
        found: frozenset[Form] = frozenset()
        for user in node.users:
            if is_mask_of(node, user):
                found |= {Form.PLAIN}
            elif kind_of(user) is not Kind.OUTPUT:
                found |= wanted[user] if possible[user] == BOTH else possible[user]
        wanted[node] = found
    return wanted


def _gives_floats(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Tells whether the integer step of a node can write floats, without rounding them."""
    return kind_of(node) is Kind.LINEAR and clamp_of(graph, node) == UNBOUNDED


def _form(
    node: fx.Node,
    possible: frozenset[Form],
    writes: Mapping[str, Form],
    wanted: frozenset[Form],
) -> Form:
    if possible != BOTH:
        (form,) = possible
        return form
    made = [source for source in node.all_input_nodes if kind_of(source) not in SOURCE_KINDS]
    found = {writes[source.name] for source in made}
    if found == {Form.QUANTIZED}:
        return Form.QUANTIZED
    if found == {Form.PLAIN}:
        # Quantized before it is moved, a value is smaller to move.
        moves = kind_of(node) in MOVING_KINDS and wanted == {Form.QUANTIZED}
        return Form.QUANTIZED if moves else Form.PLAIN
    is_decided_here = not found and not wanted
    return Form.QUANTIZED if is_decided_here or Form.QUANTIZED in wanted else Form.PLAIN
