"""Faults, small: whole optimizations against an endpoint that fails, and the counts that must agree."""

from __future__ import annotations

from dataclasses import replace

from semprop.bench.speed import faults
from semprop.bench.speed.faults import Counts, Ran, doubled, failing, late, lost, ran
from semprop.bench.speed.mock import Attempt
from semprop.bench.speed.rows import Settings

SIZE = 6


def nothing_is_wrong(run: Ran) -> None:
    assert (late(run.attempts), lost(run), doubled(run)) == (0, 0, 0)


async def test_faults_that_pass_and_stops_change_nothing_that_the_run_decides() -> None:
    async with failing([], Settings()) as endpoint:
        calm = await ran(endpoint, SIZE, in_flight=1)
    kinds = ("reset_after_headers", "half_json", "hang")
    script = [*faults.stopping("billing"), *(table for kind in kinds for table in faults.passing(kind, 0.06))]
    async with failing(script, Settings()) as endpoint:
        run = await ran(endpoint, SIZE)
    assert {attempt.fault for attempt in run.attempts} == {None, "billing", *kinds}
    assert run.stops == 2
    assert run.decided == calm.decided
    nothing_is_wrong(calm)
    nothing_is_wrong(run)


async def test_faults_that_last_give_one_result_in_whatever_order_things_happen() -> None:
    async with failing(faults.lasting_ones(), Settings()) as endpoint:
        alone, crowded = await ran(endpoint, SIZE, in_flight=1), await ran(endpoint, SIZE)
    assert any(attempt.fault for attempt in alone.attempts)
    assert crowded.decided == alone.decided
    nothing_is_wrong(alone)
    nothing_is_wrong(crowded)


def test_every_kind_of_fault_is_in_the_script_of_all_of_them() -> None:
    kinds = {table["kind"] for table in faults.everything()}
    assert kinds == {*faults.PASSING, *faults.LASTING, "billing"}


# The counts themselves -----------------------------------------------------------------------------------------------

ATTEMPT = Attempt(1, "a", "any", arrived=1.0, connection=1, answered=1.2, status=200, input=3, output=3, fault=None)
OTHER = replace(ATTEMPT, seq=2, key="b")
WHOLE = Ran(b"{}", Counts(recorded=2, failed=0, calls=2, attempts=2, waste=0), (ATTEMPT, OTHER), 1.0, 0)


def changed(**counts: int) -> Ran:
    return replace(WHOLE, counts=replace(WHOLE.counts, **counts))


def test_an_answer_that_is_not_on_record_is_lost_unless_it_is_waste() -> None:
    assert (lost(WHOLE), doubled(WHOLE)) == (0, 0)
    assert lost(changed(recorded=1)) == 1
    assert lost(changed(recorded=1, waste=1, calls=2)) == 0


def test_an_attempt_that_the_telemetry_does_not_know_of_is_lost() -> None:
    assert lost(changed(attempts=1)) == 1


def test_an_answer_that_was_paid_twice_is_lost_unless_the_first_was_given_up_before_it_came() -> None:
    later = replace(ATTEMPT, seq=3, arrived=2.0, answered=2.2)
    twice = replace(WHOLE, attempts=(ATTEMPT, OTHER, later), counts=replace(WHOLE.counts, attempts=3))
    assert lost(twice) == 1
    late_answer = replace(ATTEMPT, answered=2.1)
    assert lost(replace(twice, attempts=(late_answer, OTHER, later))) == 0


def test_what_is_counted_without_an_answer_is_counted_twice() -> None:
    assert doubled(changed(recorded=3, calls=3)) == 1
    assert doubled(changed(calls=3)) == 1
    assert doubled(changed(attempts=4)) == 2
    assert doubled(replace(WHOLE, attempts=(ATTEMPT, replace(OTHER, status=499)))) == 1


def test_an_attempt_is_late_that_ends_after_the_deadline_or_never() -> None:
    assert late((ATTEMPT, replace(ATTEMPT, answered=None), replace(ATTEMPT, answered=9.0))) == 2
