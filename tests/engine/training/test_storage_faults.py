"""Storage that fails: whatever is damaged is told, what is whole is kept, and the run goes on to the same result."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from random import Random

import orjson
import pytest
import recorded
import structlog
import worlds

from semprop.engine import ReplayError, StorageError, Trainer, optimize
from semprop.engine.training import writing
from semprop.engine.training.agreement import disagreements
from semprop.engine.training.journal import Journal
from semprop.engine.training.reading import FILE_NAME
from semprop.engine.training.records import Kind
from semprop.engine.training.runs import LOST, Run
from semprop.engine.training.salvage import salvage, verify
from semprop.providers import ErrorClass, RetryError, RetryPolicy
from semprop.providers.layers import Stack
from semprop.providers.retry import Retry


class Flaky:
    """Fails now and then for good, and now and then once; the same requests in every process and order."""

    def __init__(self) -> None:
        self._tried: dict[str, int] = {}

    def __call__(self, request):
        text = request.messages[-1].text
        tries = self._tried[text] = self._tried.get(text, 0) + 1
        lot = sum(text.encode()) % 13
        if worlds.is_forward(request) and (lot == 0 or (lot == 1 and tries == 1)):
            return RetryError("down", ErrorClass.TRANSIENT)
        return worlds.script(request)


def spec(**changes):
    endpoint = worlds.scripted(Flaky())
    provider = Stack(endpoint, (Retry(RetryPolicy(tries=2, base=0.0, breaker=10_000), endpoint.clock, Random(0)),))
    splits = worlds.splits(12, 12, 12)
    return worlds.specification(**{"splits": splits, "steps": 3, "providers": {"forward": provider}, **changes})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The result of a run that nothing happens to, and a copy of the run as a kill after two steps leaves it."""

    async def carried_out():
        result = await optimize(spec())
        path = tmp_path_factory.mktemp("storage")
        async with Trainer(spec(run=path / "run")) as trainer:
            async for step in trainer:
                if step.index == 1:
                    break
            shutil.copytree(path / "run", path / "killed")
        return orjson.dumps(result.result_document()), path / "killed"

    import anyio

    return anyio.run(carried_out)


@pytest.fixture
def killed(whole, tmp_path):
    shutil.copytree(whole[1], tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def folded(killed):
    """The same with its log folded into the file."""
    with closing(sqlite3.connect(killed / FILE_NAME)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return killed


@pytest.fixture
def rows(killed):
    """The same with every record in a row of its own, as whoever goes on with it has them."""
    recorded.in_rows(killed)
    with closing(sqlite3.connect(killed / FILE_NAME)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return killed


def flip(path, table, condition, column="body"):
    """Flip a bit in the middle of one row's column; gives the row's number."""
    with closing(sqlite3.connect(path / FILE_NAME)) as connection:
        query = f"SELECT rowid, {column} FROM {table} WHERE {condition} ORDER BY rowid LIMIT 1"
        place, found = connection.execute(query).fetchone()
        data = found if isinstance(found, bytes) else found.encode()
        half = len(data) // 2
        changed = bytes([*data[:half], data[half] ^ 1, *data[half + 1 :]])
        kept = changed if isinstance(found, bytes) else changed.decode()
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (kept, place))
        connection.commit()
    return place


async def gone_on_with(path):
    return orjson.dumps((await optimize(spec(run=path), resume=True)).result_document())


# A flipped byte ------------------------------------------------------------------------------------------------------

KINDS = [kind for kind in Kind if kind is not Kind.NOTE]
"""Of records: only a batch has notes."""

WITH_BODIES = [kind for kind in KINDS if kind is not Kind.LINK]
DECIDED = ("selection", "tape", "gradients", "proposals", "verdict", "parameters", "sitting")


def test_the_run_of_these_tests_has_records_of_every_kind(rows):
    with closing(sqlite3.connect(rows / FILE_NAME)) as connection:
        kinds = {kind for (kind,) in connection.execute("SELECT DISTINCT kind FROM records")}
        decided = {kind for (kind,) in connection.execute("SELECT DISTINCT kind FROM decisions")}
    assert kinds == set(KINDS)
    assert decided == set(DECIDED)


@pytest.mark.parametrize(
    ("table", "condition"),
    [("records", f"kind = '{kind}'") for kind in WITH_BODIES]
    + [("decisions", f"kind = '{kind}'") for kind in DECIDED]
    + [("decisions", "kind = 'verdict' AND step = 1")],
)
async def test_a_flipped_byte_in_any_record_is_found_and_what_is_left_ends_the_same(table, condition, rows, whole):
    flip(rows, table, condition)
    found = verify(rows)
    assert not found.is_whole
    assert found.damaged == {"meta": 0, "records": int(table == "records"), "decisions": int(table == "decisions")}
    kept = rows.with_name("kept")
    salvage(rows, kept)
    assert verify(kept).is_whole
    assert sum(verify(kept).whole.values()) == sum(found.whole.values())
    assert await gone_on_with(kept) == whole[0]


@pytest.mark.parametrize("column", ["heads", "bodies"])
async def test_a_flipped_byte_in_a_group_of_records_is_found_and_what_is_left_ends_the_same(column, folded, whole):
    before = verify(folded).whole["records"]
    recorded.flip(folded, column)
    found = verify(folded)
    assert found.damaged == {"meta": 0, "records": 1, "decisions": 0}
    with pytest.raises(StorageError, match=r"damaged on the disk.* --salvage NEWDIR keeps that"):
        await gone_on_with(folded)
    kept = folded.with_name("kept")
    salvage(folded, kept)
    left = verify(kept).whole["records"]
    assert left == before - 1 if column == "bodies" else 0 < left < before
    assert await gone_on_with(kept) == whole[0]


@pytest.mark.parametrize("kind", [Kind.INTENT, Kind.OUTCOME, Kind.CHARGE])
async def test_a_damaged_run_is_not_gone_on_with_as_if_nothing_were(kind, rows):
    flip(rows, "records", f"kind = '{kind}'")
    with pytest.raises(StorageError, match=r"damaged on the disk.* --salvage NEWDIR keeps that"):
        await gone_on_with(rows)


@pytest.mark.parametrize("column", ["key", "position", "kind"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_flipped_byte_beside_a_body_is_told_or_costs_nothing(kind, column, rows, whole):
    if kind is Kind.TEXT and column != "kind":
        return  # It has none.
    flip(rows, "records", f"kind = '{kind}'", column)
    told = not verify(rows).is_whole or bool(disagreements(Run(rows)))
    try:
        same = await gone_on_with(rows) == whole[0]
    except (ReplayError, StorageError) as error:
        assert told or "journal" in str(error)
        return
    assert same


@pytest.mark.parametrize("name", ["specification", "graph"])
def test_a_run_that_nobody_can_say_what_it_is_any_more_is_not_salvaged_into_half_a_directory(name, folded):
    flip(folded, "meta", f"name = '{name}'", "value")
    with pytest.raises(StorageError, match=f"the {name} of .* cannot be read: it cannot be resumed"):
        salvage(folded, folded.with_name("kept"))
    assert not folded.with_name("kept").exists()


async def test_requests_whose_texts_are_gone_are_shown_with_a_word_in_their_place(rows):
    with closing(sqlite3.connect(rows / FILE_NAME)) as connection:
        connection.execute("DELETE FROM records WHERE kind = 'text'")
        connection.commit()
    texts = [message["content"] for call in Run(rows).calls() for message in call.request["messages"]]
    assert any(LOST in text for text in texts)


# The log -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.4, 0.7])
async def test_a_flipped_byte_in_the_log_is_told_and_what_lay_behind_is_asked_again(share, killed, whole):
    log = killed / f"{FILE_NAME}-wal"
    data = bytearray(log.read_bytes())
    data[int(len(data) * share)] ^= 1
    log.write_bytes(data)
    found = verify(killed)
    assert not found.is_whole
    assert found.log.lost > 0
    with structlog.testing.capture_logs() as said:
        assert await gone_on_with(killed) == whole[0]
    (line,) = (line for line in said if line["event"] == "journal_log_damaged")
    assert f"{found.log.lost} pages are not read" in line["told"]
    assert verify(killed).is_whole


@pytest.mark.parametrize("share", [0.15, 0.5, 0.85])
async def test_a_log_that_ends_early_leaves_a_run_that_ends_the_same(share, killed, whole):
    log = killed / f"{FILE_NAME}-wal"
    data = log.read_bytes()
    log.write_bytes(data[: int(len(data) * share)])
    before = sum(1 for _ in Run(killed).calls())
    assert await gone_on_with(killed) == whole[0]
    assert sum(1 for _ in Run(killed).calls()) > before


async def test_a_log_that_could_not_be_folded_in_for_want_of_room_is_no_damage(killed, whole):
    """The first page is folded in, and says how long the file will be; the pages at its end are in the log alone."""
    other = killed.with_name("other")
    shutil.copytree(killed, other)
    with closing(sqlite3.connect(other / FILE_NAME)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = (other / FILE_NAME).read_bytes()
    short = len(data) // 2 // 16_384 * 16_384
    (killed / FILE_NAME).write_bytes(data[:short])
    found = verify(killed)
    assert found.is_whole, found
    assert found.log.read > 0
    assert await gone_on_with(killed) == whole[0]


# The file ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.5, 0.7, 0.75, 0.95])
async def test_of_a_file_that_ends_early_what_can_be_read_is_kept_and_gone_on_with(share, folded, whole):
    file = folded / FILE_NAME
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share) // 512 * 512])
    found = verify(folded)
    assert not found.is_whole
    kept = folded.with_name("kept")
    salvage(folded, kept)
    assert verify(kept).is_whole
    assert verify(kept).whole == found.whole
    assert found.whole["records"] > 0
    assert await gone_on_with(kept) == whole[0]


# A disk that is full, or cannot be written ---------------------------------------------------------------------------

CHILD = """
import contextlib, ctypes, io, json, os, resource, sys
from pathlib import Path
from semprop.tools.__main__ import main

whole, run = sys.argv[1:3]
said = {}

def command(name, *arguments):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(arguments)
    said[name] = [code, out.getvalue(), err.getvalue()]

@contextlib.contextmanager
def full(room):
    # What a full disk does to a file that grows; a test fills no disk, since none is its own.
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

@contextlib.contextmanager
def read_only(path):
    libc, head, sets = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if os.geteuid() == 0:
        libc.capget(head, sets)
        mine = sets[0]
        sets[0] &= ~0b110  # Root writes where nobody may, and reads; not without these two capabilities.
        assert libc.capset(head, sets) == 0
    for file in path.iterdir():
        file.chmod(0o400)  # A log that is there already could be written on.
    path.chmod(0o500)
    yield
    path.chmod(0o700)
    for file in path.iterdir():
        file.chmod(0o600)
    if os.geteuid() == 0:
        sets[0] = mine
        libc.capset(head, sets)

optimize = ("optimize", "lookup-two-faults", *sys.argv[3:], "--json")
command("whole", *optimize, "--run", whole)
with full(120_000):
    command("full", *optimize, "--run", run)
with read_only(Path(run)):
    for name in ("show", "verify", "replay", "resume"):
        command(name, name, run)
command("again", "resume", run, "--json")
json.dump(said, sys.stdout)
"""

SMALL = ("--forward", "simulated:", "--train", "4", "--gate-size", "6", "--test", "8", "--steps", "2", "--no-cache")


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """What commands said while the disk was full, and while the directory could not be written."""
    path = tmp_path_factory.mktemp("disk")
    run = path / "run"
    arguments = [sys.executable, "-c", CHILD, str(path / "whole"), str(run), *SMALL]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return orjson.loads(done.stdout), run


linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems bound files and rights in other ways")


@linux
def test_a_disk_that_fills_up_ends_a_run_with_a_word_and_it_goes_on_once_there_is_room(commands):
    said, run = commands
    code, out, _ = said["full"]
    assert code == 5
    message = orjson.loads(out)["error"]["message"]
    assert "free space or check the disk" in message
    assert f"semprop resume {run} goes on with it" in message
    code, out, err = said["again"]
    assert code == 0, err
    assert orjson.loads(out)["telemetry"]["reused"]
    assert orjson.dumps(orjson.loads(out)["result"]) == orjson.dumps(orjson.loads(said["whole"][1])["result"])
    assert verify(run).is_whole


@linux
@pytest.mark.parametrize("name", ["show", "verify", "replay"])
def test_a_run_in_a_directory_that_cannot_be_written_is_read(name, commands):
    code, _, err = commands[0][name]
    assert code == 0, err


@linux
def test_a_run_in_a_directory_that_cannot_be_written_is_not_gone_on_with_and_that_is_said(commands):
    said, run = commands
    code, _, err = said["resume"]
    assert code == 5
    assert "cannot be written (attempt to write a readonly database)" in err or f"cannot write in {run}" in err
    assert "Traceback" not in err


# A slow disk ---------------------------------------------------------------------------------------------------------

SLOW = 50
"""Turns of the event loop for which each commit takes longer, at least."""


async def test_a_disk_that_is_slow_stalls_nothing_piles_nothing_up_and_changes_nothing(tmp_path, monkeypatch, whole):
    batches, most, durable_commit, loop = 0, 0, writing.commit, asyncio.get_running_loop()
    journals = []

    def turn(left, turned):
        if left:
            loop.call_soon(turn, left - 1, turned)
        else:
            turned.set()

    def slowly(connection, batch):
        nonlocal batches, most
        turned = threading.Event()
        loop.call_soon_threadsafe(turn, SLOW, turned)
        assert turned.wait(60), "the loop stands still while a commit is under way"
        batches += 1
        most = max(most, sum(entry.count for journal in journals for entry in journal._writer._batches))
        return durable_commit(connection, batch)

    made = Journal.create.__func__

    async def create(cls, *arguments):
        journals.append(await made(cls, *arguments))
        return journals[0]

    # There is no slow disk to be had, and a seam for one would be of no other use.
    monkeypatch.setattr(writing, "commit", slowly)
    monkeypatch.setattr(Journal, "create", classmethod(create))
    began = time.monotonic()
    result = await optimize(spec(run=tmp_path / "run", in_flight=64))
    seconds = time.monotonic() - began
    assert orjson.dumps(result.result_document()) == whole[0]
    records = sum(1 for _ in Run(tmp_path / "run").calls())
    # A commit takes what gathered while the one before it ran: far fewer commits than calls, and no time but theirs.
    assert batches < records / 2
    assert seconds < batches * 0.04 + 5
    assert most < 64 * 8, "what waits is bounded by what is in flight"
