"""One writer a run, whoever it is; what a dead one left is recognised, and readers never wait."""

import json
import os
import socket
import subprocess
import sys

import pytest

from semprop.engine import StorageError, UsageError
from semprop.engine.training.lock import LOCK_FILE, Holder, hold, holder, is_running

HOLDS = """
import pathlib, sys, time
from semprop.engine.training.lock import hold
lock = hold(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def elsewhere(tmp_path):
    """A process that holds the lock of the directory."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_writer_is_refused_at_once_and_told_who_holds_it(tmp_path, elsewhere):
    with pytest.raises(UsageError, match=rf"is being written by process {elsewhere.pid} on "):
        hold(tmp_path)
    assert is_running(tmp_path)


def test_a_killed_writer_leaves_a_name_and_no_lock(tmp_path, elsewhere):
    elsewhere.kill()
    assert holder(tmp_path).pid == elsewhere.pid
    elsewhere.wait()
    assert not is_running(tmp_path)
    hold(tmp_path).close()


def test_whoever_lets_go_in_order_leaves_nobody_s_name(tmp_path):
    lock = hold(tmp_path)
    assert holder(tmp_path).pid == os.getpid()
    assert is_running(tmp_path)
    lock.close()
    lock.close()
    assert holder(tmp_path) is None
    assert not is_running(tmp_path)


def test_within_one_process_there_is_one_writer_too(tmp_path):
    lock = hold(tmp_path)
    with pytest.raises(UsageError, match="is being written"):
        hold(tmp_path)
    lock.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a process was started")
def test_a_number_that_another_process_has_now_is_not_the_writer(tmp_path):
    lock = hold(tmp_path)
    document = json.loads((tmp_path / LOCK_FILE).read_bytes())
    (tmp_path / LOCK_FILE).write_text(json.dumps({**document, "born": "another-boot:1"}))
    assert holder(tmp_path).pid == os.getpid()
    assert not is_running(tmp_path)
    lock.close()


def test_of_another_machine_nothing_is_seen_so_its_process_is_taken_to_live():
    assert Holder(1, "elsewhere." + socket.gethostname(), None, 0.0).lives


def test_without_a_time_of_birth_the_number_decides(tmp_path, monkeypatch):
    monkeypatch.setattr("semprop.engine.training.lock._born", lambda pid: None)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert Holder(os.getpid(), socket.gethostname(), None, 0.0).lives
    assert not Holder(child.pid, socket.gethostname(), None, 0.0).lives


@pytest.mark.parametrize("content", ["", "nonsense", "[]", '{"pid": "1"}', "null"])
def test_what_is_no_name_is_nobody_s(tmp_path, content):
    (tmp_path / LOCK_FILE).write_text(content)
    assert holder(tmp_path) is None


def test_a_directory_that_cannot_be_written_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match="cannot write in"):
        hold(tmp_path / "nowhere")


def test_the_lock_is_readable_by_its_owner_only(tmp_path):
    lock = hold(tmp_path)
    assert (tmp_path / LOCK_FILE).stat().st_mode & 0o777 == 0o600
    lock.close()
