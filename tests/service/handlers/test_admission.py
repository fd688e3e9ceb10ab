"""The queue in front of the engines."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from smidgen_service.errors import DeadlineError, OverloadedError
from smidgen_service.handlers.admission import Admission
from smidgen_service.metrics import Metrics
from smidgen_service.store.tenancy import acting_for


def gauges(metrics: Metrics) -> tuple[float | None, float | None]:
    get = metrics.registry.get_sample_value
    return get("smidgen_inflight_requests"), get("smidgen_queue_depth")


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def still(metrics: Metrics | None = None, *, most_running: int, most_queued: int) -> Admission:
    """One whose clock stands."""
    return Admission(
        metrics or Metrics(), most_running=most_running, most_queued=most_queued, clock=Clock()
    )


async def test_bounded_numbers_run_and_wait() -> None:
    metrics = Metrics()
    admission = Admission(metrics, most_running=1, most_queued=1)
    release = asyncio.Event()
    order: list[int] = []

    async def request(number: int) -> None:
        async with admission.place(None):
            order.append(number)
            await release.wait()

    running = asyncio.create_task(request(1))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(request(2))
    await asyncio.sleep(0)
    assert gauges(metrics) == (1, 1)
    with pytest.raises(OverloadedError) as caught:
        await request(3)
    assert caught.value.reason == "QUEUE_FULL"
    assert caught.value.retry_after_s > 0
    release.set()
    await asyncio.gather(running, waiting)
    assert order == [1, 2]
    assert gauges(metrics) == (0, 0)


async def test_late_requests_never_run() -> None:
    admission = Admission(Metrics(), most_running=1, most_queued=1)
    with pytest.raises(DeadlineError):
        async with admission.place(0.0):
            pytest.fail("a request ran after its deadline")


async def test_deadline_passes_in_the_queue() -> None:
    metrics = Metrics()
    admission = Admission(metrics, most_running=1, most_queued=1)
    async with admission.place(None):
        with pytest.raises(DeadlineError):
            async with admission.place(0.01):
                pytest.fail("two requests ran in one place")
        assert gauges(metrics) == (1, 0)
    async with admission.place(1.0):
        assert gauges(metrics) == (1, 0)


async def test_cancelled_request_leaves_its_place_to_others() -> None:
    admission = Admission(Metrics(), most_running=1, most_queued=2)
    async with admission.place(None):
        waiting = asyncio.create_task(admission.place(None).__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with admission.place(1.0):
        pass


async def test_a_refusal_tells_how_long_the_queue_is() -> None:
    admission = still(most_running=2, most_queued=1)
    async with admission.place(None, 4.0), admission.place(None, 2.0):
        with admission.waiting(None, 3.0), pytest.raises(OverloadedError) as caught:
            async with admission.place(None, 1.0):
                pytest.fail("more requests waited than may")
        assert caught.value.retry_after_s == pytest.approx((3.0 + 4.0 + 2.0) / 2)
    async with admission.place(None, 90.0), admission.place(None, 90.0):
        with admission.waiting(None, 3.0), pytest.raises(OverloadedError) as caught:
            async with admission.place(None, 1.0):
                pytest.fail("more requests waited than may")
    assert caught.value.retry_after_s == 10.0


async def test_requests_that_would_be_late_are_refused_at_once() -> None:
    metrics = Metrics()
    admission = still(metrics, most_running=1, most_queued=9)
    async with admission.place(0.5, 10.0):  # a free place: whatever the estimate, it is tried
        with pytest.raises(DeadlineError, match="would wait 10000 ms and compute 1000 ms"):
            async with admission.place(10.9, 1.0):
                pytest.fail("a request ran that would have been late")
        assert gauges(metrics) == (1, 0)
        with admission.waiting(11.1, 1.0):
            assert gauges(metrics) == (1, 1)


async def test_too_little_time_at_its_turn_is_found_before_the_computation() -> None:
    admission = Admission(Metrics(), most_running=1, most_queued=9)
    async with admission.place(None):
        turn = asyncio.create_task(admission.place(0.2, 0.15).__aenter__())
        await asyncio.sleep(0.1)
    with pytest.raises(DeadlineError, match="turn came"):
        await turn
    async with admission.place(None):
        assert admission.expected_wait_s == 0.0


async def test_a_cancelled_request_frees_its_place_in_the_queue_at_once() -> None:
    metrics = Metrics()
    admission = still(metrics, most_running=1, most_queued=1)
    async with admission.place(None, 1.0):
        waiting = asyncio.create_task(admission.place(None, 2.0).__aenter__())
        await asyncio.sleep(0)
        assert admission.expected_wait_s == pytest.approx(3.0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert gauges(metrics) == (1, 0)
        assert admission.expected_wait_s == pytest.approx(1.0)


async def hold_a_place(admission: Admission, tenant: str, order: list[str]) -> None:
    """Computes for a moment in the name of a tenant."""
    with acting_for(tenant):
        async with admission.place(None, 1.0):
            order.append(tenant)
            await asyncio.sleep(0)


async def queued(admission: Admission, tenants: str, order: list[str]) -> list[asyncio.Task[None]]:
    """Returns the tasks of requests that have come one after the other."""
    tasks = []
    for tenant in tenants:
        tasks.append(asyncio.create_task(hold_a_place(admission, tenant, order)))
        await asyncio.sleep(0)
    return tasks


async def test_tenants_take_turns() -> None:
    admission, order = Admission(Metrics(), most_running=1, most_queued=9), list[str]()
    async with admission.place(None):
        tasks = await queued(admission, "aaaaabb", order)
    await asyncio.gather(*tasks)
    assert order == list("ababaaa")


async def test_the_last_of_who_has_most_makes_room_for_who_has_less() -> None:
    metrics = Metrics()
    admission, order = Admission(metrics, most_running=1, most_queued=4), list[str]()
    async with admission.place(None):
        tasks = await queued(admission, "aaaabbb", order)
        assert gauges(metrics) == (1, 4)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [isinstance(outcome, OverloadedError) for outcome in outcomes]
    assert refused == [False, False, True, True, False, False, True]
    assert order == list("abab")
    assert gauges(metrics) == (0, 0)


async def test_what_waits_for_others_is_not_expected_to_wait_for_all_of_them() -> None:
    admission = still(most_running=1, most_queued=9)
    async with admission.place(None, 1.0):
        with acting_for("a"), ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(admission.waiting(None, 4.0))
            assert admission.expected_wait_s == pytest.approx(21.0)
            with acting_for("b"), admission.waiting(6.0, 2.0):  # 1 s, 2 s of the other, and its own
                assert admission.expected_wait_s == pytest.approx(1.0 + 2.0 + 2.0)
            with acting_for("b"), pytest.raises(DeadlineError, match="would wait 3000 ms"):
                admission.waiting(4.9, 2.0).__enter__()


async def test_a_request_may_not_wait_for_longer_than_the_limit() -> None:
    metrics = Metrics()
    admission = Admission(metrics, most_running=1, most_queued=9, most_wait_s=0.01)
    async with admission.place(None):
        with pytest.raises(OverloadedError, match="waited for 10 ms") as caught:
            async with admission.place(60.0, 1.0):
                pytest.fail("two requests ran in one place")
        assert caught.value.reason == "QUEUE_TIMEOUT"
        assert caught.value.retry_after_s > 0
        assert caught.value.metadata == {"most_ms": "10"}
        assert gauges(metrics) == (1, 0)
    async with admission.place(None):
        await asyncio.sleep(0.03)  # what is computed has no such limit
    assert gauges(metrics) == (0, 0)


async def test_what_would_wait_for_longer_than_the_limit_is_refused_at_once() -> None:
    clock, metrics = Clock(), Metrics()
    admission = Admission(metrics, most_running=1, most_queued=9, most_wait_s=1.0, clock=clock)
    async with admission.place(None, 4.0):
        clock.now_s += 2.5
        with pytest.raises(
            OverloadedError, match=r"would wait 1500.0 ms, and may wait 1000 ms"
        ) as caught:
            admission.waiting(None, 4.0).__enter__()
        assert caught.value.reason == "QUEUE_TIMEOUT"
        assert caught.value.retry_after_s == pytest.approx(1.5)
        assert gauges(metrics) == (1, 0)
        clock.now_s += 0.6
        with admission.waiting(None, 4.0):  # 0.9 s
            with pytest.raises(OverloadedError, match=r"would wait 4900.0 ms"):
                admission.waiting(None, 4.0).__enter__()
            assert gauges(metrics) == (1, 1)
        clock.now_s += 5.0  # later than the estimate said: it may end at any moment
        with admission.waiting(None, 4.0):
            assert admission.expected_wait_s == pytest.approx(4.0)


async def test_the_first_that_waits_gets_the_place_that_is_free_first() -> None:
    clock = Clock()
    admission = Admission(Metrics(), most_running=2, most_queued=9, clock=clock)
    async with admission.place(None, 8.0), admission.place(None, 3.0):
        clock.now_s += 1.0
        assert admission.expected_wait_s == pytest.approx(2.0)


async def test_a_place_that_comes_as_its_taker_gives_up_goes_to_the_next() -> None:
    admission, order = Admission(Metrics(), most_running=1, most_queued=9), list[str]()
    async with admission.place(None):
        first, second = await queued(admission, "ab", order)
    first.cancel()  # it has been given the place and has not run since
    await asyncio.wait([first, second])
    assert (first.cancelled(), order) == (True, ["b"])
    async with admission.place(0.5):
        pass


class Started:
    """Requests whose computations begin, in this order, and end when they are told to."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._ends: dict[str, asyncio.Event] = {}
        self.order: list[str] = []

    def begin(self, name: str, estimate_s: float) -> asyncio.Task[None]:
        self._ends[name] = asyncio.Event()
        return asyncio.create_task(self._run(name, estimate_s))

    def end(self, name: str) -> None:
        self._ends[name].set()

    async def _run(self, name: str, estimate_s: float) -> None:
        async with self._admission.place(None, estimate_s):
            self.order.append(name)
            await self._ends[name].wait()


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_next_turn_comes_shortly_before_the_place_is_free() -> None:
    metrics = Metrics()
    admission = Admission(metrics, most_running=1, most_queued=2, lead_s=10.0)
    started = Started(admission)
    tasks = [started.begin(name, 1.0) for name in "abc"]
    await _settle()
    # One in the place, one in line for it, and only one: what comes later may be preferred.
    assert started.order == ["a", "b"]
    assert gauges(metrics) == (1, 2)
    with pytest.raises(OverloadedError):
        async with admission.place(None, 1.0):
            pytest.fail("more requests waited than may")
    assert admission.expected_wait_s == pytest.approx(3.0, abs=0.1)
    started.end("a")
    await _settle()
    assert started.order == ["a", "b", "c"]
    assert gauges(metrics) == (1, 1)
    for name in "bc":
        started.end(name)
    await asyncio.gather(*tasks)
    assert gauges(metrics) == (0, 0)
    assert admission.has_place


async def test_nobody_is_early_by_more_than_the_lead() -> None:
    clock = Clock()
    admission = Admission(Metrics(), most_running=1, most_queued=2, lead_s=0.1, clock=clock)
    started = Started(admission)
    tasks = [started.begin(name, estimate_s) for name, estimate_s in (("a", 0.15), ("b", 1.0))]
    await _settle()
    assert started.order == ["a"]
    clock.now_s += 0.06
    await asyncio.sleep(0.1)  # the timer goes by the event loop's clock
    assert started.order == ["a", "b"]
    for name in "ab":
        started.end(name)
    await asyncio.gather(*tasks)


async def test_who_gives_up_a_promised_place_leaves_it_to_the_next() -> None:
    metrics = Metrics()
    admission = Admission(metrics, most_running=1, most_queued=2, lead_s=10.0)
    started = Started(admission)
    tasks = {name: started.begin(name, 1.0) for name in "abc"}
    await _settle()
    tasks["b"].cancel()
    await _settle()
    assert started.order == ["a", "b", "c"]
    assert gauges(metrics) == (1, 1)
    for name in "ac":
        started.end(name)
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    assert gauges(metrics) == (0, 0)
    assert admission.has_place


async def test_those_who_compute_for_several_are_not_early() -> None:
    admission = Admission(Metrics(), most_running=1, most_queued=2, lead_s=10.0)
    order = list[str]()

    async def group() -> None:
        async with admission.shared_place("", 1.0):
            order.append("group")

    async with admission.place(None, 1.0):
        waiting = asyncio.create_task(group())
        await _settle()
        assert order == []
    await waiting
    assert order == ["group"]


def expect(admission: Admission, count: int, tenant: str = "a") -> ExitStack:
    """Has requests of a tenant on their way."""
    coming = ExitStack()
    for _ in range(count):
        coming.callback(admission.expect(tenant).leave)
    return coming


async def test_requests_on_their_way_are_as_many_as_may_wait() -> None:
    admission = still(most_running=2, most_queued=1)
    async with admission.place(None, 1.0):
        with expect(admission, 2), pytest.raises(OverloadedError) as caught:
            admission.expect("a")
        assert (caught.value.reason, caught.value.metadata) == ("QUEUE_FULL", {"queued": "2"})
        with (
            admission.waiting(None, 1.0),
            expect(admission, 1),
            pytest.raises(OverloadedError, match="computed: 1, waiting or on their way: 2, and"),
        ):
            admission.expect("a")
        expect(admission, 2).close()  # all have left


async def test_a_tenant_with_room_is_expected_where_another_has_none() -> None:
    admission = still(most_running=1, most_queued=2)
    async with admission.place(None, 1.0):
        with expect(admission, 2, "greedy"):
            with pytest.raises(OverloadedError):
                admission.expect("greedy")
            with expect(admission, 1, "modest"), pytest.raises(OverloadedError):
                admission.expect("modest")  # of two each, neither puts the other out
        with acting_for("greedy"), admission.waiting(None, 1.0), admission.waiting(None, 1.0):
            admission.expect("modest").leave()


async def test_what_would_wait_for_too_long_when_it_is_there_is_not_expected() -> None:
    clock = Clock()
    admission = Admission(Metrics(), most_running=1, most_queued=9, most_wait_s=1.0, clock=clock)
    async with admission.place(None, 3.0):
        with pytest.raises(OverloadedError, match=r"would wait 3000\.0 ms") as caught:
            admission.expect("a")
        assert caught.value.reason == "QUEUE_TIMEOUT"
        clock.now_s += 2.5
        with expect(admission, 1):
            admission.expect("a").leave()  # nothing is known of the one before
            for _ in range(100):
                admission.note_usual(0.6)
            with pytest.raises(OverloadedError, match="would wait 1100"):
                admission.expect("a")


async def test_the_wait_of_one_that_comes_begins_when_its_message_is_there() -> None:
    clock = Clock()
    admission = Admission(Metrics(), most_running=1, most_queued=9, most_wait_s=0.1, clock=clock)
    for _ in range(100):
        arrival = admission.expect("a")
        clock.now_s += 0.04
        arrival.arrived()
    async with admission.place(None, 0.15):
        with pytest.raises(OverloadedError, match=r"would wait 110\.0 ms"):
            admission.expect("a")
        clock.now_s += 0.02
        admission.expect("a").leave()


async def test_others_on_their_way_get_no_more_before_a_request_than_its_own_tenant() -> None:
    clock = Clock()
    admission = Admission(Metrics(), most_running=1, most_queued=9, most_wait_s=1.5, clock=clock)
    for _ in range(100):
        admission.note_usual(1.0)
    async with admission.place(None, 1.0):
        with expect(admission, 1, "greedy"):
            with pytest.raises(OverloadedError, match="would wait 2000"):
                admission.expect("greedy")
            admission.expect("modest").leave()
    with expect(admission, 2, "greedy"), pytest.raises(OverloadedError, match="would wait 2000"):
        admission.expect("greedy")


async def test_making_the_input_of_a_request_is_no_wait_for_its_turn() -> None:
    clock = Clock()
    admission = Admission(Metrics(), most_running=1, most_queued=9, most_wait_s=0.1, clock=clock)
    for _ in range(100):
        with admission.waiting(None, 0.0) as waiting:
            clock.now_s += 0.04
            async with admission.own_place(waiting):
                pass
    async with admission.place(None, 0.15):
        with pytest.raises(OverloadedError, match=r"would wait 110\.0 ms"):
            admission.expect("a")
        with pytest.raises(OverloadedError, match=r"would wait 110\.0 ms"):
            async with admission.place(None):
                pytest.fail("a request waited for longer than it may")
        clock.now_s += 0.02
        admission.expect("a").leave()
        with admission.waiting(None, 0.0):
            pass
