"""`semprop verify`: a flipped byte is found, what is whole is kept, and the run goes on from there."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import orjson
from commandline import LOOKUP, Command

from semprop.engine import Run


def flip(query: str) -> int:
    """Flip a bit in the body of a record; gives its number."""
    connection = sqlite3.connect("run/journal.sqlite")
    ((place, body),) = connection.execute(query).fetchall()
    changed = bytes([*body[:-10], body[-10] ^ 1, *body[-9:]])
    connection.execute("UPDATE records SET body = ? WHERE id = ?", (changed, place))
    connection.commit()
    connection.close()
    return int(place)


def test_a_whole_run_is_said_to_be_whole(command: Command) -> None:
    command("optimize", LOOKUP, "--run", "run")
    said = command("verify", "run", "--json")
    assert said.code == 0
    assert said.document["file"] == "ok"
    assert said.document["damaged"] == {"meta": 0, "records": 0, "decisions": 0}
    assert said.document["whole"]["records"] > 0


def test_a_flipped_byte_is_found_salvaged_and_asked_again(command: Command) -> None:
    first = command("optimize", LOOKUP, "--run", "run", "--json").document
    flip("SELECT id, body FROM outcomes ORDER BY id LIMIT 1")
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
