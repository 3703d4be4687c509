"""The table: ratios, medians and verdicts by hand count, and the forms that it is written in."""

from __future__ import annotations

import pytest

from semprop.bench.speed.report import Measured, Report, figure, number, settings_words, verdict
from semprop.bench.speed.rows import Row, Settings, at_least, at_most

MACHINE = {"processor": "P", "cores": 2, "system": "S 1", "python": "CPython 3", "packages": {"aiohttp": "3.11"}}

FAST = Row(what="wall | over ideal", samples=[1.3, 1.1, 1.2], bar=at_most(1.25), beside="the ideal", note="n = 3")
SLOW = Row(what="share used", samples=[90.0], bar=at_least(96, " %"), unit="%", note="n = 3")
TOLD = Row(what="time", samples=[2.0, 4.0], unit="s")


def report() -> Report:
    return Report(
        MACHINE,
        Settings(repetitions=3, client_core=1, endpoint_core=0),
        (
            Measured("one", "semprop bench engine --rows one", (0.5, 0.25, 0.1), 12.0, (FAST, SLOW, TOLD)),
            Measured("two", "semprop bench engine --rows two", (), 0.0, skipped="it is not here"),
            Measured("three", "semprop bench engine --rows three", (), 0.0, failed="RunError: no"),
        ),
    )


def test_the_median_is_compared_with_the_bar() -> None:
    assert (FAST.value, FAST.met, verdict(FAST)) == (1.2, True, "met")
    assert (SLOW.value, SLOW.met, verdict(SLOW)) == (90.0, False, "missed")
    assert (TOLD.value, TOLD.met, verdict(TOLD)) == (3.0, None, "reported")


def test_missed_bars_and_failures_are_found() -> None:
    assert report().missed == (SLOW,)
    assert [entry.name for entry in report().failed] == ["three"]


def test_the_document_has_every_sample_and_the_command_of_each_row() -> None:
    document = report().document()
    one, two, three = document["measurements"]
    assert one["command"] == "semprop bench engine --rows one"
    assert one["load"] == [0.5, 0.25, 0.1]
    assert one["rows"][0] == {
        "what": "wall | over ideal",
        "median": 1.2,
        "samples": [1.3, 1.1, 1.2],
        "unit": "",
        "bar": "≤ 1.25",
        "met": True,
        "beside": "the ideal",
        "note": "n = 3",
    }
    assert [row["met"] for row in one["rows"]] == [True, False, None]
    assert (two["skipped"], two["failed"]) == ("it is not here", None)
    assert (three["skipped"], three["failed"]) == (None, "RunError: no")
    assert document["machine"] == MACHINE
    assert document["settings"] == {"repetitions": 3, "scale": 1.0, "client_core": 1, "endpoint_core": 0}


def test_the_markdown_holds_table_notes_commands_and_machine() -> None:
    lines = report().markdown().splitlines()
    assert lines[2] == "| wall \\| over ideal [1] | 1.20 (1.10–1.30) | ≤ 1.25 | met | the ideal |"
    assert lines[3] == "| share used [1] | 90 % | ≥ 96 % | missed |  |"
    assert lines[4] == "| time | 3 s (2–4) |  | reported |  |"
    assert lines[5] == "| `two` | skipped: it is not here | | | |"
    assert lines[6] == "| `three` | failed: RunError: no | | | |"
    assert "`semprop bench engine --rows one` took 12 s (load 0.5 0.25 0.1 before)." in lines
    assert lines.count("- [1] n = 3") == 1, "a note that several rows share is said once"
    assert "Machine: P, 2 cores, S 1, CPython 3; aiohttp 3.11." in lines
    assert lines[-1].startswith("Medians of 3, full size; client on core 1")


def test_a_small_run_says_that_it_is_no_claim() -> None:
    assert "no claim" in settings_words(Settings(scale=0.1))
    assert "not pinned" in settings_words(Settings())


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "0"), (0.1234, "0.123"), (1.256, "1.26"), (12.34, "12.3"), (1234.5, "1,234"), (100_000.0, "100,000")],
)
def test_numbers_have_three_digits(value: float, words: str) -> None:
    assert number(value) == words


def test_one_sample_has_no_range() -> None:
    assert figure(SLOW) == "90 %"
