"""The bill of materials names what is installed, and what it needs."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tools.images import sbom

STATUS = """Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 2.36-9+deb12u14
Description: GNU C Library: Shared libraries
 Contains the standard libraries: C and others.

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0-1

Package: libstdc++6
Status: install ok installed
Architecture: amd64
Version: 1:12.2.0-14
"""


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    status = tmp_path_factory.mktemp("dpkg") / "status"
    status.write_text(STATUS)
    document: dict[str, Any] = sbom.document("smidgen", status)
    return document


def test_it_is_about_smidgen_and_lists_each_package_once(bill: dict[str, Any]) -> None:
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    subject = bill["metadata"]["component"]
    assert (subject["name"], subject["type"]) == ("smidgen", "application")
    purls = [component["purl"] for component in bill["components"]]
    assert len(set(purls)) == len(purls)
    assert f"pkg:pypi/grpcio@{version('grpcio')}" in purls
    assert f"pkg:generic/python@{sys.version.split()[0]}" in purls
    assert not any(purl.startswith("pkg:pypi/smidgen@") for purl in purls)


def test_packages_of_debian_are_those_that_are_installed(bill: dict[str, Any]) -> None:
    purls = [component["purl"] for component in bill["components"]]
    assert [purl for purl in purls if purl.startswith("pkg:deb/")] == [
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64",
        "pkg:deb/debian/libstdc%2B%2B6@1%3A12.2.0-14?arch=amd64",
    ]
    without = sbom.document("smidgen", Path("/nowhere/status"))
    assert not any("pkg:deb/" in str(part["purl"]) for part in without["components"])  # type: ignore[attr-defined]


def test_dependencies_are_between_components_that_are_listed(bill: dict[str, Any]) -> None:
    listed = {component["bom-ref"] for component in bill["components"]}
    listed.add(bill["metadata"]["component"]["bom-ref"])
    needs = {row["ref"]: row["dependsOn"] for row in bill["dependencies"]}
    assert needs.keys() <= listed
    assert all(reference in listed for row in needs.values() for reference in row)
    smidgen = needs[bill["metadata"]["component"]["bom-ref"]]
    assert f"pkg:pypi/pydantic-settings@{version('pydantic-settings')}" in smidgen


def test_what_wheels_have_compiled_in_is_listed_within_them(bill: dict[str, Any]) -> None:
    (pillow,) = (part for part in bill["components"] if part["name"] == "pillow")
    inside = {part["name"] for part in pillow["components"]}
    assert any("jpeg" in name for name in inside)
    references = [part["bom-ref"] for part in pillow["components"]]
    assert len(set(references)) == len(references)


def test_equal_environments_have_equal_documents(tmp_path: Path) -> None:
    target = tmp_path / "share" / "sbom.cdx.json"
    subprocess.run([sys.executable, sbom.__file__, target], check=True, cwd="/")
    again = json.loads(json.dumps(sbom.document("smidgen")))
    assert json.loads(target.read_text()) == again
