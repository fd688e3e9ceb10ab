"""Features on the command line."""

from __future__ import annotations

import pytest

from smidgen.cli.training_options import parse_features
from smidgen.config import FeatureDistance
from smidgen.errors import InvalidConfigError
from tests.python.cli.conftest import Smidgen


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


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (("--momentum", 0.5), "optimizer.momentum"),
        (("--decay-epochs", 3, "--schedule", "cosine"), "optimizer.decay_epochs"),
        (("--weight-start", 0.1), "loss.weight_start"),
    ],
)
def test_options_without_effect_are_refused(
    smidgen: Smidgen, options: tuple[object, ...], field: str
) -> None:
    named = ("train-qat", "digits", "--calibration", "c1", "--dataset", "d", "--json")
    ended = smidgen(*named, *options)
    assert (ended.code, ended.error["reason"]) == (2, "OPTION_NOT_APPLICABLE")
    assert ended.error["metadata"]["field"] == field
