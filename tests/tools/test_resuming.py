"""`semprop resume`, and `semprop optimize` on a run's directory: on from where it stopped, or why not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import orjson
import pytest
from commandline import FIXTURES, LOOKUP, Command, check_result

from semprop.engine import Run
from semprop.engine.methods.catalogue import Options
from semprop.engine.prompts.backward import Neighbours
from semprop.engine.training.journal import Journal
from semprop.engine.training.lock import hold
from semprop.tools.preparing import Order

STUCK = str(FIXTURES / "stuck.py")


@pytest.fixture
def killed(command: Command) -> Path:
    """A run whose process was killed when its first step was over."""
    process = subprocess.Popen(
        [sys.executable, "-m", "semprop.tools", "optimize", STUCK, "--run", "run"], stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    while b"waiting" not in process.stderr.readline():
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    return Path("run")


def test_a_finished_run_is_shown_and_nothing_is_asked(command: Command) -> None:
    first = command("optimize", LOOKUP, "--run", "run", "--json").document
    for again in (["resume", "run"], ["optimize", LOOKUP, "--run", "run"]):
        said = command(*again, "--json")
        assert (said.code, said.document) == (0, first)
    said = command("resume", "run")
    assert "finished: nothing is asked" in said.err
    assert "reliable gain" in said.out


def test_a_killed_run_is_told_from_one_that_runs(command: Command, killed: Path) -> None:
    assert "killed" in command("runs", ".").out
    said = command("show", "run")
    assert "killed before its end; semprop resume" in said.out
    lock = hold(killed)
    assert command("runs", ".", "--json").document["runs"][0]["status"] == "running"
    lock.close()


def test_a_second_process_on_one_run_is_refused_at_once(command: Command, killed: Path) -> None:
    lock = hold(killed)
    for again in (["resume", "run"], ["optimize", STUCK, "--run", "run"]):
        said = command(*again, "--json")
        assert said.code == 2
        assert f"being written by process {os.getpid()}" in said.document["error"]["message"]
    lock.close()


def test_what_makes_another_run_is_named_field_by_field(command: Command, killed: Path) -> None:
    said = command("optimize", STUCK, "--run", "run", "--steps", "7", "--seed", "5", "--json")
    assert said.code == 2
    message = said.document["error"]["message"]
    assert "seed: 0 in the journal, now 5" in message
    assert "now 7" in message
    assert Run(killed).status == "killed"


def test_a_run_goes_on_from_another_directory(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("own.py").write_text(Path(LOOKUP).read_text())
    uninterrupted = command("optimize", "own.py", "--run", "whole", "--json").document
    _stop_after_a_step(tmp_path)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    said = command("resume", "../run", "--in-flight", "2", "--json")
    assert said.code == 0, said.err
    check_result(said.document)
    assert orjson.dumps(said.document["result"]) == orjson.dumps(uninterrupted["result"])


def _stop_after_a_step(directory: Path) -> None:
    """The run of `own.py`, as if it had been killed after its first step."""
    command = [sys.executable, "-m", "semprop.tools", "optimize", "own.py", "--run", "run"]
    process = subprocess.Popen(command, cwd=directory, stderr=subprocess.PIPE)
    assert process.stderr is not None
    while b"step 1:" not in process.stderr.readline():
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def test_a_run_of_the_library_is_resumed_by_the_library(command: Command, killed: Path) -> None:
    import sqlite3

    connection = sqlite3.connect(killed / "journal.sqlite")
    connection.execute("UPDATE meta SET value = 'null' WHERE name = 'recipe'")
    connection.commit()
    connection.close()
    said = command("resume", "run", "--json")
    assert said.code == 2
    assert "Trainer(specification, resume=True)" in said.document["error"]["message"]


def test_what_is_no_run_is_refused(command: Command) -> None:
    said = command("resume", "nowhere", "--json")
    assert said.code == 2
    assert "holds no run" in said.document["error"]["message"]


@pytest.mark.parametrize("flags", [[], ["--fork", "other"], ["--start", "start.json"]])
def test_the_replies_of_a_proxy_are_no_run_to_go_on_with(command: Command, flags: list[str]) -> None:
    async def store() -> None:
        journal = await Journal.create(Path("store"), {"status": "running"})
        await journal.close()

    anyio.run(store)
    Path("start.json").write_text("{}")
    said = command("optimize", LOOKUP, "--run", "store", *flags, "--json")
    assert said.code == 2
    assert "store holds the replies of a proxy, not a run" in said.document["error"]["message"]


def test_an_order_comes_back_from_its_recipe_as_it_was() -> None:
    options = Options(neighbours=Neighbours.HIDDEN)
    order = Order(task="lookup", roles={"forward": "simulated:"}, options=options, gate="none", data=Path("/data"))
    assert Order.of(orjson.loads(orjson.dumps(order.recipe()))) == order
    assert Order.of(order.recipe()).options.neighbours is Neighbours.HIDDEN
    assert Order.of(Order(task="own.py:mine").recipe()).task == f"{Path('own.py').absolute()}:mine"
