"""Reads a model that torch.export.save wrote, without torch and without running anything of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from smidgen.formats.limits import DEFAULT_LIMITS, Limits
from smidgen.formats.pt2 import naming
from smidgen.formats.pt2.dimensions import Dimensions
from smidgen.formats.pt2.examples import example_warnings
from smidgen.formats.pt2.importer import GraphImporter
from smidgen.formats.pt2.layout import CONSTANTS_TABLE, MODEL, WEIGHTS_TABLE, Pt2Archive, open_pt2
from smidgen.formats.pt2.payload import DTYPES, read_weights
from smidgen.formats.pt2.payload import Weight as WeightArray
from smidgen.formats.pt2.provenance import SourceLines, located
from smidgen.formats.pt2.reasons import Pt2Reason
from smidgen.formats.pt2.records import (
    Argument,
    BufferMutation,
    CallSignature,
    Opaque,
    Payload,
    RawGraphModule,
    RawProgram,
    TensorRef,
    UserInput,
    UserOutput,
    WeightInput,
)
from smidgen.formats.pt2.schema import decode_payloads, decode_program
from smidgen.formats.pt2.training_mode import training_warnings
from smidgen.formats.refusal import refusal, refuse_not_finite
from smidgen.formats.strict_json import parse_json
from smidgen.graph import arrangement
from smidgen.graph.arguments import SAMPLES_FIRST, Activation, Joined, Statistic, Weight
from smidgen.graph.assembly import input_specs, output_specs, renumber
from smidgen.graph.exported import ExportedModel
from smidgen.graph.operations import weight_names

_Table = tuple[Mapping[str, Payload], Mapping[str, WeightArray]]


def read_pt2(path: Path, *, limits: Limits = DEFAULT_LIMITS) -> ExportedModel:
    """Reads a .pt2 file of torch 2.9 or later.

    Nothing in the file is unpickled, evaluated or used as a path. The weights are views of the
    mapped file, which must not change while the model is in use.

    Args:
        path: The file.
        limits: Caps on what it may hold.

    Raises:
        InvalidModelError: With a PT2_, ZIP_ or JSON_ reason: the file is not acceptable.
        UnsupportedOperatorError: The graph has operators that are not supported; names all.
    """
    archive = open_pt2(path, limits)
    document = parse_json(archive.program, label=MODEL)
    program = decode_program(document, limits)
    return _ModelReader(program, archive, limits).read()


class _ModelReader:
    def __init__(self, program: RawProgram, archive: Pt2Archive, limits: Limits) -> None:
        self._program = program
        self._module: RawGraphModule = program.graph_module
        self._graph = program.graph_module.graph
        self._archive = archive
        self._limits = limits

    def read(self) -> ExportedModel:
        self._check_graph()
        self._weights_table, self._constants_table = self._read_tables()
        weight_specs, weights = self._bind_weights()
        placeholders = self._user_inputs()
        call = self._root_call()
        input_names = naming.input_names(call, placeholders)
        named = dict(zip(placeholders, input_names, strict=True))
        stated = self._graph.tensor_values
        dimensions = Dimensions(
            {named[name]: stated[name] for name in placeholders if name in stated},
            self._program.range_constraints,
            self._limits,
        )
        importer = GraphImporter(self._graph, dimensions, weight_specs)
        inputs = [importer.add_input(name, named[name]) for name in placeholders]
        importer.run()
        outputs = self._outputs(importer)
        output_names = naming.output_names(call, len(outputs))
        nodes, output_values = renumber(importer.assembly.nodes, outputs, len(inputs))
        weights |= importer.assembly.constants
        used = {name for node in nodes for name in weight_names(node.operation)}
        refuse_not_finite(weights, used, Pt2Reason.BAD_WEIGHT)
        count, size = self._parameter_totals()
        return ExportedModel(
            inputs=input_specs(input_names, inputs, nodes, weights),
            outputs=output_specs(output_names, outputs),
            nodes=nodes,
            output_values=output_values,
            weights={name: weights[name] for name in weights if name in used},
            parameters=importer.assembly.trained.names & used,
            parameter_count=count,
            parameter_bytes=size,
            batch_range=dimensions.batch_range(),
            sha256=hashlib.sha256(self._archive.data).hexdigest(),
            warnings=(
                *training_warnings(self._graph, importer.unused),
                *example_warnings(self._archive.example_bytes, len(self._archive.data)),
            ),
        )

    def _check_graph(self) -> None:
        graph, signature = self._graph, self._module.signature
        opaque = (graph.custom_obj_values, graph.sym_bool_values, graph.sym_float_values)
        if any(opaque) or self._module.treespec_namedtuple_fields:
            found = "it has custom objects, named tuples or symbolic truth values and floats."
            error = refusal(Pt2Reason.UNSUPPORTED_SIGNATURE, found)
            opaque_nodes = (
                node for node in graph.nodes if any(isinstance(o, Opaque) for o in node.outputs)
            )
            raise located(error, next(map(SourceLines(graph).of, opaque_nodes), ""))
        self._check_specs("input", graph.inputs, signature.input_specs)
        self._check_specs("output", graph.outputs, signature.output_specs)

    def _check_specs(
        self,
        role: str,
        arguments: Sequence[Argument],
        specs: Sequence[UserInput | WeightInput | UserOutput | BufferMutation | Opaque],
    ) -> None:
        for spec in specs:
            if isinstance(spec, Opaque):
                found = f"it has an {role} of kind {spec.kind}."
                raise refusal(Pt2Reason.UNSUPPORTED_SIGNATURE, found)
            if not isinstance(spec.arg, TensorRef):
                found = f"it has an {role} that is not a tensor."
                raise refusal(Pt2Reason.UNSUPPORTED_SIGNATURE, found)
        if list(arguments) != [spec.arg for spec in specs if not isinstance(spec, Opaque)]:
            found = f"the graph's {role}s are not those of its signature."
            raise refusal(Pt2Reason.BAD_SIGNATURE, found)

    def _read_tables(self) -> tuple[_Table, _Table]:
        archive = self._archive
        weights = self._read_table(WEIGHTS_TABLE, archive.weights_table, archive.weights, "weight_")
        constants = self._read_table(
            CONSTANTS_TABLE, archive.constants_table, archive.constants, "tensor_"
        )
        return weights, constants

    def _read_table(
        self, label: str, text: memoryview, records: Mapping[str, memoryview], prefix: str
    ) -> _Table:
        payloads = decode_payloads(parse_json(text, label=label), self._limits, label)
        return payloads, read_weights(payloads, records, prefix=prefix, limits=self._limits)

    def _bind_weights(self) -> tuple[dict[str, Weight], dict[str, WeightArray]]:
        """Returns the weights by their names in the graph, and their arrays by their own names."""
        by_graph_name: dict[str, Weight] = {}
        arrays: dict[str, WeightArray] = {}
        for spec in self._module.signature.input_specs:
            if not isinstance(spec, WeightInput):
                continue
            payloads, views = self._constants_table if spec.is_constant else self._weights_table
            name, graph_name = spec.weight_name, spec.arg.name
            if name not in payloads:
                found = f"the weight {name[:64]!r} is in the signature, but not in its table."
                raise refusal(Pt2Reason.BAD_SIGNATURE, found)
            if name in arrays or graph_name in by_graph_name:
                found = f"the weight {name[:64]!r} is in the signature twice."
                raise refusal(Pt2Reason.BAD_SIGNATURE, found)
            meta = payloads[name].tensor_meta
            dtype = DTYPES[meta.dtype][0] if meta else ""
            arrays[name] = views[name]
            by_graph_name[graph_name] = Weight(
                name, dtype, views[name].shape,
                array=views[name], is_parameter=payloads[name].is_param,
            )  # fmt: skip
        return by_graph_name, arrays

    def _user_inputs(self) -> list[str]:
        specs = self._module.signature.input_specs
        names = [
            spec.arg.name
            for spec in specs
            if isinstance(spec, UserInput) and isinstance(spec.arg, TensorRef)
        ]
        if not names:
            raise refusal(Pt2Reason.UNSUPPORTED_SIGNATURE, "it has no inputs.")
        return names

    def _root_call(self) -> CallSignature | None:
        roots = [call.signature for call in self._module.module_call_graph if not call.fqn]
        if len(roots) > 1:
            raise refusal(Pt2Reason.BAD_SIGNATURE, "its root module is described twice.")
        return roots[0] if roots else None

    def _outputs(self, importer: GraphImporter) -> list[Activation]:
        outputs: list[Activation] = []
        for spec in self._module.signature.output_specs:
            if isinstance(spec, Opaque) or not isinstance(spec.arg, TensorRef):
                continue
            value = importer.value(spec.arg.name)
            if isinstance(spec, BufferMutation):
                if value != Statistic(spec.buffer_name):
                    shown = repr(spec.buffer_name[:64])
                    found = f"the buffer {shown} is changed by other than batch normalization."
                    error = refusal(Pt2Reason.MUTATION_UNSUPPORTED, found)
                    raise located(error, importer.source_lines.of_value(spec.arg.name))
            elif isinstance(value, Activation):
                outputs.append(value)
            else:
                found = f"the output {spec.arg.name[:64]!r} does not depend on the inputs."
                if isinstance(value, Joined):
                    shown = f"has the shape {arrangement.shown(value)}, {SAMPLES_FIRST}"
                    found = f"the output {spec.arg.name[:64]!r} {shown}."
                error = refusal(Pt2Reason.UNSUPPORTED_SIGNATURE, found)
                raise located(error, importer.source_lines.of_value(spec.arg.name))
        if not outputs:
            raise refusal(Pt2Reason.UNSUPPORTED_SIGNATURE, "it has no outputs.")
        return outputs

    def _parameter_totals(self) -> tuple[int, int]:
        """Counts elements and bytes of the parameters, tied ones once."""
        payloads, views = self._weights_table
        tensors = {
            (row.path_name, row.tensor_meta.storage_offset, row.tensor_meta.sizes): views[name]
            for name, row in payloads.items()
            if row.is_param and row.tensor_meta
        }
        arrays = tensors.values()
        return sum(array.size for array in arrays), sum(array.nbytes for array in arrays)
