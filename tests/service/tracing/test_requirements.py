"""What has to be there before a server says that it traces."""

from __future__ import annotations

import importlib.util

import pytest
from pydantic import ValidationError

from smidgen_service.settings import Settings


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        monkeypatch.delenv(name, raising=False)


def test_tracing_is_off_by_default() -> None:
    assert Settings().tracing == "none"


@pytest.mark.parametrize("missing", ["opentelemetry", "opentelemetry.sdk"])
def test_a_server_without_opentelemetry_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    find = importlib.util.find_spec

    def find_others(name: str) -> object:
        if name.startswith(f"{missing}."):
            raise ModuleNotFoundError(name)
        return None if name == missing else find(name)

    monkeypatch.setattr(importlib.util, "find_spec", find_others)
    with pytest.raises(ValidationError, match=r"install smidgen\[otel\], or leave --tracing out"):
        Settings(tracing="otlp")
    assert Settings().tracing == "none"


def test_another_protocol_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    with pytest.raises(ValidationError, match="the protocol 'http/protobuf', this server sends"):
        Settings(tracing="otlp")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")
    assert Settings(tracing="otlp").tracing == "otlp"
