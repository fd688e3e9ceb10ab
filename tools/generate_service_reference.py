"""Writes docs/metrics.md and docs/settings.md from the code; `--check` fails if they differ."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic.fields import FieldInfo

from smidgen_service.metrics import TABLE, MetricSpec
from smidgen_service.settings import Settings
from smidgen_service.triton_metrics import TRITON_TABLE

DOCS = Path(__file__).resolve().parent.parent / "docs"
NOTE = "This page is generated from the code by `python tools/generate_service_reference.py`.\n"

METRICS = f"""\
# Metrics

{NOTE}
The server serves them under `/metrics` on its metrics port, in OpenMetrics or Prometheus' text
format as the `Accept` header asks for. Times are in seconds, sizes in bytes. Label values are
bounded: names of models and versions, methods, codes, states; never an id of a request or a job.
In OpenMetrics the buckets of `grpc_server_handling_seconds` have exemplars (`trace_id`) of calls
that came with a `traceparent`. `process_*` and `python_*` come from the Prometheus client
library.

Alerts and a dashboard are in `deploy/`, and [what to do about alerts](operations.md#alerts) is in
the manual.

| Metric | Type | Labels | Meaning |
|---|---|---|---|
"""

TRITON = """
## Under Triton's names

For dashboards that were made for Triton, the same counts have its names too, unless the server is
started with `--metrics-compat none`. Times are in microseconds, and no name ends in `_total`, so
that their type is unknown to Prometheus (`untyped`).

| Metric | Type | Labels | Meaning |
|---|---|---|---|
"""

SETTINGS = f"""\
# Settings of the server

{NOTE}
Each setting is a flag of `smidgen serve`, an environment variable, or a line of the TOML file that
`--settings-file` names, by the flag's name: `max-batch = 8`, `data-dir = "/var/lib/smidgen"`.
The flag wins, then the variable.

| Flag | Variable | Default | Meaning |
|---|---|---|---|
"""


def metrics_page() -> str:
    """Returns the page about metrics."""
    return METRICS + _metric_rows(TABLE) + TRITON + _metric_rows(TRITON_TABLE)


def _metric_rows(table: Mapping[str, MetricSpec]) -> str:
    return "".join(
        f"| `{name}` | {spec.kind} | {', '.join(spec.labels)} | {spec.documentation} |\n"
        for name, spec in table.items()
    )


def settings_page() -> str:
    """Returns the page about settings."""
    rows = [_setting_row(name, field) for name, field in Settings.model_fields.items()]
    return SETTINGS + "\n".join(rows) + "\n"


def _setting_row(name: str, field: FieldInfo) -> str:
    # Defaults that depend on the machine are explained in the description.
    default = "" if field.default_factory or field.default is None else f"`{field.default}`"
    flag = f"--{name.replace('_', '-')}"
    description = " ".join((field.description or "").split())
    return f"| `{flag}` | `SMIDGEN_{name.upper()}` | {default} | {description} |"


def main() -> None:
    """Writes the pages, or compares them."""
    pages = {"metrics.md": metrics_page(), "settings.md": settings_page()}
    for name, text in pages.items():
        path = DOCS / name
        if "--check" not in sys.argv[1:]:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.exit(f"docs/{name} is out of date, run `make reference`")


if __name__ == "__main__":
    main()
