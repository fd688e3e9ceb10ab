"""Counters and histograms beside those of prometheus_client."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import choose_encoder
from prometheus_client.parser import text_string_to_metric_families

from smidgen_service.exposition import Exposition
from smidgen_service.series import CountFamily, DistributionFamily, LevelFamily

LABELS = ("model", "stage")
ENDS = (0.0001, 0.003, 0.5, 1.0, 100.0)
SERIES = st.sampled_from([("a", "x"), ("a", 'y"\n'), ("b", "x")])
VALUES = st.one_of(st.sampled_from(ENDS), st.floats(0, 1000))


def text(registry: CollectorRegistry) -> str:
    return generate_latest(registry).decode()


def samples(registry: CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text(registry))
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def registries() -> tuple[CollectorRegistry, CollectorRegistry]:
    return CollectorRegistry(), CollectorRegistry()


@given(st.lists(SERIES))
def test_counts_are_those_of_a_counter(events: Sequence[tuple[str, str]]) -> None:
    ours, theirs = registries()
    counts = CountFamily("c_total", "Doc.", LABELS)
    ours.register(counts)
    counter = Counter("c_total", "Doc.", LABELS, registry=theirs)
    for labels in events:
        counts.labels(*labels).inc()
        counter.labels(*labels).inc()
    assert samples(ours) == samples(theirs)


@given(st.lists(st.tuples(SERIES, VALUES)))
def test_distributions_are_those_of_a_histogram(
    events: Sequence[tuple[tuple[str, str], float]],
) -> None:
    ours, theirs = registries()
    distributions = DistributionFamily("d_seconds", "Doc.", LABELS, ENDS)
    ours.register(distributions)
    histogram = Histogram("d_seconds", "Doc.", LABELS, buckets=ENDS, registry=theirs)
    for labels, value in events:
        distributions.labels(*labels).observe(value)
        histogram.labels(*labels).observe(value)
    assert samples(ours) == samples(theirs)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(SERIES, VALUES, st.sampled_from(["", "0af7651916cd43dd8448eb211c80319c"]))),
    st.integers(0, 10_000_000),
    st.booleans(),
)
def test_lines_are_those_of_the_library(
    events: Sequence[tuple[tuple[str, str], float, str]], more: int, is_openmetrics: bool
) -> None:
    counts = CountFamily("c_total", 'Doc \\ "of"\nlines.', LABELS)
    levels = LevelFamily("l", "Doc.", ("zone", "le"))
    plain = CountFamily("p_total", "Doc.", ())
    families = (
        counts,
        levels,
        plain,
        *(
            DistributionFamily(f"d_{index}_seconds", "Doc.", labels, ENDS)
            for index, labels in enumerate([LABELS, ("a", "b"), ("zone", "y"), ()])
        ),
    )
    levels.labels("z", "le").value = more
    plain.labels().inc(more)
    for labels, value, trace_id in events:
        counts.labels(*labels).inc(more)
        for family in families[3:]:
            series = family.labels(*(labels if "_3_" not in family.name else ()))
            series.observe_traced(value, trace_id) if trace_id else series.observe(value)
    accept = "application/openmetrics-text; version=1.0.0" if is_openmetrics else ""
    registry = CollectorRegistry()
    for family in families:
        registry.register(family)
    encode, content_type = choose_encoder(accept)
    written = Exposition(CollectorRegistry(), lambda: families).write(accept)
    assert written == (content_type, encode(registry))


@given(st.lists(st.tuples(SERIES, VALUES), max_size=8), st.integers(0, 8))
def test_what_is_told_adds_up(events: Sequence[tuple[tuple[str, str], float]], first: int) -> None:
    whole, *parts = (DistributionFamily("d_seconds", "Doc.", LABELS, ENDS) for _ in range(3))
    for index, (labels, value) in enumerate(events):
        for family in (whole, parts[index >= first]):
            family.labels(*labels).observe_traced(float(round(value)), f"{index:032x}")
    total = parts[0].summed()
    total.add(
        {tuple(labels): told for labels, told in json.loads(json.dumps([*parts[1].told().items()]))}
    )
    assert not set(parts[0].told()) - set(total.told())

    def text(family: DistributionFamily) -> list[str]:
        lines = sorted(family.write(is_openmetrics=True).splitlines())
        return [line.rpartition(" ")[0] if "#" in line else line for line in lines]

    assert text(total) == text(whole)


def test_types_and_documentation_are_there_before_the_first_series() -> None:
    registry = CollectorRegistry()
    registry.register(CountFamily("c_total", "Counts.", LABELS))
    registry.register(DistributionFamily("d_seconds", "Times.", LABELS, ENDS))
    assert "# HELP c_total Counts.\n# TYPE c_total counter\n" in text(registry)
    assert "# HELP d_seconds Times.\n# TYPE d_seconds histogram\n" in text(registry)


def test_series_go_by_some_of_their_labels() -> None:
    registry = CollectorRegistry()
    counts = CountFamily("c_total", "Doc.", LABELS)
    registry.register(counts)
    for labels in (("a", "x"), ("a", "y"), ("b", "x")):
        counts.labels(*labels).inc()
    counts.remove_by_labels({"model": "a"})
    assert samples(registry) == {("c_total", (("model", "b"), ("stage", "x"))): 1.0}


def test_other_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="has the labels"):
        CountFamily("c_total", "Doc.", LABELS).labels("a")
