"""Messages are known by all but their values, and only so many are remembered."""

from __future__ import annotations

from smidgen_service.converters.heads import MOST_AROUND_BYTES, MOST_HEADS, Heads

BEFORE, BEHIND = b"what stands before the values ", b" and behind"


def message(values: bytes, before: bytes = BEFORE, behind: bytes = BEHIND) -> bytes:
    return before + values + behind


def remembering(heads: Heads[str], meaning: str, before: bytes = BEFORE) -> None:
    heads.remember(message(b"1234", before), len(before), len(before) + 4, meaning)


def test_a_message_with_other_values_says_the_same() -> None:
    heads: Heads[str] = Heads()
    remembering(heads, "it")
    asked = message(b"5678")
    found = heads.find(asked)
    assert found is not None
    meaning, values = found
    assert (meaning, bytes(values)) == ("it", b"5678")
    assert values.obj is asked


def test_any_other_byte_or_length_makes_another_message() -> None:
    heads: Heads[str] = Heads()
    remembering(heads, "it")
    asked = message(b"1234")
    for index in range(len(asked)):
        changed = bytearray(asked)
        changed[index] ^= 1
        is_value = 0 <= index - len(BEFORE) < 4
        assert (heads.find(bytes(changed)) is not None) == is_value
    assert heads.find(message(b"123")) is None
    assert heads.find(message(b"12345")) is None
    assert heads.find(b"") is None


def test_what_ends_with_its_values_is_known_too() -> None:
    heads: Heads[str] = Heads()
    heads.remember(BEFORE + b"1234", len(BEFORE), len(BEFORE) + 4, "it")
    found = heads.find(BEFORE + b"5678")
    assert found is not None
    assert bytes(found[1]) == b"5678"


def test_the_oldest_is_forgotten() -> None:
    heads: Heads[str] = Heads()
    befores = [b"%24d" % number for number in range(MOST_HEADS + 1)]
    for before in befores:
        remembering(heads, before.decode(), before)
        remembering(heads, before.decode(), before)  # takes no second place
    assert heads.find(message(b"1234", befores[0])) is None
    for before in befores[1:]:
        found = heads.find(message(b"1234", before))
        assert found is not None
        assert found[0] == before.decode()


def test_much_around_the_values_is_not_kept() -> None:
    heads: Heads[str] = Heads()
    most = MOST_AROUND_BYTES - len(BEHIND)
    for length, is_kept in ((most, True), (most + 1, False)):
        before = b"x" * length
        remembering(heads, "it", before)
        assert (heads.find(message(b"1234", before)) is not None) == is_kept


def test_too_little_before_the_values_tells_nothing_apart() -> None:
    heads: Heads[str] = Heads()
    remembering(heads, "it", b"short")
    assert heads.find(message(b"1234", b"short")) is None
