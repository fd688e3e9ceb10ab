"""A trial goes through all stages, and tells at which one and why it failed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.coverage.architecture import Format
from benchmarks.coverage.outcome import Outcome, Stage
from benchmarks.coverage.trial import Trial
from tests.benchmarks.coverage.small_nets import Net, architecture

pytestmark = pytest.mark.filterwarnings("ignore")


class Sorting(nn.Module):
    """An operator that is not supported."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.sort(image, 2).values


class Changing(Net):
    """A net that computes something else after it was exported."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        scores = super().forward(image)
        return scores if torch.compiler.is_exporting() else scores + 1


def run(make: type[nn.Module], folder: Path, file_format: Format = Format.PT2) -> Outcome:
    return Trial(architecture(make), file_format, folder).run()


@pytest.mark.parametrize("file_format", Format)
def test_a_small_net_passes_every_stage(file_format: Format, tmp_path: Path) -> None:
    outcome = run(Net, tmp_path, file_format)
    assert outcome.reason == ""
    assert outcome.is_done
    assert outcome.stage is Stage.DONE
    assert outcome.nodes is not None
    assert outcome.nodes >= 4
    assert outcome.float_error is not None
    assert outcome.float_error < 1e-5
    assert outcome.sqnr_db is not None
    assert outcome.sqnr_db > 20
    assert outcome.seconds > 0


def test_an_unsupported_operator_fails_the_import(tmp_path: Path) -> None:
    outcome = run(Sorting, tmp_path)
    assert (outcome.stage, outcome.is_done) == (Stage.IMPORT, False)
    assert "sort" in outcome.reason
    assert "Replace them" not in outcome.reason
    assert outcome.nodes is None


def test_a_net_that_cannot_be_made_fails_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def make() -> nn.Module:
        raise ValueError("no such net")

    outcome = Trial(architecture(make), Format.PT2, tmp_path).run()
    assert outcome.stage is Stage.MAKE
    assert outcome.reason == "ValueError('no such net')"
    assert "no such net" in capsys.readouterr().err


def test_other_float_outputs_than_the_original_s_are_a_failure(tmp_path: Path) -> None:
    outcome = run(Changing, tmp_path)
    assert outcome.stage is Stage.FLOAT
    assert "a float output differs by" in outcome.reason
    assert outcome.float_error is not None
    assert outcome.float_error > 1e-2
