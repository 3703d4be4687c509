"""`semprop replay`: the journal alone reproduces every decision; the first difference is named."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from aiohttp import web
from commandline import LOOKUP, Command, Serve, completion
from recorded import flip, in_rows

from semprop.engine.training.bodies import packed, unpacked


def test_a_run_is_decided_again_without_asking_anybody(command: Command, serve: Serve) -> None:
    asked = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return completion("<answer>it is unknown</answer>")

    Path("providers.toml").write_text(f'[provider.mine]\nspec = "{serve(answer)}"\n')
    flags = ["--providers", "providers.toml", "--forward", "mine", "--run", "run"]
    assert command("optimize", LOOKUP, *flags).code == 0
    Path("providers.toml").unlink()
    before, asked = Path("run/journal.sqlite").read_bytes(), 0
    said = command("replay", "run", "--json")
    assert said.code == 0, said.err
    assert said.document["whole"] is True
    assert said.document["decisions"] > said.document["steps"] > 0
    assert asked == 0
    assert Path("run/journal.sqlite").read_bytes() == before, "a replay writes nothing"
    assert "the same, byte for byte" in command("replay", "run").out


def test_a_simulated_run_is_replayed_too(command: Command) -> None:
    assert command("optimize", LOOKUP, "--run", "run").code == 0
    assert command("replay", "run", "--json").document["whole"] is True


@pytest.mark.parametrize(
    ("kind", "told"),
    [("verdict", "verdict of step 0"), ("parameters", "parameters of step 0"), ("held_out", "held_out")],
)
def test_the_first_difference_is_named(command: Command, kind: str, told: str) -> None:
    assert command("optimize", LOOKUP, "--run", "run").code == 0
    connection = sqlite3.connect("run/journal.sqlite")
    query = "SELECT id, body FROM decisions WHERE kind = ? ORDER BY id LIMIT 1"
    ((place, body),) = connection.execute(query, (kind,)).fetchall()
    changed = packed({**unpacked(body), "planted": 1})
    connection.execute("UPDATE decisions SET body = ? WHERE id = ?", (changed, place))
    connection.commit()
    connection.close()
    said = command("replay", "run", "--json")
    assert said.code == 5
    assert told in said.document["error"]["message"]
    assert "planted" in said.document["error"]["message"]


def test_a_reply_that_is_gone_ends_the_replay_with_its_position(command: Command) -> None:
    assert command("optimize", LOOKUP, "--run", "run").code == 0
    in_rows(Path("run"))
    connection = sqlite3.connect("run/journal.sqlite")
    connection.execute("DELETE FROM records WHERE kind = 'outcome' AND id = (SELECT max(id) FROM outcomes)")
    connection.commit()
    connection.close()
    said = command("replay", "run", "--json")
    assert said.code == 5
    assert "not on record, at Position" in said.document["error"]["message"]


def test_a_damaged_reply_is_said_and_not_used(command: Command) -> None:
    assert command("optimize", LOOKUP, "--run", "run").code == 0
    flip(Path("run"), "bodies")
    said = command("replay", "run", "--json")
    assert said.code == 5
    assert "damaged on the disk" in said.document["error"]["message"]
