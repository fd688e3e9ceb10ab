"""How weights that are not finite are refused."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.errors import InvalidModelError
from smidgen.formats.pt2.reasons import Pt2Reason
from smidgen.formats.refusal import refuse_not_finite


@pytest.mark.parametrize(
    ("places", "told", "index"),
    [
        ([(1, 2)], "has nan at [1, 2], expected", "[1, 2]"),
        (
            [(0, 1), (1, 0), (1, 2)],
            "has nan at [0, 1] and 2 more such elements, expected",
            "[0, 1]",
        ),
    ],
)
def test_the_first_element_that_is_not_finite_is_named(
    places: list[tuple[int, int]], told: str, index: str
) -> None:
    weight = np.zeros((2, 3), np.float32)
    for place in places:
        weight[place] = np.nan
    weights = {"sound": np.ones(4, np.float32), "head.weight": weight}
    with pytest.raises(InvalidModelError) as caught:
        refuse_not_finite(weights, weights, Pt2Reason.BAD_WEIGHT)
    assert f"the weight 'head.weight' of shape [2, 3] {told}" in caught.value.message
    assert caught.value.reason == "PT2_BAD_WEIGHT"
    assert caught.value.metadata == {"weight": "head.weight", "index": index}


def test_single_numbers_and_weights_that_nothing_reads() -> None:
    weights = {"unread": np.array([np.inf]), "number": np.array(-np.inf), "whole": np.arange(3)}
    refuse_not_finite(weights, {"whole"}, Pt2Reason.BAD_WEIGHT)
    with pytest.raises(InvalidModelError, match=r"has -inf at \[\], expected"):
        refuse_not_finite(weights, {"number"}, Pt2Reason.BAD_WEIGHT)
