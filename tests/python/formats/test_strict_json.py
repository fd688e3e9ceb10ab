"""JSON is read strictly."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import InvalidModelError
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
