"""Resource names."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen_service import names
from smidgen_service.errors import InvalidArgumentError

IDS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)


@given(IDS, st.integers(1, 999_999_999))
def test_names_come_back(model_id: str, version: int) -> None:
    assert names.parse_model(names.model_name(model_id)) == model_id
    assert names.parse_version(names.version_name(model_id, version)) == (model_id, version)
    assert names.parse_model_or_version(names.model_name(model_id)) == (model_id, None)
    assert names.parse_version_or_alias(names.version_name(model_id, version))[1] == version
    assert names.parse_job(names.job_name(model_id)) == model_id


@pytest.mark.parametrize(
    "name",
    [
        *("", "models", "models/", "models/A", "models/-a", "models/a-", "models/a/b", "jobs/a"),
        *("models/" + "a" * 64, "models/a\n", "/models/a", "models/..", "models/a/versions/1"),
    ],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        names.parse_model(name, field="model")
    assert caught.value.reason == "INVALID_NAME"
    assert "ids are lower-case letters, digits and inner hyphens" in caught.value.message
    assert caught.value.metadata["field"] == "model"


@given(st.text(max_size=200))
def test_no_text_breaks_the_parser(name: str) -> None:
    try:
        model_id = names.parse_model(name)
    except InvalidArgumentError as error:
        assert len(error.message) < 1000  # noqa: PT017 - any text may be refused or accepted
    else:
        assert names.model_name(model_id) == name


def test_request_ids_are_canonical() -> None:
    upper = "8D2F0C54-73FB-4B0D-9B66-7A7C0F6D3E21"
    assert names.check_request_id(upper) == upper.lower()
    assert names.check_request_id("") is None


@given(IDS, IDS)
def test_aliases_are_ids_that_begin_with_a_letter(model_id: str, alias_id: str) -> None:
    name = names.alias_name(model_id, alias_id)
    parsers = (names.parse_alias, names.parse_model_or_version, names.parse_version_or_alias)
    for parse in parsers:
        if alias_id[0].isalpha():
            assert parse(name) == (model_id, alias_id)
        else:  # it might be taken for a number
            with pytest.raises(InvalidArgumentError, match="begin with a letter"):
                parse(name)
    assert names.is_alias_id(alias_id) == alias_id[0].isalpha()


@pytest.mark.parametrize(
    ("parse", "name"),
    [
        (names.parse_alias, "models/a"),
        (names.parse_alias, "models/a/versions/1"),
        (names.parse_version, "models/a/aliases/live"),
        (names.parse_version_or_alias, "models/a"),
        (names.parse_version_or_alias, "models/a/aliases/live/"),
        (names.parse_model_or_version, "models/a/"),
        (names.parse_model_or_version, "models/a/live"),
        (names.parse_model_or_version, "models//aliases/live"),
    ],
)
def test_names_of_other_kinds_are_refused(parse: Callable[[str], object], name: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        parse(name)
    assert caught.value.reason == "INVALID_NAME"
