"""The records of an exported program as its JSON text states them, before any of it is believed.

Field names are those of the serialization schema 8.x of torch.export.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class TensorRef:
    """A tensor by its name in the file."""

    name: str


@dataclass(frozen=True, slots=True)
class SymbolRef:
    """A symbolic integer by its name in the file."""

    name: str


@dataclass(frozen=True, slots=True)
class EnumValue:
    """A scalar type, memory format or layout by its number."""

    kind: str
    value: int


@dataclass(frozen=True, slots=True)
class Device:
    """A device that a tensor lived on. Nothing depends on it."""

    type: str
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Opaque:
    """An argument of a kind that no supported operator takes; its contents are not looked at."""

    kind: str


Argument: TypeAlias = (
    "bool | int | float | str | TensorRef | SymbolRef | EnumValue | Device | Opaque"
    " | tuple[TensorRef | SymbolRef | int | float | str | bool | None, ...] | None"
)


@dataclass(frozen=True, slots=True)
class SymExpr:
    """A symbolic extent as sympy prints it, not yet parsed."""

    expr_str: str
    hint: None = None


Extent: TypeAlias = "int | SymExpr"


@dataclass(frozen=True, slots=True)
class TensorMeta:
    """What the file states of a tensor."""

    dtype: int
    sizes: tuple[Extent, ...]
    requires_grad: bool
    device: Device
    strides: tuple[Extent, ...]
    storage_offset: Extent
    layout: int


@dataclass(frozen=True, slots=True)
class NamedArgument:
    """One argument of an operator."""

    name: str
    arg: Argument
    kind: int | None = None


@dataclass(frozen=True, slots=True)
class RawNode:
    """One call of an operator."""

    target: str
    inputs: tuple[NamedArgument, ...]
    outputs: tuple[Argument, ...]
    metadata: Mapping[str, str]
    is_hop_single_tensor_return: bool | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class RawGraph:
    """The graph in execution order."""

    inputs: tuple[Argument, ...]
    outputs: tuple[Argument, ...]
    nodes: tuple[RawNode, ...]
    tensor_values: Mapping[str, TensorMeta]
    sym_int_values: Mapping[str, Extent]
    sym_bool_values: Mapping[str, Opaque]
    is_single_tensor_return: bool = False
    custom_obj_values: Mapping[str, Opaque] = field(default_factory=dict)
    sym_float_values: Mapping[str, Opaque] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UserInput:
    """An input that the user passes."""

    arg: Argument


@dataclass(frozen=True, slots=True)
class WeightInput:
    """A parameter, buffer or constant. Non-persistent buffers count as constants."""

    arg: TensorRef
    weight_name: str
    is_constant: bool


@dataclass(frozen=True, slots=True)
class UserOutput:
    """An output that the user gets."""

    arg: Argument


@dataclass(frozen=True, slots=True)
class BufferMutation:
    """The new value of a buffer."""

    arg: TensorRef
    buffer_name: str


InputSpec: TypeAlias = "UserInput | WeightInput | Opaque"
OutputSpec: TypeAlias = "UserOutput | BufferMutation | Opaque"


@dataclass(frozen=True, slots=True)
class Signature:
    """What the graph's inputs and outputs are, in order."""

    input_specs: tuple[InputSpec, ...]
    output_specs: tuple[OutputSpec, ...]


@dataclass(frozen=True, slots=True)
class CallSignature:
    """How a module was called: trees of arguments as JSON text."""

    inputs: tuple[Argument, ...]
    outputs: tuple[Argument, ...]
    in_spec: str
    out_spec: str
    forward_arg_names: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ModuleCall:
    """One module of the original model; the root has the empty name."""

    fqn: str
    signature: CallSignature | None = None


@dataclass(frozen=True, slots=True)
class RawGraphModule:
    """A graph with its signature."""

    graph: RawGraph
    signature: Signature
    module_call_graph: tuple[ModuleCall, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
    treespec_namedtuple_fields: Mapping[str, Opaque] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RangeConstraint:
    """Bounds of a symbol, None where unbounded."""

    min_val: int | None
    max_val: int | None


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """The version of the serialization schema."""

    major: int
    minor: int


@dataclass(frozen=True, slots=True)
class RawProgram:
    """The whole of models/model.json."""

    graph_module: RawGraphModule
    opset_version: Mapping[str, int]
    range_constraints: Mapping[str, RangeConstraint]
    schema_version: SchemaVersion
    verifiers: tuple[str, ...] = ()
    torch_version: str = ""
    guards_code: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Payload:
    """One row of a weight table."""

    path_name: str
    is_param: bool
    use_pickle: bool
    tensor_meta: TensorMeta | None
