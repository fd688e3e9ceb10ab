"""The lines that a followed job leaves where stderr is no terminal."""

from __future__ import annotations

import pytest

from smidgen.cli.following import progress_line
from smidgen.v1 import job_service_pb2 as pb


def test_a_search_says_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    event = pb.JobEvent(
        state=pb.JOB_STATE_RUNNING,
        stage=pb.JOB_STAGE_SEARCH,
        progress=0.25,
        step=3,
        total_steps=50,
        message="lift: 2 layers with more bits, drop 0.0100, 24.00 dB, fails",
    )
    with progress_line("jobs/c1", quiet=False) as on_event:
        on_event(event)
    assert capsys.readouterr().err == (
        "jobs/c1 RUNNING SEARCH 25% program 3 of at most 50 "
        "lift: 2 layers with more bits, drop 0.0100, 24.00 dB, fails\n"
    )
