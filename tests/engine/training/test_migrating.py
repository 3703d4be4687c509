"""Journals of older forms: read as they stand, brought to the present form before they are written on, never lost."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing

import orjson
import pytest
import worlds
from recorded import RUNS, turn_back, unpack, versions

from semprop.engine import StorageError, Trainer, optimize
from semprop.engine.training import reading
from semprop.engine.training.agreement import disagreements
from semprop.engine.training.forms import FORMS, form_of, steps_from
from semprop.engine.training.journal import Journal
from semprop.engine.training.migrating import kept_name, migrate, script_from
from semprop.engine.training.reading import FILE_NAME, opened
from semprop.engine.training.records import SCHEMA_VERSION
from semprop.engine.training.runs import Run

OLDER = [name for name in RUNS if versions(name)[0] < SCHEMA_VERSION]


def columns(connection):
    """Every table and view with its columns."""
    found = connection.execute("SELECT type, name FROM sqlite_master WHERE type <> 'index' ORDER BY name").fetchall()
    return {
        (kind, name): [row[1:4] for row in connection.execute(f"PRAGMA table_info({name})")] for kind, name in found
    }


def told(run):
    """All that a reader can see of a run."""
    exchanges = sorted(
        (entry.position, entry.role, repr(entry.request), repr(entry.outcome)) for entry in run.exchanges()
    )
    calls = sorted((str(call.position), call.role, repr(call.outcome), call.unanswered) for call in run.calls())
    kinds = ("selection", "tape", "gradients", "proposals", "verdict", "parameters", "held_out")
    return exchanges, calls, [run.decisions(kind) for kind in kinds], run.meta("result")


def version_of(path):
    with closing(sqlite3.connect(path / FILE_NAME)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


# The steps -----------------------------------------------------------------------------------------------------------


def test_there_is_a_form_for_every_version_up_to_the_present_one():
    assert [form.version for form in FORMS] == list(range(1, SCHEMA_VERSION + 1))
    assert all(form.step for form in FORMS[1:])
    assert form_of(SCHEMA_VERSION + 1) is None
    assert steps_from(SCHEMA_VERSION) == ""


def test_there_is_a_recorded_run_of_every_version():
    schemas = {versions(name)[0] for name in RUNS}
    assert schemas == set(range(1, SCHEMA_VERSION + 1))


@pytest.mark.parametrize("form", FORMS[:-1], ids=lambda form: str(form.version))
def test_an_older_form_becomes_the_one_that_new_journals_have(form):
    with closing(sqlite3.connect(":memory:")) as old, closing(sqlite3.connect(":memory:")) as new:
        old.executescript(form.schema)
        old.executescript(script_from(form))
        new.executescript(FORMS[-1].schema)
        assert columns(old) == columns(new)
        assert old.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_the_order_of_each_kind_is_kept_though_the_clock_was_set_back():
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(form_of(2).schema)
        for place, at in enumerate((50.0, 10.0, 20.0), 1):
            connection.execute("INSERT INTO intents VALUES (?, ?, 'p', 'forward', x'00', ?)", (place, f"k{place}", at))
            connection.execute("INSERT INTO outcomes VALUES (?, ?, 'p', 1, x'00', ?)", (place, f"k{place}", at))
        connection.commit()
        connection.executescript(script_from(form_of(2)))
        for kind in ("intent", "outcome"):
            rows = connection.execute("SELECT key FROM records WHERE kind = ? ORDER BY id", (kind,)).fetchall()
            assert rows == [("k1",), ("k2",), ("k3",)]


# Reading -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OLDER)
def test_an_older_run_is_read_and_not_a_byte_of_it_is_changed(name, tmp_path):
    data = unpack(name, tmp_path / "run")
    run = Run(tmp_path / "run")
    exchanges, calls, _, result = told(run)
    assert len(exchanges) == 57
    assert len(calls) == 50
    assert sum(result["telemetry"]["calls"].values()) == 50
    assert not any(call.unanswered for call in run.calls())
    assert disagreements(run) == ()
    assert (tmp_path / "run" / FILE_NAME).read_bytes() == data


def test_runs_of_all_versions_that_asked_the_same_are_read_as_the_same(tmp_path):
    found = []
    for name in RUNS:
        unpack(name, tmp_path / name)
        exchanges, _, decisions, _ = told(Run(tmp_path / name))
        found.append([row[:3] for row in exchanges])
        assert [entry.body["decision"] for entry in decisions[4]] == ["accept"], name
    assert all(other == found[0] for other in found)


@pytest.mark.parametrize("name", OLDER)
def test_an_older_run_is_read_on_while_it_is_written_and_migrated(name, tmp_path):
    path = tmp_path / "run"
    unpack(name, path)
    run = Run(path)
    before = told(run)
    with closing(sqlite3.connect(path / FILE_NAME, isolation_level=None)) as other:
        other.execute("UPDATE meta SET value = '\"other\"' WHERE name = 'status'")
    assert run.meta("status") == "other"
    migrate(path)
    assert version_of(path) == SCHEMA_VERSION
    assert told(run) == before


# Migrating -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OLDER)
def test_a_migrated_run_says_what_the_original_says_and_the_original_is_kept(name, tmp_path):
    path = tmp_path / "run"
    unpack(name, path)
    before = told(Run(path))
    kept = migrate(path)
    assert told(Run(path)) == before
    assert kept == path / kept_name(versions(name)[0])
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    (path / "back").mkdir()
    kept.rename(path / "back" / FILE_NAME)
    assert version_of(path / "back") == versions(name)[0]
    assert told(Run(path / "back")) == before


def test_a_journal_of_the_present_form_is_left_alone(tmp_path):
    path = tmp_path / "run"
    data = unpack("schema-4-protocol-3", path)
    assert migrate(path) is None
    assert [file.name for file in path.iterdir() if file.suffix == ".sqlite"] == [FILE_NAME]
    assert (path / FILE_NAME).read_bytes() == data


async def test_reopening_an_older_journal_migrates_it(tmp_path):
    path = tmp_path / "run"
    unpack(OLDER[0], path)
    before = told(Run(path))
    journal = await Journal.reopen(path)
    await journal.close()
    assert version_of(path) == SCHEMA_VERSION
    assert told(Run(path)) == before


KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from semprop.engine.training import migrating
from semprop.engine.training.reading import FILE_NAME, check_version

path, moment = Path(sys.argv[1]), sys.argv[2]

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

if moment == "transaction":
    migrating._keep(sqlite3.connect(path / FILE_NAME), path / migrating.kept_name(check_version(path).version))
    script = migrating.script_from(check_version(path)).removesuffix("COMMIT")
    connection = sqlite3.connect(path / FILE_NAME, isolation_level=None)
    connection.execute("PRAGMA cache_size=1")  # So that pages are written before the commit.
    connection.executescript(script)
    kill()
sys.addaudithook(lambda event, _: kill() if event == moment else None)
migrating.migrate(path)
"""


@pytest.mark.parametrize("moment", ["os.remove", "os.rename", "transaction"])
def test_a_kill_while_it_is_migrated_loses_nothing(moment, tmp_path):
    path = tmp_path / "run"
    unpack("schema-1-protocol-1", path)
    before = told(Run(path))
    ended = subprocess.run([sys.executable, "-c", KILLED, str(path), moment], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert version_of(path) == 1
    assert told(Run(path)) == before
    migrate(path)
    assert version_of(path) == SCHEMA_VERSION
    assert told(Run(path)) == before
    assert not [file for file in path.iterdir() if file.name.endswith(".part")]


def test_a_migration_that_fails_leaves_the_journal_as_it_was_and_says_so(tmp_path):
    path = tmp_path / "run"
    unpack("schema-1-protocol-1", path)
    with closing(sqlite3.connect(path / FILE_NAME, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE links (mine TEXT)")  # In the way of the second form.
    with pytest.raises(StorageError, match=r"cannot be brought from schema 1 .* is as it was: free space"):
        migrate(path)
    assert version_of(path) == 1
    with pytest.raises(StorageError, match="cannot be read"):
        opened(path)


# Going on ------------------------------------------------------------------------------------------------------------


def spec(**changes):
    return worlds.specification(**{"splits": worlds.splits(8, 8, 8), "steps": 3, **changes})


async def test_a_run_that_an_older_version_began_ends_as_the_uninterrupted_one(tmp_path):
    whole = await optimize(spec(run=tmp_path / "whole"))
    provider = worlds.scripted()
    async with Trainer(spec(run=tmp_path / "run", providers={"forward": provider})) as trainer:
        async for _ in trainer:
            break
    begun = len(provider.requests)
    turn_back(tmp_path / "run")
    assert version_of(tmp_path / "run") == 2
    provider = worlds.scripted()
    result = await optimize(spec(run=tmp_path / "run", providers={"forward": provider}), resume=True)
    assert orjson.dumps(result.result_document()) == orjson.dumps(whole.result_document())
    assert begun + len(provider.requests) == sum(1 for _ in Run(tmp_path / "whole").calls())
    assert version_of(tmp_path / "run") == SCHEMA_VERSION
    assert (tmp_path / "run" / kept_name(2)).is_file()


async def test_a_newer_journal_than_this_version_knows_is_refused_with_what_it_reads(tmp_path):
    path = tmp_path / "run"
    unpack("schema-4-protocol-3", path)
    with closing(sqlite3.connect(path / FILE_NAME)) as connection:
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    for attempt in (Run, opened, migrate):
        with pytest.raises(StorageError, match=rf"has schema {SCHEMA_VERSION + 1}; this version of semprop reads 1 to"):
            attempt(path)
    assert os.listdir(path)


def test_a_journal_that_is_brought_up_to_date_while_a_reader_opens_it_is_read(tmp_path, monkeypatch):
    unpack("schema-3-protocol-3", tmp_path / "run")
    looked = reading._form

    def then_migrated(path, connection):
        """A reader sees an old form, and before it copies the file another process has brought it up to date."""
        form = looked(path, connection)
        monkeypatch.undo()
        migrate(path)
        return form

    before = told(Run(tmp_path / "run"))
    monkeypatch.setattr(reading, "_form", then_migrated)
    with closing(opened(tmp_path / "run")) as connection:
        assert connection.execute("SELECT count(*) FROM entries").fetchone()[0] > 0
    assert told(Run(tmp_path / "run")) == before
