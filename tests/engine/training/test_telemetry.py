"""What a run cost: everything is counted once, and what is unknown is unknown, never 0."""

from semprop.engine import Failure, FailureKind, Position
from semprop.engine.training.telemetry import Telemetry, unpriced
from semprop.providers import Completion, Usage


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
