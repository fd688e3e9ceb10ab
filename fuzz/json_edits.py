"""Edits of JSON documents that mostly stay within the schema."""

from __future__ import annotations

import copy
from typing import Any

from fuzz.recipe import Recipe

_NUMBERS = [
    -(2**63),
    -(2**31),
    -1,
    0,
    1,
    2,
    3,
    4,
    7,
    12,
    255,
    4096,
    2**31 - 1,
    2**31,
    2**62,
    2**63 - 1,
]
_TEXTS = ["", "x", "NaN", "Infinity", "same", "none", "a" * 300, "torch.ops.aten.relu.default"]
_JUNK: list[Any] = [
    None, True, False, 1.5, 1e308, [], {}, [[]], {"as_int": 0}, {"as_none": True},
    {"as_bool": True},
    {"as_tensor": {"name": "x"}}, {"as_ints": []}, {"as_ints": [-1, 2**40]}, {"as_float": "NaN"},
    {"as_sym_ints": [{"as_name": "x"}]}, {"as_string": "same"}, {"as_tensors": [{"name": "x"}]},
]  # fmt: skip
_MOST_EDITS = 8


def edit(document: Any, recipe: Recipe) -> None:
    """Changes a document in place, at a few places."""
    for _ in range(_MOST_EDITS):
        _edit_once(document, recipe)
        if recipe.is_over:
            return


def _edit_once(document: Any, recipe: Recipe) -> None:
    places = _places(document)
    if not places:
        return
    container, key = recipe.pick(places)
    match recipe.below(8):
        case 0:
            container[key] = copy.deepcopy(recipe.pick(_JUNK))
        case 1:
            container[key] = recipe.pick(_NUMBERS)
        case 2:
            container[key] = recipe.pick(_TEXTS)
        case 3:
            del container[key]
        case 4 if isinstance(container[key], list) and container[key]:
            container[key] *= 1 + recipe.below(5)
        case 5 if isinstance(container[key], str):
            text, at = container[key], recipe.below(len(container[key]) + 1)
            container[key] = text[:at] + recipe.take(2).decode("latin-1") + text[at + 1 :]
        case _:
            other, place = recipe.pick(_alike(places, container, key))
            container[key] = copy.deepcopy(other[place])


def _alike(places: list[tuple[Any, Any]], container: Any, key: Any) -> list[tuple[Any, Any]]:
    """Returns the places that hold things of the same kind."""
    kind = type(container[key])
    return [(other, place) for other, place in places if type(other[place]) is kind]


def _places(document: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            keys = list(value) if isinstance(value, dict) else list(range(len(value)))
            found.extend((value, key) for key in keys)
            waiting.extend(value[key] for key in keys)
    return found
