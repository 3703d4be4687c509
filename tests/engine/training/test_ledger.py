"""The ledger that forgets: it serves usable outcomes, bounded, and nothing after the run."""

import pytest

from semprop.engine import Failure, FailureKind, Position
from semprop.engine.outcomes import Returned
from semprop.engine.training.ledger import MemoryLedger, is_usable
from semprop.providers import Completion

AT = Position(0, "forward")


@pytest.mark.parametrize("kind", FailureKind)
def test_model_failures_may_be_served_again_and_provider_failures_may_not(kind):
    assert is_usable(Failure(kind, "x")) is kind.is_model_failure


def test_completions_and_results_may_be_served_again():
    assert is_usable(Completion("x"))
    assert is_usable(Returned(None))


async def test_usable_outcomes_are_found_by_key_and_others_are_not():
    ledger = MemoryLedger()
    await ledger.reach(ledger.intend(AT, "a", "forward", {}))
    await ledger.settle(AT, "a", Completion("x"))
    await ledger.settle(AT, "b", Failure(FailureKind.TRANSPORT, "x"))
    assert ledger.stored("a") == Completion("x")
    assert ledger.stored("b") is None
    assert ledger.recorded(AT) is None


async def test_the_outcomes_least_recently_used_are_forgotten():
    ledger = MemoryLedger(characters=1_200)
    for key in ("a", "b"):
        await ledger.settle(AT, key, Completion(key))
    assert ledger.stored("a")
    await ledger.settle(AT, "c", Completion("c"))
    assert [key for key in "abc" if ledger.stored(key)] == ["a", "c"]


async def test_decisions_and_links_are_not_kept():
    ledger = MemoryLedger()
    ledger.link(AT, "a")
    ledger.decide(0, "verdict", "", {})
    await ledger.flush()
    await ledger.close()
    assert ledger.stored("a") is None
