"""Networks that leave float32: which operation did it, in one line and our own words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from smidgen.calibration import calibrate
from smidgen.errors import CalibrationError
from smidgen.float_model import FloatModel

ImportModel = Callable[..., FloatModel]


class _Layers(nn.Module):
    """A linear layer, a function and a linear layer."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.before, self.behind, self.function = nn.Linear(4, 4), nn.Linear(4, 4), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.behind(self.function(self.before(x)))
        return y


def _overflow(x: torch.Tensor) -> torch.Tensor:
    return torch.softmax(torch.exp(x * 1000), -1)


def _outside_its_domain(x: torch.Tensor) -> torch.Tensor:
    return torch.log(x)


def _message(model: FloatModel) -> CalibrationError:
    samples = np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32)
    with pytest.raises(CalibrationError) as caught:
        calibrate(model, [{"x": samples}])
    assert caught.value.reason == "ACTIVATION_NOT_FINITE"
    assert str(caught.value) == caught.value.message
    for foreign in ("While executing", "Original traceback", "tlparse", "%", "()", "\n"):
        assert foreign not in str(caught.value)
    return caught.value


def test_messages_about_values_that_overflow_name_the_operation_and_have_no_text_of_fx(
    import_model: ImportModel,
) -> None:
    error = _message(import_model(_Layers(_overflow), (4,)))
    assert f"begins at {error.metadata['origin']} (exp, test_not_finite.py:" in error.message
    assert "gives an infinity for values of up to" in error.message
    assert "scale the model's weights or inputs" in error.message


def test_a_value_outside_the_domain_of_a_function_is_told_as_nan(import_model: ImportModel) -> None:
    error = _message(import_model(_Layers(_outside_its_domain), (4,)))
    assert f"activation {error.metadata['node']} (log, test_not_finite.py:" in error.message
    assert "gives NaN for values of up to" in error.message


def test_the_module_is_named_where_there_is_one(import_model: ImportModel) -> None:
    module = _Layers(torch.relu)
    with torch.no_grad():
        module.behind.weight.fill_(3e38)
        module.before.bias.fill_(1e3)
    error = _message(import_model(module, (4,)))
    assert " (behind, test_not_finite.py:" in error.message
