"""JSON is read strictly."""

from __future__ import annotations

import json

import pytest
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


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "a": 1}', "JSON_DUPLICATE_KEY"),
        ('[{"a": {"b": 1, "b": 2}}]', "JSON_DUPLICATE_KEY"),
        ('{"a": 1, "\\u0061": 2}', "JSON_DUPLICATE_KEY"),
        ("[NaN]", "JSON_NOT_FINITE"),
        ("-Infinity", "JSON_NOT_FINITE"),
        ("1e999", "JSON_NOT_FINITE"),
        ("9223372036854775808", "JSON_INTEGER_RANGE"),
        ("-9223372036854775809", "JSON_INTEGER_RANGE"),
        ("1" * 5000, "JSON_INTEGER_RANGE"),
        ("[" * 65 + "]" * 65, "JSON_TOO_DEEP"),
        ("[" * 100_000, "JSON_TOO_DEEP"),
        ('{"a":' * 70_000, "JSON_TOO_DEEP"),
        ("", "JSON_MALFORMED"),
        ("[1,]", "JSON_MALFORMED"),
        ("{} {}", "JSON_MALFORMED"),
        ("'a'", "JSON_MALFORMED"),
        ("// comment\n1", "JSON_MALFORMED"),
        ('"open', "JSON_MALFORMED"),
    ],
)
def test_bad_text_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidModelError) as refusal:
        parse_json(text.encode(), label="the text")
    assert refusal.value.reason == reason
    assert "the text" in refusal.value.message


def test_text_that_is_not_utf8_is_refused() -> None:
    for data in (b'"\xff"', b"\xff\xfe1\x00", b"\xef\xbb\xbf1"):
        with pytest.raises(InvalidModelError) as refusal:
            parse_json(data, label="the text")
        assert refusal.value.reason == "JSON_MALFORMED"


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
