"""How many calls may be in progress, of all callers and of each address."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen_service import status
from smidgen_service.errors import OverloadedError
from smidgen_service.shares import MOST_PROBES, Share, Shares, address_of

CHECK, LIST = "/grpc.health.v1.Health/Check", "/smidgen.v1.ModelService/ListModels"
REFLECT = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


def enter(stack: ExitStack, share: Share, peer: str) -> None:
    """Begins a call that ends with the stack."""
    stack.callback(share.leave, share.enter(peer))


def taken(share: Share, peer: str, calls: int) -> int:
    """Begins calls that end together; returns how many were let in."""
    with ExitStack() as stack:
        for number in range(calls):
            try:
                enter(stack, share, peer)
            except OverloadedError:
                return number
    return calls


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.1.2.3:4567", "ipv4:10.1.2.3"),
        ("ipv6:[2001:db8:1:2:3:4:5:6]:4567", "ipv6:2001:db8:1:2::/64"),
        ("ipv6:%5B2001:db8:1:2::9%5D:4567", "ipv6:2001:db8:1:2::/64"),
        ("ipv6:[fe80::1%25eth0]:4567", "ipv6:fe80::/64"),
        ("ipv6:[::ffff:10.1.2.3]:4567", "ipv4:10.1.2.3"),
        ("ipv6:[::1]:4567", "ipv6:::/64"),
        ("unix:/run/smidgen.sock", None),
        ("unix:", None),
        ("", None),
    ],
)
def test_ports_and_halves_of_addresses_do_not_count(peer: str, address: str | None) -> None:
    assert address_of(peer) == address


def test_no_address_gets_more_than_its_share() -> None:
    share = Share(10, 4)
    with ExitStack() as stack:
        for port in range(4):
            enter(stack, share, f"ipv4:10.0.0.1:{port}")
        with pytest.raises(OverloadedError) as refused:
            share.enter("ipv4:10.0.0.1:9")
        assert taken(share, "ipv4:10.0.0.2:9", 9) == 4
        assert taken(share, "unix:", 9) == 6
    assert refused.value.reason == "TOO_MANY_CALLS_FROM_ADDRESS"
    assert refused.value.retry_after_s == 1.0
    assert refused.value.metadata == {"most": "4"}
    assert status.ending_of(refused.value).code.name == "RESOURCE_EXHAUSTED"
    assert taken(share, "ipv4:10.0.0.1:9", 9) == 4


def test_all_together_get_no_more_than_there_is() -> None:
    share = Share(3, 2)
    with ExitStack() as stack:
        for peer in ("ipv4:10.0.0.1:1", "unix:", "unix:"):
            enter(stack, share, peer)
        with pytest.raises(OverloadedError) as refused:
            share.enter("ipv4:10.0.0.2:1")
        assert refused.value.reason == "TOO_MANY_CALLS"
    assert taken(share, "unix:", 9) == 3


@given(
    st.lists(
        st.tuples(st.sampled_from(["ipv4:10.0.0.1:1", "ipv4:10.0.0.2:1", "unix:"]), st.booleans())
    )
)
def test_what_has_ended_leaves_its_place(steps: list[tuple[str, bool]]) -> None:
    share = Share(5, 3)
    counted: Counter[str] = Counter()
    open_calls: dict[str, list[ExitStack]] = {}
    for peer, is_beginning in steps:
        calls = open_calls.setdefault(peer, [])
        if is_beginning:
            is_full = counted.total() == 5 or (peer != "unix:" and counted[peer] == 3)
            call = ExitStack()
            try:
                enter(call, share, peer)
            except OverloadedError:
                assert is_full
                continue
            assert not is_full
            calls.append(call)
            counted[peer] += 1
        elif calls:
            calls.pop().close()
            counted[peer] -= 1


def test_probes_have_a_share_of_their_own() -> None:
    shares = Shares(100)
    peer = "ipv4:10.0.0.1:1"
    assert shares.of(CHECK) is shares.of(REFLECT)
    with ExitStack() as stack:
        for _ in range(25):
            enter(stack, shares.of(LIST), peer)
        assert taken(shares.of(LIST), peer, 1) == 0
        assert taken(shares.of(CHECK), peer, MOST_PROBES) == MOST_PROBES // 4


def test_an_address_that_may_have_all_may_have_all_probes() -> None:
    shares = Shares(100, 100)
    assert taken(shares.of(LIST), "ipv4:10.0.0.1:1", 200) == 100
    assert taken(shares.of(CHECK), "ipv4:10.0.0.1:1", 2 * MOST_PROBES) == MOST_PROBES
    assert taken(Shares(3).of(LIST), "ipv4:10.0.0.1:1", 9) == 1
