"""Settings: flags, environment, and what they refuse."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from smidgen_service.__main__ import main
from smidgen_service.processes.division import share_of
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


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.0.0.9"])
def test_loopback_is_fine(host: str) -> None:
    assert Settings(host=host).host == host


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_addresses_of_ipv6_are_told_from_their_ports(host: str) -> None:
    settings = Settings(host=host)
    assert (settings.host, settings.metrics_address) == ("[::1]", "::1")
    assert Settings(metrics_host=host).metrics_address == "::1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_connections", 1 << 32),
        ("max_concurrent_calls", 1 << 32),
        ("max_connection_streams", 1 << 32),
        ("max_concurrent_inferences", 4097),
        ("handshake_seconds", 1e12),
        ("handshake_seconds", 1e-6),
    ],
)
def test_numbers_that_cannot_be_held_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings(**{name: value})


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.168.1.1", "example.org"])
def test_other_addresses_need_tls_and_authentication_or_consent(host: str) -> None:
    tls = {"tls_cert": Path("c"), "tls_key": Path("k")}
    with pytest.raises(ValidationError, match=r"no encryption .* and no authentication"):
        Settings(host=host)
    with pytest.raises(ValidationError, match=r"has no authentication .*--insecure-bind"):
        Settings(host=host, **tls)
    with pytest.raises(ValidationError, match=r"has no encryption .*--insecure-bind"):
        Settings(host=host, auth_file=Path("a"))
    assert Settings(host=host, auth_file=Path("a"), **tls).host == host
    assert Settings(host=host, tls_client_ca=Path("r"), **tls).host == host
    assert Settings(host=host, insecure_bind=True).host == host


def test_metrics_are_shown_beyond_loopback_on_request_alone() -> None:
    secure = {
        "host": "0.0.0.0",
        "tls_cert": Path("c"),
        "tls_key": Path("k"),
        "auth_file": Path("a"),
    }
    assert Settings(**secure).metrics_address == "127.0.0.1"
    assert Settings(**secure, metrics_host="10.0.0.1").metrics_address == "10.0.0.1"
    assert Settings(host="0.0.0.0", insecure_bind=True).metrics_address == "0.0.0.0"
    assert Settings(host="127.0.0.9").metrics_address == "127.0.0.9"


def test_an_instruction_set_that_the_cpu_lacks_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Settings(isa="portable").isa == "portable"
    monkeypatch.setenv("SMIDGEN_ISA", "mmx")
    with pytest.raises(ValidationError, match=r"instruction set is 'mmx', this CPU has portable"):
        Settings()


def test_a_variable_that_is_no_json_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SMIDGEN_BATCHING", "8")
    monkeypatch.setattr("sys.argv", ["smidgen_service"])
    assert main() == 2
    assert capsys.readouterr().err.startswith("batching: ")
    monkeypatch.setenv("SMIDGEN_BATCHING", "{8")
    assert main() == 2
    told = capsys.readouterr().err
    assert 'value for field "batching"' in told
    assert "Traceback" not in told


def test_a_file_sets_what_flags_and_environment_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "smidgen.toml"
    path.write_text(
        'port = 1\nmax-batch = 8\nmax_loaded_engines = 3\ndata-dir = "/data"\nreflection = false\n'
        "[batching.lite0]\nmax_batch = 4\ndelay_ms = 2.5\n"
    )
    monkeypatch.setenv("SMIDGEN_SETTINGS_FILE", str(path))
    monkeypatch.setenv("SMIDGEN_MAX_BATCH", "16")
    settings = Settings(port=99)
    assert (settings.port, settings.max_batch, settings.max_loaded_engines) == (99, 16, 3)
    assert (settings.data_dir, settings.reflection) == (Path("/data"), False)
    assert settings.batching["lite0"].delay_ms == 2.5
    again = Settings(**share_of(settings, 0).model_dump())
    assert again.settings_file is None
    assert again.max_loaded_engines == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"^settings_file: cannot read .*absent.toml \(No such file or directory\)$"),
        ("port 1", r"^settings_file: .* is no TOML: "),
        ("max-bacth = 1", r"^max_bacth: Extra inputs are not permitted$"),
        ("port = 'x'", r"^port: Input should be a valid integer"),
        ("host = '0.0.0.0'", r"^host is 0.0.0.0, which other machines may reach"),
        (
            "max-batch = 2\nmax_batch = 4",
            r"^settings_file: .* has max-batch twice, with - and with _$",
        ),
        ("port = " + "[" * 9999, r"^settings_file: .* is no TOML: "),
        ("settings-file = 'x'", r"^settings_file: .* names another settings file; use one$"),
    ],
)
def test_mistakes_of_a_file_are_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str | None,
    message: str,
) -> None:
    path = tmp_path / "absent.toml"
    if text is not None:
        path.write_text(text)
    monkeypatch.setattr("sys.argv", ["smidgen_service", "--settings-file", str(path)])
    assert main() == 2
    assert re.search(message, capsys.readouterr().err.strip())
