from __future__ import annotations

from tools.generate_cli_reference import TARGET, reference


def test_the_reference_describes_the_commands_as_they_are() -> None:
    assert TARGET.read_text() == reference(), "run `python tools/generate_cli_reference.py`"


def test_the_reference_names_options_defaults_and_choices() -> None:
    page = reference()
    assert "## `smidgen train-qat MODEL`" in page
    assert "| `--calibration` | required | Calibration to start from. |" in page
    assert "| `--seed` | `0` |" in page
    assert "One of `min_max`, `moving_average`, `percentile`, `entropy`, `squared_error`." in page
