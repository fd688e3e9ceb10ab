"""What every pass is built on: copying a graph node by node, with changes on the way."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn

from smidgen.graph.operations import OpKind


class Rewriter:
    """Writes a new graph while it reads an old one, which it never changes.

    Modules that a pass does not replace are shared between both graphs.

    Attributes:
        source: The graph that is read.
        graph: The graph that is written.
    """

    def __init__(self, source: fx.GraphModule) -> None:
        self.source = source
        self.graph = fx.Graph()
        self._written: dict[fx.Node, fx.Node] = {}
        self._modules: dict[str, Any] = {}

    def copied(self, node: fx.Node) -> fx.Node:
        """Returns what stands in the new graph for a node of the old one."""
        return self._written[node]

    def copy(self, node: fx.Node) -> None:
        """Copies a node with its name, its arguments and its module."""
        if node.op in ("call_module", "get_attr"):
            self._modules[str(node.target)] = _attribute(self.source, str(node.target))
        self._written[node] = self.graph.node_copy(node, self.copied)

    def skip(self, node: fx.Node, substitute: fx.Node) -> None:
        """Leaves a node out; its users read `substitute`, a node of the old graph, instead."""
        self._written[node] = self._written[substitute]

    def call(
        self,
        node: fx.Node,
        module: nn.Module,
        inputs: tuple[fx.Node, ...],
        *,
        like: fx.Node,
        op: OpKind | None = None,
    ) -> None:
        """Writes a call of a new module in place of `node`, under its name.

        Args:
            node: The node of the old graph whose value this is.
            module: What to call.
            inputs: Nodes of the old graph.
            like: The node of the old graph whose operation this is.
            op: What the operation has become, if not that of `like`.
        """
        target = node.name
        while target in self._modules:
            target += "_"
        self._modules[target] = module
        new = self.graph.create_node(
            "call_module", target, tuple(map(self.copied, inputs)), name=node.name
        )
        new.meta = {**like.meta, "shape": node.meta["shape"]}
        if op is not None:
            new.meta["op"] = op
        merged = [*_sources(like), *(name for name in _sources(node) if node is not like)]
        new.meta["sources"] = tuple(merged)
        self._written[node] = new

    def finish(self) -> fx.GraphModule:
        """Returns the new graph as a module, without nodes that nobody reads."""
        self.graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
        self.graph.lint()
        finished = fx.GraphModule(self._modules, self.graph)
        finished.training = self.source.training
        return finished


def only_input(node: fx.Node) -> fx.Node:
    """Returns the node that a unary operation reads."""
    return node.all_input_nodes[0]


def has_one_user(node: fx.Node) -> bool:
    """Tells whether exactly one node reads this one."""
    return len(node.users) == 1


def _sources(node: fx.Node) -> tuple[str, ...]:
    """Names of the imported nodes that are merged into this one, itself included."""
    sources: tuple[str, ...] = node.meta.get("sources", (node.name,))
    return sources


def _attribute(root: nn.Module, target: str) -> nn.Module | torch.Tensor:
    found: Any = root
    for part in target.split("."):
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]  # a module holds modules and tensors only
