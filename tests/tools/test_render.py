"""Documents as text: what is unknown is called so, and text of models moves no terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from semprop.tools import render
from semprop.tools.screen import Screen, plain

HELD_OUT = {
    "before": 0.25,
    "after": 0.5,
    "n": 120,
    "difference": 0.25,
    "interval": [0.1, 0.4],
    "p": 0.00001,
    "test": "exact McNemar",
    "word": "reliable gain",
    "missing": 3,
    "lenient": {"before": 0.5, "after": 0.5},
    "constrained": None,
}


def shown(*parts: Any, terminal: bool = False) -> str:
    """What people see."""
    stream = io.StringIO()
    console = Console(file=stream, width=100, force_terminal=terminal, color_system="standard" if terminal else None)
    Screen(console, console, stream, json=False).show(*parts)
    return stream.getvalue()


def test_held_out_has_scores_n_interval_and_the_word() -> None:
    text = shown(*render.held_out(HELD_OUT))
    for words in ("25.0 %", "50.0 %", "+25.0 points", "+10.0 points to +40.0 points", "p < 0.0001", "reliable gain"):
        assert words in text
    assert "n = 120" in text
    assert "3 examples are left out on both sides" in text
    assert "lenient" in text
    assert "constrained" not in text


@pytest.mark.parametrize(
    ("usd", "unpriced", "words"),
    [
        (None, 5, "price unknown"),
        (None, 0, "no charge known"),
        (0.0, 0, "$0"),
        (0.12345, 0, "$0.1235"),
        (0.5, 2, "$0.5000 and 2 calls of unknown price"),
    ],
)
def test_an_unknown_price_is_never_zero(usd: float | None, unpriced: int, words: str) -> None:
    assert render.dollars(usd, unpriced) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.25, "0.2 s"), (42.4, "42 s"), (61, "1 min 01 s"), (7260, "2 h 01 min")]
)
def test_durations_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert render.duration(seconds) == words


def test_a_difference_colours_what_went_and_what_came() -> None:
    text = shown(render.difference("Keep.\nOld.", "Keep.\nNew."), terminal=True)
    assert "\x1b[31m  - Old." in text
    assert "\x1b[32m  + New." in text
    assert shown(render.difference("Keep.\nOld.", "Keep.\nNew.")) == "    Keep.\n  - Old.\n  + New.\n\n"


def test_changes_show_demonstrations_and_numbers_as_text() -> None:
    turn = {"inputs": [["question", "2 + 2"]], "output": "4", "origin": "e1"}
    changed = {
        "shots": {"before": {"turns": []}, "after": {"turns": [turn]}},
        "heat": {"before": {"value": 0.0}, "after": {"value": 0.5}},
        "same": {"before": "x", "after": "x"},
    }
    text = shown(*render.changes(changed))
    assert "  + question: 2 + 2\n  + → 4" in text
    assert "  - 0\n  + 0.5" in text
    assert "same" not in text


def test_text_of_models_cannot_steer_a_terminal() -> None:
    hostile = "\x1b[2J\x1b]0;title\x07 \u009b31m [bold]no markup[/bold] \u202egnp :smile:\r"
    text = shown(render.difference("", hostile), *render.notes([hostile]), terminal=True)
    for forbidden in ("\x1b[2J", "\x1b]", "\x07", "\u009b", "\u202e", "\r"):
        assert forbidden not in text
    assert "[bold]no markup[/bold]" in text
    assert ":smile:" in text
    assert plain("a\tb\nc") == "a\tb\nc"


def test_steps_are_one_line_each_with_verdict_and_gate() -> None:
    gate = {"before": 0.5, "after": 0.75, "n": 8, "missing": 0}
    row = {"index": 0, "wrong": 2, "seen": 4, "candidates": 3, "dropped": 1, "reason": "better", "verdict": "accept"}
    told = render.step({**row, "gate": gate}).plain
    assert told == "step 1: 2 of 4 wrong, 3 candidates (1 dropped); gate n = 8; accept: better"
    assert render.step({**row, "gate": None}).plain.endswith("(1 dropped); better")


HELD = {
    "before": 0.5,
    "after": 0.6,
    "n": 60,
    "difference": 0.1,
    "interval": [0.02, 0.18],
    "p": 0.02,
    "test": "exact McNemar",
    "word": "reliable gain",
    "missing": 0,
    "lenient": None,
    "constrained": None,
}


def test_the_claim_shows_strata_classes_tokens_and_findings_beside_it() -> None:
    part = {"before": 0.5, "after": 0.6, "difference": 0.1, "interval": [0.0, 0.2], "word": "no reliable gain"}
    strata = {**part, "p": 0.04, "n": 60, "strata": [{**part, "name": "snarks", "n": 60, "holm": 0.08}]}
    row = {"name": "Yes", "n": 30, "before": 0.5, "after": 1.0, "said": {"before": 30, "after": 60}}
    held = {
        **HELD,
        "strata": strata,
        "classes": {"balanced": part, "classes": [row]},
        "tokens": {"before": 100.0, "after": 400.0},
        "findings": [{"trap": "tokens", "words": "dear \x1b[2J", "figures": {}}],
    }
    told = shown(*render.held_out(held))
    for words in (
        "snarks",
        "0.0800",
        "stratified over 1",
        "balanced accuracy: 50.0 %",
        "100 before, 400 after (4.0 times)",
    ):
        assert words in told
    assert "finding: dear \\x1b[2J" in told


@pytest.mark.parametrize(
    ("labels", "words"),
    [(0, "no labels of yours to check it by"), (20, "; 30 or more are needed"), (40, "agrees with 15 of 40")],
)
def test_a_judge_is_named_with_its_digest_and_what_the_user_thinks_of_it(labels: int, words: str) -> None:
    told = render.judge({"digest": "abc", "model": "m", "labels": labels, "agreed": 15})
    assert "frozen as abc" in told
    assert words in told


def test_an_approximate_gain_is_called_so() -> None:
    told = render.approximate({"difference": 0.1, "interval": [0.0, 0.2], "n": 30, "contenders": 4, "method": "m"})
    assert told.startswith("approximate: +10.0 points")


def test_what_is_not_known_of_earlier_openings_is_not_said() -> None:
    assert list(render.openings(None)) == []
    assert list(render.openings({"test": None})) == []
