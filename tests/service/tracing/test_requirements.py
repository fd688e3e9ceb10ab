"""What has to be there before a server says that it traces."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest
from pydantic import ValidationError

from smidgen_service.settings import Settings


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


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


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many", "'many', expected a whole number of at least 1"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "", "'', expected a whole number of at least 1"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0", "'0', expected a whole number of at least 1"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-5", "'-5', expected a whole number of at least 1"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "3s", "'3s', expected a whole number of at least 0"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "nan", "'nan', expected a number of at least 0"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "-1", "'-1', expected a whole number of at least 0"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip", "'zip', expected gzip"),
    ],
)
def test_values_that_the_sdk_cannot_use_are_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=f"{name} is {expected}; set it to"):
        Settings(tracing="otlp")
    assert Settings().tracing == "none"


def test_a_batch_that_is_larger_than_the_queue_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "100")
    with pytest.raises(
        ValidationError, match=r"BATCH_SIZE is 512 by default and .* to at most 100"
    ):
        Settings(tracing="otlp")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100")
    assert Settings(tracing="otlp").tracing == "otlp"
    monkeypatch.delenv("OTEL_BSP_MAX_QUEUE_SIZE")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2049")
    with pytest.raises(ValidationError, match=r"is 2049 and .* is 2048 by default"):
        Settings(tracing="otlp")


def test_what_is_accepted_the_sdk_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.sdk")
    monkeypatch.setenv("OTEL_BSP_EXPORT_TIMEOUT", "0")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", " 7 ")
    monkeypatch.setenv("OTEL_SPAN_LINK_COUNT_LIMIT", "")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0.5")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "GZIP")
    assert Settings(tracing="otlp").tracing == "otlp"
    code = "from smidgen_service.tracing.spans import Tracing; Tracing().close()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
