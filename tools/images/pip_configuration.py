"""How pip reaches packages on this machine, for pip in a build.

An image must not remember it, so it is handed in as a secret, which commands see while they run.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

CERTIFICATES = "/run/secrets/ca.pem"
"""Where the Dockerfile mounts the secret `ca`."""
_TAKEN = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout")
_REMOTE = ("http://", "https://")


def read_machine() -> dict[str, str]:
    """Returns pip's settings here, of its files and of the environment."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return parse(done.stdout.splitlines())


def parse(lines: Iterable[str]) -> dict[str, str]:
    """Returns what `pip config list` printed; what the environment says wins over files.

    Args:
        lines: Such as `global.timeout='60'` and `:env:.cert='/some/roots.pem'`.
    """
    found: dict[str, str] = {}
    for line in sorted(lines, key=lambda line: line.startswith(":env:")):
        place, _, value = line.partition("=")
        section, _, name = place.rpartition(".")
        if section in {"global", ":env:"}:
            found[name] = str(ast.literal_eval(value))
    return found


def for_build(settings: Mapping[str, str], *, brings_certificates: bool) -> str:
    """Returns a pip.conf for a build.

    Files and folders of the machine are not in the build: of addresses the remote ones are taken,
    of folders with wheels those that `wheel_folders` returns.

    Args:
        settings: Those of the machine.
        brings_certificates: Whether the secret `ca` is given.
    """
    taken = {}
    for name in _TAKEN:
        words = settings.get(name, "").split()
        if name.endswith("index-url"):
            words = [word for word in words if word.startswith(_REMOTE)]
        if words:
            taken[name] = " ".join(words)
    folders = wheel_folders(settings)
    if folders:
        taken["find-links"] = " ".join(map(str, folders))
    if brings_certificates:
        taken["cert"] = CERTIFICATES
    return "\n".join(["[global]", *(f"{name} = {value}" for name, value in taken.items()), ""])


def wheel_folders(settings: Mapping[str, str]) -> list[Path]:
    """Returns the folders of this machine in which pip looks for wheels."""
    words = settings.get("find-links", "").split()
    return [Path(word) for word in words if Path(word).is_absolute() and Path(word).is_dir()]
