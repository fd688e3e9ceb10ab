"""Makes a linear layer and the vector that is added to its result one layer."""

from __future__ import annotations

from torch import fx, nn

from smidgen.graph.operations import OpKind
from smidgen.passes.operators import module_of, operands
from smidgen.passes.rewriter import Rewriter, has_one_user


def fuse_bias(source: fx.GraphModule) -> fx.GraphModule:
    """Returns the graph with a bias in each linear layer to which a vector is added.

    ONNX has no linear layer of more than two axes, so that exporters write a product and a sum.
    Equal to the source up to rounding.
    """
    rewriter = Rewriter(source)
    for node in source.graph.nodes:
        found = _layer_and_bias(source, node)
        if found is None:
            rewriter.copy(node)
            continue
        layer, bias = found
        linear = module_of(source, layer)
        assert isinstance(linear, nn.Linear)
        joined = nn.Linear(linear.in_features, linear.out_features, device="meta")
        joined.weight = linear.weight
        joined.bias = nn.Parameter(getattr(source, str(bias.target)).detach().reshape(-1).clone())
        rewriter.call(node, joined, (layer.all_input_nodes[0],), like=layer)
    return rewriter.finish()


def _layer_and_bias(source: fx.GraphModule, node: fx.Node) -> tuple[fx.Node, fx.Node] | None:
    """Returns the layer and the constant whose sum a node is, or None."""
    if node.op == "placeholder" or node.meta.get("op") != OpKind.ADD:
        return None
    for layer, bias in (operands(node), operands(node)[::-1]):
        module = module_of(source, layer)
        if (
            isinstance(module, nn.Linear)
            and module.bias is None
            and has_one_user(layer)
            and bias.op == "get_attr"
            and tuple(getattr(source, str(bias.target)).shape) == (module.out_features,)
            and tuple(layer.meta["shape"]) == tuple(node.meta["shape"])
        ):
            return layer, bias
    return None
