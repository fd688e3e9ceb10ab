"""The processes that decode: kept, replaced when they die, ended when a request is given up."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from smidgen.config import Extent, Preprocessing
from smidgen.errors import InvalidTensorError
from smidgen_service.handlers import decoding
from smidgen_service.handlers.decoding import ImageDecoder
from smidgen_service.jobs.process import worker_environment
from smidgen_service.jobs.sandbox.limits import Limits
from tests.python.data.image_files import encode, pictures

EXTENT = Extent(9, 12)
PREPROCESSING = Preprocessing(scale=1.0)
IMAGE = pictures(1)[0]
GOOD = [encode(IMAGE)]


@pytest.fixture
async def decoder(tmp_path: Path) -> AsyncIterator[ImageDecoder]:
    environment = worker_environment(threads=1, isa=None, limits=Limits(8 << 30, 1 << 30))
    decoder = ImageDecoder(tmp_path / "decoders", most=1, environment=environment)
    yield decoder
    await decoder.close()


async def decode(decoder: ImageDecoder) -> np.ndarray:
    samples = await decoder.decode(GOOD, PREPROCESSING, EXTENT)
    return np.frombuffer(samples, np.float32).reshape(3, 9, 12)


async def test_one_process_decodes_one_request_after_the_other(
    decoder: ImageDecoder, tmp_path: Path
) -> None:
    for _ in range(3):
        np.testing.assert_array_equal(await decode(decoder), IMAGE.transpose(2, 0, 1))
    assert len(list((tmp_path / "decoders").iterdir())) == 1
    await decoder.close()
    assert list((tmp_path / "decoders").iterdir()) == []


async def test_servers_with_one_root_remove_what_is_their_own(tmp_path: Path) -> None:
    left = ["decoder-0", "front-1-decoder-2", "front-10-decoder-3"]
    for owner, kept in (("front-1-", [left[0], left[2]]), ("", [])):
        for name in left:
            (tmp_path / name).mkdir(exist_ok=True)
        ImageDecoder(tmp_path, most=1, environment={}, owner=owner).recover()
        assert sorted(path.name for path in tmp_path.iterdir()) == kept


async def test_a_dead_process_is_replaced(decoder: ImageDecoder) -> None:
    await decode(decoder)
    ((process, _),) = decoder._idle
    process.signal(signal.SIGKILL)
    with pytest.raises(InvalidTensorError) as caught:
        await decode(decoder)
    assert caught.value.reason == "IMAGE_TOO_COMPLEX"
    np.testing.assert_array_equal(await decode(decoder), IMAGE.transpose(2, 0, 1))


async def test_a_process_that_does_not_answer_is_ended(
    decoder: ImageDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await decode(decoder)
    ((process, _),) = decoder._idle
    process.signal(signal.SIGSTOP)
    monkeypatch.setattr(decoding, "_MOST_SECONDS", 0.2)
    with pytest.raises(InvalidTensorError) as caught:
        await decode(decoder)
    assert caught.value.reason == "IMAGE_TOO_COMPLEX"
    monkeypatch.setattr(decoding, "_MOST_SECONDS", 60.0)
    np.testing.assert_array_equal(await decode(decoder), IMAGE.transpose(2, 0, 1))


async def test_a_request_that_is_given_up_ends_its_process(decoder: ImageDecoder) -> None:
    await decode(decoder)
    ((process, _),) = decoder._idle
    process.signal(signal.SIGSTOP)
    given_up = asyncio.create_task(decode(decoder))
    await asyncio.sleep(0.1)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert decoder._idle == []
    np.testing.assert_array_equal(await decode(decoder), IMAGE.transpose(2, 0, 1))
