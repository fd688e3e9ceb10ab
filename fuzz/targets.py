"""What is fuzzed: one function from bytes for each reader.

A target raises what is wrong: any error but SmidgenError, TooSlow, or TooLarge.
"""

from __future__ import annotations

import copy
import json
import resource
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from fuzz.archives import read_entries, write_archive
from fuzz.artifacts import Arrays, seal, take_apart
from fuzz.json_edits import edit
from fuzz.protobuf_edits import edit_message
from fuzz.recipe import Recipe
from smidgen.artifact import load_artifact
from smidgen.data.encoded_images import EncodedImages
from smidgen.data.image_zip import read_image_zip
from smidgen.data.web_dataset import read_web_dataset
from smidgen.errors import SmidgenError
from smidgen.formats.onnx_import import read_onnx, read_quantized_onnx
from smidgen.formats.onnx_import.rules import RULES
from smidgen.formats.pt2 import read_pt2
from smidgen.graph.operator_table import OPERATORS, PREFIX

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
MOST_SECONDS = 1.0
MOST_GROWN_BYTES = 128 << 20  # files are small; the first that is read imports the reader's modules

Target = Callable[[bytes], None]


class TooSlow(AssertionError):
    """An input took more than a second of processor time."""


class TooLarge(AssertionError):
    """An input took more memory than a small file may."""


def fuzz_pt2(data: bytes) -> None:
    """Reads a .pt2 file that a recipe makes of a good one."""
    _read(_pt2_file(Recipe(data)), read_pt2)


def fuzz_onnx(data: bytes) -> None:
    """Reads an ONNX file that a recipe makes of a good one, as a float and as a quantized model."""
    contents = _onnx_file(Recipe(data))
    _read(contents, read_onnx)
    _read(contents, read_quantized_onnx)


def fuzz_artifact(data: bytes) -> None:
    """Reads an artifact that a recipe makes of a good one."""
    _read(_artifact_file(Recipe(data)), load_artifact)


def fuzz_shard(data: bytes) -> None:
    """Reads a shard of images that a recipe makes of a good one, and decodes all of them."""
    _read(_shard_file(Recipe(data)), lambda path: _look_at(read_web_dataset(path)))


def fuzz_folders(data: bytes) -> None:
    """Reads a zip archive of images that a recipe makes of a good one, and decodes all of them."""
    _read(_folders_file(Recipe(data)), lambda path: _look_at(read_image_zip(path)))


TARGETS: Mapping[str, Target] = {
    "pt2": fuzz_pt2,
    "onnx": fuzz_onnx,
    "artifact": fuzz_artifact,
    "shard": fuzz_shard,
    "folders": fuzz_folders,
}


def _read(contents: bytes, read: Callable[[Path], object]) -> None:
    path = _scratch() / "input"
    path.write_bytes(contents)
    start, peak = time.process_time(), _peak_bytes()
    with suppress(SmidgenError):
        read(path)
    seconds, grown = time.process_time() - start, _peak_bytes() - peak
    if seconds > MOST_SECONDS:
        raise TooSlow(f"{len(contents)} bytes took {seconds:.2f} s")
    if grown > MOST_GROWN_BYTES:
        raise TooLarge(f"{len(contents)} bytes took {grown} bytes of memory more than any before")


def _peak_bytes() -> int:
    """Returns the most memory that the process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@cache
def _scratch() -> Path:
    return Path(tempfile.mkdtemp(prefix="smidgen-fuzz-"))


@cache
def _pt2_seeds() -> list[dict[str, bytes]]:
    paths = sorted((DATA / "fuzz").glob("*.pt2"))
    return [read_entries(path) for path in paths]


@cache
def _onnx_seeds() -> list[bytes]:
    return [path.read_bytes() for path in sorted((DATA / "fuzz").glob("*.onnx"))]


@cache
def _artifact_seeds() -> list[tuple[bytes, dict[str, Any], Any]]:
    paths = sorted(DATA.glob("artifact-*.smidgen")) + sorted((DATA / "fuzz").glob("*.smidgen"))
    return [(path.read_bytes(), *take_apart(path)) for path in paths]


def _pt2_file(recipe: Recipe) -> bytes:
    entries = dict(recipe.pick(_pt2_seeds()))
    texts = [name for name in entries if name.endswith(".json")]
    match recipe.below(8):
        case 0:
            return _with_bytes_changed(write_archive(entries), recipe)
        case 1:
            name = recipe.pick(sorted(entries))
            entries[name] = _with_bytes_changed(entries[name], recipe)
        case 2:
            name = recipe.pick(sorted(entries))
            entries[name + recipe.take(6).decode("latin-1")] = entries.pop(name)
        case 3:
            entries[recipe.pick(texts)] = bytes(recipe.take(4096))
        case choice:
            # Most edits go to the program, and not to the tables of weights.
            name = next(t for t in texts if "models/" in t) if choice > 4 else recipe.pick(texts)
            document = json.loads(entries[name])
            if choice == 7:
                nodes = document["graph_module"]["graph"]["nodes"]
                recipe.pick(nodes)["target"] = PREFIX + recipe.pick(sorted(OPERATORS))
            edit(_scope(document, recipe), recipe)
            entries[name] = json.dumps(document).encode("utf-8", "surrogatepass")
    return write_archive(entries)


def _scope(document: Any, recipe: Recipe) -> Any:
    """Returns the document or, more often, the part of it that says what is computed."""
    graph = document.get("graph_module", {}).get("graph", document)
    return recipe.pick([document, graph, graph.get("nodes", document), graph])


def _onnx_file(recipe: Recipe) -> bytes:
    seed = recipe.pick(_onnx_seeds())
    match recipe.below(8):
        case 0:
            return recipe.take(4096)
        case 1 | 2:
            return _with_bytes_changed(seed, recipe)
        case choice:
            model = onnx.ModelProto.FromString(seed)
            if choice > 5:
                recipe.pick(model.graph.node).op_type = recipe.pick(sorted(RULES))
            edit_message(model if recipe.below(4) == 0 else model.graph, recipe)
            return model.SerializePartialToString()


def _artifact_file(recipe: Recipe) -> bytes:
    contents, metadata, constants = recipe.pick(_artifact_seeds())
    match recipe.below(8):
        case 0 | 1:
            return _with_bytes_changed(contents, recipe)
        case 7:
            return seal(metadata, _with_constants_changed(constants, recipe))
        case choice:
            changed = copy.deepcopy(metadata)
            edit(changed["program"] if choice > 2 else changed, recipe)
            if "program" not in changed:
                return contents
            return seal(changed, constants)


def _with_constants_changed(constants: Arrays, recipe: Recipe) -> Arrays:
    """Returns the constants with bytes of some of them changed, as packed weights may be."""
    changed = {name: value.copy() for name, value in constants.items()}
    while changed and not recipe.is_over:
        flat = changed[recipe.pick(sorted(changed))].reshape(-1).view(np.uint8)
        flat[recipe.below(len(flat))] = recipe.below(256)
    return changed


def _look_at(images: EncodedImages) -> None:
    images.check_headers()
    for index in range(images.sample_count):
        images.picture(index, 3)


def _shard_file(recipe: Recipe) -> bytes:
    seed = (DATA / "fuzz" / "images.tar").read_bytes()
    if recipe.below(4) == 0:
        return _with_bytes_changed(seed, recipe)
    blocks = [bytearray(seed[at : at + 512]) for at in range(0, len(seed), 512)]
    while not recipe.is_over:
        block = recipe.pick(blocks)
        at = recipe.below(512)
        block[at : at + 1] = recipe.take(1) or b"\0"
        if block[257:262] == b"ustar":
            block[148:156] = b" " * 8
            block[148:156] = b"%06o\0 " % sum(block)
    return b"".join(blocks)


def _folders_file(recipe: Recipe) -> bytes:
    path = DATA / "fuzz" / "images.zip"
    if recipe.below(4) == 0:
        return _with_bytes_changed(path.read_bytes(), recipe)
    entries = read_entries(path)
    name = recipe.pick(sorted(entries))
    if recipe.below(4) == 0:
        entries[recipe.take(8).decode("latin-1") + name] = entries.pop(name)
    else:
        entries[name] = _with_bytes_changed(entries[name], recipe)
    return write_archive(entries)


def _with_bytes_changed(data: bytes, recipe: Recipe) -> bytes:
    changed = bytearray(data)
    while not recipe.is_over:
        at, width = recipe.below(len(changed) + 1), recipe.below(5)
        changed[at : at + recipe.below(5)] = recipe.take(width)
    return bytes(changed)
