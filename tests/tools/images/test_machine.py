"""What is said of a machine that cannot build images."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.images.machine import TOOLS, lacks


def test_the_packages_that_are_missing_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert lacks() == (
        "buildah, debootstrap, runc, util-linux not found; "
        "`apt-get install buildah debootstrap runc util-linux` brings them"
    )


def test_with_all_of_them_only_root_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tool in TOOLS:
        (tmp_path / tool).write_text("#!/bin/sh\n")
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert lacks() is None
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert lacks() == "not root, which debootstrap and runc want; use sudo"
