"""What may stand in an object of Kubernetes, KServe or Prometheus' operator.

The models of it that are published say so.

`make setup` unpacks packages of such models into .venv/deploy. They are read as text: a class with
its fields, their types, and which of them have to be there.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGES = Path(sys.prefix) / "deploy"
KUBERNETES, KSERVE = PACKAGES / "lightkube" / "models", PACKAGES / "kserve" / "models"
OPERATOR = PACKAGES / "cloudcoil" / "models" / "prometheus_operator" / "v1.py"

# In which module of lightkube a kind is defined, by its apiVersion.
_GROUPS = {"v1": "core_v1", "networking.k8s.io/v1": "networking_v1"}
_SCALARS: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "Quantity": (str, int),
    "ResourceQuantity": (str, int),
    "dict": (dict,),
    "object": (dict,),
    "Any": (object,),
    "IntOrString": (int, str),
}


@dataclass(frozen=True, slots=True)
class Place:
    """A module of models: names in its types are looked up there first."""

    source: str
    module: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a kind."""

    type: ast.expr
    is_required: bool


@dataclass(frozen=True, slots=True)
class Record:
    """A kind, or a part of one."""

    fields: Mapping[str, Field]
    place: Place


def problems(manifest: Mapping[str, object]) -> list[str]:
    """Returns what is wrong with an object: unknown and missing fields, and values of other types.

    Args:
        manifest: As it is in the file.
    """
    version, kind = str(manifest["apiVersion"]), str(manifest["kind"])
    group = version.partition("/")[0]
    if group == "serving.kserve.io":
        record = _kserve(f"V{version.partition('/v')[2]}{kind}")
    elif group == "monitoring.coreos.com":
        record = _operator(kind)
    else:
        record = _kubernetes(_GROUPS.get(version, version.replace("/", "_")), kind)
    return list(_of_record(manifest, record, kind))


def _of_record(value: object, record: Record, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is no object"
        return
    for name in value.keys() - record.fields.keys():
        yield f"{path}.{name}: unknown"
    for name, field in record.fields.items():
        if name in value:
            yield from _of_type(value[name], field.type, record.place, f"{path}.{name}")
        elif field.is_required:
            yield f"{path}.{name}: missing"


def _of_type(value: object, kind: ast.expr, place: Place, path: str) -> Iterator[str]:
    match kind:
        case ast.Constant(value=str(text)):
            yield from _of_type(value, _parsed(text), place, path)
        case ast.Attribute(value=ast.Name(id=module), attr=name):
            yield from _of_name(value, name, Place(place.source, module), path)
        case ast.Name(id=name):
            yield from _of_name(value, name, place, path)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            text = ast.unparse(choices)
            if repr(value) not in text.split(", "):
                yield f"{path}: {value!r} is none of {text}"
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Tuple(elts=parts)):
            yield from _of_parts(value, name, parts, place, path)
        case ast.Subscript(value=ast.Name(id=name), slice=part):
            yield from _of_parts(value, name, [part], place, path)
        case _:
            raise AssertionError(f"{path}: {ast.unparse(kind)} is no type that is known here")


def _of_parts(
    value: object, outer: str, parts: list[ast.expr], place: Place, path: str
) -> Iterator[str]:
    match outer.lower(), value:
        case (("optional" | "union"), _):
            found = [list(_of_type(value, part, place, path)) for part in parts]
            yield from min(found, key=len)
        case "list", list(items):
            for number, item in enumerate(items):
                yield from _of_type(item, parts[0], place, f"{path}[{number}]")
        case "dict", dict(entries):
            for key, item in entries.items():
                yield from _of_type(item, parts[1], place, f"{path}.{key}")
        case _:
            yield f"{path}: {value!r} is no {outer}"


def _of_name(value: object, name: str, place: Place, path: str) -> Iterator[str]:
    scalar = _SCALARS.get(name)
    if scalar is None:
        yield from _of_record(value, _record(name, place), path)
    elif not isinstance(value, scalar) or (isinstance(value, bool) and name == "int"):
        yield f"{path}: {value!r} is no {name}"


def _record(name: str, place: Place) -> Record:
    if place.source == "kserve":
        return _kserve(name)
    if place.source == "operator" and place.module != "apimachinery":
        return _operator(name)
    return _kubernetes("meta_v1" if place.source == "operator" else place.module, name)


@cache
def _kubernetes(module: str, name: str) -> Record:
    fields = {
        _json_name(statement): Field(statement.annotation, is_required=statement.value is None)
        for statement in _annotated(_classes(module)[name])
    }
    return Record(fields, Place("kubernetes", module))


@cache
def _classes(module: str) -> Mapping[str, ast.ClassDef]:
    tree = ast.parse((KUBERNETES / f"{module}.py").read_text())
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def _annotated(definition: ast.ClassDef) -> Iterator[ast.AnnAssign]:
    return (part for part in definition.body if isinstance(part, ast.AnnAssign))


def _json_name(statement: ast.AnnAssign) -> str:
    """Returns what a field is called outside of Python, where that is one of its words."""
    assert isinstance(statement.target, ast.Name)
    if isinstance(statement.value, ast.Call):
        for keyword in statement.value.keywords:
            if keyword.arg == "metadata":
                return str(ast.literal_eval(keyword.value)["json"])
    return statement.target.id


@cache
def _operator(name: str) -> Record:
    """Returns a class of pydantic; the file has 2 MB, of which most is no field."""
    found = re.search(
        rf"^class {name}\(\w+\):\n(.*?)(?=^class |\Z)", _operator_text(), re.MULTILINE | re.DOTALL
    )
    assert found, name
    (definition,) = ast.parse(found[0]).body
    assert isinstance(definition, ast.ClassDef)
    fields = {}
    for statement in _annotated(definition):
        assert isinstance(statement.target, ast.Name)
        json_name, kind = statement.target.id, statement.annotation
        match kind:
            case ast.Subscript(
                value=ast.Name(id="Annotated"),
                slice=ast.Tuple(elts=[kind, ast.Call(keywords=keywords)]),
            ):
                aliases = [ast.literal_eval(k.value) for k in keywords if k.arg == "alias"]
                json_name = aliases[0] if aliases else json_name
        fields[json_name] = Field(kind, is_required=statement.value is None)
    return Record(fields, Place("operator"))


@cache
def _operator_text() -> str:
    return OPERATOR.read_text()


@cache
def _kserve(name: str) -> Record:
    """Returns a class of KServe, or of Kubernetes as KServe names it."""
    path = KSERVE / f"{_snake(name)}.py"
    if not path.exists():
        bare = name.rpartition("V1")[2]
        module = next(m for m in ("core_v1", "meta_v1", "apps_v1") if bare in _classes(m))
        return _kubernetes(module, bare)
    text = path.read_text()
    types = _table(text, "openapi_types")
    fields = {
        json_name: Field(
            _parsed(_subscripts(types[attribute])),
            is_required=f"Invalid value for `{attribute}`, must not be `None`" in text,
        )
        for attribute, json_name in _table(text, "attribute_map").items()
    }
    return Record(fields, Place("kserve"))


def _table(text: str, name: str) -> Mapping[str, str]:
    found = re.search(rf"{name} = (\{{.*?\}})", text, re.DOTALL)
    assert found, name
    table: Mapping[str, str] = ast.literal_eval(found[1])
    return table


def _subscripts(kind: str) -> str:
    """Returns a type such as `dict(str, str)` as Python writes it."""
    return kind.replace("(", "[").replace(")", "]")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _parsed(kind: str) -> ast.expr:
    return ast.parse(kind, mode="eval").body
