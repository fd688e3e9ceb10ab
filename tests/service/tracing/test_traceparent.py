"""Which headers say what a call's trace is."""

from __future__ import annotations

import pytest
from opentelemetry.trace import TraceState

from smidgen_service.tracing.traceparent import Traceparent, find

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


def test_a_header_names_trace_and_span() -> None:
    metadata = (("x-other", "1"), ("traceparent", f"00-{TRACE}-{SPAN}-01"))
    assert find(metadata) == Traceparent(TRACE, SPAN, is_sampled=True)


def test_the_state_of_vendors_comes_along_in_its_order() -> None:
    metadata = (("tracestate", "a=1"), ("traceparent", f"00-{TRACE}-{SPAN}-00"))
    assert find((*metadata, ("tracestate", "b=2"))) == Traceparent(
        TRACE, SPAN, is_sampled=False, state="a=1,b=2"
    )


@pytest.mark.parametrize(
    "state",
    [
        "no member",
        "A=1",
        "a=1,a=2",
        "a=1,b",
        "a=\u00e9",
        "a= ",
        "a=" + "v" * 257,
        ",".join(f"k{number}=v" for number in range(33)),
        "z" * 6000,
        "a=1," * 1500,
    ],
)
def test_a_state_that_is_not_valid_is_left_and_not_logged(state: str) -> None:
    metadata = (("tracestate", state), ("traceparent", f"00-{TRACE}-{SPAN}-01"))
    assert find(metadata) == Traceparent(TRACE, SPAN, is_sampled=True)


def test_a_state_is_what_the_specification_allows() -> None:
    members = ["a=1", "k_*/-9@v-1=!+-.<>~ x", "1t@v=" + "v" * 256]
    metadata = (
        ("tracestate", f" {members[0]}\t,,{members[1]},"),
        ("tracestate", members[2]),
        ("traceparent", f"00-{TRACE}-{SPAN}-01"),
    )
    found = find(metadata)
    assert found is not None
    assert found.state == ",".join(members)
    assert TraceState.from_header([found.state]).to_header() == found.state


def test_only_one_flag_is_known() -> None:
    assert find((("traceparent", f"00-{TRACE}-{SPAN}-fe"),)) == Traceparent(TRACE, SPAN, False)
    assert find((("traceparent", f"00-{TRACE}-{SPAN}-ff"),)) == Traceparent(TRACE, SPAN, True)


@pytest.mark.parametrize("value", [f"01-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-is-new"])
def test_later_versions_are_read_as_far_as_they_are_known(value: str) -> None:
    assert find((("traceparent", value),)) == Traceparent(TRACE, SPAN, is_sampled=True)


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN[1:]}-01",
        f"00-{TRACE}-{SPAN}-0\u0661",
        f"00-{TRACE}-{SPAN}-01".encode(),
    ],
)
def test_what_is_not_valid_is_as_if_it_were_not_there(value: str | bytes) -> None:
    assert find((("traceparent", value),)) is None


def test_two_headers_say_nothing() -> None:
    header = ("traceparent", f"00-{TRACE}-{SPAN}-01")
    assert find((header, header)) is None
    assert find(()) is None
