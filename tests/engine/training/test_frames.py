"""The log beside a journal: what SQLite reads of it, what was cut at its end, and what damage takes away."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from semprop.engine.training.frames import Log, log_in, log_of
from semprop.engine.training.reading import FILE_NAME

COMMITS = 12


@pytest.fixture(params=[512, 4096, 16384])
def path(request, tmp_path):
    """A journal's file whose log was not folded into it: copied while its writer had it open."""
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size={request.param}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE records (id INTEGER PRIMARY KEY, body BLOB)")
        for number in range(COMMITS):
            connection.execute("INSERT INTO records (body) VALUES (?)", (bytes([number]) * 700,))
        (tmp_path / "run").mkdir()
        for name in (FILE_NAME, f"{FILE_NAME}-wal"):
            shutil.copy(tmp_path / name, tmp_path / "run" / name)
    return tmp_path / "run"


def frames(path):
    """Bytes of the log and of one frame, and how many frames SQLite itself reads."""
    log = path / f"{FILE_NAME}-wal"
    data = bytearray(log.read_bytes())
    size = 24 + int.from_bytes(data[8:12], "big")
    with closing(sqlite3.connect(path / FILE_NAME)) as connection:
        (_, read, _) = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return data, size, read


def test_a_whole_log_is_read_to_its_end(path):
    found = log_of(path)
    _, _, read = frames(path)
    assert found == Log(read=read)
    assert not found.is_damaged
    assert read >= COMMITS


def test_no_log_is_an_empty_one(tmp_path):
    assert log_of(tmp_path) == log_in(b"") == log_in(b"short") == Log()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_as_many_pages_are_read_as_sqlite_reads_wherever_a_byte_is_flipped(path, share):
    log = path / f"{FILE_NAME}-wal"
    data = bytearray(log.read_bytes())
    data[int(len(data) * share)] ^= 4
    log.write_bytes(data)
    found = log_of(path)
    _, size, read = frames(path)
    assert found.read == read
    assert found.is_damaged
    assert found.read + found.lost == (len(data) - 32) // size


def test_a_page_that_was_being_written_at_the_end_is_cut_and_no_damage(path):
    log = path / f"{FILE_NAME}-wal"
    data = bytearray(log.read_bytes())
    data[-1] ^= 4
    log.write_bytes(data)
    found = log_of(path)
    assert found.cut > 0
    assert not found.is_damaged
    assert found.read == frames(path)[2]


def test_a_log_that_ends_early_is_read_up_to_its_last_whole_commit(path):
    log = path / f"{FILE_NAME}-wal"
    data = log.read_bytes()
    log.write_bytes(data[: len(data) * 3 // 5])
    found = log_of(path)
    assert not found.is_damaged
    assert found.read == frames(path)[2]


def test_pages_of_an_earlier_log_behind_the_end_are_no_damage(path):
    with closing(sqlite3.connect(path / FILE_NAME, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(RESTART)")
        connection.execute("INSERT INTO records (body) VALUES (x'00')")
        found = log_of(path)
        (_, read, _) = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    assert found == Log(read=read)


def test_a_damaged_beginning_loses_all(path):
    log = path / f"{FILE_NAME}-wal"
    data = bytearray(log.read_bytes())
    data[17] ^= 4
    log.write_bytes(data)
    assert log_of(path).read == 0
    assert log_of(path).is_damaged
    assert frames(path)[2] <= 0
