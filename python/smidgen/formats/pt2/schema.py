"""The serialization schema of torch.export as a table of decoders.

Source: schema.py of torch/_export/serde, version 8.20 (torch 2.12 to 2.14). Minor 14 (torch 2.9) is
the first with weights as raw bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from smidgen.formats.limits import Limits
from smidgen.formats.pt2 import records as r
from smidgen.formats.pt2.decoding import (
    Decoder,
    Mismatch,
    boolean,
    integer,
    list_of,
    map_of,
    nullable,
    number,
    string,
    true,
    union,
)
from smidgen.formats.pt2.decoding import record as strict_record
from smidgen.formats.pt2.provenance import located, source_line
from smidgen.formats.pt2.reasons import Pt2Reason
from smidgen.formats.refusal import refusal
from smidgen.formats.strict_json import JsonValue

T = TypeVar("T")

MAJOR, FIRST_MINOR, KNOWN_MINOR = 8, 14, 20

_OPAQUE_ARGUMENTS = (
    "as_sym_bool", "as_sym_bools", "as_sym_float", "as_sym_floats", "as_graph", "as_custom_obj",
    "as_operator", "as_optional_tensor", "as_complex", "as_nested_tensors", "as_int_lists",
    "as_float_lists", "as_string_to_argument",
)  # fmt: skip
_OPAQUE_INPUTS = ("custom_obj", "token", "constant_input")
_OPAQUE_OUTPUTS = (
    "loss_output", "gradient_to_parameter", "gradient_to_user_input", "user_input_mutation",
    "token", "parameter_mutation",
)  # fmt: skip


def decode_program(document: JsonValue, limits: Limits) -> r.RawProgram:
    """Decodes models/model.json.

    Raises:
        InvalidModelError: PT2_UNSUPPORTED_VERSION or PT2_BAD_SCHEMA.
    """
    minor = _check_version(document)
    _check_value_count(document, limits)
    schema = Schema(limits, ignore_unknown=minor > KNOWN_MINOR)
    return _decode(schema.program(), document, "models/model.json")


def decode_payloads(document: JsonValue, limits: Limits, label: str) -> dict[str, r.Payload]:
    """Decodes a weight table: its rows by the name of the weight."""
    schema = Schema(limits, ignore_unknown=False)
    return _decode(schema.payload_config(), document, label)


def _decode(decoder: Decoder[T], document: JsonValue, label: str) -> T:
    try:
        return decoder(document)
    except Mismatch as mismatch:
        found = f"{label} does not follow the schema of torch.export at {mismatch.describe()}."
        source = _source_of(document, mismatch.keys[::-1])
        raise located(refusal(Pt2Reason.BAD_SCHEMA, found), source) from None


def _source_of(document: JsonValue, path: list[str]) -> str:
    """Returns the line of the node that a path leads into; empty if it leads to none."""
    *graph, index = [*path, "", "", "", ""][:4]
    if graph != ["graph_module", "graph", "nodes"] or not index:
        return ""
    nodes = _member(_member(_member(document, "graph_module"), "graph"), "nodes")
    node = nodes[int(index)] if isinstance(nodes, list) else None
    trace = _member(_member(node, "metadata"), "stack_trace")
    return source_line({"stack_trace": trace}) if isinstance(trace, str) else ""


def _check_version(document: JsonValue) -> int:
    version = document.get("schema_version") if isinstance(document, dict) else None
    major, minor = (
        (version.get("major"), version.get("minor")) if isinstance(version, dict) else (None, None)
    )
    if major != MAJOR or type(minor) is not int or minor < FIRST_MINOR:
        raise refusal(
            Pt2Reason.UNSUPPORTED_VERSION,
            f"its schema version is {str(major)[:16]}.{str(minor)[:16]}, expected "
            f"{MAJOR}.{FIRST_MINOR} or a later minor. Save it again with torch 2.9 or later.",
        )
    return minor


def _check_value_count(document: JsonValue, limits: Limits) -> None:
    """Refuses a flood of stated values before time and memory are spent on decoding them."""
    graph = _member(_member(document, "graph_module"), "graph")
    nodes, inputs = _member(graph, "nodes"), _member(graph, "inputs")
    values = [_member(graph, key) for key in ("tensor_values", "sym_int_values")]
    stated = sum(len(value) for value in values if isinstance(value, dict))
    outputs = [_member(node, "outputs") for node in nodes] if isinstance(nodes, list) else []
    items = [item for item in (inputs, *outputs) if isinstance(item, list)]
    defined = sum(_width(item) for item in items)
    if stated > limits.values_per_output * max(defined, 1):
        found = f"it states {stated} values, but its graph defines about {defined}."
        raise refusal(Pt2Reason.UNUSED_VALUE, found)


def _member(value: JsonValue, key: str) -> JsonValue:
    return value.get(key) if isinstance(value, dict) else None


def _width(arguments: list[JsonValue]) -> int:
    """Returns how many values a list of arguments can define: lists of tensors count as many."""
    members = [_member(argument, "as_tensors") for argument in arguments]
    return sum(len(member) if isinstance(member, list) else 1 for member in members)


class Schema:
    """Decoders of the records, made for one set of limits.

    Args:
        limits: Caps on lengths.
        ignore_unknown: Skip unknown keys, as is right for minors later than the known one.
    """

    def __init__(self, limits: Limits, *, ignore_unknown: bool) -> None:
        self._limits = limits
        self._ignore_unknown = ignore_unknown
        self._string = string(limits.string_length)
        self._name = string(512)
        self._count = limits.nodes * limits.values_per_output
        self._tensor_ref = self._record(r.TensorRef, {"name": self._name})
        self._tensor_meta = self._make_tensor_meta()
        self._argument = self._make_argument()

    def payload_config(self) -> Decoder[dict[str, r.Payload]]:
        """Makes the decoder of a weight table."""
        payload = self._record(
            r.Payload,
            {
                "path_name": self._name,
                "is_param": boolean,
                "use_pickle": boolean,
                "tensor_meta": nullable(self._tensor_meta),
            },
        )
        rows = map_of(payload, self._limits.entries)
        return self._record(lambda config: config, {"config": rows})

    def program(self) -> Decoder[r.RawProgram]:
        """Makes the decoder of a program."""
        bounds = {"min_val": nullable(integer), "max_val": nullable(integer)}
        return self._record(
            r.RawProgram,
            {
                "graph_module": self._graph_module(),
                "opset_version": map_of(integer, 64),
                "range_constraints": map_of(self._record(r.RangeConstraint, bounds), 4096),
                "schema_version": self._record(
                    r.SchemaVersion, {"major": integer, "minor": integer}
                ),
                "verifiers": list_of(self._name, 64),
                "torch_version": self._name,
                "guards_code": list_of(self._string, 4096),
            },
            optional={"verifiers", "torch_version", "guards_code"},
        )

    def _record(
        self,
        build: Callable[..., T],
        fields: Mapping[str, Decoder[object]],
        *,
        optional: frozenset[str] | set[str] = frozenset(),
    ) -> Decoder[T]:
        return strict_record(build, fields, optional=optional, ignore_unknown=self._ignore_unknown)

    def _make_tensor_meta(self) -> Decoder[r.TensorMeta]:
        extent = self._extent()
        extents = list_of(extent, self._limits.rank)
        return self._record(
            r.TensorMeta,
            {
                "dtype": integer,
                "sizes": extents,
                "requires_grad": boolean,
                "device": self._device(),
                "strides": extents,
                "storage_offset": extent,
                "layout": integer,
            },
        )

    def _device(self) -> Decoder[r.Device]:
        fields = {"type": string(32), "index": nullable(integer)}
        return self._record(r.Device, fields, optional={"index"})

    def _extent(self) -> Decoder[r.Extent]:
        def hint(value: JsonValue) -> None:
            union({"as_int": integer, "as_bool": boolean, "as_float": number})(value)

        expression = self._record(
            r.SymExpr, {"expr_str": string(4096), "hint": nullable(hint)}, optional={"hint"}
        )
        return union({"as_int": integer, "as_expr": expression})

    def _make_argument(self) -> Decoder[r.Argument]:
        length = self._limits.list_length
        symbol = self._record(r.SymbolRef, {"name": self._name})
        sym_int: Decoder[int | r.SymbolRef] = union(
            {"as_int": integer, "as_name": lambda value: symbol({"name": value})}
        )
        optional_tensor: Decoder[r.TensorRef | None] = union(
            {"as_tensor": self._tensor_ref, "as_none": true}
        )
        members: dict[str, Decoder[r.Argument]] = {
            "as_none": true,
            "as_tensor": self._tensor_ref,
            "as_tensors": list_of(self._tensor_ref, length),
            "as_optional_tensors": list_of(optional_tensor, length),
            "as_int": integer,
            "as_ints": list_of(integer, length),
            "as_float": number,
            "as_floats": list_of(number, length),
            "as_string": self._string,
            "as_strings": list_of(self._string, length),
            "as_bool": boolean,
            "as_bools": list_of(boolean, length),
            "as_sym_int": sym_int,
            "as_sym_ints": list_of(sym_int, length),
            "as_device": self._device(),
        }
        for kind in ("scalar_type", "memory_format", "layout"):
            members[f"as_{kind}"] = partial(_enum_value, kind)
        for kind in _OPAQUE_ARGUMENTS:
            members[kind] = partial(_opaque, kind)
        return union(members)

    def _graph(self) -> Decoder[r.RawGraph]:
        arguments = list_of(self._argument, self._limits.list_length)
        named = self._record(
            r.NamedArgument,
            {"name": self._name, "arg": self._argument, "kind": nullable(integer)},
            optional={"kind"},
        )
        node = self._record(
            r.RawNode,
            {
                "target": self._name,
                "inputs": list_of(named, self._limits.arguments),
                "outputs": arguments,
                "metadata": map_of(self._string, 64),
                "is_hop_single_tensor_return": nullable(boolean),
                "name": nullable(self._name),
            },
            optional={"is_hop_single_tensor_return", "name"},
        )
        opaque = partial(_opaque, "value")
        return self._record(
            r.RawGraph,
            {
                "inputs": arguments,
                "outputs": arguments,
                "nodes": list_of(node, self._limits.nodes),
                "tensor_values": map_of(self._tensor_meta, self._count),
                "sym_int_values": map_of(self._extent(), self._count),
                "sym_bool_values": map_of(opaque, self._count),
                "is_single_tensor_return": boolean,
                "custom_obj_values": map_of(opaque, self._count),
                "sym_float_values": map_of(opaque, self._count),
            },
            optional={"is_single_tensor_return", "custom_obj_values", "sym_float_values"},
        )

    def _signature(self) -> Decoder[r.Signature]:
        inputs: dict[str, Decoder[r.InputSpec]] = {
            "user_input": self._record(r.UserInput, {"arg": self._argument}),
            "parameter": self._weight("parameter_name"),
            "buffer": self._weight("buffer_name", has_persistence=True),
            "tensor_constant": self._weight("tensor_constant_name", is_constant=True),
        }
        inputs |= {kind: partial(_opaque, kind) for kind in _OPAQUE_INPUTS}
        outputs: dict[str, Decoder[r.OutputSpec]] = {
            "user_output": self._record(r.UserOutput, {"arg": self._argument}),
            "buffer_mutation": self._record(
                r.BufferMutation, {"arg": self._tensor_ref, "buffer_name": self._name}
            ),
        }
        outputs |= {kind: partial(_opaque, kind) for kind in _OPAQUE_OUTPUTS}
        length = self._limits.list_length
        return self._record(
            r.Signature,
            {
                "input_specs": list_of(union(inputs), length),
                "output_specs": list_of(union(outputs), length),
            },
        )

    def _weight(
        self, name_key: str, *, is_constant: bool = False, has_persistence: bool = False
    ) -> Decoder[r.WeightInput]:
        def build(*, arg: r.TensorRef, persistent: bool = True, **names: str) -> r.WeightInput:
            return r.WeightInput(arg, names[name_key], is_constant or not persistent)

        fields: dict[str, Decoder[object]] = {"arg": self._tensor_ref, name_key: self._name}
        if has_persistence:
            fields["persistent"] = boolean
        return self._record(build, fields)

    def _graph_module(self) -> Decoder[r.RawGraphModule]:
        arguments = list_of(self._argument, self._limits.list_length)
        call_signature = self._record(
            r.CallSignature,
            {
                "inputs": arguments,
                "outputs": arguments,
                "in_spec": self._string,
                "out_spec": self._string,
                "forward_arg_names": nullable(list_of(self._name, self._limits.list_length)),
            },
            optional={"forward_arg_names"},
        )
        module_call = self._record(
            r.ModuleCall,
            {"fqn": self._name, "signature": nullable(call_signature)},
            optional={"signature"},
        )
        return self._record(
            r.RawGraphModule,
            {
                "graph": self._graph(),
                "signature": self._signature(),
                "module_call_graph": list_of(module_call, self._limits.nodes),
                "metadata": map_of(self._string, 64),
                "treespec_namedtuple_fields": map_of(partial(_opaque, "namedtuple"), 64),
            },
            optional={"metadata", "treespec_namedtuple_fields"},
        )


def _opaque(kind: str, _: JsonValue) -> r.Opaque:
    return r.Opaque(kind)


def _enum_value(kind: str, value: JsonValue) -> r.EnumValue:
    return r.EnumValue(kind, integer(value))
