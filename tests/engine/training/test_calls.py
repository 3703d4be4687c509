"""What was sent at a position: which attempts belong to which asking, in all sittings, each once."""

from __future__ import annotations

import pytest

from semprop.engine import Failure, FailureKind, Run
from semprop.engine.outcomes import Position
from semprop.engine.training.journal import Journal
from semprop.engine.training.telemetry import Telemetry
from semprop.engine.training.waste import Wasted
from semprop.providers import Completion, Message, Request, Sampling, Usage
from semprop.providers.base import Lost
from semprop.tools.budgets import spent_before

AT, KEY = Position(0, "forward", "e1", node="answer"), "0" * 32
REQUEST = Request((Message.of("user", "hello"),), Sampling(max_tokens=100))
WORST = 5 + 16 + 64
"""Tokens of its input at the most: its bytes and what a template adds."""

INTENT = "intent"


def spent(calls, *lost):
    """As a budget counts so many attempts of a thousand tokens in and out."""
    return {"calls": calls, "input": 1_000 * calls, "output": 1_000 * calls, "picodollars": 0, "lost": [*lost]}


def lost(cancelled=False):
    return [cancelled, 1, 1_000, 1_000, 0]


def reply(attempts=1):
    return Completion("hi", usage=Usage(input=7, output=3), attempts=attempts)


@pytest.fixture
def noted(tmp_path):
    """Writes records of one position, and gives the run."""

    async def noted(*records):
        journal = await Journal.create(tmp_path / "run", {})
        for record in records:
            if record == INTENT:
                await journal.reach(journal.intend(AT, KEY, "forward", REQUEST))
            elif isinstance(record, tuple):
                journal.charge(AT, KEY, *record)
            else:
                await journal.settle(AT, KEY, record)
        await journal.close()
        return Run(tmp_path / "run")

    return noted


def used(run):
    """Attempts, tokens that may have been spent in and out, and attempts of no use: of all sittings."""
    (call,) = run.calls()
    telemetry = Telemetry(lambda role, usage: 0.0)
    telemetry.earlier(call.position, call.role, call.outcome, call.unanswered, call.lost)
    amount = spent_before(run, lambda role, usage: None)
    wasted = sum(tally.attempts for tally in telemetry.waste.of.values())
    return amount.calls, amount.input, telemetry.attempts, wasted


async def test_a_killed_asking_is_not_taken_for_the_beginning_of_the_next_one(noted):
    # Killed when it was about to try again; then a hedge was sent beside the first attempt, and won.
    run = await noted(INTENT, (1, spent(1, lost()), True), INTENT, (2, spent(2, lost(cancelled=True)), False), reply(2))
    assert used(run) == (4, 3_000 + WORST, 4, 3)


async def test_what_an_asking_cost_that_was_cancelled_is_not_taken_for_that_of_the_outcome(noted):
    run = await noted(INTENT, (1, spent(1, lost(cancelled=True)), False), INTENT, reply())
    assert used(run) == (2, 1_007, 2, 1)
    (call,) = run.calls()
    assert call.lost.unanswered == (Lost(cancelled=True, calls=1, input=1_000, output=1_000, picodollars=0),)


async def test_attempts_that_were_lost_are_counted_once_each_and_with_their_own_asking(noted):
    cut = (2, spent(2, lost(), lost(cancelled=True)), False)
    run = await noted(INTENT, cut, INTENT, (2, spent(2, lost()), False), reply(2))
    assert used(run) == (4, 4_000, 4, 3)
    (call,) = run.calls()
    assert (len(call.lost.unanswered), len(call.lost.answered)) == (2, 1)


async def test_tries_that_did_not_reach_the_endpoint_do_not_make_an_outcome_cost_twice(noted):
    run = await noted(INTENT, (2, spent(1), False), reply())
    assert used(run) == (1, 1_000, 1, 0)


async def test_an_intent_that_is_known_not_to_be_sent_costs_nothing_whatever_follows(noted):
    never = (0, None, False)
    failure = Failure(FailureKind.TRANSPORT, "it cannot be reached", attempts=0)
    assert used(await noted(INTENT, never, INTENT, failure)) == (0, 0, 0, 0)


async def test_a_hedge_that_was_announced_and_not_sent_costs_nothing(noted):
    assert used(await noted(INTENT, (1, None, True), reply())) == (1, 7, 1, 0)


async def test_a_reply_that_was_found_elsewhere_does_not_hide_that_the_request_was_sent_before(noted):
    run = await noted(INTENT, reply(attempts=0))
    assert used(run) == (1, WORST, 1, 1)


async def test_the_waste_of_an_outcome_is_told_by_kind(noted):
    run = await noted(
        INTENT, (1, None, True), (2, spent(2, lost(), lost()), False), Failure(FailureKind.TRANSPORT, "", "", 2)
    )
    (call,) = run.calls()
    telemetry = Telemetry()
    telemetry.earlier(call.position, call.role, call.outcome, call.unanswered, call.lost)
    of = telemetry.waste.of
    assert (of[Wasted.RETRIED].attempts, of[Wasted.FAILED].attempts) == (1, 1)
    assert call.unanswered == 0
