"""`semprop bench engine`: its table, its files, its exit codes."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO

import orjson
import pytest
from commandline import AROUND
from rich.console import Console

from semprop.bench.speed.report import Measured
from semprop.bench.speed.rows import Measure, Row, Settings, at_most
from semprop.tools.bench import QUICK, measure, settings_of, shown
from semprop.tools.exits import Ended
from semprop.tools.screen import Screen


def test_without_two_processors_nothing_is_pinned() -> None:
    assert settings_of(5, False, (3,)) == settings_of(5, False, ()) == Settings()
    assert settings_of(1, True, (0, 1, 2)) == Settings(1, QUICK, client_core=2, endpoint_core=0)


def test_the_table_is_printed_as_a_document_and_into_files(command, tmp_path) -> None:
    files = [tmp_path / "table.json", tmp_path / "table.md"]
    arguments = ["--rows", "ideal", "--quick", "--repetitions", "1", "--json"]
    said = command("bench", "engine", *arguments, *(word for file in files for word in ("--write", str(file))))
    assert said.code == 0, said
    assert said.document["status"] == "done" and said.document["error"] is None
    (entry,) = said.document["measurements"]
    assert entry["command"] == "semprop bench engine --rows ideal --quick --repetitions 1"
    assert len(entry["rows"]) == 2 and all(row["median"] >= 1 for row in entry["rows"])
    assert orjson.loads(files[0].read_bytes())["measurements"] == said.document["measurements"]
    assert files[1].read_text(encoding="utf-8").startswith("| what | measured | bar |")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rows", "nothing"], "there is no measurement 'nothing'"),
        (["--rows", "ideal", "--write", "table.txt"], "table.txt ends in none of .json, .md"),
        (["--repetitions", "0"], "repetitions"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_exit_code_2(command, arguments, words) -> None:
    said = command("bench", "engine", *arguments)
    assert said.code == 2, said
    assert words in said.err


async def slow(settings: Settings) -> list[Row]:
    return [Row(what="it", samples=[2.0], bar=at_most(1.0))]


async def broken(settings: Settings) -> list[Row]:
    raise ValueError("no such thing")


def carried_out(measures: Mapping[str, Measure], *, check: bool) -> tuple[Ended, str]:
    out = StringIO()
    screen = Screen(Console(file=out, width=120), Console(file=StringIO()), StringIO(), json=False)
    return measure(measures, Settings(repetitions=1), (), check, AROUND, screen), out.getvalue()


def test_a_missed_bar_is_said_and_only_checked_if_asked() -> None:
    ended, told = carried_out({"slow": slow}, check=False)
    assert ended.code == 0 and "missed" in told
    ended, told = carried_out({"slow": slow}, check=True)
    assert ended.problem is not None and ended.code == 1
    assert ended.problem.message == "1 bars are missed: it: 2, not ≤ 1"


def test_a_measurement_that_fails_is_said_and_ends_the_command_with_1() -> None:
    ended, told = carried_out({"broken": broken, "slow": slow}, check=False)
    assert ended.problem is not None and ended.code == 1
    assert "broken: ValueError: no such thing" in ended.problem.message
    assert "failed: ValueError: no such thing" in told and "missed" in told


def test_a_skipped_measurement_says_why() -> None:
    parts = [str(part) for part in shown(Measured("peers", "semprop bench engine --rows peers", (), 0, skipped="no"))]
    assert "skipped: no" in parts
