"""Budgets: no cap is ever passed, nothing waits for ever, and sums are exact."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from semprop.providers.base import Choices, Completion, JsonSchema, Message, Request, Sampling, Usage
from semprop.providers.budget import (
    NOTHING,
    PICODOLLARS,
    Amount,
    BudgetSpent,
    Caps,
    Fits,
    Purse,
    Spent,
    Waits,
    decide,
    failed,
    most_input,
    picodollars,
    settled,
    worst_case,
)
from semprop.providers.errors import ErrorClass, classified
from semprop.providers.prices import Prices
from semprop.providers.simulated.model import completion_of

counts = st.integers(0, 1000)
amounts = st.builds(Amount, st.integers(0, 5), counts, counts, counts)
maybe = st.none() | st.integers(0, 5000)
caps = st.builds(
    Caps,
    calls=maybe,
    tokens=maybe,
    input=maybe,
    output=maybe,
    usd=st.none() | st.integers(0, 5000).map(lambda n: n / 1e12),
)
prices = st.builds(
    Prices,
    st.floats(0, 100),
    st.floats(0, 100),
    st.none() | st.floats(0, 100),
    st.none() | st.floats(0, 200),
    st.floats(0, 0.1),
    st.none() | st.floats(0, 200),
)


def over(limits: Caps, amount: Amount) -> bool:
    pairs = [
        (limits.calls, amount.calls),
        (limits.tokens, amount.tokens),
        (limits.input, amount.input),
        (limits.output, amount.output),
        (None if limits.usd is None else int(limits.usd * PICODOLLARS), amount.picodollars),
    ]
    return any(cap is not None and value > cap for cap, value in pairs)


# The worst case -----------------------------------------------------------------------------------------------------


@given(prices, st.lists(st.text(max_size=30), min_size=1, max_size=3), st.integers(1, 500), st.data())
def test_no_usage_within_the_bounds_costs_more_than_the_worst_case(price, texts, most, data):
    request = Request(tuple(Message.of("user", text) for text in texts), Sampling(max_tokens=most))
    for priced in (price, price.usd):
        check_bounded(request, priced, data)


def check_bounded(request, price, data):
    worst, most = worst_case(request, price), request.sampling.max_tokens
    given_ = data.draw(st.integers(0, worst.input))
    read = data.draw(st.integers(0, given_))
    written = data.draw(st.integers(0, given_ - read))
    produced = data.draw(st.integers(0, most))
    usage = Usage(given_, read, written, produced, data.draw(st.integers(0, produced)))
    amount = settled(worst, Completion("", usage=usage), price)
    assert amount.input <= worst.input and amount.output <= worst.output
    assert amount.picodollars <= worst.picodollars


@given(st.lists(st.text(max_size=200), min_size=1, max_size=5))
def test_no_tokenizer_of_bytes_gives_more_tokens_than_are_reserved(texts):
    request = Request(tuple(Message.of("user", text) for text in texts), Sampling(max_tokens=9))
    assert most_input(request) >= sum(len(text.encode()) for text in texts)
    assert most_input(request) >= (completion_of(request).usage.input or 0)


def test_what_a_schema_adds_to_the_prompt_is_reserved():
    plain = Request((Message.of("user", "x"),))
    schema = JsonSchema.of("name", {"type": "object"})
    more = most_input(Request(plain.messages, schema=schema)) - most_input(plain)
    assert more == len("name") + len(schema.document)
    assert most_input(Request(plain.messages, schema=Choices(("ab", "ü")))) - most_input(plain) == 4


# What became of it --------------------------------------------------------------------------------------------------

WORST = Amount(2, 100, 50, 7000)


def test_a_usage_that_nobody_counted_stays_at_the_worst_case():
    for usage in (Usage(), Usage(input=5), Usage(output=5)):
        assert settled(WORST, Completion("", usage=usage), lambda usage: 0.0) == Amount(1, 100, 50, 7000)


def test_a_usage_is_what_it_says_even_beyond_the_reservation():
    completion = Completion("", usage=Usage(input=200, output=90), attempts=3)
    assert settled(WORST, completion, lambda usage: 0.25) == Amount(3, 200, 90, PICODOLLARS // 4)
    assert settled(WORST, completion, lambda usage: None).picodollars == 7000


@pytest.mark.parametrize(
    ("error_class", "status", "attempts", "amount"),
    [
        (ErrorClass.RATE, 429, 1, Amount(1)),
        (ErrorClass.OVERLOAD, 529, 1, Amount(1)),
        (ErrorClass.OVERLOAD, 200, 1, Amount(1, 100, 50, 7000)),
        (ErrorClass.CONTEXT, 400, 2, Amount(2)),
        (ErrorClass.FILTER, 400, 1, Amount(1, 100, 50, 7000)),
        (ErrorClass.TRANSIENT, 500, 1, Amount(1, 100, 50, 7000)),
        (ErrorClass.TRANSIENT, 408, 1, Amount(1, 100, 50, 7000)),
        (ErrorClass.TRANSIENT, None, 1, Amount(1, 100, 50, 7000)),
        (ErrorClass.TRANSIENT, None, 0, NOTHING),
        (ErrorClass.AUTH, None, 0, NOTHING),
    ],
)
def test_a_failure_costs_its_worst_case_and_a_refusal_only_a_call(error_class, status, attempts, amount):
    assert failed(WORST, classified("", error_class, status=status, attempts=attempts)) == amount


@given(st.lists(st.floats(0, 1e3), max_size=30))
def test_dollars_are_rounded_up_and_sums_are_exact(values):
    total = NOTHING
    for value in values:
        total += Amount(picodollars=picodollars(value))
    assert total.picodollars >= math.fsum(values) * PICODOLLARS * (1 - 1e-15)
    for value in values:
        total -= Amount(picodollars=picodollars(value))
    assert total == NOTHING


@given(amounts)
def test_an_amount_comes_back_from_its_document(amount):
    assert Amount.of(amount.document()) == amount


# Verdicts -----------------------------------------------------------------------------------------------------------


@given(caps, amounts, amounts, amounts)
def test_what_fits_passes_no_cap_and_what_is_refused_would_pass_one_for_sure(limits, spent, reserved, worst):
    verdict = decide(limits, spent, reserved, worst)
    if isinstance(verdict, Fits) and not over(limits, spent + reserved):
        assert not over(limits, spent + reserved + worst)
    if isinstance(verdict, Spent):
        assert over(limits, spent + worst)
    if isinstance(verdict, Waits):
        assert over(limits, spent + reserved + worst)
        # Once everything in flight is settled at nothing, it fits: so it never waits for ever.
        assert isinstance(decide(limits, spent, NOTHING, worst), Fits)


@given(caps, amounts, amounts)
def test_with_nothing_in_flight_nothing_waits(limits, spent, worst):
    assert not isinstance(decide(limits, spent, NOTHING, worst), Waits)


def test_a_cap_says_what_it_lacks():
    verdict = decide(Caps(tokens=100), Amount(1, 50, 40), NOTHING, Amount(1, 5, 6))
    assert verdict == Spent("tokens", 10, 11)
    assert decide(Caps(usd=0.01), Amount(picodollars=10**10), NOTHING, Amount(1, picodollars=1)) == Spent(
        "usd", 0, 1e-12
    )
    assert isinstance(decide(Caps(usd=0.0, calls=1), NOTHING, NOTHING, Amount(1, 5, 5)), Fits)


@pytest.mark.parametrize("wrong", [{"calls": -1}, {"usd": math.inf}, {"usd": math.nan}, {"tokens": -5}])
def test_a_cap_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match="a budget of"):
        Caps(**wrong)


def test_caps_on_what_is_produced_need_a_bound_on_replies():
    assert Caps(usd=1.0).bounds_output and Caps(tokens=1).bounds_output and Caps(output=1).bounds_output
    assert not Caps(calls=1, input=5).bounds_output
    assert Caps().is_empty and not Caps(calls=0).is_empty


# The purse ----------------------------------------------------------------------------------------------------------


class Spending(RuleBasedStateMachine):
    """Tries that come, wait, are settled and leave, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.limits = Caps(calls=20, tokens=3000, usd=2500 / 1e12)
        self.purse = Purse(self.limits)
        self.waiting: list[asyncio.Task[object]] = []
        self.open: list[object] = []
        self.served: list[int] = []
        self.came = 0

    def turn(self) -> None:
        for _ in range(3):
            self.loop.run_until_complete(asyncio.sleep(0))
        for task in [task for task in self.waiting if task.done()]:
            self.waiting.remove(task)
            if not task.cancelled() and task.exception() is None:
                self.open.append(task.result())
            elif not task.cancelled():
                assert isinstance(task.exception(), BudgetSpent)

    @rule(worst=st.builds(Amount, st.integers(1, 3), counts, counts, counts))
    def comes(self, worst: Amount) -> None:
        number = self.came
        self.came += 1

        async def ask() -> object:
            reservation = await self.purse.reserve(worst)
            self.served.append(number)
            return reservation

        self.waiting.append(self.loop.create_task(ask()))
        self.turn()

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def is_settled(self, data) -> None:
        reservation = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        share = data.draw(st.sampled_from([0, 1, 2]))
        worst = reservation.worst
        halves = Amount(worst.calls // 2, worst.input // 2, worst.output // 2, worst.picodollars // 2)
        self.purse.settle(reservation, (NOTHING, halves, worst)[share])
        self.turn()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leaves(self, data) -> None:
        self.waiting[data.draw(st.integers(0, len(self.waiting) - 1))].cancel()
        self.turn()

    @invariant()
    def no_cap_is_passed(self) -> None:
        assert not over(self.limits, self.purse.spent + self.purse.reserved)

    @invariant()
    def what_is_reserved_is_what_is_in_flight(self) -> None:
        total = NOTHING
        for reservation in self.open:
            total += reservation.worst
        assert total == self.purse.reserved and self.purse.in_flight == len(self.open)

    @invariant()
    def nobody_waits_for_nothing_and_nobody_overtakes(self) -> None:
        assert self.open or not self.waiting
        assert self.served == sorted(self.served)

    def teardown(self) -> None:
        for task in self.waiting:
            task.cancel()
        self.turn()
        self.loop.close()


TestSpending = Spending.TestCase
TestSpending.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


async def test_a_grant_whose_task_is_cancelled_in_the_same_turn_is_given_back():
    purse = Purse(Caps(calls=1))
    first = await purse.reserve(Amount(1))
    second = asyncio.ensure_future(purse.reserve(Amount(1)))
    await asyncio.sleep(0)
    purse.settle(first, NOTHING)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert (purse.in_flight, purse.reserved, purse.spent) == (0, NOTHING, NOTHING)


async def test_who_waits_behind_one_that_leaves_goes_on():
    purse = Purse(Caps(calls=3))
    first = await purse.reserve(Amount(2))
    large = asyncio.ensure_future(purse.reserve(Amount(3)))
    small = asyncio.ensure_future(purse.reserve(Amount(1)))
    await asyncio.sleep(0)
    assert not small.done()
    large.cancel()
    assert (await small).worst == Amount(1)
    purse.settle(first, NOTHING)


async def test_who_can_never_fit_hears_it_at_once_and_a_settled_reservation_stays_settled():
    purse = Purse(Caps(usd=1.0), spent=Amount(picodollars=PICODOLLARS // 2))
    with pytest.raises(BudgetSpent, match=r"may need \$0.6, and \$0.5 are left") as refused:
        await purse.reserve(Amount(1, 5, 5, 6 * PICODOLLARS // 10))
    assert (refused.value.error_class, refused.value.dimension, refused.value.attempts) == (ErrorClass.QUOTA, "usd", 0)
    assert purse.refusal(Amount(1, 5, 5, PICODOLLARS)) is not None and purse.refusal(Amount(1)) is None
    reservation = await purse.reserve(Amount(1))
    purse.settle(reservation, NOTHING)
    with pytest.raises(RuntimeError, match="settled before"):
        purse.settle(reservation, NOTHING)
    assert purse.share() == 0.5 and purse.statistics()["caps"] == {"usd": 1.0}
