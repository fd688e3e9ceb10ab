"""Bits of layers as options."""

from __future__ import annotations

import pytest

from smidgen.cli.exits import UsageError
from smidgen.cli.precision import precision_config
from smidgen.config import LayerPrecision, Override, PrecisionConfig, WeightBits
from smidgen.v1 import precision_pb2 as pb
from tests.python.cli.conftest import Smidgen
from tests.python.client.canned_server import State

INT8, INT4 = WeightBits.INT8, WeightBits.INT4


def test_options_that_say_nothing_ask_for_nothing() -> None:
    assert precision_config(INT8, 128, None) is None
    assert precision_config(INT8, 128, []) is None


def test_overrides_take_the_group_size() -> None:
    found = precision_config(INT4, 64, ["layer4.*=int8", "a=b=int4"])
    assert found == PrecisionConfig(
        LayerPrecision(INT4, 64),
        (
            Override("layer4.*", LayerPrecision(INT8)),
            Override("a=b", LayerPrecision(INT4, 64)),
        ),
    )


@pytest.mark.parametrize("text", ["", "layer4", "=int8", "layer4=int2", "layer4=", "layer4=INT8"])
def test_overrides_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="a pattern, = and int8 or int4 or float") as caught:
        precision_config(INT8, 128, [text])
    assert caught.value.reason == "INVALID_OVERRIDE"


@pytest.mark.parametrize(
    "command",
    [
        ("convert", "digits", "--calibration", "c1"),
        ("train-qat", "digits", "--calibration", "c1", "--dataset", "d", "--detach"),
    ],
    ids=["convert", "train-qat"],
)
def test_options_reach_the_server(smidgen: Smidgen, state: State, command: tuple[str, ...]) -> None:
    smidgen(*command, "--weights", "int4", "--group-size", 0, "--override", "stem=int8")
    assert state.last_request.precision == pb.PrecisionConfig(
        default=pb.LayerPrecision(weights=pb.WEIGHT_BITS_INT4, group_size=0),
        overrides=[
            pb.PrecisionOverride(
                pattern="stem",
                precision=pb.LayerPrecision(weights=pb.WEIGHT_BITS_INT8, group_size=128),
            )
        ],
    )
    smidgen(*command)
    assert not state.last_request.HasField("precision")


def test_int8_is_asked_for_where_it_is_given(smidgen: Smidgen, state: State) -> None:
    for option in (("--weights", "int8"), ("--group-size", 128)):
        smidgen("convert", "digits", "--train-job", "j", *option)
        assert state.last_request.precision.default.weights == pb.WEIGHT_BITS_INT8
    smidgen("convert", "digits", "--train-job", "j")
    assert not state.last_request.HasField("precision")


def test_values_out_of_range_are_refused(smidgen: Smidgen) -> None:
    ended = smidgen("convert", "digits", "--calibration", "c1", "--group-size", 7, "--json")
    assert (ended.code, ended.error["reason"]) == (2, "INVALID_CONFIG")


def test_a_group_size_is_for_int4(smidgen: Smidgen) -> None:
    ended = smidgen("convert", "digits", "--calibration", "c1", "--group-size", 64, "--json")
    assert (ended.code, ended.error["reason"]) == (2, "OPTION_NOT_APPLICABLE")
    assert precision_config(INT8, 64, ["head=int4"]) == PrecisionConfig(
        LayerPrecision(INT8), (Override("head", LayerPrecision(INT4, 64)),)
    )
