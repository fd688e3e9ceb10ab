"""Which streams of batches are complete, and how calibrations are shown."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest

from smidgen.config import ObserverMethod
from smidgen.profile import ActivationRange, CalibrationProfile
from smidgen.v1 import optimization_service_pb2 as pb
from smidgen_service.converters.calibrations import batches_from_messages, calibration_to_message
from smidgen_service.errors import InvalidArgumentError
from smidgen_service.store.records import CalibrationRecord
from tests.service.running_server import tensor

BATCH = pb.CalibrationBatch(inputs=[tensor(np.zeros((1, 2), np.float32))])
HEADER = pb.CalibrateHeader(model="models/m", marks_last=True)
MARK = pb.CalibrateRequest(is_last=True)


def batch(*, is_last: bool = False) -> pb.CalibrateRequest:
    return pb.CalibrateRequest(batch=BATCH, is_last=is_last)


async def count(*messages: pb.CalibrateRequest, header_is_last: bool = False) -> int:
    """Returns the batches of a stream whose header says that the last message is marked."""
    first = pb.CalibrateRequest(header=HEADER, is_last=header_is_last)
    return len([found async for found in batches_from_messages(first, stream(*messages))])


async def stream(*messages: pb.CalibrateRequest) -> AsyncIterator[pb.CalibrateRequest]:
    for message in messages:
        yield message


async def test_the_end_may_be_marked_on_any_message() -> None:
    assert await count(batch(), batch(), batch(is_last=True)) == 3
    assert await count(batch(), MARK) == 1
    assert await count(MARK) == 0
    assert await count(header_is_last=True) == 0


@pytest.mark.parametrize("sent", [0, 1, 2])
async def test_a_stream_without_its_end_is_not_complete(sent: int) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        await count(*[batch()] * sent)
    assert caught.value.reason == "STREAM_INCOMPLETE"


@pytest.mark.parametrize(
    "messages",
    [
        (batch(is_last=True), batch()),
        (batch(is_last=True), MARK),
        (MARK, MARK),
        (pb.CalibrateRequest(header=HEADER, is_last=True),),
        (pb.CalibrateRequest(), MARK),
    ],
    ids=["batch after last", "mark after last", "two marks", "second header", "nothing"],
)
async def test_other_messages_are_refused(messages: tuple[pb.CalibrateRequest, ...]) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        await count(*messages)
    assert caught.value.reason == "STREAM_PART_UNEXPECTED"


async def test_earlier_clients_mark_nothing() -> None:
    first = pb.CalibrateRequest(header=pb.CalibrateHeader(model="models/m"))
    found = [one async for one in batches_from_messages(first, stream(batch(), batch()))]
    assert len(found) == 2


def test_a_range_that_has_no_scale_is_shown_with_scale_zero() -> None:
    profile = CalibrationProfile(
        model_sha256="0" * 64,
        method=ObserverMethod.MIN_MAX,
        sample_count=1,
        batch_count=1,
        ranges={"huge": ActivationRange(-1e30, 1e30), "usual": ActivationRange(0.0, 255.0)},
    )
    record = CalibrationRecord(
        id="c-1", model_id="m", sha256="1" * 64, create_time=0, profile=profile
    )
    huge, usual = calibration_to_message(record).ranges
    assert (huge.min, huge.max, huge.scale, huge.zero_point) == (-1e30, 1e30, 0.0, 0)
    assert (usual.scale, usual.zero_point) == (1.0, 0)
