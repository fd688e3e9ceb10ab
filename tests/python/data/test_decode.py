"""Images are decoded as they are, and refused before anything large is made of them."""

from __future__ import annotations

import random
import struct
import time
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from smidgen.data import decode
from smidgen.data.decode import as_channels, decode_image
from smidgen.data.image_header import ImageReason as R
from smidgen.errors import InvalidDatasetError, MissingExtraError
from tests.python.data.image_files import chunk, encode, pictures, png

COLOR = pictures(1)[0]
GREY = COLOR[..., 0]
JPEG = encode(COLOR, "JPEG")


def test_png_gives_its_pixels() -> None:
    np.testing.assert_array_equal(decode_image(encode(COLOR), 3, "it"), COLOR)
    np.testing.assert_array_equal(decode_image(encode(GREY), 1, "it")[..., 0], GREY)
    np.testing.assert_array_equal(
        decode_image(encode(GREY), 3, "it"), as_channels(GREY[..., None], 3)
    )


def test_jpeg_gives_what_pillow_decodes() -> None:
    import io  # noqa: PLC0415

    expected = np.asarray(Image.open(io.BytesIO(JPEG)))
    np.testing.assert_array_equal(decode_image(JPEG, 3, "it"), expected)


def test_transparency_is_ignored() -> None:
    alpha = np.dstack([COLOR, GREY])
    np.testing.assert_array_equal(decode_image(encode(alpha), 3, "it"), COLOR)


def test_grey_is_luma() -> None:
    luma = decode_image(encode(COLOR), 1, "it")[..., 0]
    np.testing.assert_array_equal(luma, np.asarray(Image.fromarray(COLOR).convert("L")))


def _segments(count: int) -> bytes:
    return b"\xff\xd8" + b"\xff\xe1\x00\x02" * count + JPEG[2:]


def _frame(height: int, width: int, *, depth: int = 8, parts: int = 3, kind: int = 0xC0) -> bytes:
    return b"\xff\xd8\xff" + struct.pack(">BHBHHB", kind, 8, depth, height, width, parts)


HOSTILE = {
    "empty": (b"", R.UNKNOWN_FORMAT),
    "gif": (b"GIF89a" + bytes(40), R.UNKNOWN_FORMAT),
    "tiff": (b"II*\0" + bytes(40), R.UNKNOWN_FORMAT),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", R.UNKNOWN_FORMAT),
    "a png of 64k x 64k": (png(65535, 65535), R.TOO_LARGE),
    "a png of 2^31 x 2^31": (png(2**31 - 1, 2**31 - 1), R.TOO_LARGE),
    "a png of too many pixels": (png(16000, 16000), R.TOO_LARGE),
    "a png without pixels": (png(0, 9), R.MALFORMED),
    "a png of 16 bits": (png(4, 4, depth=16), R.UNSUPPORTED_PIXELS),
    "a png of an unknown color type": (png(4, 4, color=5), R.UNSUPPORTED_PIXELS),
    "a png header of another length": (
        png(4, 4).replace(b"\0\0\0\rIHDR", b"\0\0\0\x0eIHDR"),
        R.MALFORMED,
    ),
    "a png cut off in its header": (png(4, 4)[:30], R.MALFORMED),
    "a png cut off in its pixels": (encode(COLOR)[:-20], R.MALFORMED),
    "a png that inflates beyond its pixels": (png(4, 4, body=bytes(50_000_000)), None),
    "a png that inflates to less": (png(40, 40, body=b"\0"), R.MALFORMED),
    "a png with a damaged chunk": (png(4, 4).replace(b"IDAT", b"IDAX"), R.MALFORMED),
    "a png of a million chunks": (
        png(4, 4)[:33] + chunk(b"tEXt", b"a\0b") * 1_000_000 + png(4, 4)[33:],
        R.TOO_COMPLEX,
    ),
    "a png with a text bomb": (
        png(4, 4)[:33]
        + chunk(b"zTXt", b"a\0\0" + __import__("zlib").compress(bytes(90_000_000)))
        + png(4, 4)[33:],
        R.MALFORMED,
    ),
    "a jpeg of 64k x 64k": (_frame(65535, 65535), R.TOO_LARGE),
    "a jpeg without pixels": (_frame(0, 9), R.MALFORMED),
    "a jpeg of 12 bits": (_frame(9, 9, depth=12), R.UNSUPPORTED_PIXELS),
    "a jpeg of four inks": (_frame(9, 9, parts=4), R.UNSUPPORTED_PIXELS),
    "a lossless jpeg": (_frame(9, 9, kind=0xC3), R.UNSUPPORTED_PIXELS),
    "a jpeg without a frame": (b"\xff\xd8\xff\xda\x00\x08" + bytes(20), R.MALFORMED),
    "a jpeg of nothing but fill": (b"\xff\xd8" + b"\xff" * 2_000_000, R.MALFORMED),
    "a jpeg of ten thousand segments": (_segments(10_000), R.MALFORMED),
    "a jpeg of a thousand scans": (
        JPEG[:-2] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" * 1000 + JPEG[-2:],
        R.TOO_COMPLEX,
    ),
    "a large jpeg of twenty scans": (
        _frame(5000, 6000) + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" * 20,
        R.TOO_COMPLEX,
    ),
    "a jpeg cut off in its header": (JPEG[:150], R.MALFORMED),
    "a jpeg cut off in its scan": (JPEG[:-40], R.MALFORMED),
    "too many bytes": (JPEG + bytes(33 << 20), R.TOO_LARGE),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_image_is_refused(name: str) -> None:
    data, reason = HOSTILE[name]
    tracemalloc.start()
    start = time.process_time()
    try:
        if reason is None:
            assert decode_image(data, 3, "it").shape == (4, 4, 3)
        else:
            with pytest.raises(InvalidDatasetError) as caught:
                decode_image(data, 3, "it")
            assert caught.value.reason == reason
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.process_time() - start < 5
    assert peak < len(data) + (16 << 20)


@pytest.mark.parametrize("seed", [encode(COLOR), JPEG, encode(GREY)], ids=["png", "jpeg", "grey"])
def test_random_bytes_end_in_pixels_or_a_refusal(seed: bytes) -> None:
    random_of = random.Random(0)
    for _ in range(400):
        data = bytearray(seed)
        for _ in range(random_of.randint(1, 6)):
            at = random_of.randrange(len(data))
            data[at : at + random_of.randint(0, 4)] = random_of.randbytes(random_of.randint(0, 4))
        with suppress(InvalidDatasetError):
            assert decode_image(bytes(data), 3, "it").dtype == np.uint8


def test_missing_pillow_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise MissingExtraError("install smidgen[images]", extra="images")

    monkeypatch.setattr(decode, "require_images", missing)
    with pytest.raises(MissingExtraError):
        decode_image(JPEG, 3, "it")
