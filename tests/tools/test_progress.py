"""Progress: a tally of events, drawn live on a terminal and in plain lines elsewhere."""

from __future__ import annotations

import io

import worlds
from rich.console import Console

from semprop.engine.training.events import CallDone, Event, HeldOut, ItemDone, PassStarted, StepDone
from semprop.tools.progress import QUIET, Bar, Lines, Silent, Tally, tally_of

CALL = CallDone("forward", 7, 1000, 20, 0.25, False)
STEP = StepDone(0, 2, 4, (), (), None, "no proposal")


def tally() -> Tally:
    return Tally(steps=2, tests=10, calls_a_test=2, began=100.0)


def taken(*events: Event, now: float = 100.0) -> Tally:
    counted = tally()
    for event in events:
        counted.take(event, now)
    return counted


def test_the_line_tells_pass_calls_tokens_cost_and_time() -> None:
    line = taken(PassStarted(0, "step"), CALL, CALL).line(103.0)
    assert line == "step 1 of 2, forward · 7 in flight · 2 calls · 2,000 + 40 tokens · $0.5000 · 3.0 s"


def test_unknown_tokens_and_prices_do_not_become_a_price_of_zero() -> None:
    line = taken(PassStarted(0, "step"), CallDone("forward", 1, None, None, None, False)).line(101.0)
    assert "price unknown" in line
    assert "$0" not in line


def test_failed_calls_are_told() -> None:
    assert "1 calls (1 failed)" in taken(CallDone("gate", 0, None, None, None, True)).line(101.0)


def test_the_time_left_is_told_once_there_is_something_to_guess_from() -> None:
    begun = taken(PassStarted(0, "step"), CALL)
    assert begun.seconds_left(105.0) is None
    begun.take(STEP, 110.0)
    # One more step of 10 s, then 10 examples with 2 calls each, of 10 s a call.
    assert begun.seconds_left(110.0) == 10 + 200
    begun.take(PassStarted(2, "test", 10), 110.0)
    begun.take(ItemDone(2, "test"), 110.0)
    assert begun.seconds_left(110.0) == 9 * 2 * 10
    assert "test 1 of 10" in begun.line(110.0)


def test_plain_lines_come_with_passes_and_steps_and_otherwise_seldom() -> None:
    said: list[str] = []
    now = [100.0]
    with Lines(tally(), said.append, lambda: now[0]) as lines:
        for event in (PassStarted(0, "step"), CALL, CALL, CALL):
            lines(event)
        assert said == []
        now[0] += QUIET
        lines(CALL)
        lines(CALL)
        assert len(said) == 1
        lines(STEP)
        lines(PassStarted(2, "test", 10))
        lines(HeldOut(0.0, 1.0, 10))
    assert said[1] == "step 1: 2 of 4 wrong, 0 candidates; no proposal"
    assert said[2].startswith("test 0 of 10")
    assert len(said) == 3


def test_a_terminal_keeps_a_line_for_each_step_and_its_cursor() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100)
    with Bar(tally(), console, lambda: 101.0) as bar:
        for event in (PassStarted(0, "step"), CALL, STEP):
            bar(event)
    text = stream.getvalue()
    assert "step 1: 2 of 4 wrong" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_silence_is_silent() -> None:
    with Silent() as silent:
        assert silent(CALL) is None


def test_a_tally_knows_what_the_held_out_data_will_take() -> None:
    counted = tally_of(worlds.specification(splits=worlds.splits(test=5)), steps=1, sides=2, now=0.0)
    assert (counted.tests, counted.calls_a_test) == (5, 6)
