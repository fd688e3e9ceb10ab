"""Settings: flags, environment, and what they refuse."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from smidgen_service.settings import Settings


def test_every_setting_is_documented() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_environment_sets_what_flags_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMIDGEN_PORT", "1234")
    monkeypatch.setenv("SMIDGEN_ENGINE_THREADS", "3")
    settings = Settings(port=99)
    assert (settings.port, settings.engine_threads) == (99, 3)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.0.0.9"])
def test_loopback_is_fine(host: str) -> None:
    assert Settings(host=host).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.org"])
def test_other_addresses_need_consent(host: str) -> None:
    with pytest.raises(ValidationError, match="--insecure-bind"):
        Settings(host=host)
    assert Settings(host=host, insecure_bind=True).host == host


def test_an_instruction_set_that_the_cpu_lacks_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Settings(isa="portable").isa == "portable"
    monkeypatch.setenv("SMIDGEN_ISA", "mmx")
    with pytest.raises(ValidationError, match=r"instruction set is 'mmx', this CPU has portable"):
        Settings()
