"""Sums over processes: what was counted, whoever counted it, and whoever has ended since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen_service.exposition import Exposition
from smidgen_service.metrics import TABLE, Kind, Metrics
from smidgen_service.processes.numbers import JoinedNumbers, Numbers, numbers_of
from smidgen_service.statistics import StageTimes

RPC = ("unary", "s.Service", "Method")
TICK_S = 1 / 512  # whole nanoseconds, and exact in binary
TIMES = StageTimes(TICK_S, 20 * TICK_S, 3 * TICK_S)


def values(joined: JoinedNumbers) -> Mapping[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for metric in Exposition(joined, joined.families).collect()
        for sample in metric.samples
    }


def told(metrics: Metrics) -> Numbers:
    return numbers_of(metrics, metrics.inference_statistics())


def call(metrics: Metrics, seconds: float, model: str = "m") -> None:
    """Counts one inference as a server does."""
    metrics.rpc_started.labels(*RPC).inc()
    metrics.rpc_seconds.labels(*RPC).observe(seconds)
    series = metrics.of_version(model, 1)
    series.executed(3, TIMES)
    series.succeeded(3, seconds, TIMES, seconds)
    series.failed("rejected", seconds)
    metrics.engine_loads.inc()


seconds = st.lists(st.integers(0, 100_000).map(lambda ticks: ticks * TICK_S), max_size=5)


@settings(max_examples=15)
@given(seconds, st.lists(seconds, max_size=4), st.sets(st.integers(0, 3)))
def test_sums_are_those_of_one_process(
    own: list[float], others: list[list[float]], ended: set[int]
) -> None:
    whole, control = Metrics(), Metrics()
    joined = JoinedNumbers(control)
    for second in own:
        call(whole, second)
        call(control, second)
    for index, seconds_of_one in enumerate(others):
        front = Metrics()
        for second in seconds_of_one:
            call(whole, second)
            call(front, second)
        joined.take(index, Numbers.from_bytes(told(front).to_bytes()))
    for index in ended:
        joined.end(index)
    found, expected = values(joined), values(JoinedNumbers(whole))
    ours = {key for key in expected if key[0].startswith(("grpc_", "smidgen_"))}
    for key in ours:
        assert abs(found.get(key, 0.0) - expected[key]) <= 1e-9 * expected[key], key
    assert joined.statistics().keys() == whole.inference_statistics().keys()
    for key, entry in whole.inference_statistics().items():
        assert replace(joined.statistics()[key], last_inference_us=entry.last_inference_us) == entry


def test_what_a_front_counted_outlives_it_and_its_gauges_do_not() -> None:
    control, front = Metrics(), Metrics()
    joined = JoinedNumbers(control)
    call(front, 1.0)
    front.loaded_engines.set(2)
    control.loaded_engines.set(1)
    joined.take(0, told(front))
    loads, engines = ("smidgen_engine_loads_total", ()), ("smidgen_loaded_engines", ())
    assert (values(joined)[loads], values(joined)[engines]) == (1, 3)
    newest = front.inference_statistics()["m", 1].last_inference_us
    assert joined.statistics()["m", 1].last_inference_us == newest
    joined.end(0)
    assert joined.statistics()["m", 1].last_inference_us == newest
    assert (values(joined)[loads], values(joined)[engines]) == (1, 1)
    successor = Metrics()
    joined.take(0, told(successor))
    assert values(joined)[loads] == 1
    call(successor, 1.0)
    joined.take(0, told(successor))
    assert values(joined)[loads] == 2
    joined.end(0)
    joined.end(0)
    assert values(joined)[loads] == 2


def test_facts_are_not_added_up() -> None:
    control = Metrics()
    joined = JoinedNumbers(control)
    for index in range(3):
        front = Metrics()
        front.kernel_info.labels("avx2", "1").set(1)
        joined.take(index, told(front))
    found = values(joined)
    assert found["smidgen_kernel_info", (("isa", "avx2"), ("threads", "1"))] == 1
    assert [value for key, value in found.items() if key[0] == "smidgen_build_info"] == [1]
    assert [value for key, value in found.items() if key[0] == "python_info"] == [1]
    assert found["smidgen_processes", ()] == 1
    own = control.registry.get_sample_value("process_start_time_seconds")
    assert found["process_start_time_seconds", ()] == own


def test_of_points_in_time_the_oldest_counts() -> None:
    control = Metrics()
    joined = JoinedNumbers(control)
    name = "smidgen_queue_oldest_timestamp_seconds"
    for index, time_s in enumerate((0.0, 70.0, 50.0)):
        front = Metrics()
        front.queue_oldest.set(time_s)
        joined.take(index, Numbers.from_bytes(told(front).to_bytes()))
    assert values(joined)[name, ()] == 50.0
    joined.end(2)
    assert values(joined)[name, ()] == 70.0
    joined.end(1)
    assert values(joined)[name, ()] == 0.0


def test_the_newest_exemplar_of_a_bucket_stays() -> None:
    control = Metrics()
    joined = JoinedNumbers(control)
    for index, trace in enumerate("ab"):
        front = Metrics()
        front.rpc_seconds.labels(*RPC).observe_traced(0.5, trace * 32)
        joined.take(index, Numbers.from_bytes(told(front).to_bytes()))
    _, text = Exposition(joined, joined.families).write("application/openmetrics-text")
    assert text.count(b"trace_id") == text.count(b'trace_id="' + b"b" * 32) == 1


def test_a_model_is_forgotten_in_all_processes() -> None:
    control = Metrics()
    joined = JoinedNumbers(control)
    for index in range(2):
        front = Metrics()
        call(front, 1.0, "gone")
        call(front, 1.0, "kept")
        joined.take(index, told(front))
    joined.end(0)
    control.forget_model("gone")
    models = {dict(labels).get("model") for _, labels in values(joined)}
    assert models == {None, "kept"}
    assert set(joined.statistics()) == {("kept", 1)}
    requests = "smidgen_inference_requests_total"
    labels = (("model", "kept"), ("outcome", "ok"), ("version", "1"))
    assert values(joined)[requests, labels] == 2


def test_all_metrics_are_told_in_prometheus_text() -> None:
    control, front = Metrics(), Metrics()
    call(front, 0.5)
    joined = JoinedNumbers(control)
    joined.take(0, told(front))
    text = Exposition(joined, joined.families).write("")[1].decode()
    for name, spec in TABLE.items():
        assert f"# TYPE {name} {spec.kind}" in text
        if spec.kind is Kind.HISTOGRAM and spec.labels == ("model", "version"):
            assert f'{name}_bucket{{le="+Inf",model="m",version="1"}} 1.0' in text
