from __future__ import annotations

from pathlib import Path

import pytest

from tests.python.cli.conftest import Smidgen


def test_tokens_are_made_listed_and_revoked(
    offline: Smidgen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "auth.json"
    monkeypatch.setenv("SMIDGEN_AUTH_FILE", str(path))
    made = offline("token", "create", "--role", "reader", "--tenant", "acme", "--note", "ci")
    token_id, _, secret = made.out.strip().partition(".")
    assert (made.code, len(token_id), len(secret)) == (0, 12, 43)
    temporary = offline("token", "create", "--role", "admin", "--days", "1", "--json").document
    assert temporary["tenant"] == "default"
    listed = offline("token", "list", "--json").document["tokens"]
    assert [(token["id"], token["roles"], token["note"]) for token in listed] == [
        (token_id, ["reader"], "ci"),
        (temporary["id"], ["admin"], ""),
    ]
    assert [bool(token["expire_time"]) for token in listed] == [False, True]
    assert secret not in offline("token", "list").out + path.read_text()
    assert offline("token", "revoke", token_id, "--json").document["revoked"] is True
    again = offline("token", "revoke", token_id, "--json")
    assert (again.code, again.error["reason"]) == (2, "IDENTITIES_UNUSABLE")
    assert len(offline("token", "list", "--json").document["tokens"]) == 1


def test_mistakes_are_told(offline: Smidgen, tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    refused = offline("token", "create", "--auth-file", path, "--role", "root", "--json")
    assert "expected one of reader, inferencer, optimizer, admin" in refused.error["message"]
    refused = offline(
        "token", "create", "--auth-file", path, "--role", "admin", "--tenant", "A b", "--json"
    )
    assert refused.error["reason"] == "IDENTITIES_UNUSABLE"
    assert not path.exists()
