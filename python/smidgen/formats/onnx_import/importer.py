"""From the nodes of an ONNX graph to operations over numbered values."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence

from onnx import GraphProto, NodeProto

from smidgen.errors import InvalidModelError
from smidgen.formats.limits import Limits
from smidgen.formats.onnx_import.call import (
    Call,
    Comparison,
    Extents,
    Foreign,
    Input,
    Result,
    Rule,
    SamplePlaces,
    attributes_of,
    label_of,
)
from smidgen.formats.onnx_import.document import BRANCHES
from smidgen.formats.onnx_import.reasons import OnnxReason
from smidgen.formats.onnx_import.rules import RULES
from smidgen.formats.onnx_import.signatures import check_signature
from smidgen.formats.refusal import refusal
from smidgen.formats.unsupported import UnsupportedOperators
from smidgen.graph import arrangement
from smidgen.graph.arguments import (
    SAMPLES_FIRST,
    Activation,
    ArgumentError,
    BatchRange,
    Constant,
    Joined,
    TooManyOperations,
    UnsupportedCase,
    Weight,
)
from smidgen.graph.assembly import Assembly
from smidgen.graph.operations import BOOL, Shape
from smidgen.graph.shapes import ShapeError


class _Unknown:
    """What an unsupported operator gives."""


class _UnknownOperand(Exception):
    """An operator reads what an unsupported one gives, so that nothing can be said about it."""


_UNKNOWN = _Unknown()
_USABLE = (
    Activation,
    Joined,
    Weight,
    Constant,
    Extents,
    Comparison,
    BatchRange,
    SamplePlaces,
    Foreign,
)
_IF = "If"


def _chosen_branch(node: NodeProto, inputs: Sequence[Input | None]) -> GraphProto:
    branches = {name: item.g for name, item in attributes_of(node).items() if name in BRANCHES}
    if len(inputs) != 1 or len(branches) != len(BRANCHES):
        raise ArgumentError("it has other than one condition and two branches")
    condition = inputs[0]
    if (
        not isinstance(condition, Constant | Weight)
        or condition.dtype != BOOL
        or condition.array.size != 1
    ):
        raise refusal(
            OnnxReason.CONTROL_FLOW,
            f"the condition of the If at {label_of(node)!r} does not follow from the file alone. "
            "Export the model without control flow.",
        )
    branch = branches[BRANCHES[int(condition.array.reshape(-1)[0])]]
    if len(branch.output) != len(node.output):
        raise ArgumentError(f"its branch has {len(branch.output)} outputs of {len(node.output)}")
    return branch


class OnnxImporter:
    """Imports one graph, node by node.

    Args:
        opset: The version of the operators.
        weights: The initializers by name.
        limits: Caps.
        rules: What the operators mean.

    Attributes:
        assembly: What has been imported so far.
    """

    def __init__(
        self,
        opset: int,
        weights: Mapping[str, Weight],
        limits: Limits,
        rules: Mapping[str, Rule] = RULES,
    ) -> None:
        self.assembly = Assembly(weights.values())
        self._opset = opset
        self._limits = limits
        self._values: ChainMap[str, Input | _Unknown] = ChainMap(dict(weights))
        self._rules = rules
        self._unsupported = UnsupportedOperators(len(rules))

    def add_input(self, name: str, shape: Shape, dtype: str) -> Activation:
        """Defines the next input of the user and returns it."""
        value = self.assembly.new_activation(shape, dtype)
        self._define(name, value)
        return value

    def run(self, nodes: list[NodeProto]) -> None:
        """Imports all nodes.

        Raises:
            UnsupportedOperatorError: Names all operators that are not supported.
            InvalidModelError: With an ONNX_ reason.
        """
        self._import_all(nodes)
        self._unsupported.raise_if_any()

    def _import_all(self, nodes: Sequence[NodeProto]) -> None:
        for node in nodes:
            if node.op_type not in self._rules and node.op_type != _IF:
                self._unsupported.add(node.op_type, label_of(node), "", "")
        for node in nodes:
            try:
                self._import(node)
            except InvalidModelError:
                # What follows an unsupported operator may well look wrong; its cause is told.
                if not self._unsupported:
                    raise
                for name in node.output:
                    self._values.setdefault(name, _UNKNOWN)

    def output(self, name: str) -> Activation:
        """Returns what the name of an output stands for."""
        found = self._values.get(name)
        if isinstance(found, Foreign):
            shown = f"is {found.shown}, expected real numbers, such as DequantizeLinear gives"
            raise refusal(OnnxReason.BAD_SIGNATURE, f"the output {name[:80]!r} {shown}.")
        if isinstance(found, Joined):
            shown = f"has the shape {arrangement.shown(found)}, {SAMPLES_FIRST}"
            raise refusal(OnnxReason.BAD_SIGNATURE, f"the output {name[:80]!r} {shown}.")
        if not isinstance(found, Activation):
            shown = "is not defined" if found is None else "does not depend on the inputs"
            raise refusal(OnnxReason.BAD_SIGNATURE, f"the output {name[:80]!r} {shown}.")
        return found

    def _found(self, name: str) -> Input | _Unknown | None:
        """Returns what a name stands for in a branch or around it; None if it is not defined."""
        for scope in self._values.maps:
            if name in scope:
                return scope[name]
        return None

    def _value(self, name: str) -> Input:
        found = self._found(name)
        if found is None:
            raise refusal(
                OnnxReason.UNDEFINED_VALUE,
                f"the value {name[:80]!r} is used and not defined before: nodes must come in the "
                "order in which they run, without cycles.",
            )
        if isinstance(found, _Unknown):
            raise _UnknownOperand
        return found

    def _import(self, node: NodeProto) -> None:
        most = self._limits.list_length
        if max(len(node.input), len(node.output)) > most:
            found = f"the node {label_of(node)!r} has more than {most} operands or outputs."
            raise refusal(OnnxReason.TOO_LARGE, found)
        results: list[Result | _Unknown] = [_UNKNOWN] * len(node.output)
        try:
            inputs = tuple(self._value(name) if name else None for name in node.input)
            rule = self._rules.get(node.op_type)
            if node.op_type == _IF:
                results = self._of_branch(node, inputs)
            elif rule is not None:
                attributes = attributes_of(node)
                check_signature(node.op_type, self._opset, attributes, len(inputs))
                call = Call(node, self._opset, inputs, self.assembly, self._limits, attributes)
                made = self.assembly.trained.through(inputs, lambda: rule(call))
                results = self._charged(made, inputs)
        except _UnknownOperand:
            pass
        except UnsupportedCase as case:
            self._unsupported.add(node.op_type, label_of(node), "", str(case))
        except TooManyOperations as error:
            raise refusal(
                OnnxReason.TOO_LARGE, f"at {label_of(node)!r} its nodes have come to mean {error}."
            ) from None
        except (ArgumentError, ShapeError) as error:
            reason = (
                OnnxReason.SHAPE_MISMATCH
                if isinstance(error, ShapeError)
                else OnnxReason.BAD_ATTRIBUTE
            )
            shown = f"{node.op_type[:80]} at {label_of(node)!r}"
            raise refusal(
                reason, f"the operator {shown} is not valid: {error}.", node=label_of(node)
            ) from None
        for index, name in enumerate(node.output):
            if name:
                self._define(name, results[index] if index < len(results) else _UNKNOWN)

    def _of_branch(
        self, node: NodeProto, inputs: Sequence[Input | None]
    ) -> list[Result | _Unknown]:
        """Imports the branch of an If that its condition, which must be known, chooses.

        Returns what its outputs stand for; the other names of the branch end with it.
        """
        branch = _chosen_branch(node, inputs)
        self._values = self._values.new_child()
        try:
            self._import_all(branch.node)
            return [self._values.get(item.name) or self._value(item.name) for item in branch.output]
        finally:
            self._values = self._values.parents

    def _charged(
        self, results: Sequence[Result], inputs: Sequence[Input | None]
    ) -> list[Result | _Unknown]:
        """Counts the constants among what a rule gives and returns all of it."""
        for result in results:
            if isinstance(result, Constant) and not any(result is value for value in inputs):
                self.assembly.charge(result)
        return list(results)

    def _define(self, name: str, value: Result | _Unknown) -> None:
        if name in self._values:
            raise refusal(OnnxReason.DUPLICATE_VALUE, f"the value {name[:80]!r} is defined twice.")
        is_usable = isinstance(value, _USABLE)
        self._values[name] = value if is_usable else _UNKNOWN  # type: ignore[assignment]
