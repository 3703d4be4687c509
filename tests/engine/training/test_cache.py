"""The shared cache: what is found was paid for once, what was damaged is not served, and nothing of it ends a run."""

import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import anyio
import pytest
import structlog

from semprop.engine import Failure, FailureKind, StorageError
from semprop.engine.training import cache as cache_module
from semprop.engine.training.cache import CACHE_FILE, DAY, ReplyCache, opened
from semprop.engine.training.cache_care import held, prune, verify
from semprop.engine.training.claims import Claims
from semprop.providers import Completion


def outcome(number, length=10):
    return Completion(f"{number}:" + "x" * length)


async def fill(directory, count, *, length=10, **options):
    async with ReplyCache(directory, **options) as cache:
        async with anyio.create_task_group() as tasks:
            for number in range(count):
                tasks.start_soon(cache.keep, f"k{number}", outcome(number, length))
        return cache


async def test_what_was_kept_is_found_by_another_run(tmp_path):
    await fill(tmp_path / "cache", 20)
    async with ReplyCache(tmp_path / "cache") as cache:
        assert cache.find("k7") == outcome(7)
        assert cache.find("nothing") is None
        assert (cache.hits, cache.kept) == (1, 0)


async def test_a_model_failure_is_kept_like_a_reply(tmp_path):
    failure = Failure(FailureKind.FILTER, "filtered", "part")
    async with ReplyCache(tmp_path) as cache:
        await cache.keep("k", failure)
        assert cache.find("k") == failure


async def test_the_first_outcome_of_a_key_stays(tmp_path):
    async with ReplyCache(tmp_path) as cache:
        await cache.keep("k", outcome(1))
        await cache.keep("k", outcome(2))
        assert cache.find("k") == outcome(1)


async def test_it_keeps_to_its_size_and_the_least_recently_used_go_first(tmp_path):
    today = [1000.0 * DAY]
    async with ReplyCache(tmp_path, size=20_000, now=lambda: today[0]) as cache:
        for number in range(30):
            await cache.keep(f"k{number}", outcome(number, 500))
        today[0] += DAY
        assert cache.find("k12") is not None
        for number in range(30, 45):
            await cache.keep(f"k{number}", outcome(number, 500))
        assert cache.find("k12") is not None, "it was used a day later than its neighbours"
        assert cache.find("k13") is None
        assert cache.find("k44") is not None
    connection = opened(tmp_path)
    assert held(connection).bytes <= 20_000
    assert connection.execute("SELECT bytes FROM held").fetchone()[0] == held(connection).bytes
    connection.close()


async def test_prune_by_day_and_by_size(tmp_path):
    await fill(tmp_path, 10, now=lambda: 10.0 * DAY)
    async with ReplyCache(tmp_path, now=lambda: 20.0 * DAY) as cache:
        await cache.keep("new", outcome(0))
    connection = opened(tmp_path)
    assert prune(connection, before=20) == 10
    assert held(connection).replies == 1
    assert prune(connection, size=0) == 1
    connection.close()


async def test_it_is_readable_by_its_owner_only(tmp_path):
    await fill(tmp_path / "cache", 3)
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "cache").iterdir()} == {0o600}


# Damage --------------------------------------------------------------------------------------------------------------


async def test_a_changed_reply_is_not_served_and_a_check_drops_it(tmp_path):
    await fill(tmp_path, 5)
    connection = sqlite3.connect(tmp_path / CACHE_FILE)
    ((body,),) = connection.execute("SELECT body FROM replies WHERE key = 'k2'").fetchall()
    connection.execute("UPDATE replies SET body = ? WHERE key = 'k2'", (body.replace(b"xxx", b"xyx"),))
    connection.commit()
    connection.close()
    with structlog.testing.capture_logs() as logs:
        async with ReplyCache(tmp_path) as cache:
            assert cache.find("k2") is None
            assert cache.find("k3") == outcome(3)
    assert [entry["event"] for entry in logs] == ["cache_damaged"]
    found = verify(tmp_path)
    assert (found.whole, found.damaged, found.rebuilt) == (4, 1, False)


@pytest.mark.parametrize("name", ["plain", "50%25", "a#b", "which?"])
async def test_a_flipped_page_is_rebuilt_from_what_can_be_read(tmp_path, name):
    place = tmp_path / name
    await fill(place, 400, length=900)
    connection = sqlite3.connect(place / CACHE_FILE)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    data = bytearray((place / CACHE_FILE).read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = bytes(255 - byte for byte in data[middle : middle + 4096])
    (place / CACHE_FILE).write_bytes(data)
    found = verify(place)
    assert found.rebuilt
    assert 300 <= found.whole < 400
    assert (place / f"{CACHE_FILE}.broken").exists()
    again = verify(place)
    assert (again.whole, again.damaged, again.rebuilt) == (found.whole, 0, False)


async def test_a_cache_that_cannot_be_used_is_said_once_and_everything_goes_on(tmp_path):
    (tmp_path / CACHE_FILE).write_bytes(b"no database, and long enough to be looked at" * 100)
    with structlog.testing.capture_logs() as logs:
        async with ReplyCache(tmp_path) as cache:
            async with cache.claim("k") as found:
                assert found is None
            await cache.keep("k", outcome(1))
    assert [entry["event"] for entry in logs] == ["cache_failed"]
    with pytest.raises(StorageError, match="semprop cache verify"):
        opened(tmp_path)
    assert verify(tmp_path).rebuilt
    opened(tmp_path).close()


async def test_a_check_moves_no_cache_away_that_is_whole_and_cannot_be_used_now(tmp_path, monkeypatch):
    await fill(tmp_path, 3)
    monkeypatch.setattr(cache_module, "_BUSY", 0.01)
    with closing(sqlite3.connect(tmp_path / CACHE_FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="database is locked"):
            verify(tmp_path)
        other.execute("ROLLBACK")
        assert (verify(tmp_path).whole, verify(tmp_path).rebuilt) == (3, False)
        other.execute("PRAGMA user_version=99")
    with pytest.raises(StorageError, match="has version 99"):
        verify(tmp_path)
    assert not list(tmp_path.glob("*.broken"))


async def test_another_version_is_refused(tmp_path):
    await fill(tmp_path, 1)
    connection = sqlite3.connect(tmp_path / CACHE_FILE)
    connection.execute("PRAGMA user_version=9")
    connection.close()
    with pytest.raises(StorageError, match="version 9"):
        opened(tmp_path)


# Several processes ---------------------------------------------------------------------------------------------------

CLAIMS = """
import pathlib, sys
from semprop.engine.training.claims import Claims
claims = Claims(pathlib.Path(sys.argv[1]))
print(claims.take_nowait("k"), flush=True)
sys.stdin.read()
"""


def claiming(directory):
    """A process that claims a key."""
    command = [sys.executable, "-c", CLAIMS, str(directory / "claims")]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


linux = pytest.mark.skipif(sys.platform != "linux", reason="claims are made on Linux only")


@linux
async def test_a_claim_of_a_process_that_is_killed_goes_to_whoever_waits(tmp_path):
    async with ReplyCache(tmp_path) as cache:
        process = claiming(tmp_path)
        assert process.stdout.readline() == "True\n"
        entered = []

        async def wait():
            async with cache.claim("k") as found:
                entered.append(found)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            while not cache.waited:
                await anyio.lowlevel.checkpoint()
            async with cache.claim("another"):
                assert entered == []
            process.kill()
        process.communicate()
        assert entered == [None]


@linux
async def test_whoever_is_cancelled_while_it_waits_leaves_no_claim(tmp_path):
    async with ReplyCache(tmp_path) as cache:
        process = claiming(tmp_path)
        process.stdout.readline()

        async def wait():
            async with cache.claim("k"):
                pass

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            while not cache.waited:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        process.kill()
        process.communicate()
        async with cache.claim("k") as found:
            assert found is None


def is_waited_for(file):
    """Whether the system knows of somebody who waits for a lock on the file."""
    ending = f":{file.stat().st_ino}"
    lines = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and any(word.endswith(ending) for word in line.split()) for line in lines)


@linux
async def test_claims_that_are_closed_let_go_of_their_keys_while_one_of_them_still_waits(tmp_path):
    one, other = Claims(tmp_path / "claims"), Claims(tmp_path / "claims")
    assert one.take_nowait("mine")
    assert other.take_nowait("yours")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.take, "yours")
        while not is_waited_for(tmp_path / "claims"):
            await anyio.lowlevel.checkpoint()
        assert not other.take_nowait("mine")
        one.close()
        assert other.take_nowait("mine")
        tasks.cancel_scope.cancel()
    other.close()


OPENING = """
import multiprocessing, sys
from pathlib import Path
from semprop.engine.training.cache import opened

def work(directory, barrier, told):
    barrier.wait()
    try:
        opened(directory).close()
        told.put("")
    except Exception as error:
        told.put(str(error))

context = multiprocessing.get_context("fork")
for number in range(50):
    barrier, told = context.Barrier(8), context.Queue()
    workers = [context.Process(target=work, args=(Path(sys.argv[1], str(number)), barrier, told)) for _ in range(8)]
    for worker in workers:
        worker.start()
    print(*filter(None, [told.get(timeout=60) for _ in workers]), sep="")
    for worker in workers:
        worker.join()
"""


@linux
def test_processes_that_open_a_new_cache_at_once_all_can(tmp_path):
    done = subprocess.run([sys.executable, "-c", OPENING, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


ASKING = """
import multiprocessing, sys
from pathlib import Path
import anyio
from semprop.engine.training.cache import ReplyCache
from semprop.providers import Completion

async def run(directory, asked):
    async with ReplyCache(directory) as cache:

        async def one(number):
            wanted = Completion(f"{number}:xxxxxxxxxx")
            async with cache.claim(f"k{number}") as found:
                if found is None:
                    asked.append(number)
                    await anyio.sleep(0.02)
                    await cache.keep(f"k{number}", wanted)
                else:
                    assert found == wanted

        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(one, number)

def work(directory, barrier, told):
    asked = []
    barrier.wait(60)
    anyio.run(run, directory, asked)
    told.put(asked)

context = multiprocessing.get_context("fork")
barrier, told = context.Barrier(4), context.Queue()
workers = [context.Process(target=work, args=(Path(sys.argv[1]), barrier, told)) for _ in range(4)]
for worker in workers:
    worker.start()
print(*(number for _ in workers for number in told.get(timeout=60)))
for worker in workers:
    worker.join()
    assert worker.exitcode == 0
"""


@linux
def test_four_processes_that_want_the_same_replies_pay_for_each_once(tmp_path):
    done = subprocess.run([sys.executable, "-c", ASKING, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(map(int, done.stdout.split())) == list(range(40))
    assert verify(tmp_path).whole == 40
