"""How results look to people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from google.protobuf.timestamp_pb2 import Timestamp
from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from smidgen.client.reports import decode_report
from smidgen.client.tensors import decode_spec
from smidgen.measured import LatencyReport, SensitivityReport
from smidgen.plural import counted
from smidgen.report import (
    Distance,
    EvaluationData,
    FakeQuantizedParity,
    GateReport,
    NodeReport,
    ParityCertificate,
    PrecisionSearch,
    QuantizationReport,
)
from smidgen.v1 import dataset_service_pb2 as datasets_pb
from smidgen.v1 import job_service_pb2 as jobs_pb
from smidgen.v1 import model_service_pb2 as models_pb
from smidgen.v1 import optimization_service_pb2 as optimization_pb
from smidgen.v1 import tensor_pb2

_KIB = 1024
_SHORT = 12  # letters in a cell of a column that never wraps


def listing(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> RenderableType:
    """Makes a table with a line for each row."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    lines = [[str(cell) for cell in row] for row in rows]
    for index, column in enumerate(columns):
        is_short = all(len(line[index]) <= _SHORT for line in lines)
        table.add_column(column, overflow="fold", no_wrap=index == 0 or is_short)
    for line in lines:
        table.add_row(*(escape(cell) for cell in line))
    return table


def facts(pairs: Iterable[tuple[str, object]]) -> RenderableType:
    """Makes a line for each name and value, without those that are empty."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        if value not in ("", None):
            table.add_row(f"[bold]{name}[/bold]", escape(str(value)))
    return table


def model_view(model: models_pb.Model) -> RenderableType:
    """Shows a model."""
    return facts(
        [
            ("Model", model.name),
            ("Display name", model.display_name),
            ("Format", models_pb.ModelFormat.Name(model.format).removeprefix("MODEL_FORMAT_")),
            ("Size", size(model.size_bytes)),
            ("SHA-256", model.sha256),
            ("Inputs", specs(model.inputs)),
            ("Outputs", specs(model.outputs)),
            ("Parameters", _parameters(model)),
            ("Newest version", model.latest_version or "none, convert it first"),
            ("Created", moment(model.create_time)),
            ("Warnings", "\n".join(model.warnings)),
        ]
    )


def version_view(version: models_pb.ModelVersion) -> RenderableType:
    """Shows a converted version."""
    parts = [
        facts(
            [
                ("Version", version.name),
                ("Size", size(version.size_bytes)),
                ("SHA-256", version.sha256),
                ("Inputs", specs(version.inputs)),
                ("Outputs", specs(version.outputs)),
                ("Made by", version.job),
                ("Calibration", version.calibration),
                ("Training", version.train_job),
                ("Created", moment(version.create_time)),
            ]
        )
    ]
    if version.HasField("report"):
        parts.append(report_view(decode_report(version.report)))
    return Group(*parts)


def alias_view(alias: models_pb.Alias) -> RenderableType:
    """Shows an alias with its moves."""
    head = facts(
        [
            ("Alias", alias.name),
            ("Version", alias.model_version),
            ("Rollback to", alias.rollback_version or "none"),
            ("Etag", alias.etag),
        ]
    )
    moves = listing(
        ("Moved", "To", "From", "By", "Drop"),
        (
            (
                moment(move.time) + (" (rollback)" if move.is_rollback else ""),
                move.model_version.rpartition("/")[2],
                move.previous_version.rpartition("/")[2],
                move.caller,
                f"{move.measured_drop:.4f} of at most {move.condition.max_drop:g}"
                if move.HasField("measured_drop")
                else "",
            )
            for move in alias.moves
        ),
    )
    return Group(head, moves)


def dataset_view(dataset: datasets_pb.Dataset) -> RenderableType:
    """Shows a dataset."""
    return facts(
        [
            ("Dataset", dataset.name),
            ("Samples", dataset.sample_count),
            ("Arrays", specs(dataset.arrays)),
            ("Files", dataset.file_count),
            ("Size", size(dataset.size_bytes)),
            ("SHA-256", dataset.sha256),
            ("Created", moment(dataset.create_time)),
        ]
    )


def calibration_view(calibration: optimization_pb.Calibration) -> RenderableType:
    """Shows a calibration with its ranges."""
    method = optimization_pb.ObserverMethod.Name(calibration.method)
    ranges = listing(
        ("Activation", "Min", "Max", "Scale", "Zero point", "Clipped"),
        (
            (
                r.node,
                f"{r.min:.5g}",
                f"{r.max:.5g}",
                f"{r.scale:.5g}" if r.scale else "float",
                r.zero_point if r.scale else "",
                f"{r.clipped_share:.3%}" if r.HasField("clipped_share") else "",
            )
            for r in calibration.ranges
        ),
    )
    head = facts(
        [
            ("Calibration", calibration.name),
            ("Model", calibration.model),
            ("Method", method.removeprefix("OBSERVER_METHOD_").lower()),
            (
                "Samples",
                f"{calibration.sample_count} in {counted(calibration.batch_count, 'batch')}",
            ),
            *(("Base", base) for base in calibration.base_calibrations),
            *(("Warning", warning) for warning in calibration.warnings),
            ("Created", moment(calibration.create_time)),
        ]
    )
    return Group(head, ranges)


def job_view(job: jobs_pb.Job) -> RenderableType:
    """Shows a job with what it brought."""
    pairs: list[tuple[str, object]] = [
        ("Job", job.name or "none, this was a check only"),
        ("Kind", kind_name(job)),
        ("State", state_name(job.state)),
        ("Stage", stage_name(job.stage)),
        ("Progress", f"{job.progress:.0%}" if job.name else ""),
        ("Attempt", job.attempt or ""),
        ("Model", job.model),
        ("Created", moment(job.create_time)),
        ("Started", moment(job.start_time)),
        ("Ended", moment(job.end_time)),
    ]
    parts: list[RenderableType] = []
    if job.HasField("remaining"):
        pairs.append(("Remaining", f"about {job.remaining.ToTimedelta()}".split(".")[0]))
    if job.HasField("error"):
        pairs += [("Error", job.error.message), ("Reason", job.error.reason)]
    if job.HasField("train_qat"):
        pairs += training_facts(job.train_qat)
    if job.HasField("convert"):
        pairs += [
            ("Version", job.convert.model_version),
            ("Size", size(job.convert.size_bytes)),
            ("SHA-256", job.convert.sha256),
        ]
        parts.append(report_view(decode_report(job.convert.report)))
    if job.HasField("plan"):
        parts.append(report_view(decode_report(job.plan)))
    return Group(facts(pairs), *parts)


def report_view(report: QuantizationReport) -> RenderableType:
    """Shows what was quantized and what it brought."""
    nodes = listing(
        ("Node", "Module", "Operator", "Quantized", "Bits", "Float", "Integer", "SQNR"),
        (
            (
                node.node,
                node.module_path,
                node.op,
                "yes" if node.is_quantized else node.reason,
                str(node.weight_bits) if node.weight_bits else "",
                size(node.float_bytes) if node.float_bytes else "",
                size(node.quantized_bytes) if node.quantized_bytes else "",
                "" if node.sqnr_db is None else f"{node.sqnr_db:.1f} dB",
            )
            for node in report.nodes
        ),
    )
    pairs: list[tuple[str, object]] = [
        ("Float parameters", size(report.float_bytes)),
        ("Artifact", size(report.artifact_bytes) if report.artifact_bytes else ""),
        ("Float accuracy", _share(report.float_accuracy)),
        ("Integer accuracy", _share(report.quantized_accuracy)),
        ("Measured on", _measured_on(report.evaluation)),
        *(_gate(report.gate) if report.gate else []),
        *(_search(report.search) if report.search else []),
        *(_certificate(report.parity) if report.parity else []),
        *(_latency(report.latency) if report.latency else []),
        *(_sensitivity(report.sensitivity, report.nodes) if report.sensitivity else []),
    ]
    return Group(nodes, facts(pairs))


def _measured_on(data: EvaluationData | None) -> str:
    return "what training held out" if data is EvaluationData.HELD_OUT else ""


def specs(tensors: Iterable[tensor_pb2.TensorSpec]) -> str:
    """Writes inputs or outputs: `image float32 [?, 1, 8, 8]`."""
    decoded = [decode_spec(tensor) for tensor in tensors]
    return ", ".join(f"{spec.name} {spec.dtype} {spec.describe_shape()}" for spec in decoded)


def state_name(state: jobs_pb.JobState.ValueType) -> str:
    """Returns a job's state without its prefix; empty for a job that is only a plan."""
    name = jobs_pb.JobState.Name(state).removeprefix("JOB_STATE_")
    return "" if name == "UNSPECIFIED" else name


def kind_name(job: jobs_pb.Job) -> str:
    """Returns a job's kind without its prefix."""
    return jobs_pb.JobKind.Name(job.kind).removeprefix("JOB_KIND_")


def stage_name(stage: jobs_pb.JobStage.ValueType) -> str:
    """Returns a job's stage without its prefix; empty for none."""
    name = jobs_pb.JobStage.Name(stage).removeprefix("JOB_STAGE_")
    return "" if name == "UNSPECIFIED" else name


def size(count: int) -> str:
    """Writes a number of bytes.

    >>> size(999), size(2048), size(3 * 1024 * 1024)
    ('999 B', '2.0 KiB', '3.0 MiB')
    """
    if count < _KIB:
        return f"{count} B"
    if count < _KIB**2:
        return f"{count / _KIB:.1f} KiB"
    return f"{count / _KIB**2:.1f} MiB"


def moment(time: Timestamp) -> str:
    """Writes a time in UTC to the second; empty if it is not set."""
    return time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S UTC") if time.seconds else ""


def _parameters(model: models_pb.Model) -> str:
    """Returns an empty text for an artifact, which has no float parameters."""
    count = model.parameter_count
    return f"{count} ({size(model.parameter_bytes)})" if count else ""


def training_facts(result: jobs_pb.TrainQATResult) -> list[tuple[str, object]]:
    """Returns what a training found out."""
    has_float, has_accuracy = result.HasField("float_accuracy"), result.HasField("accuracy")
    has_agreement = result.HasField("agreement")
    return [
        ("Float accuracy", _share(result.float_accuracy if has_float else None)),
        ("Accuracy", _share(result.accuracy if has_accuracy else None)),
        ("Agreement", _share(result.agreement if has_agreement else None)),
        ("Task loss", f"{result.task_loss:.5g}"),
        ("Quantization loss", f"{result.quantization_loss:.5g}"),
        ("Best epoch", result.best_epoch),
        ("Best stage", stage_name(result.best_stage)),
        ("Steps", result.step_count),
    ]


def _latency(latency: LatencyReport) -> list[tuple[str, object]]:
    times = f"{latency.quantized_us / 1000:.3f} ms, float {latency.float_us / 1000:.3f} ms"
    return [("Least time of a call", f"{times}; {latency.isa}, {latency.threads} thread")]


def _sensitivity(
    sensitivity: SensitivityReport, nodes: Sequence[NodeReport]
) -> list[tuple[str, object]]:
    """Names the layers that cost the output most."""
    worst = [layer for layer in sensitivity.layers if layer.output_sqnr_db is not None][:3]
    paths = {node.node: node.module_path or node.node for node in nodes}
    named = ", ".join(
        f"{paths.get(layer.node, layer.node)} {layer.output_sqnr_db:.1f} dB" for layer in worst
    )
    measured = f"{len(sensitivity.layers)} of {counted(sensitivity.layer_count, 'layer')} measured"
    return [("Costly when alone", f"{named or 'none'}; {measured}")]


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _search(search: PrecisionSearch) -> list[tuple[str, object]]:
    end = "" if search.is_complete else ", ended by its budget"
    lifted = [
        (
            "Lifted",
            f"{change.module_path or change.node} from {change.before} to {change.after}"
            + (
                f", {change.output_sqnr_db:.1f} dB alone"
                if change.output_sqnr_db is not None
                else ""
            ),
        )
        for change in search.changes
    ]
    count = len(search.trials)
    programs = "1 program" if count == 1 else f"{count} programs"
    return [("Search", f"{programs} measured{end}"), *lifted]


def _gate(gate: GateReport) -> list[tuple[str, object]]:
    limits: list[tuple[str, object]] = []
    if gate.max_drop is not None:
        limits.append(("Drop", f"{gate.drop:.4f} of at most {gate.max_drop:g}"))
    if gate.min_sqnr_db is not None:
        found = "no noise" if gate.sqnr_db is None else f"{gate.sqnr_db:.1f} dB"
        limits.append(("Output SQNR", f"{found} of at least {gate.min_sqnr_db:g} dB"))
    return limits


def _certificate(parity: ParityCertificate) -> list[tuple[str, object]]:
    bytes_ = f"; {parity.differing_bytes} of {parity.compared_bytes} bytes differ"
    pairs: list[tuple[str, object]] = [
        (
            "Engine = reference",
            f"largest difference {parity.max_difference} over "
            f"{counted(parity.sample_count, 'sample')} on {', '.join(parity.isas)}"
            f"{bytes_ if parity.compared_bytes else ''}",
        )
    ]
    if parity.fake_quantized is not None:
        pairs += _fake_quantized(parity.fake_quantized)
    if parity.float_model is not None:
        against = parity.float_model
        ratio = against.output_sqnr_db
        parts = [
            "" if ratio is None else f"SQNR {ratio:.1f} dB",
            _agreement(against.top1_agreement),
        ]
        over = f"over {counted(against.sample_count, 'sample')}"
        pairs.append(("Engine and float", " ".join([*filter(None, parts), over])))
    return pairs


def _fake_quantized(parity: FakeQuantizedParity) -> list[tuple[str, object]]:
    worst = f", most at {parity.worst_layer}" if parity.worst_layer else ""
    agreement = _agreement(parity.top1_agreement)
    return [
        ("Fake-quantized layers", f"{_distance(parity.layers)}{worst}"),
        (
            "Fake-quantized model",
            f"{_distance(parity.free_running)}; {agreement or 'compared'} over "
            f"{counted(parity.sample_count, 'sample')}",
        ),
    ]


def _distance(distance: Distance) -> str:
    share = 100 * distance.differing / max(distance.elements, 1)
    return f"at most {distance.max_lsb} LSB, {share:.3g} % of {distance.elements} values differ"


def _agreement(share: float | None) -> str:
    return "" if share is None else f"same class {100 * share:.4g} %"
