"""JSON is read strictly."""

from __future__ import annotations

import json
import tracemalloc
from contextlib import nullcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import InvalidModelError
from smidgen.formats import strict_json
from smidgen.formats.strict_json import parse_json

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


def test_brackets_in_strings_do_not_count_as_depth() -> None:
    text = json.dumps(["[" * 1000, '\\"[{' * 100])
    assert parse_json(text.encode(), label="t") == json.loads(text)
    assert parse_json(b"[" * 64 + b"]" * 64, label="t") is not None


def test_depth_goes_on_over_more_strings_than_are_looked_at_at_once() -> None:
    text = '{"a":' * 40 + "[" + '"b",' * 30_000 + "[" * 23 + "]" * 24 + "}" * 40
    assert parse_json(text.encode(), label="t") == json.loads(text)
    with pytest.raises(InvalidModelError, match="deeper than 64 levels"):
        parse_json(text.replace("[]", "[[]]").encode(), label="t")


_SCALE = 16
_LARGEST: dict[str, bytes] = {
    "objects": b"[" + b",".join([b'{"":' * 60 + b"0" + b"}" * 60] * (3_300 // _SCALE)) + b"]",
    "keys": b"{" + b",".join(b'"%06d":0.5' % n for n in range(495_000 // _SCALE)) + b"}",
    "text": b'["' + "é".encode() * ((4 << 20) // _SCALE - 2) + b'"]',
    "strings": b"[" + b'"" ' * ((10 << 20) // _SCALE) + b"]",
}


@pytest.mark.parametrize("kind", _LARGEST)
def test_32_mib_of_json_took_two_gigabytes(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The strings of a text were taken out at once to count what is left, with a list of them all,
    # and 1.5 million objects were allowed. Here everything is a sixteenth as large.
    for limit in ("_MAX_OBJECTS", "_MAX_VALUES", "_MAX_UNICODE_BYTES"):
        monkeypatch.setattr(strict_json, limit, getattr(strict_json, limit) // _SCALE)
    tracemalloc.start()
    try:
        with nullcontext() if kind != "strings" else pytest.raises(InvalidModelError):
            assert parse_json(_LARGEST[kind], label="t")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < (128 << 20) // _SCALE + len(_LARGEST[kind])


@settings(max_examples=100)
@given(_VALUES)
def test_every_value_is_read_back(value: object) -> None:
    assert parse_json(json.dumps(value).encode(), label="t") == value


@settings(max_examples=100)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        value = parse_json(data, label="t")
    except InvalidModelError:
        return
    assert value == json.loads(data)
