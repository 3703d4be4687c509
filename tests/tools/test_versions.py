"""Runs of every version on the command line: shown, verified and forked always; gone on with, or refused by name."""

from pathlib import Path

import pytest
from commandline import Command
from recorded import RUNS, SIZES, unpack, versions

from semprop.engine.prompts.protocol import PROTOCOL
from semprop.engine.training.reading import FILE_NAME
from semprop.engine.training.resuming import RESUMED

each = pytest.mark.parametrize("name", RUNS)
OLDER = [name for name in RUNS if versions(name)[1] not in RESUMED]
GONE_ON_WITH = [name for name in RUNS if versions(name)[1] in RESUMED]


def test_there_is_a_recorded_run_of_every_protocol() -> None:
    assert {versions(name)[1] for name in RUNS} == set(range(1, PROTOCOL + 1))


@each
def test_it_is_shown_explained_and_exported(name: str, command: Command) -> None:
    unpack(name, Path("run"))
    shown = command("show", "run", "--json")
    assert shown.code == 0
    assert shown.document["result"]["task"] == "lookup-two-faults"
    why = command("show", "run", "--why", "key-instruction")
    assert why.code == 0
    assert "verdict: accept" in why.out
    assert "Give the value of the field previous." in command("show", "run", "--prompts").out
    assert command("export", "run", "out").code == 0
    assert Path("out/key-instruction.txt").read_text().strip() == "Give the value of the field primary."


@each
def test_it_is_verified_from_its_records(name: str, command: Command) -> None:
    data = unpack(name, Path("run"))
    said = command("verify", "run", "--json")
    assert said.code == 0, said.err
    assert said.document["version"] == versions(name)[0]
    assert said.document["contradictions"] == []
    assert said.document["whole"]["decisions"] >= 11
    assert Path("run", FILE_NAME).read_bytes() == data


@each
def test_what_is_whole_of_it_is_kept_in_its_own_form(name: str, command: Command) -> None:
    unpack(name, Path("run"))
    first = command("verify", "run", "--json").document
    assert command("verify", "run", "--salvage", "kept").code == 0
    again = command("verify", "kept", "--json").document
    for part in ("version", "whole", "damaged", "contradictions"):
        assert again[part] == first[part]


@each
def test_it_is_forked_and_the_fork_is_a_run_of_today(name: str, command: Command) -> None:
    data = unpack(name, Path("run"))
    said = command("optimize", "lookup-two-faults", *SIZES, "--run", "run", "--fork", "new", "--json")
    assert said.code == 0, said.err
    assert said.document["run"] == "new"
    expected = command("show", "run", "--json").document["result"]["parameters"]
    assert said.document["result"]["parameters"] == expected
    # The simulated model of then has another identity than that of today, so its replies are those of another model.
    asked_anew = versions(name)[1] != PROTOCOL
    assert bool(sum(said.document["telemetry"]["calls"].values())) == asked_anew
    assert Path("run", FILE_NAME).read_bytes() == data


@pytest.mark.parametrize("name", GONE_ON_WITH)
def test_one_whose_prompts_are_kept_is_replayed_byte_for_byte(name: str, command: Command) -> None:
    """A prompt or rule that is changed fails here: then PROTOCOL goes up, and a run of the new one is recorded."""
    unpack(name, Path("run"))
    said = command("replay", "run", "--json")
    assert said.code == 0, said.err
    assert said.document["whole"] is True
    assert command("resume", "run").code == 0


@pytest.mark.parametrize("name", OLDER)
@pytest.mark.parametrize("how", ["resume", "replay", "again"])
def test_one_whose_prompts_are_gone_is_refused_with_the_version_that_can(name: str, how: str, command: Command) -> None:
    data = unpack(name, Path("run"))
    said = command("optimize", "lookup-two-faults", *SIZES, "--run", "run") if how == "again" else command(how, "run")
    assert said.code == 2
    assert f"of protocol {versions(name)[1]}, and this version has {PROTOCOL}" in said.err
    assert "semprop 0.1.0 that wrote it, or fork it" in said.err
    assert Path("run", FILE_NAME).read_bytes() == data
