"""The journal: one SQLite file a run. What is settled is on disk; what cannot be written is said, every time."""

import asyncio
import json
import os
import sqlite3
import stat
import subprocess
import sys

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine import Failure, FailureKind, Position, ReplayError, StorageError, UsageError
from semprop.engine.outcomes import Returned, document_of, outcome_of
from semprop.engine.training.bodies import packed, unpacked
from semprop.engine.training.journal import RECENT, Journal
from semprop.engine.training.reading import FILE_NAME
from semprop.engine.training.records import SCHEMA_VERSION, position_text
from semprop.engine.training.runs import Run
from semprop.providers import Completion, Message, Request, Stop, TokenLogprob, Usage

AT = Position(0, "forward", "e1", node="answer")
REQUEST = Request((Message.of("user", "?"),))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs" / "one"


def rows(path, query):
    connection = sqlite3.connect(path / FILE_NAME)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


async def settled(journal, key="k", position=AT, outcome=Completion("7")):
    await journal.reach(journal.intend(position, key, "forward", REQUEST))
    await journal.settle(position, key, outcome)


# The file ------------------------------------------------------------------------------------------------------------


async def test_the_schema_is_version_4(path):
    journal = await Journal.create(path, {"status": "running"})
    await journal.close()
    assert SCHEMA_VERSION == 4
    assert rows(path, "PRAGMA user_version") == [(4,)]
    tables = {name for (name,) in rows(path, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {"meta", "records", "groups", "decisions"}
    assert Run(path).meta("status") == "running"


async def test_a_run_is_readable_by_its_owner_only(path):
    journal = await Journal.create(path, {})
    await settled(journal)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.iterdir()}
    assert FILE_NAME in modes
    assert set(modes.values()) == {0o600}
    await journal.close()


async def test_a_directory_that_exists_is_refused_and_left_as_it_is(path):
    path.mkdir(parents=True)
    (path / "precious.txt").write_text("mine")
    with pytest.raises(UsageError, match="exists: name another one with --run"):
        await Journal.create(path, {})
    assert [file.name for file in path.iterdir()] == ["precious.txt"]


async def test_a_directory_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot make the run directory"):
        await Journal.create(tmp_path / "file" / "run", {})


@pytest.mark.parametrize("content", [None, b"this is no database, but it is long enough to be asked"])
async def test_what_is_no_journal_is_refused(path, content):
    path.mkdir(parents=True)
    if content is not None:
        (path / FILE_NAME).write_bytes(content)
    with pytest.raises(StorageError, match=r"holds no run|cannot be read"):
        await Journal.reopen(path)


async def test_another_version_is_refused(path):
    await (await Journal.create(path, {})).close()
    rows(path, "PRAGMA user_version=99")
    with pytest.raises(StorageError, match="has schema 99; this version of semprop reads 1 to 4: read it with"):
        await Journal.reopen(path)
    with pytest.raises(StorageError, match="has schema 99"):
        Run(path)


async def test_a_journal_that_vanishes_before_it_is_opened_is_a_storage_error(path):
    with pytest.raises(StorageError, match="cannot be written"):
        Journal(path, asyncio.get_running_loop(), replaying=False)


# Writing -------------------------------------------------------------------------------------------------------------


async def test_an_intent_is_durable_before_the_call_and_an_outcome_when_settle_returns(path):
    journal = await Journal.create(path, {})
    await journal.reach(journal.intend(AT, "k", "forward", REQUEST))
    assert rows(path, "SELECT key, position FROM intents") == [("k", position_text(AT))]
    assert rows(path, "SELECT * FROM outcomes") == []
    await journal.settle(AT, "k", Completion("7"))
    ((body,),) = rows(path, "SELECT body FROM outcomes")
    assert outcome_of(unpacked(body)) == Completion("7")
    await journal.close()


async def write_many(path, together):
    """Bytes of log that 60 outcomes take."""
    journal = await Journal.create(path, {})
    works = [settled(journal, f"k{number}", Position(number, "forward")) for number in range(60)]
    if together:
        await asyncio.gather(*works)
    else:
        for work in works:
            await work
    size = (path / f"{FILE_NAME}-wal").stat().st_size
    assert rows(path, "SELECT count(*) FROM outcomes") == [(60,)]
    await journal.close()
    return size


async def test_what_queues_up_is_committed_together(tmp_path):
    alone = await write_many(tmp_path / "alone", together=False)
    together = await write_many(tmp_path / "together", together=True)
    assert together < alone / 3


async def test_what_was_noted_is_written_though_whoever_waits_is_cancelled(path):
    journal = await Journal.create(path, {})
    with anyio.CancelScope() as scope:
        scope.cancel()
        await settled(journal)
    assert scope.cancelled_caught
    await journal.close()
    assert rows(path, "SELECT key FROM intents") == [("k",)]


async def test_decisions_are_written_in_their_order(path):
    journal = await Journal.create(path, {})
    for step in range(3):
        journal.decide(step, "verdict", "", {"step": step})
    journal.describe("status", "done")
    await journal.flush()
    assert [entry.body for entry in Run(path).decisions("verdict")] == [{"step": step} for step in range(3)]
    assert Run(path).decisions("verdict", 1)[0].step == 1
    assert Run(path).meta("status") == "done"
    await journal.close()


async def test_close_writes_what_is_queued_and_can_be_called_again(path):
    journal = await Journal.create(path, {})
    journal.decide(0, "verdict", "", {})
    journal.link(AT, "k")
    await journal.close()
    await journal.close()
    assert rows(path, "SELECT count(*) FROM decisions") == [(1,)]
    assert rows(path, "SELECT key FROM links") == [("k",)]


async def test_a_cancelled_close_still_closes(path):
    journal = await Journal.create(path, {})
    with anyio.CancelScope() as scope:
        scope.cancel()
        journal.decide(0, "verdict", "", {})
        await journal.close()
    assert rows(path, "SELECT count(*) FROM decisions") == [(1,)]


async def test_after_close_nothing_can_be_noted_and_nobody_waits_for_ever(path):
    journal = await Journal.create(path, {})
    await journal.close()
    with pytest.raises(StorageError, match="is closed"):
        await journal.flush()
    with pytest.raises(StorageError, match="is closed"):
        journal.describe("status", "done")


async def test_a_closed_journal_is_one_file(path):
    journal = await Journal.create(path, {})
    await settled(journal)
    await journal.close()
    assert [file.name for file in path.iterdir()] == [FILE_NAME]


async def test_a_journal_that_cannot_be_read_is_a_storage_error(path):
    await (await Journal.create(path, {})).close()
    journal = await Journal.reopen(path)
    rows(path, "DROP TABLE records")
    with pytest.raises(StorageError, match="cannot be read: no such table"):
        journal.recorded(AT)
    await journal.close()


# Storage that fails --------------------------------------------------------------------------------------------------


async def test_once_storage_fails_every_later_write_fails_too(path):
    journal = await Journal.create(path, {})
    await settled(journal)
    rows(path, "DROP TABLE groups")
    with pytest.raises(StorageError, match=r"the journal cannot be written .*free space or check the disk"):
        await journal.settle(AT, "other", Completion("8"))
    with pytest.raises(StorageError):
        journal.intend(AT, "other", "forward", REQUEST)
    with pytest.raises(StorageError):
        journal.decide(0, "verdict", "", {})
    with pytest.raises(StorageError):
        await journal.flush()
    with pytest.raises(StorageError):
        await journal.close()


async def test_whatever_makes_a_commit_fail_nobody_waits_for_ever(path):
    """Not SQLite's own errors alone: a text that no file takes, memory that is not there."""
    journal = await Journal.create(path, {})
    journal.decide(0, "tape", "half a character: \ud800", {})
    with anyio.fail_after(10), pytest.raises(StorageError, match="surrogates not allowed"):
        await journal.flush()
    with pytest.raises(StorageError):
        journal.decide(1, "tape", "whole", {})
    with pytest.raises(StorageError):
        await journal.close()
    assert rows(path, "SELECT count(*) FROM decisions") == [(0,)]


async def test_a_write_that_fails_unawaited_is_said_at_the_next_one(path):
    journal = await Journal.create(path, {})
    rows(path, "DROP TABLE decisions")
    journal.decide(0, "verdict", "", {})
    with pytest.raises(StorageError):
        await journal.flush()
    with pytest.raises(StorageError):
        await journal.close()


FULL = """
import asyncio, pathlib, random, resource, sys
from semprop.engine import Position, StorageError
from semprop.engine.training.journal import Journal
from semprop.providers import Completion

async def main(path):
    journal = await Journal.create(path, {})
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    letters = random.Random(0)
    for number in range(1000):
        text = "".join(letters.choices("abcdefghijklmnopqrstuvwxyz", k=4000))
        try:
            await journal.settle(Position(number, "forward"), f"k{number}", Completion(text))
        except StorageError as error:
            print(number, "cannot be written" in str(error))
            break
    try:
        await journal.close()
    except StorageError:
        print("said again at the end")

asyncio.run(main(pathlib.Path(sys.argv[1])))
"""


def test_a_full_disk_is_said_and_everything_settled_before_is_there(path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, timeout=60, check=True
    )
    first, second = done.stdout.splitlines()
    number, said = first.split()
    assert (said, second) == ("True", "said again at the end")
    assert rows(path, "SELECT count(*) FROM outcomes") == [(int(number),)]
    assert int(number) > 4
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


NO_ROOM = """
import asyncio, pathlib, resource, sys
from semprop.engine import StorageError
from semprop.engine.training.journal import Journal
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    asyncio.run(Journal.create(pathlib.Path(sys.argv[1]), {}))
except StorageError as error:
    print("cannot write a journal" in str(error))
"""


def test_a_journal_that_cannot_be_begun_leaves_nothing_half_written(path):
    arguments = [sys.executable, "-c", NO_ROOM, str(path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:
        assert child.communicate(timeout=60)[0] == "True\n"
    assert not path.exists()


# Reading and replay --------------------------------------------------------------------------------------------------


async def test_a_run_can_be_read_while_it_is_written(path):
    journal = await Journal.create(path, {"status": "running"})
    await settled(journal)
    await journal.reach(journal.intend(Position(0, "gate"), "g", "forward", REQUEST))
    run = Run(path)
    done, under_way = run.exchanges()
    assert (done.outcome, under_way.outcome) == (Completion("7"), None)
    assert run.meta("status") == "running"
    await journal.close()


async def test_outside_of_a_replay_positions_are_not_looked_up(path):
    journal = await Journal.create(path, {})
    await settled(journal)
    assert journal.recorded(AT) is None
    assert journal.stored("k") == Completion("7")
    assert journal.stored("other") is None
    await journal.close()


async def test_a_reopened_journal_answers_at_recorded_positions(path):
    failure = Failure(FailureKind.OVERLOADED, "busy", attempts=3)
    refused = Failure(FailureKind.REFUSAL, "no")
    positions = [Position(number, "forward") for number in range(5)]
    journal = await Journal.create(path, {})
    await settled(journal, "a", positions[0])
    await settled(journal, "b", positions[1], failure)
    await settled(journal, "c", positions[2], refused)
    journal.link(positions[3], "a")
    await journal.close()
    journal = await Journal.reopen(path)
    assert [journal.recorded(position) for position in positions] == [
        ("a", Completion("7")),
        ("b", failure),
        ("c", refused),
        ("a", Completion("7")),
        None,
    ]
    assert journal.stored("b") is None
    assert journal.stored("c") == refused
    await journal.close()


async def test_a_replay_takes_a_decision_as_it_was_and_refuses_another(path):
    journal = await Journal.create(path, {})
    journal.decide(0, "verdict", "", {"decision": "accept"})
    await journal.close()
    journal = await Journal.reopen(path)
    journal.decide(0, "verdict", "", {"decision": "accept"})
    journal.decide(1, "verdict", "", {"decision": "reject"})
    with pytest.raises(ReplayError, match=r"decided otherwise than the journal: verdict of step 0 \(whole step\)"):
        journal.decide(0, "verdict", "", {"decision": "reject"})
    await journal.close()
    assert [entry.body["decision"] for entry in Run(path).decisions("verdict")] == ["accept", "reject"]


async def test_outcomes_beyond_the_recent_ones_are_read_from_disk(path):
    journal = await Journal.create(path, {})
    many = range(RECENT + 4)
    works = (journal.settle(Position(number, "f"), f"k{number}", Completion(str(number))) for number in many)
    await asyncio.gather(*works)
    for number in (0, 3, RECENT):
        assert journal.stored(f"k{number}") == Completion(str(number))
    await journal.close()


# Forms ---------------------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
COUNT = st.none() | st.integers(0, 10**9)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
LOGPROBS = st.tuples(
    st.builds(TokenLogprob, TEXT, FINITE, st.lists(st.tuples(TEXT, FINITE), max_size=2).map(tuple))
) | st.just(())
COMPLETIONS = st.builds(
    Completion,
    text=TEXT,
    stop=st.sampled_from(Stop),
    usage=st.builds(Usage, COUNT, COUNT, COUNT, COUNT, COUNT),
    model=TEXT,
    request_id=st.none() | TEXT,
    logprobs=LOGPROBS,
    attempts=st.integers(1, 9),
)
FAILURES = st.builds(Failure, st.sampled_from(FailureKind), TEXT, TEXT, st.integers(0, 9))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | FINITE | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(COMPLETIONS | FAILURES | JSON.map(Returned))
def test_every_outcome_comes_back_from_the_journal_as_it_went_in(outcome):
    assert outcome_of(unpacked(packed(document_of(outcome)))) == outcome


def test_what_is_no_outcome_is_refused():
    with pytest.raises(ReplayError, match="not a recorded outcome: fields surprise"):
        outcome_of({"surprise": 1})


POSITIONS = st.builds(Position, st.integers(0, 99), TEXT, TEXT, TEXT, TEXT, TEXT, st.integers(0, 9), st.integers(0, 1))


@given(POSITIONS, POSITIONS)
def test_positions_are_equal_if_and_only_if_their_texts_are(one, other):
    assert Position(*json.loads(position_text(one))) == one
    assert (position_text(one) == position_text(other)) == (one == other)


@given(JSON)
def test_every_document_comes_back_as_it_went_in(document):
    assert unpacked(packed(document)) == document


async def test_a_directory_that_a_kill_left_half_made_is_no_run_and_is_not_in_the_way(tmp_path):
    half = tmp_path / f".run.{os.getpid()}"
    half.mkdir()
    (half / FILE_NAME).write_bytes(b"half")
    await (await Journal.create(tmp_path / "run", {})).close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]
