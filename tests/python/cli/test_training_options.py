"""Features on the command line."""

from __future__ import annotations

import pytest

from smidgen.cli.training_options import parse_features
from smidgen.config import FeatureDistance
from smidgen.errors import InvalidConfigError


def test_features_may_have_a_weight() -> None:
    assert parse_features(["blocks.*=0.5", "head", "a=b=2"]) == (
        FeatureDistance("blocks.*", 0.5),
        FeatureDistance("head"),
        FeatureDistance("a=b", 2.0),
    )


@pytest.mark.parametrize("text", ["head=", "head=much", "head=-1", "=1", ""])
def test_malformed_features_are_refused(text: str) -> None:
    with pytest.raises(InvalidConfigError):
        parse_features([text])
