"""The valve: no budget is passed by one, whatever fails or is sent twice; what is shut sends nothing."""

from __future__ import annotations

from random import Random

import anyio
import pytest
import structlog

from semprop.providers.base import Admission, Capabilities, Completion, Message, Request, Sampling, Sent, Usage
from semprop.providers.budget import Amount, Caps, most_input
from semprop.providers.errors import ErrorClass, ItemError, RetryError, StopError
from semprop.providers.hedging import Hedge, Hedging
from semprop.providers.layers import InFlight, Stack
from semprop.providers.plain import Plain
from semprop.providers.prices import Prices
from semprop.providers.retry import Retry, RetryPolicy
from semprop.providers.scripted import Scripted, VirtualClock
from semprop.providers.valve import Valve

PRICES = Prices(1.0, 10.0)


def request(number=0, sent=None, max_tokens=20):
    return Request(
        (Message.of("user", f"question {number}"),),
        Sampling(max_tokens=max_tokens),
        sample=number,
        admission=Admission(sent=sent),
    )


def reply(usage=Usage(30, 0, 0, 20, 0)):
    return Completion("yes", usage=usage)


class Endpoint:
    """Counts what reaches it, as an endpoint's own ledger does; 429 and errors come by number."""

    def __init__(self, clock, latency=1.0, refuses=lambda count: None):
        self.attempts = self.input = self.output = 0
        self.usd = 0.0
        self._refuses = refuses
        self.provider = Scripted(self._answer, clock=clock, latency=latency)

    def _answer(self, asked):
        self.attempts += 1
        error = self._refuses(self.attempts)
        if error is not None and error.status == 429:
            return error
        # It computes a reply even where that is lost on the way.
        usage = Usage(most_input(asked) - 5, 0, 0, asked.sampling.max_tokens, 0)
        self.input += usage.input
        self.output += usage.output
        self.usd += PRICES.usd(usage)
        return error or reply(usage)


def throttled(count):
    return RetryError("slow down", ErrorClass.RATE, status=429) if count % 3 else None


def broken(count):
    return RetryError("reset", ErrorClass.TRANSIENT) if count % 3 == 0 else None


def stack_of(endpoint, valve, clock, hedged=False):
    retry = Retry(RetryPolicy(tries=9, throttles=99, per_minute=1e9), clock, Random(1))
    bound = InFlight(8)
    layers = [Hedging(Hedge(0.5, 1.0), clock, retry, bound)] if hedged else [retry, bound]
    return Stack(endpoint.provider, [*layers, valve.around(PRICES.usd)])


async def ask_many(stack, valve, count=400):
    """Ask until the valve is shut and drained, as whoever runs them does; gives how many were answered."""
    answered = 0

    async def one(number):
        nonlocal answered
        try:
            await stack.complete(request(number))
        except ItemError:
            return
        answered += 1

    async with stack, anyio.create_task_group() as tasks:

        async def stop():
            await valve.drained()
            for _ in range(50):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()

        tasks.start_soon(stop)
        for number in range(count):
            tasks.start_soon(one, number)
    return answered


@pytest.mark.parametrize("hedged", [False, True])
@pytest.mark.parametrize("refuses", [lambda count: None, throttled, broken])
@pytest.mark.parametrize(
    "caps", [Caps(calls=100), Caps(tokens=10_000), Caps(input=5_000), Caps(output=1_000), Caps(usd=0.01)]
)
async def test_no_cap_is_passed_by_one_under_storms_faults_and_hedges(caps, refuses, hedged):
    clock = VirtualClock()
    endpoint, valve = Endpoint(clock, refuses=refuses), Valve(caps)
    answered = await ask_many(stack_of(endpoint, valve, clock, hedged), valve)
    assert valve.is_shut
    assert answered > 0
    assert endpoint.attempts <= (caps.calls or 10**9)
    assert endpoint.input + endpoint.output <= (caps.tokens or 10**9)
    assert endpoint.input <= (caps.input or 10**9)
    assert endpoint.output <= (caps.output or 10**9)
    assert endpoint.usd <= (caps.usd or 10**9)
    spent = valve.purse.spent
    assert spent.calls == endpoint.attempts
    assert spent.input >= endpoint.input
    assert spent.output >= endpoint.output
    assert valve.on_wire == valve.held == 0
    assert valve.purse.reserved == Amount()


async def test_a_budget_of_calls_is_used_to_the_last_one():
    clock = VirtualClock()
    endpoint, valve = Endpoint(clock), Valve(Caps(calls=100))
    assert await ask_many(stack_of(endpoint, valve, clock), valve) == 100
    assert endpoint.attempts == 100
    assert valve.reason is not None
    assert valve.reason.dimension == "calls"


async def test_what_was_spent_before_counts():
    clock = VirtualClock()
    endpoint, valve = Endpoint(clock), Valve(Caps(calls=100), Amount(calls=93))
    assert await ask_many(stack_of(endpoint, valve, clock), valve) == 7


async def test_what_is_on_the_wire_comes_back_after_it_was_shut_and_nothing_more_is_sent():
    clock = VirtualClock()
    endpoint, valve = Endpoint(clock), Valve()
    stack = stack_of(endpoint, valve, clock)

    async def shut():
        await clock.sleep(1.5)
        valve.shut()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shut)
        answered = await ask_many(stack, valve, 100)
    assert endpoint.attempts == answered == 16, "eight at a time, in the second round"


async def test_a_retry_is_not_sent_once_it_is_shut():
    clock = VirtualClock()
    endpoint, valve = Endpoint(clock, refuses=lambda count: RetryError("no", ErrorClass.RATE, status=429)), Valve()

    async def shut():
        await clock.sleep(0.5)
        valve.shut()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shut)
        await ask_many(stack_of(endpoint, valve, clock), valve, 1)
    assert endpoint.attempts == 1


@pytest.mark.parametrize("caps", [Caps(tokens=1), Caps(output=1), Caps(usd=1.0)])
async def test_a_request_whose_reply_has_no_bound_is_refused_where_tokens_are_capped(caps):
    valve, endpoint = Valve(caps), Endpoint(VirtualClock())
    stack = Stack(endpoint.provider, [valve.around(PRICES.usd)])
    with pytest.raises(StopError, match="max_tokens") as refused:
        await stack.complete(request(max_tokens=None))
    assert refused.value.error_class is ErrorClass.CONFIGURATION
    assert endpoint.attempts == 0
    assert not valve.is_shut


async def test_each_further_attempt_is_told_before_it_is_sent_and_what_they_cost_is_summed():
    clock, told = VirtualClock(), []
    failures = {1: RetryError("reset", ErrorClass.TRANSIENT), 2: RetryError("no", ErrorClass.RATE, status=429)}
    endpoint = Endpoint(clock, refuses=failures.get)
    sent = Sent(again=lambda sent, beside: note())

    async def note():
        told.append((sent.attempts, endpoint.attempts, sent.spent))

    asked, valve = request(sent=sent), Valve()
    await stack_of(endpoint, valve, clock).complete(asked)
    worst = Amount(1, most_input(asked), 20, sent.spent.picodollars - told[1][2].picodollars)
    assert [entry[:2] for entry in told] == [(1, 1), (2, 2)]
    assert (told[0][2].calls, told[0][2].input) == (1, worst.input), "a reset may have been charged in full"
    assert told[1][2] == told[0][2] + Amount(calls=1), "a refusal costs a call"
    assert sent.spent.calls == 3
    assert sent.spent == valve.purse.spent


async def test_the_end_of_a_budget_is_announced_once():
    clock = VirtualClock()
    endpoint, valve = Endpoint(clock), Valve(Caps(calls=10))
    with structlog.testing.capture_logs() as logs:
        await ask_many(stack_of(endpoint, valve, clock), valve, 20)
    low = [entry for entry in logs if entry["event"] == "budget_low"]
    assert len(low) == 1
    assert low[0]["share"] >= 0.8


async def test_the_first_reason_counts_and_its_state_can_be_read():
    valve = Valve(Caps(calls=1))
    assert valve.statistics()["shut"] is False
    valve.shut()
    valve.shut(None)
    await valve.until_shut()
    await valve.drained()
    assert valve.statistics()["shut"] is True
    assert "shut" in repr(valve)
    stack = Stack(Scripted([]), [valve.around(PRICES.usd)])
    assert stack.statistics()["budget"]["caps"] == {"calls": 1}


async def hedged(clock, told, *script):
    """A request whose attempts take so many seconds, and fail if an error is given; hedged after 0.5 s."""
    attempts = iter(script)

    class Slow(Plain):
        async def complete(self, asked):
            seconds, error = next(attempts)
            await clock.sleep(seconds)
            if error is not None:
                raise error
            return reply()

    async def note(sent, beside):
        told.append(beside.calls if sent.spent is None else (sent.spent + beside).calls)

    sent, valve = Sent(note), Valve()
    hedging = Hedging(Hedge(0.5, 1.0), clock, Retry(RetryPolicy(base=0.0), clock, Random(0)), InFlight(9))
    stack = Stack(Slow("scripted:slow", "slow", Capabilities()), (hedging, valve.around(PRICES.usd)))
    await stack.complete(request(sent=sent))
    assert sent.under_way == Amount()
    assert sent.spent == valve.purse.spent
    return sent


async def test_a_further_attempt_is_told_with_what_those_beside_it_may_cost():
    """The first is slow, a second goes out beside it, the first breaks and comes again: by then three may cost."""
    told = []
    sent = await hedged(
        VirtualClock(), told, (1.0, RetryError("reset", ErrorClass.TRANSIENT)), (50.0, None), (5.0, None)
    )
    assert told == [1, 2]
    assert sent.spent.calls == sent.attempts == 3


async def test_an_attempt_that_did_not_reach_its_endpoint_is_none():
    told = []
    sent = await hedged(
        VirtualClock(), told, (0.1, RetryError("refused", ErrorClass.TRANSIENT, attempts=0)), (0.1, None)
    )
    assert told == []
    assert sent.spent.calls == sent.attempts == 1
