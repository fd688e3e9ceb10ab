"""Checks who includes whom in csrc: bindings -> engine -> ops -> kernels -> base.

A file of an instruction set includes intrinsics, files of its own family and the vectors of
kernels/simd only: whatever else it included might be compiled for that instruction set and then
kept by the linker for everyone.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

LAYERS = (
    "base",
    "kernels",
    "ops",
    "engine",
    "bindings",
)  # each may include itself and those before it
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
ISA_FILE = re.compile(r"_(avx2|avxvnni|avx512vnni|avx512vbmi|amx)\.cc$")
FAMILY_SHARED = "kernels/output_range.h"  # plain data, for family headers
VECTORS = "kernels/simd"  # names for intrinsics, in unnamed namespaces
BUILT_ON = {"kernels/winograd": "kernels/gemm"}  # families whose kernels are made of another's
FAMILY_HEADER_INCLUDES = {"cstddef", "cstdint", FAMILY_SHARED}


def offences(root: Path) -> list[str]:
    """Returns one line for each forbidden include below `root`."""
    found = []
    for path in sorted(p for p in root.rglob("*") if p.suffix in {".cc", ".h", ".inc"}):
        name = path.relative_to(root).as_posix()
        for is_system, target in includes(path):
            reason = why_forbidden(name, target, is_system=is_system)
            if reason:
                found.append(f"{path}: includes {target}; {reason}")
    return found


def includes(path: Path) -> list[tuple[bool, str]]:
    """Returns (in angle brackets?, target) of each include of a file."""
    return [(mark == "<", target) for mark, target in INCLUDE.findall(path.read_text())]


def why_forbidden(name: str, target: str, *, is_system: bool) -> str | None:
    """Says why the file `name` may not include `target`, or returns None if it may."""
    if is_bound_to_isa(name):
        return why_forbidden_to_isa(name, target, is_system=is_system)
    if is_system or target.startswith("pybind11/"):
        is_binding = name.startswith("bindings/")
        return None if is_binding or not target.startswith("pybind11/") else "only bindings may"
    layer, target_layer = Path(name).parts[0], Path(target).parts[0]
    if target_layer not in LAYERS:
        return f"paths start with a layer: {', '.join(LAYERS)}"
    if LAYERS.index(target_layer) > LAYERS.index(layer):
        return f"{layer} is below {target_layer}"
    return None


def is_bound_to_isa(name: str) -> bool:
    """Tells whether a file is compiled for one instruction set, or is included by one that is."""
    return bool(ISA_FILE.search(name)) or name.endswith(".inc") or is_family_header(name)


def is_family_header(name: str) -> bool:
    """Tells whether a header declares the kernels of a family, for its ISA files to include."""
    parts = name.split("/")
    is_family = len(parts) == 3 and parts[0] == "kernels" and parts[2] == f"{parts[1]}.h"
    return is_family or name == FAMILY_SHARED


def why_forbidden_to_isa(name: str, target: str, *, is_system: bool) -> str | None:
    """As why_forbidden, for files that are bound to an instruction set."""
    own = Path(name).parent.as_posix()
    directory = Path(target).parent.as_posix()
    if name.endswith(".h"):
        is_plain = target in FAMILY_HEADER_INCLUDES or (
            is_family_header(target) and directory == BUILT_ON.get(own)
        )
        return None if is_plain else "family headers hold plain declarations"
    if is_system:
        return (
            None
            if target == "immintrin.h"
            else "ISA files include intrinsics and their family only"
        )
    is_near = directory in {VECTORS, own, BUILT_ON.get(own)}
    if is_near and (is_family_header(target) or target.endswith(".inc")):
        return None
    if target == FAMILY_SHARED:
        return None
    return "ISA files include intrinsics, vectors and their family only"


def main() -> int:
    """Prints all offences; returns 1 if there are any."""
    found = offences(Path(__file__).resolve().parent.parent / "csrc")
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
