"""Writes what an image consists of, as a CycloneDX 1.6 document: packages of Python and of Debian.

It needs nothing but the interpreter, and runs in the image while that is built. Equal images have
equal documents: there is no time and no random number in them.
"""

from __future__ import annotations

import json
import platform
import re
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from urllib.parse import quote

DPKG_STATUS = Path("/var/lib/dpkg/status")
_REQUIRED_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OWN_BILLS = re.compile(r"\.dist-info/sboms/[^/]+\.json$")
_COPIED = ("type", "name", "version", "purl")

Component = dict[str, object]


@dataclass(frozen=True, slots=True)
class Package:
    """A package of Python, with what is read of it once.

    Attributes:
        name: Normal, as the package index writes it.
        needs: Normal names of others, of its extras as well.
    """

    found: Distribution
    name: str
    version: str
    license: str | None
    needs: frozenset[str]

    @property
    def purl(self) -> str:
        """Its address."""
        return f"pkg:pypi/{self.name}@{quote(self.version, safe='')}"


def installed() -> dict[str, Package]:
    """Returns the packages that the running interpreter finds, by name and in order."""
    packages = sorted((_package(found) for found in distributions()), key=lambda one: one.name)
    return {package.name: package for package in packages}


def _package(found: Distribution) -> Package:
    about = found.metadata
    names = (_REQUIRED_NAME.match(line) for line in about.get_all("Requires-Dist", ()))
    return Package(
        found,
        _normal(about["Name"]),
        about["Version"],
        about.get("License-Expression"),
        frozenset(_normal(name[0]) for name in names if name),
    )


def main(arguments: list[str]) -> None:
    """Writes the document to the path that is the one argument."""
    (target,) = map(Path, arguments)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(document("smidgen"), indent=1) + "\n")


def document(root: str, dpkg_status: Path = DPKG_STATUS) -> Component:
    """Returns the bill of materials of the running interpreter's environment and its machine.

    Args:
        root: The package that the environment is there for.
        dpkg_status: Debian's list of packages; where it is missing, none is listed.

    Raises:
        KeyError: `root` is not installed.
    """
    packages = installed()
    subject = {**python_component(packages[root]), "type": "application"}
    components = [
        *(python_component(package) for package in packages.values() if package.name != root),
        interpreter(),
        *debian_components(dpkg_status),
    ]
    body: Component = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": subject},
        "components": components,
        "dependencies": dependencies(packages),
    }
    serial = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(body, sort_keys=True))
    return {**body, "serialNumber": f"urn:uuid:{serial}"}


def python_component(package: Package) -> Component:
    """Returns a package of Python, with the components that its own bills of materials name."""
    component = _component(package.name, package.version, package.purl)
    if package.license:
        component["licenses"] = [{"expression": package.license}]
    inside = list(_inside(package))
    return {**component, "components": inside} if inside else component


def interpreter() -> Component:
    """Returns the interpreter, which no package of Python or of Debian needs to have brought."""
    version = platform.python_version()
    return _component("python", version, f"pkg:generic/python@{version}")


def debian_components(dpkg_status: Path) -> Iterator[Component]:
    """Yields the installed packages of Debian."""
    if not dpkg_status.exists():
        return
    for paragraph in dpkg_status.read_text().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line)
        if not fields.get("Status", "").endswith(" installed"):
            continue
        name, version, architecture = (
            fields[key] for key in ("Package", "Version", "Architecture")
        )
        package = f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={architecture}"
        yield _component(name, version, package)


def dependencies(packages: Mapping[str, Package]) -> list[Component]:
    """Returns which package of Python needs which others of them."""
    return [
        {
            "ref": package.purl,
            "dependsOn": [other.purl for name, other in packages.items() if name in package.needs],
        }
        for package in packages.values()
    ]


def _inside(package: Package) -> Iterator[Component]:
    """Yields what a package has compiled in, as far as it says so (PEP 770)."""
    for path in sorted(map(str, package.found.files or ())):
        if not _OWN_BILLS.search(path):
            continue
        bill = json.loads(Path(str(package.found.locate_file(path))).read_text())
        for number, part in enumerate(bill.get("components", ())):
            copied = {key: part[key] for key in _COPIED if key in part}
            yield {**copied, "bom-ref": f"{package.purl}#{Path(path).name}:{number}"}


def _component(name: str, version: str, purl: str) -> Component:
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main(sys.argv[1:])
