"""What the Dockerfile says."""

from __future__ import annotations

import re
from functools import cache

from tests.deploy.manifests import ROOT


@cache
def instructions() -> tuple[tuple[str, str], ...]:
    """Returns (instruction, its arguments) in order, with continued lines in one."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#")).replace("\\\n", " ")
    found = (line.partition(" ") for line in text.splitlines() if line.strip())
    return tuple((name, " ".join(rest.split())) for name, _, rest in found)


def stages() -> list[str]:
    """Returns the names of all stages."""
    return [rest.rpartition(" AS ")[2] for name, rest in instructions() if name == "FROM"]


def stage(wanted: str) -> list[tuple[str, str]]:
    """Returns the instructions of a stage, after those of the stages that it is made from."""
    found: list[tuple[str, str]] = []
    current = ""
    for name, rest in instructions():
        if name == "FROM":
            base, _, current = rest.partition(" AS ")
            if current == wanted and base in stages():
                found = stage(base)
        elif current == wanted:
            found.append((name, rest))
    return found


def environment(wanted: str = "infer") -> dict[str, str]:
    """Returns the variables of an image that are the server's or its probe's."""
    text = " ".join(rest for name, rest in stage(wanted) if name == "ENV")
    return dict(re.findall(r"(SMIDGEN_\w+)=(\S+)", text))
