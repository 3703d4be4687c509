"""Which way a request goes where there is a batch API: what may be answered, and paid, by a batch goes no other way."""

import asyncio
from dataclasses import replace

import pytest

from semprop.providers.base import Completion, Usage
from semprop.providers.batches.layer import Batching, Costs
from semprop.providers.batches.service import State, Status
from semprop.providers.batches.terms import BatchTerms
from semprop.providers.budget import Amount, Caps
from semprop.providers.pictures import UNTOLD
from semprop.providers.prices import Free
from semprop.providers.scripted import VirtualClock
from semprop.providers.valve import Valve
from tests.providers.batches.serving import TERMS, WHO, Service, asked, connected, key_of, submissions


def layered(service, sent, valve=None):
    async def send(request):
        sent.append(request)
        return Completion("alone", usage=Usage())

    batches = connected(service)
    layer = Batching(batches, WHO, BatchTerms(), Costs(Free(), UNTOLD, valve or Valve()), None)
    return batches, layer.around(send)


def impatient(text):
    request = asked(text)
    return replace(request, admission=request.admission._replace(patient=False))


async def test_what_somebody_waits_for_goes_alone():
    sent = []
    _, complete = layered(Service(VirtualClock()), sent)
    assert (await complete(impatient("now"))).text == "alone"
    assert len(sent) == 1


async def test_what_stands_in_a_batch_of_an_earlier_sitting_is_fetched_from_there_though_somebody_waits_for_it_now():
    # A run that is gone on with under other phases of --batch would pay for it twice.
    service, sent = Service(VirtualClock()), []
    batches, complete = layered(service, sent)
    task = asyncio.ensure_future(complete(asked("gate")))
    await asyncio.sleep(0)
    batches.quiescent()
    await service.clock.sleep(5.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    _, complete = layered(service, sent)
    assert (await complete(impatient("gate"))).text == "re: gate"
    assert (await complete(impatient("other"))).text == "alone"
    assert len(sent) == 1
    assert submissions(service) == {key_of("gate"): 1}


async def test_a_row_that_nobody_waits_for_any_more_counts_until_somebody_asks_for_it_again():
    # Its batch goes on and is charged: what is capped must not be spent on others meanwhile.
    service, valve = Service(VirtualClock()), Valve(Caps(calls=2))
    batches, complete = layered(service, [], valve)
    stays, leaves = (asyncio.ensure_future(complete(asked(text))) for text in ("stays", "leaves"))
    await asyncio.sleep(0)
    batches.quiescent()
    await service.clock.sleep(5.0)
    leaves.cancel()
    assert (await stays).text == "re: stays"
    assert valve.purse.spent.calls == 2
    assert valve.purse.refusal(Amount(1)) is not None
    assert (await complete(asked("leaves"))).text == "re: leaves"
    assert valve.purse.spent.calls == 2
    assert valve.purse.reserved == Amount()


async def test_a_row_that_is_given_up_before_its_batch_is_made_costs_nothing():
    service, valve = Service(VirtualClock()), Valve(Caps(calls=2))
    _, complete = layered(service, [], valve)
    leaves = asyncio.ensure_future(complete(asked("leaves")))
    await asyncio.sleep(0)
    leaves.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaves
    assert (valve.purse.spent, valve.purse.reserved) == (Amount(), Amount())


async def test_an_account_whose_queue_is_full_is_waited_for_and_fails_no_request():
    service, create, refused = Service(VirtualClock()), Service.create, []

    async def full(draft, lines):
        if len(refused) < 10:
            refused.append(service.clock.now())
            return Status("refused", State.FAILED, "failed", code="token_limit_exceeded")
        return await create(service, draft, lines)

    service.create = full
    batches, complete = layered(service, [])
    task = asyncio.ensure_future(complete(asked("late")))
    await asyncio.sleep(0)
    batches.quiescent()
    reply = await task
    assert (reply.text, reply.attempts) == ("re: late", 1)
    assert refused[-1] - refused[0] >= 9 * TERMS.most
    assert submissions(service) == {key_of("late"): 1}


async def test_what_is_too_much_for_an_accounts_whole_queue_goes_in_smaller_batches():
    service, create, sizes = Service(VirtualClock()), Service.create, []

    async def small(draft, lines):
        sizes.append(len(lines))
        if len(lines) > 20:
            return Status("refused", State.FAILED, "failed", code="token_limit_exceeded")
        return await create(service, draft, lines)

    service.create = small
    batches, complete = layered(service, [])
    texts = [f"question {number}" for number in range(100)]
    tasks = [asyncio.ensure_future(complete(asked(text))) for text in texts]
    await asyncio.sleep(0)
    batches.quiescent()
    assert [reply.text for reply in await asyncio.gather(*tasks)] == [f"re: {text}" for text in texts]
    assert sizes[0] == 100
    assert max(map(len, (held.lines for held in service.held.values()))) <= 20
    assert len(service.held) < 10
    assert submissions(service) == {key_of(text): 1 for text in texts}
