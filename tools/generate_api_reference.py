"""Writes docs/api.md from the comments of proto/smidgen; `--check` fails if it differs."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "api.md"
PROTOS = ROOT / "proto"
PACKAGE = "smidgen.v1"

HEAD = """\
# API

This page is generated from the protos by `python tools/generate_api_reference.py`.

All of it is the package `smidgen.v1`, in [proto/smidgen/v1](../proto/smidgen/v1). Beside it the
server speaks the [Open Inference Protocol](triton.md), `grpc.health.v1` and reflection. Every error
has a `google.rpc.ErrorInfo` with a stable reason ([operations](operations.md#errors)), and
[security](security.md) says who may call what. The Python client, `smidgen.client.Client`, has a
method for each of these.

## Methods

| Method | Request | Answer | |
|---|---|---|---|
"""

# Numbers of fields in descriptor.proto, of which paths to comments consist.
_SYNTAX, _MESSAGES, _ENUMS, _SERVICES = 12, 4, 5, 6
_FIELDS, _NESTED, _NESTED_ENUMS, _METHODS, _VALUES = 2, 3, 4, 2, 2
_SCALARS = {
    number: name.removeprefix("TYPE_").lower() for name, number in FieldDescriptorProto.Type.items()
}

Location = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A proto file and its comments, by where they stand."""

    file: FileDescriptorProto
    comments: Mapping[Location, str]

    def comment(self, *location: int) -> str:
        """Returns a comment as one line."""
        return self.comments.get(location, "")


def read_sources() -> list[Source]:
    """Returns the files of the package, each after those that it imports."""
    well_known = str(files("grpc_tools") / "_proto")
    names = [
        str(path.relative_to(PROTOS)) for path in sorted((PROTOS / "smidgen/v1").glob("*.proto"))
    ]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "descriptors"
        options = [f"-I{PROTOS}", f"-I{well_known}", f"--descriptor_set_out={out}"]
        status = protoc.main(["protoc", *options, "--include_source_info", *names])
        if status != 0:
            sys.exit(f"protoc failed with status {status}; its message is above")
        described = FileDescriptorSet.FromString(out.read_bytes())
    return [Source(file, _comments(file)) for file in described.file if file.package == PACKAGE]


def _comments(file: FileDescriptorProto) -> Mapping[Location, str]:
    found: dict[Location, str] = {}
    for one in file.source_code_info.location:
        # The comment of a file is the last one before its first line.
        parts = [*one.leading_detached_comments] if tuple(one.path) == (_SYNTAX,) else []
        text = " ".join(" ".join([*parts, one.leading_comments, one.trailing_comments]).split())
        if text:
            found[tuple(one.path)] = _markdown(text)
    return found


def _markdown(text: str) -> str:
    """Keeps a comment from being taken for markup, but for its code."""
    parts = re.split(r"(`[^`]*`)", text)
    plain = [re.sub(r"([*<\[])", r"\\\1", part) for part in parts[::2]]
    parts[::2] = plain
    return "".join(parts).replace("|", "\\|")


def page(sources: Sequence[Source]) -> str:
    """Returns the page: services first, then messages and enums."""
    lines = [HEAD.rstrip("\n")]
    lines += [row for source in sources for row in _method_rows(source)]
    for source in sources:
        for index, service in enumerate(source.file.service):
            lines += _service(source, service, index)
    lines += ["", "## Messages"]
    for source in sources:
        title = Path(source.file.name).stem
        lines += ["", f"From `{title}.proto`: {source.comment(_SYNTAX)}"]
        for index, message in enumerate(source.file.message_type):
            lines += _message(source, message, message.name, (_MESSAGES, index))
        for index, enum in enumerate(source.file.enum_type):
            lines += _enum(source, enum, enum.name, (_ENUMS, index))
    return "\n".join(lines) + "\n"


def _method_rows(source: Source) -> Iterator[str]:
    for place, service in enumerate(source.file.service):
        for index, method in enumerate(service.method):
            title = f"{service.name}.{method.name}"
            comment = source.comment(_SERVICES, place, _METHODS, index)
            cells = [f"[{title}](#{_anchor(title)})", _request(method), _answer(method)]
            yield _row([*cells, _first_sentence(comment)])


def _service(source: Source, service: ServiceDescriptorProto, place: int) -> Iterator[str]:
    yield from ("", f"## {service.name}", "", source.comment(_SERVICES, place))
    for index, method in enumerate(service.method):
        yield from ("", f"### {service.name}.{method.name}", "")
        yield f"{_request(method)} → {_answer(method)}"
        yield from ("", source.comment(_SERVICES, place, _METHODS, index))


def _message(
    source: Source, message: DescriptorProto, title: str, place: Location
) -> Iterator[str]:
    yield from ("", f"### {title}", "", source.comment(*place))
    if message.field:
        yield from ("", "| Field | Type | |", "|---|---|---|")
    for index, field in enumerate(message.field):
        name = f"`{field.name}`"
        if field.HasField("oneof_index") and not field.proto3_optional:
            name += f", one of `{message.oneof_decl[field.oneof_index].name}`"
        yield _row([name, _field_type(message, field), source.comment(*place, _FIELDS, index)])
    for index, nested in enumerate(message.nested_type):
        if not nested.options.map_entry:
            location = (*place, _NESTED, index)
            yield from _message(source, nested, f"{title}.{nested.name}", location)
    for index, enum in enumerate(message.enum_type):
        location = (*place, _NESTED_ENUMS, index)
        yield from _enum(source, enum, f"{title}.{enum.name}", location)


def _enum(source: Source, enum: EnumDescriptorProto, title: str, place: Location) -> Iterator[str]:
    yield from ("", f"### {title}", "", source.comment(*place))
    yield from ("", "| Value | |", "|---|---|")
    for index, value in enumerate(enum.value):
        yield _row([f"`{value.name}`", source.comment(*place, _VALUES, index)])


def _field_type(message: DescriptorProto, field: FieldDescriptorProto) -> str:
    entry = next((one for one in message.nested_type if _is_entry(one, field)), None)
    if entry is not None:
        return f"map of {_type(entry.field[0])} to {_type(entry.field[1])}"
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"repeated {_type(field)}"
    return f"optional {_type(field)}" if field.proto3_optional else _type(field)


def _is_entry(nested: DescriptorProto, field: FieldDescriptorProto) -> bool:
    return nested.options.map_entry and field.type_name.endswith(f".{nested.name}")


def _type(field: FieldDescriptorProto) -> str:
    return _link(field.type_name) if field.type_name else _SCALARS[field.type]


def _request(method: MethodDescriptorProto) -> str:
    return f"{'stream of ' if method.client_streaming else ''}{_link(method.input_type)}"


def _answer(method: MethodDescriptorProto) -> str:
    return f"{'stream of ' if method.server_streaming else ''}{_link(method.output_type)}"


def _link(full_name: str) -> str:
    own = full_name.removeprefix(f".{PACKAGE}.")
    return f"[{own}](#{_anchor(own)})" if own != full_name else f"`{full_name[1:]}`"


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "", title.lower())


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.])\s", text, maxsplit=1)[0]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Writes the page, or compares it."""
    text = page(read_sources())
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text)
    elif not PAGE.exists() or PAGE.read_text() != text:
        sys.exit("docs/api.md is out of date, run `make reference`")


if __name__ == "__main__":
    main()
