"""Whose turn it is."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from semprop.providers.limits.fairqueue import FairQueue, Waiter


def waiter(
    flow: str = "", *, weight: float = 1.0, priority: int = 0, sequence: int = 0, at: float = 0.0, size: float = 1.0
) -> Waiter:
    return Waiter(flow, weight, priority, sequence, at, size)


def served(queue: FairQueue, count: int, now: float = 0.0) -> list[Waiter]:
    out = []
    for _ in range(count):
        head = queue.head(now)
        if head is None:
            break
        queue.grant(head)
        out.append(head)
    return out


def test_inside_a_flow_the_order_is_sequence_then_arrival() -> None:
    queue = FairQueue(30.0)
    late, early, urgent = waiter(at=2.0), waiter(at=1.0), waiter(sequence=-1, at=3.0)
    for one in (late, early, urgent):
        queue.push(one)
    assert served(queue, 3) == [urgent, early, late]


def test_a_retry_that_remembers_when_it_came_stands_before_those_who_came_later() -> None:
    queue = FairQueue(30.0)
    for number in range(5):
        queue.push(waiter(at=10.0 + number))
    again = waiter(at=1.0)
    queue.push(again)
    assert queue.head(20.0) is again


def test_weights_of_three_to_one_give_three_to_one() -> None:
    queue = FairQueue(30.0)
    for number in range(400):
        queue.push(waiter("heavy", weight=3.0, at=number))
        queue.push(waiter("light", weight=1.0, at=number))
    counted = Counter(one.flow for one in served(queue, 400))
    assert 295 <= counted["heavy"] <= 305


def test_a_large_request_waits_for_no_more_than_its_share() -> None:
    queue = FairQueue(30.0)
    for flow in range(20):
        for number in range(50):
            queue.push(waiter(f"greedy {flow}", at=number))
    large = waiter("large", size=900.0)
    queue.push(large)
    assert large in served(queue, 21)


def test_a_flow_that_slept_has_saved_nothing() -> None:
    queue = FairQueue(30.0)
    for number in range(100):
        queue.push(waiter("busy", at=number))
    served(queue, 50)
    for number in range(100):
        queue.push(waiter("late", at=100.0 + number))
    counted = Counter(one.flow for one in served(queue, 40))
    assert 19 <= counted["late"] <= 21


def test_a_lower_number_goes_first_until_the_others_have_aged() -> None:
    queue = FairQueue(10.0, turns=4)
    for number in range(100):
        queue.push(waiter("low", priority=2, at=0.0))
        queue.push(waiter("high", priority=0, at=float(number)))
    assert {one.flow for one in served(queue, 20, now=19.0)} == {"high"}
    counted = Counter(one.flow for one in served(queue, 40, now=25.0))
    assert counted == {"high": 30, "low": 10}


def test_who_gives_up_is_never_served() -> None:
    queue = FairQueue(30.0)
    ones = [waiter(str(number % 3), at=number) for number in range(30)]
    for one in ones:
        queue.push(one)
    for one in ones[::2]:
        queue.drop(one)
    assert sorted(served(queue, 100), key=lambda one: one.arrived) == ones[1::2]
    assert queue.head(0.0) is None
    assert queue.waiting == 0


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.integers(0, 5), st.floats(0.01, 50), st.integers(0, 2)),
        max_size=80,
    )
)
def test_everybody_is_served_exactly_once_in_whatever_order_they_come(
    crowd: list[tuple[str, int, int, float, int]],
) -> None:
    queue = FairQueue(5.0)
    expected, out = [], []
    for number, (flow, priority, sequence, size, action) in enumerate(crowd):
        one = waiter(flow, priority=priority, sequence=sequence, size=size, at=float(number))
        queue.push(one)
        expected.append(one)
        if action == 1:
            out += served(queue, 1, now=float(number))
        elif action == 2:
            queue.drop(one)
            expected.remove(one)
    out += served(queue, 1000, now=1e6)
    assert Counter(map(id, out)) == Counter(map(id, expected))


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0.1, 20)), min_size=40, max_size=120))
def test_flows_that_always_wait_differ_by_no_more_than_their_largest_requests(crowd: list[tuple[str, float]]) -> None:
    queue = FairQueue(1e9)
    for flow in "abcd":
        for number in range(100):
            queue.push(waiter(flow, size=crowd[number % len(crowd)][1], at=number))
    work: Counter[str] = Counter()
    largest = max(size for _, size in crowd)
    for one in served(queue, 200):
        work[one.flow] += one.size  # type: ignore[assignment]
        if len(work) == 4:
            assert max(work.values()) - min(work.values()) <= 2 * largest + 1e-6
