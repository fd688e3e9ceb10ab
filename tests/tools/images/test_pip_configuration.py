"""What of pip's configuration a build is told."""

from __future__ import annotations

from pathlib import Path

from tools.images.pip_configuration import for_build, parse, read_machine, wheel_folders


def test_the_environment_wins_over_files_and_other_sections_are_left_out() -> None:
    lines = [
        ":env:.timeout='9'",
        "global.timeout='60'",
        "global.index-url='https://packages.invalid/simple'",
        "install.no-binary=':all:'",
    ]
    assert parse(lines) == {"timeout": "9", "index-url": "https://packages.invalid/simple"}


def test_a_build_is_told_what_it_can_reach(tmp_path: Path) -> None:
    settings = {
        "index-url": "https://packages.invalid/simple",
        "extra-index-url": "file:///here/simple https://more.invalid/simple",
        "constraint": "/here/constraints.txt",
        "cert": "/here/roots.pem",
        "find-links": f"{tmp_path} /is/not/there https://wheels.invalid",
        "require-virtualenv": "true",
    }
    assert wheel_folders(settings) == [tmp_path]
    assert for_build(settings, brings_certificates=True).splitlines() == [
        "[global]",
        "index-url = https://packages.invalid/simple",
        "extra-index-url = https://more.invalid/simple",
        f"find-links = {tmp_path}",
        "cert = /run/secrets/ca.pem",
    ]
    assert for_build({}, brings_certificates=False) == "[global]\n"


def test_what_this_machine_has_can_be_read() -> None:
    assert all(isinstance(value, str) for value in read_machine().values())
