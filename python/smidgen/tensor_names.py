"""The names of activations in profiles and programs."""

from __future__ import annotations

from collections.abc import Mapping

from torch import fx

from smidgen.free_name import free_name


def activation_names(graph: fx.GraphModule) -> Mapping[str, str]:
    """Returns the display name of each node: inputs go by the user's names, others by their own.

    An input whose name another node has already gets an underscore more, so that names are unique.
    """
    nodes = [node for node in graph.graph.nodes if node.op != "output"]
    names = {node.name: node.name for node in nodes if node.op != "placeholder"}
    taken = set(names)
    for node in nodes:
        if node.op == "placeholder":
            name = free_name(str(node.meta["input_name"]), taken)
            names[node.name] = name
            taken.add(name)
    return names
