"""The user's names of inputs and outputs, from the argument trees that torch.export writes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from smidgen.formats.pt2.reasons import Pt2Reason
from smidgen.formats.pt2.records import CallSignature
from smidgen.formats.refusal import refusal
from smidgen.formats.strict_json import JsonValue, parse_json

_MAX_DEPTH = 16
_MAX_CHILDREN = 4096
# The results of Hugging Face's transformers are dictionaries under names of their own.
_MODEL_OUTPUT = re.compile(r"transformers\.modeling_outputs\.[A-Za-z0-9_]{1,128}")
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,127}")


@dataclass(frozen=True, slots=True)
class Tree:
    """A leaf, or a tuple, list or dictionary of trees.

    Attributes:
        children: None for a leaf.
        keys: The keys of a dictionary's children.
    """

    children: tuple[Tree, ...] | None
    keys: tuple[str, ...] | None = None

    def paths(self, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        """Yields the way to each leaf, by keys and positions."""
        if self.children is None:
            yield prefix
            return
        steps = self.keys or [str(index) for index in range(len(self.children))]
        for step, child in zip(steps, self.children, strict=True):
            yield from child.paths((*prefix, step))


def parse_tree(text: str, label: str) -> Tree:
    """Parses one argument tree.

    Raises:
        InvalidModelError: PT2_BAD_TREE for anything but plain tuples, lists and dictionaries.
    """
    document = parse_json(text.encode("utf-8", "surrogatepass"), label=label)
    if not isinstance(document, list) or len(document) != 2 or document[0] != 1:
        raise refusal(Pt2Reason.BAD_TREE, f"{label} is not an argument tree of protocol 1.")
    return _tree(document[1], label, 0)


def _tree(node: JsonValue, label: str, depth: int) -> Tree:
    fields = {"type", "context", "children_spec"}
    if depth > _MAX_DEPTH:
        raise refusal(Pt2Reason.BAD_TREE, f"{label} nests deeper than {_MAX_DEPTH} levels.")
    if not isinstance(node, dict) or node.keys() != fields:
        raise refusal(Pt2Reason.BAD_TREE, f"{label} has a node without the fields of a tree.")
    kind, context, items = node["type"], node["context"], node["children_spec"]
    if not isinstance(items, list) or len(items) > _MAX_CHILDREN:
        raise refusal(Pt2Reason.BAD_TREE, f"{label} has a node without a list of children.")
    children = tuple(_tree(item, label, depth + 1) for item in items)
    if kind is None and context is None and not children:
        return Tree(None)
    if kind in ("builtins.tuple", "builtins.list") and context == "null":
        return Tree(children)
    is_record = isinstance(kind, str) and _MODEL_OUTPUT.fullmatch(kind) is not None
    if (kind == "builtins.dict" or is_record) and isinstance(context, str):
        return Tree(children, _keys(context, len(children), label))
    found = f"{label} has a node of type {str(kind)[:64]!r}; tuples, lists and dicts are supported."
    raise refusal(Pt2Reason.BAD_TREE, found)


def _keys(context: str, count: int, label: str) -> tuple[str, ...]:
    document = parse_json(context.encode("utf-8", "surrogatepass"), label=f"a context of {label}")
    items = document if isinstance(document, list) else []
    keys = tuple(item for item in items if isinstance(item, str))
    if len(keys) != count or len(set(keys)) != count or len(items) != count:
        raise refusal(
            Pt2Reason.BAD_TREE, f"{label} has a dictionary whose keys are not as many texts."
        )
    return keys


def input_names(signature: CallSignature | None, placeholders: Sequence[str]) -> tuple[str, ...]:
    """Returns the user's name of each input: that of the argument of forward, or the placeholder's.

    Args:
        signature: How the root module was called, if the file tells.
        placeholders: The inputs' names in the graph.
    """
    if signature is None:
        return tuple(placeholders)
    tree = parse_tree(signature.in_spec, "in_spec")
    if tree.children is None or len(tree.children) != 2 or tree.children[0].children is None:
        raise refusal(Pt2Reason.BAD_TREE, "in_spec is not a pair of arguments and named arguments.")
    positional, named = tree.children
    forward_names = signature.forward_arg_names or ()
    names: list[str] = []
    for path in positional.paths():
        index = int(path[0])
        first = forward_names[index] if index < len(forward_names) else ""
        names.append("_".join((first, *path[1:])) if first else "")
    names.extend("_".join(path) for path in named.paths())
    return _names_or(names, placeholders, "in_spec")


def output_names(signature: CallSignature | None, count: int) -> tuple[str, ...]:
    """Returns a name for each output: `output`, or `output_0` and so on, or dictionary keys."""
    numbered = ("output",) if count == 1 else tuple(f"output_{index}" for index in range(count))
    if signature is None:
        return numbered
    tree = parse_tree(signature.out_spec, "out_spec")
    paths = list(tree.paths())
    names = ["_".join(path) for path in paths] if tree.keys else list(numbered)
    return _names_or(names if len(paths) == count else [""] * len(paths), numbered, "out_spec")


def _names_or(names: Sequence[str], fallback: Sequence[str], label: str) -> tuple[str, ...]:
    if len(names) != len(fallback):
        found = f"{label} has {len(names)} leaves, but the graph has {len(fallback)} of them."
        raise refusal(Pt2Reason.BAD_TREE, found)
    usable = len(set(names)) == len(names) and all(map(_PLAIN_NAME.fullmatch, names))
    return tuple(names) if usable else tuple(fallback)
