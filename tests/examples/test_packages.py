"""What the examples need beside the project is pinned, and CI cannot pass by without it."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NODE = ROOT / "examples" / "node"


def test_ci_asks_for_every_example_that_is_skipped_elsewhere() -> None:
    asked = {
        name
        for path in Path(__file__).parent.glob("*.py")
        for name in re.findall(r"\"(SMIDGEN_TEST_\w+)\"", path.read_text())
    }
    assert asked == {"SMIDGEN_TEST_NODE", "SMIDGEN_TEST_TRANSFORMERS"}
    assert set(re.findall(r"SMIDGEN_TEST_\w+(?==1)", (ROOT / ".ci" / "run").read_text())) == asked


def test_nodes_packages_are_pinned_by_what_they_hold_and_not_by_where_they_are() -> None:
    lock = json.loads((NODE / "package-lock.json").read_text())
    wanted = json.loads((NODE / "package.json").read_text())["dependencies"]
    own, *packages = lock["packages"].values()
    assert own["dependencies"] == wanted
    assert len(packages) > len(wanted)
    for package in packages:
        assert package["integrity"].startswith("sha512-")
        assert "resolved" not in package


def test_transformers_brings_nothing_in_front_of_what_all_others_use() -> None:
    brought, used = (names(ROOT / f"requirements{which}.lock") for which in ("-transformers", ""))
    assert "transformers" in brought
    assert not brought & used


def names(lock: Path) -> set[str]:
    """Returns the normal names of the packages in a lock file."""
    lines = (line for line in lock.read_text().splitlines() if not line.startswith("#"))
    return {re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in lines}
