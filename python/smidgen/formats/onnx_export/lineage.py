"""What an exported file says of where it comes from, in the metadata that ONNX has a place for.

docs/format.md lists the keys. There is no time among them: equal models give equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

from onnx import GraphProto, ModelProto, checker, helper

from smidgen import __version__

OPSET = 17  # the first with LayerNormalization; runtimes have had it for years
IR_VERSION = 8  # of opset 17
PREFIX = "smidgen."


def make_model(graph: GraphProto, metadata: Mapping[str, str]) -> ModelProto:
    """Makes a model of a graph and checks it.

    Args:
        graph: The graph.
        metadata: What the file says of itself, by key without the prefix.
    """
    model = helper.make_model(
        graph,
        producer_name="smidgen",
        producer_version=__version__,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    stated = {f"{PREFIX}{key}": value for key, value in metadata.items()}
    helper.set_model_props(model, dict(sorted(stated.items())))
    checker.check_model(model, full_check=True)
    return model


def read_metadata(model: ModelProto) -> dict[str, str]:
    """Returns what make_model was told."""
    return {
        entry.key.removeprefix(PREFIX): entry.value
        for entry in model.metadata_props
        if entry.key.startswith(PREFIX)
    }
