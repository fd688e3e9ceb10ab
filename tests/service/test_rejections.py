"""Refusals for too many calls: each is counted once, by why."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest

import smidgen_service
from smidgen.errors import InvalidTensorError
from smidgen_service.errors import DeadlineError, OverloadedError
from smidgen_service.metrics import Metrics
from smidgen_service.observers import RpcMetrics
from smidgen_service.rejections import REASONS, Rejections
from smidgen_service.surroundings import Call, Method

INFER = Method("/smidgen.v1.InferenceService/Infer", False, False)
CONVERT = Method("/smidgen.v1.OptimizationService/Convert", False, False)
TRACE = "0af7651916cd43dd8448eb211c80319c"


def call_of(method: Method, **metadata: str) -> Call:
    context = SimpleNamespace(invocation_metadata=lambda: tuple(metadata.items()))
    return Call(method, cast(Any, context))


def counted(metrics: Metrics) -> dict[str, float]:
    name = "smidgen_admission_rejected_total"
    values = {
        reason: metrics.registry.get_sample_value(name, {"reason": reason})
        for reason in set(REASONS.values())
    }
    return {reason: value for reason, value in values.items() if value}


@pytest.mark.parametrize(
    ("method", "reason", "expected"),
    [
        (INFER, "TOO_MANY_CALLS", {"calls": 1}),
        (INFER, "SERVER_DRAINING", {"draining": 1}),
        (INFER, "QUEUE_FULL", {}),  # its handler has counted it
        (CONVERT, "JOB_QUOTA_EXCEEDED", {"tenant_quota": 1}),
        (CONVERT, "MODEL_NOT_FOUND", {}),
    ],
)
def test_calls_are_counted_unless_their_handler_does(
    method: Method, reason: str, expected: dict[str, int]
) -> None:
    metrics = Metrics()
    call = call_of(method)
    call.code, call.reason = grpc.StatusCode.RESOURCE_EXHAUSTED, reason
    RpcMetrics(metrics)(method).ended(call)
    assert counted(metrics) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OverloadedError("full", retry_after_s=1.0), {"queue_full": 1}),
        (OverloadedError("late", retry_after_s=1.0, reason="QUEUE_TIMEOUT"), {"queue_timeout": 1}),
        (DeadlineError("late"), {"deadline": 1}),
        (InvalidTensorError("wrong", reason="OUTPUT_UNKNOWN"), {}),
        (ValueError("a fault"), {}),
    ],
)
def test_inferences_are_counted_by_why(error: Exception, expected: dict[str, int]) -> None:
    metrics = Metrics()
    Rejections(metrics).of_inference(error)
    assert counted(metrics) == expected


def test_all_reasons_of_overload_and_quotas_are_known() -> None:
    folder = Path(smidgen_service.__file__).parent
    text = "".join(path.read_text() for path in folder.rglob("*.py"))
    found = set(re.findall(r'"(TOO_MANY_(?:CALLS|WATCHES)[A-Z_]*|[A-Z_]+_QUOTA_EXCEEDED)"', text))
    assert found <= set(REASONS), found - set(REASONS)
    assert {"JOB_QUOTA_EXCEEDED", "TOO_MANY_WATCHES"} <= found


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"00-{TRACE}-b7ad6b7169203331-01", TRACE),
        (f"cc-{TRACE}-b7ad6b7169203331-01-more", TRACE),
        (f"ff-{TRACE}-b7ad6b7169203331-01", None),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", None),
        (f"00-{TRACE.upper()}-b7ad6b7169203331-01", None),
        ('00-"} 1\nx 2', None),
        ("", None),
    ],
)
def test_only_calls_with_a_trace_become_exemplars(header: str, expected: str | None) -> None:
    metrics = Metrics()
    watch = RpcMetrics(metrics)(INFER)
    watch.ended(call_of(INFER))
    watch.ended(call_of(INFER, traceparent=header))
    series = metrics.rpc_seconds.labels(*INFER.labels)
    traces = [exemplar[0] for exemplar in (series.exemplars or {}).values()]
    assert traces == ([] if expected is None else [expected])
    assert sum(series.counts) == 2


def test_exemplars_are_at_most_one_for_each_bucket() -> None:
    series = Metrics().rpc_seconds.labels(*INFER.labels)
    for number in range(1000):
        series.observe_traced(number / 10, f"{number:032x}")
    assert series.exemplars is not None
    assert len(series.exemplars) <= len(series.counts)
    assert series.exemplars[len(series.counts) - 2][0] == f"{999:032x}"
