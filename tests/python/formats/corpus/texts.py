"""Hostile JSON texts."""

from __future__ import annotations

from smidgen.formats.strict_json import JsonReason as R

TEXTS: dict[str, tuple[bytes, str]] = {
    "key twice": (b'{"a": 1, "a": 1}', R.DUPLICATE_KEY),
    "key twice inside": (b'[{"a": {"b": 1, "b": 2}}]', R.DUPLICATE_KEY),
    "key twice, once escaped": (b'{"a": 1, "\\u0061": 2}', R.DUPLICATE_KEY),
    "NaN": (b"[NaN]", R.NOT_FINITE),
    "infinity": (b"-Infinity", R.NOT_FINITE),
    "number beyond doubles": (b"1e999", R.NOT_FINITE),
    "integer beyond 64 bits": (b"9223372036854775808", R.INTEGER_RANGE),
    "negative integer beyond 64 bits": (b"-9223372036854775809", R.INTEGER_RANGE),
    "integer of 5000 digits": (b"1" * 5000, R.INTEGER_RANGE),
    "65 levels": (b"[" * 65 + b"]" * 65, R.TOO_DEEP),
    "levels without end": (b"[" * 100_000, R.TOO_DEEP),
    "objects without end": (b'{"a":' * 70_000, R.TOO_DEEP),
    "many empty objects": (b"[" + b"{}," * 1_500_000 + b"{}]", R.TOO_LARGE),
    "many objects within objects": (
        b"[" + b",".join([b'{"":' * 60 + b"0" + b"}" * 60] * 3_334) + b"]",
        R.TOO_LARGE,
    ),
    "many quotes": (b"[" + b'""' * 1_000_001 + b"]", R.TOO_LARGE),
    "long text with a character beyond ASCII": (
        b'["' + b"a" * (8 << 20) + "\N{BRAIN}".encode() + b'"]',
        R.TOO_LARGE,
    ),
    "more keys than the cap": (
        b"{" + b",".join(b'"k%d":0' % n for n in range(500_001)) + b"}",
        R.TOO_LARGE,
    ),
    "many numbers": (b"[" + b"0," * 1_500_000 + b"0]", R.TOO_LARGE),
    "nothing": (b"", R.MALFORMED),
    "trailing comma": (b"[1,]", R.MALFORMED),
    "two values": (b"{} {}", R.MALFORMED),
    "single quotes": (b"'a'", R.MALFORMED),
    "comment": (b"// comment\n1", R.MALFORMED),
    "string without end": (b'"open', R.MALFORMED),
    "Latin-1": (b'"\xff"', R.MALFORMED),
    "UTF-16": (b"\xff\xfe1\x00", R.MALFORMED),
    "byte order mark": (b"\xef\xbb\xbf1", R.MALFORMED),
    "lone brackets": (b"]]][[[", R.MALFORMED),
}
