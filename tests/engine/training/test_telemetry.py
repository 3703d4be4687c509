"""What a run cost: everything is counted once, and what is unknown is unknown, never 0."""

from semprop.engine import Failure, FailureKind, Position
from semprop.engine.training.telemetry import Telemetry, unpriced
from semprop.engine.training.waste import Wasted
from semprop.providers import Completion, Stop, Usage
from semprop.providers.base import Lost


def at(phase="forward", example="e1"):
    return Position(0, phase, example)


def dear(role, usage):
    return None if usage.output is None else usage.output * 0.5


def test_calls_tokens_and_attempts_are_summed():
    telemetry = Telemetry()
    telemetry.called(at(), "forward", Completion("x", usage=Usage(10, 4, 0, 2, 1), attempts=3))
    telemetry.called(at("gate"), "forward", Completion("x", usage=Usage(5, None, None, 1, None)))
    document = telemetry.document(1.23456)
    assert document["calls"] == {"forward": 1, "gate": 1}
    assert document["attempts"] == 4
    assert document["tokens"] == {"input": 15, "cached": 4, "output": 3, "reasoning": 1}
    assert document["seconds"] == 1.235


def test_who_of_a_pool_answered_is_counted_and_priced_apart():
    telemetry = Telemetry(lambda role, usage: {"a": 1.0, "b": 2.0}[usage.member])
    for member in ("b", "a", "b"):
        telemetry.called(at(), "forward", Completion("x", usage=Usage(1, 0, 0, 1, member=member)))
    document = telemetry.document(0)
    assert (document["served"], document["cost"]["usd"]) == ({"a": 1, "b": 2}, 5.0)


def test_an_unknown_price_is_null_and_counted_never_zero():
    telemetry = Telemetry(unpriced)
    assert telemetry.called(at(), "forward", Completion("x")) is None
    assert telemetry.document(0)["cost"] == {"usd": None, "unpriced_requests": 1}


def test_known_prices_are_summed_beside_unknown_ones():
    telemetry = Telemetry(dear)
    assert telemetry.called(at(), "forward", Completion("x", usage=Usage(1, output=3))) == 1.5
    telemetry.called(at(), "forward", Completion("x"))
    assert telemetry.document(0)["cost"] == {"usd": 1.5, "unpriced_requests": 1}


def test_failures_are_counted_by_kind_with_their_attempts():
    telemetry = Telemetry(dear)
    assert telemetry.called(at(), "forward", Failure(FailureKind.THROTTLED, "slow", attempts=5)) is None
    document = telemetry.document(0)
    assert document["failures"] == {"throttled": 1}
    assert (document["calls"], document["attempts"]) == ({"forward": 1}, 5)


def test_a_call_without_an_outcome_is_counted_and_its_price_is_unknown():
    telemetry = Telemetry(dear)
    telemetry.unanswered(at())
    document = telemetry.document(0)
    assert (document["calls"], document["attempts"], document["failures"]) == ({"forward": 1}, 1, {"unanswered": 1})
    assert document["cost"] == {"usd": None, "unpriced_requests": 1}


def test_calls_for_examples_that_a_pass_did_not_use_were_speculative():
    telemetry = Telemetry()
    for example in ("e1", "e2", "e2"):
        telemetry.called(at(example=example), "forward", Completion("x"))
    telemetry.unanswered(at(example="e3"))
    telemetry.called(at("gate", "g1"), "forward", Completion("x"))
    telemetry.close_pass("forward", ["e1"])
    assert telemetry.document(0)["speculative"] == 3
    telemetry.close_pass("gate", ["g1"])
    telemetry.close_pass("forward", [])
    assert telemetry.document(0)["speculative"] == 3


def test_passes_that_never_run_ahead_leave_nothing_behind():
    telemetry = Telemetry()
    for number in range(100):
        telemetry.called(at("backward", f"e{number}"), "backward", Completion("x"))
    telemetry.close_pass("backward", [])
    assert telemetry.document(0)["speculative"] == 0


def test_requests_that_a_store_served_are_counted_apart():
    telemetry = Telemetry()
    telemetry.again(at("gate"))
    assert telemetry.document(0)["reused"] == {"gate": 1}
    assert telemetry.document(0)["calls"] == {}


# Waste ----------------------------------------------------------------------------------------------------------------

BROKEN, REFUSED, CUT_OFF = Lost(False, 1, 100, 50, 7_000), Lost(False, 1, 0, 0, 0), Lost(True, 1, 100, 50, 7_000)


def wasted(telemetry):
    """Kind → attempts, of the kinds that there are."""
    waste = telemetry.document(0)["waste"]
    return {kind: tally["attempts"] for kind, tally in waste.items() if tally["attempts"] and kind != "total"}


def test_every_attempt_that_gave_nothing_is_of_one_kind():
    telemetry = Telemetry(dear)
    telemetry.called(at(), "forward", Completion("x", attempts=4), (BROKEN, REFUSED, CUT_OFF))
    assert wasted(telemetry) == {"retried": 2, "cancelled": 1}
    telemetry.called(at(), "forward", Failure(FailureKind.TRANSPORT, "broken", attempts=2), (BROKEN, BROKEN))
    assert wasted(telemetry) == {"retried": 3, "failed": 1, "cancelled": 1}
    telemetry.called(at(), "forward", Failure(FailureKind.FILTER, "no", attempts=1), (REFUSED,))
    telemetry.unanswered(at(), 2, "forward", (BROKEN, CUT_OFF))
    telemetry.unanswered(at(), 1, "forward", (BROKEN,))
    assert wasted(telemetry) == {"retried": 4, "failed": 2, "cancelled": 2, "filtered": 1}
    total = telemetry.document(0)["waste"]["total"]
    assert (total["attempts"], telemetry.attempts) == (9, 10)
    assert (total["at_most"], total["tokens"]) == (7, {"input": 700, "output": 350})
    assert total["usd"] == 7 * 7_000 / 1e12


def test_what_a_lost_attempt_cost_is_unknown_where_the_price_is_and_where_nobody_counted():
    telemetry = Telemetry(unpriced)
    telemetry.called(at(), "forward", Completion("x", attempts=2), (BROKEN,))
    telemetry.called(at(), "forward", Completion("x", attempts=2), (REFUSED,))
    retried = telemetry.document(0)["waste"]["retried"]
    assert (retried["usd"], retried["unpriced"]) == (0.0, 1), "a refusal cost nothing, whatever the price"
    untold = Telemetry(dear)
    untold.called(at(), "forward", Completion("x", usage=Usage(1, output=1), attempts=3))
    untold.unanswered(at())
    document = untold.document(0)["waste"]
    assert (document["retried"]["usd"], document["retried"]["unpriced"]) == (None, 2)
    assert (document["cancelled"]["usd"], document["cancelled"]["unpriced"]) == (None, 1)


def test_a_reply_that_ran_ahead_is_waste_once_whatever_else_it_was():
    telemetry = Telemetry(dear)
    whole, cut = Completion("x", usage=Usage(10, output=2)), Completion("x", Stop.LENGTH, Usage(10, output=4))
    for reply in (whole, whole, cut):
        telemetry.called(at("gate", "g1"), "forward", reply)
    telemetry.unread(at("gate", "g1"), "forward", whole)
    telemetry.unread(at("gate", "g1"), "forward", cut)
    telemetry.close_pass("gate", [])
    assert wasted(telemetry) == {"truncated": 1, "unreadable": 1, "ahead": 1}
    assert telemetry.document(0)["waste"]["total"]["usd"] == 4.0
    assert telemetry.speculative == 3


def test_a_reply_that_another_run_paid_for_is_no_waste_of_this_one():
    telemetry = Telemetry(dear)
    telemetry.unread(at(), "forward", Completion("x", usage=Usage(1, output=1), attempts=0))
    assert wasted(telemetry) == {}


def test_waste_of_two_counts_is_added():
    one, other = Telemetry(dear), Telemetry(dear)
    for telemetry in (one, other):
        telemetry.called(at("test"), "forward", Completion("x", Stop.LENGTH, Usage(1, output=1)))
    one.absorb(other)
    assert one.waste.of[Wasted.TRUNCATED].usd == 1.0
