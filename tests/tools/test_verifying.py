"""`semprop verify`: a flipped byte is found, what is whole is kept, and the run goes on from there."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import orjson
from commandline import LOOKUP, Command
from recorded import flip

from semprop.engine import Run


def test_a_whole_run_is_said_to_be_whole(command: Command) -> None:
    command("optimize", LOOKUP, "--run", "run")
    said = command("verify", "run", "--json")
    assert said.code == 0
    assert said.document["file"] == "ok"
    assert said.document["damaged"] == {"meta": 0, "records": 0, "decisions": 0}
    assert said.document["whole"]["records"] > 0


def test_a_flipped_byte_is_found_salvaged_and_asked_again(command: Command) -> None:
    first = command("optimize", LOOKUP, "--run", "run", "--json").document
    flip(Path("run"), "bodies")
    said = command("verify", "run", "--json")
    assert said.code == 5
    assert said.document["damaged"]["records"] == 1
    assert "--salvage" in said.document["error"]["message"]
    assert command("verify", "run", "--salvage", "kept").code == 0
    assert command("verify", "kept").code == 0
    assert Path("kept").stat().st_mode & 0o777 == 0o700
    connection = sqlite3.connect("kept/journal.sqlite")
    connection.execute("DELETE FROM meta WHERE name = 'result'")
    connection.commit()
    connection.close()
    again = command("resume", "kept", "--json")
    assert again.code == 0, again.err
    assert orjson.dumps(again.document["result"]) == orjson.dumps(first["result"])
    assert Run("kept").is_finished


def test_where_it_is_not_known_what_records_were_the_others_are_kept_and_a_fork_takes_them(command: Command) -> None:
    first = command("optimize", LOOKUP, "--run", "run", "--json").document
    records = command("verify", "run", "--json").document["whole"]["records"]
    flip(Path("run"), "heads")
    said = command("verify", "run", "--json")
    assert said.code == 5
    assert said.document["damaged"]["records"] == 1, "a group, of which nothing more is known"
    assert command("verify", "run", "--salvage", "kept").code == 0
    kept = command("verify", "kept", "--json")
    assert kept.document["damaged"]["records"] == 0
    assert 0 < kept.document["whole"]["records"] < records
    forked = command("optimize", LOOKUP, "--run", "kept", "--fork", "new", "--json")
    assert forked.code == 0, forked.err
    assert forked.document["result"]["parameters"] == first["result"]["parameters"]
    calls, of_all = (sum(each["telemetry"]["calls"].values()) for each in (forked.document, first))
    assert 0 < calls < of_all, "what was lost is asked again, and nothing else"


def test_a_directory_that_is_there_is_not_salvaged_into(command: Command) -> None:
    command("optimize", LOOKUP, "--run", "run")
    Path("there").mkdir()
    assert command("verify", "run", "--salvage", "there").code == 2


def test_a_truncated_file_is_said_to_be_damaged(command: Command) -> None:
    command("optimize", LOOKUP, "--run", "run")
    data = Path("run/journal.sqlite").read_bytes()
    Path("run/journal.sqlite").write_bytes(data[: len(data) * 2 // 3])
    said = command("verify", "run", "--json")
    assert said.code == 5
