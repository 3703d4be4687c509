"""Logs: one line a decision, JSON or for people, to stderr or a file; what repeats is cut off and counted."""

from __future__ import annotations

import stat
from pathlib import Path

import orjson
import pytest
import structlog
from commandline import LOOKUP, Command

from semprop.tools.logs import BURST, WINDOW, Capped


def test_a_run_logs_one_line_a_decision_as_json_to_a_file_of_its_owner(command: Command) -> None:
    flags = ["--log-level", "info", "--log-format", "json", "--log-file", "run.log"]
    document = command(*flags, "optimize", LOOKUP, "--json").document
    lines = [orjson.loads(line) for line in Path("run.log").read_bytes().splitlines()]
    assert [line["event"] for line in lines if line["event"] == "step"] == ["step"] * len(document["result"]["steps"])
    (held,) = [line for line in lines if line["event"] == "held_out"]
    assert held["after"] == document["result"]["held_out"]["after"]
    assert all(line["level"] == "info" and line["timestamp"].endswith("Z") for line in lines)
    assert len(lines) < 10, "a line a decision, not a line a call"
    assert stat.S_IMODE(Path("run.log").stat().st_mode) == 0o600
    command(*flags, "optimize", LOOKUP, "--run", "another", "--json")
    assert len(Path("run.log").read_bytes().splitlines()) == 2 * len(lines), "it is appended to"


def test_people_get_plain_lines_on_stderr(command: Command) -> None:
    said = command("--log-level", "info", "optimize", LOOKUP, "--json")
    assert "held_out" in said.err
    assert "\x1b" not in said.err


def test_a_log_file_that_cannot_be_written_is_a_storage_error(command: Command) -> None:
    said = command("--log-file", "nowhere/run.log", "optimize", LOOKUP, "--json")
    assert said.code == 5
    assert "log file" in said.document["error"]["message"]


def test_what_repeats_is_cut_off_and_how_often_it_was_is_said() -> None:
    now = [0.0]
    capped = Capped(lambda: now[0])

    def passes(event: str) -> int | None:
        try:
            return capped(None, "warning", {"event": event}).get("suppressed", 0)
        except structlog.DropEvent:
            return None

    assert [passes("throttled") for _ in range(BURST + 3)] == [0] * BURST + [None] * 3
    assert passes("another") == 0
    now[0] = WINDOW
    assert passes("throttled") == 3
    assert passes("throttled") == 0


@pytest.mark.parametrize("many", [2_000])
def test_events_without_number_take_no_memory_without_bound(many: int) -> None:
    capped = Capped(lambda: 0.0)
    for number in range(many):
        capped(None, "warning", {"event": str(number)})
    assert len(capped._seen) <= 1_000
