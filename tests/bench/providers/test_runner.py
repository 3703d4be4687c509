"""Loads on a virtual clock: what each endpoint is asked, in which order, and what of it is measured."""

from dataclasses import replace
from random import Random

import pytest

from semprop.bench.providers.plan import Plan, Stopping, Sweep
from semprop.bench.providers.report import document
from semprop.bench.providers.runner import Surrounding, run
from semprop.bench.providers.shapes import Form, Shape
from semprop.bench.providers.workload import Piece, Workload, prompts
from semprop.providers import Completion, VirtualClock, wrap
from semprop.providers.base import Message, Request, Timing, Usage
from semprop.providers.errors import ErrorClass, ItemError, RetryError, StopError
from semprop.providers.retry import RetryPolicy
from semprop.providers.specification import Specification

NAMES = ("a", "b")
USAGE = Usage(input=20, output=5)


def plan(*loads, names=NAMES, **changes):
    providers = tuple(Specification("openai", name, name=name) for name in names)
    return Plan(providers, loads or (Shape(Form.CONCURRENCY, 2),), **{"warmup": 0, "prompt_bytes": 50, **changes})


async def measured(plan, seconds=0.5, price=lambda usage: 0.001, fails=None, in_flight=64, said=None):
    """Run a plan against endpoints that take so many seconds; `fails(name, number)` may return an error to raise."""
    clock = VirtualClock()
    asked = dict.fromkeys(NAMES, 0)

    def connected(spec):
        async def answer(request):
            number, asked[spec.name] = asked[spec.name], asked[spec.name] + 1
            await clock.sleep(seconds)
            if fails and (error := fails(spec.name, number)):
                raise error
            return Completion("fine", usage=USAGE, timing=Timing(seconds / 2, (seconds / 8,) * 4))

        return wrap(answer, model=spec.model, price=price, in_flight=in_flight)

    around = Surrounding(connected, clock, cpu=lambda: 0.0, say=(said if said is not None else []).append)
    return await run(plan, prompts(50, 5, 10), around), asked


def cell(result, name, number=0):
    return [cell for cell in result.cells if cell.provider == name][number]


async def test_endpoints_take_turns_a_block_at_a_time():
    said = []
    result, asked = await measured(plan(stopping=Stopping(requests=10), blocks=3), said=said)
    assert [line.partition(",")[0] for line in said] == ["a", "b"] * 3
    assert asked == {"a": 10, "b": 10}
    assert [each.figures.answered for each in result.cells] == [10, 10]


async def test_a_closed_load_keeps_so_many_under_way_and_no_more():
    result, _ = await measured(plan(Shape(Form.CONCURRENCY, 5), stopping=Stopping(requests=50), blocks=1))
    told = cell(result, "a").figures.document()
    assert told["seconds"] == pytest.approx(50 / 5 * 0.5)
    assert told["requests_per_second"] == pytest.approx(10.0)
    assert told["latency"]["first_token"]["p50"] == pytest.approx(0.25, rel=0.01)
    assert told["latency"]["per_token"]["p50"] == pytest.approx(0.25 / 4, rel=0.01)
    assert told["latency"]["gap"]["n"] == 200


async def test_under_overload_latency_grows_from_the_intended_start_and_not_from_the_actual_one():
    load = Shape(Form.CONSTANT, 10)  # The endpoint takes 0.5 s, two at once: four a second.
    result, _ = await measured(plan(load, names=("a",), stopping=Stopping(requests=100), blocks=1), in_flight=2)
    latency = cell(result, "a").figures.document()["latency"]
    assert latency["from_actual"]["p99"] == pytest.approx(0.5, rel=0.01)
    assert latency["from_intended"]["p50"] > 5.0
    assert latency["from_intended"]["max"] == pytest.approx(100 / 4 - 99 / 10, rel=0.02)
    assert latency["queued"]["p50"] == pytest.approx(latency["from_intended"]["p50"] - 0.5, rel=0.05)


async def test_an_open_load_begins_units_however_slow_the_endpoint_is():
    load = Shape(Form.CONSTANT, 20)
    result, _ = await measured(plan(load, names=("a",), stopping=Stopping(requests=60), blocks=1), seconds=2.0)
    told = cell(result, "a").figures.document()
    assert told["seconds"] == pytest.approx(59 / 20 + 2.0)
    assert told["latency"]["from_intended"]["p99"] == pytest.approx(2.0, rel=0.01)


async def test_seconds_end_a_load_and_what_was_begun_is_counted():
    stopping = Stopping(requests=1_000, seconds=4.0)
    result, asked = await measured(plan(Shape(Form.CONSTANT, 10), names=("a",), stopping=stopping, blocks=2))
    assert asked["a"] == cell(result, "a").figures.calls == pytest.approx(40, abs=2)


async def test_too_many_failures_end_an_endpoint_and_not_the_others():
    def fails(name, number):
        return ItemError("no", ErrorClass.BAD_REQUEST) if name == "a" else None

    stopping = Stopping(requests=50, errors=5)
    result, asked = await measured(plan(stopping=stopping, blocks=2), fails=fails)
    assert "as many as may be" in cell(result, "a").stopped
    assert asked["a"] <= 7
    assert cell(result, "b").figures.answered == 50
    told = cell(result, "a").figures.document()
    assert (told["answered"], told["errors"]) == (0, {"bad_request": told["calls"]})


async def test_an_endpoint_that_will_answer_nothing_more_is_ended_under_every_load():
    def fails(name, number):
        return StopError("no credit", ErrorClass.QUOTA) if name == "a" and number == 3 else None

    loads = (Shape(Form.CONCURRENCY, 1), Shape(Form.CONSTANT, 5))
    result, asked = await measured(plan(*loads, stopping=Stopping(requests=8), blocks=2), fails=fails)
    assert [each.stopped for each in result.cells if each.provider == "a"] == ["no credit", "no credit"]
    assert asked == {"a": 4, "b": 16}


async def test_money_ends_everything_and_is_never_passed():
    result, asked = await measured(plan(stopping=Stopping(requests=100), blocks=2, usd=0.02))
    assert "budget" in result.ended
    assert sum(each.figures.usd for each in result.cells) <= 0.02
    assert sum(asked.values()) <= 20


async def test_every_attempt_of_a_call_that_is_asked_again_is_kept_within_the_budget():
    """Attempts that time out may have been computed: each of them is money."""
    clock, worst = VirtualClock(), 0.001
    sent = []

    def connected(spec):
        async def answer(request):
            sent.append(spec.name)
            raise RetryError("did not answer", ErrorClass.TRANSIENT)

        return wrap(
            answer, model=spec.model, price=lambda usage: worst, retry=RetryPolicy(), clock=clock, random=Random(1)
        )

    around = Surrounding(connected, clock, cpu=lambda: 0.0)
    spending = plan(names=("a",), stopping=Stopping(requests=50), blocks=1, usd=5.5 * worst)
    result = await run(spending, prompts(50, 5, 10), around)
    assert "budget" in result.ended
    assert len(sent) == 5


async def test_what_is_under_way_when_the_money_is_spent_is_still_counted():
    load = Shape(Form.CONCURRENCY, 4)
    result, asked = await measured(
        plan(load, names=("a",), stopping=Stopping(requests=100), blocks=1, usd=0.0062), price=lambda usage: 0.001
    )
    assert asked["a"] == cell(result, "a").figures.answered == 6
    assert cell(result, "a").overhead is not None


async def test_a_request_without_a_bound_on_its_reply_is_not_sent_under_a_cap_of_dollars():
    clock = VirtualClock()

    def connected(spec):
        async def answer(request):
            return Completion("fine", usage=USAGE)

        return wrap(answer, model=spec.model, price=lambda usage: 0.001)

    open_ended = Workload("open", (Piece("one", lambda provider: asked_openly(provider)),))
    result = await run(
        plan(names=("a",), stopping=Stopping(requests=3), usd=1.0), open_ended, Surrounding(connected, clock)
    )
    assert "give max_tokens" in cell(result, "a").stopped


async def asked_openly(provider):
    await provider.complete(Request((Message.of("user", "How long?"),)))


async def test_a_cap_of_dollars_is_refused_where_a_price_is_unknown():
    with pytest.raises(StopError, match=r"the price of a .* is unknown"):
        await measured(plan(usd=1.0), price=lambda usage: None)


async def test_warming_up_is_not_counted():
    result, asked = await measured(plan(warmup=3, stopping=Stopping(requests=4), blocks=1))
    assert asked == {"a": 7, "b": 7}
    assert cell(result, "a").figures.calls == 4


async def test_a_sweep_measures_the_rates_between_one_at_once_and_many():
    result, _ = await measured(plan(Sweep(3, 8), names=("a",), stopping=Stopping(requests=16), blocks=1))
    shapes = [each.shape for each in result.cells]
    assert [each.load for each in result.cells][:3] == ["sweep: 1 at once", "sweep: 8 at once", "sweep: rate 1 of 3"]
    assert [shape.at for shape in shapes[:2]] == [1, 8]
    assert [shape.at for shape in shapes[2:]] == [pytest.approx(rate) for rate in (2.0, 9.0, 16.0)]


async def test_a_share_of_a_quota_scales_the_stated_limits():
    seen = []

    def connected(spec):
        seen.append(spec.limits)

        async def answer(request):
            return Completion("fine", usage=USAGE)

        return wrap(answer, model="m")

    limited = replace(plan(names=("a",), quota=0.5, stopping=Stopping(requests=1), blocks=1))
    spec = replace(limited.providers[0], limits=(("requests/minute", 100.0),))
    await run(replace(limited, providers=(spec,)), prompts(50, 5, 1), Surrounding(connected, VirtualClock()))
    assert seen == [(("requests/minute", 50.0),)]


async def test_a_client_that_was_too_busy_says_so():
    clock, spent = VirtualClock(), [0.0]

    def connected(spec):
        async def answer(request):
            await clock.sleep(0.1)
            spent[0] += 0.09
            return Completion("fine", usage=USAGE)

        return wrap(answer, model="m")

    around = Surrounding(connected, clock, cpu=lambda: spent[0])
    load = Shape(Form.CONCURRENCY, 1)
    result = await run(plan(load, names=("a",), stopping=Stopping(requests=20)), prompts(50, 5, 1), around)
    (told,) = document(result)["cells"]
    assert told["overhead"]["cpu_share"] == pytest.approx(0.9, rel=0.01)
    assert told["overhead"]["client_was_the_bottleneck"] is True
