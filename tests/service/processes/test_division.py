"""What each of several fronts may use."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smidgen_service.processes.division import share_of, share_of_limits
from smidgen_service.quotas import TenantLimits
from smidgen_service.settings import MIB, Settings

counts = st.integers(1, 64)


@given(counts, st.integers(1, 300), st.integers(0, 1000), st.integers(1, 2000))
def test_places_are_divided_and_nobody_goes_without(
    count: int, places: int, queue: int, connections: int
) -> None:
    whole = Settings(
        processes=count,
        max_concurrent_inferences=places,
        max_queued_inferences=queue,
        max_connections=connections,
    )
    shares = [share_of(whole, index) for index in range(count)]
    running = [share.max_concurrent_inferences for share in shares]
    waiting = [share.max_queued_inferences for share in shares]
    for parts, total in ((running, places), (waiting, queue)):
        assert sum(parts) == (max(total, count) if total else 0)
        assert max(parts) - min(parts) <= 1
    assert all(
        connections <= count * share.max_connections < connections + count for share in shares
    )


def test_memory_is_divided_and_what_is_no_sum_is_not() -> None:
    whole = Settings(processes=4, engine_memory_bytes=10 * MIB, max_loaded_engines=5)
    share = share_of(whole, 3)
    assert share.engine_memory_bytes == 10 * MIB // 4
    assert share.max_loaded_engines == 5
    assert share_of(Settings(processes=4, engine_memory_bytes=MIB), 0).engine_memory_bytes == MIB


def test_inferences_of_tenants_are_divided_and_the_rest_is_counted_in_one_place() -> None:
    limits = TenantLimits(stored_bytes=7, jobs=3, inferences=5, worker_calls=2)
    assert share_of_limits(limits, 2) == TenantLimits(7, 3, 3, 2)
    assert share_of_limits(TenantLimits(inferences=0), 2).inferences == 0
    assert share_of_limits(TenantLimits(), 2).inferences is None
