"""The command while it loads."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from semprop.tools.exits import document_of, interrupted
from semprop.tools.starting import main


def interrupting(name: str) -> object:
    raise KeyboardInterrupt


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_ctrl_c_while_the_command_loads_is_one_line_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["semprop", "tasks", *flags])
    assert main(interrupting) == 130
    said = capsys.readouterr()
    assert said.err == "semprop: stopped by SIGINT: nothing was begun\n"
    expected = document_of(interrupted(signal.SIGINT, "nothing was begun"))
    assert json.loads(said.out or "null") == (expected if flags else None)


def test_a_command_that_is_loaded_is_run() -> None:
    assert main(lambda name: SimpleNamespace(main=lambda: 7) if name == "semprop.tools.__main__" else None) == 7


LEFT_BEHIND = """
import sys, threading
from types import SimpleNamespace
from semprop.tools.starting import main

def ended():
    threading.Thread(target=threading.Event().wait).start()
    print("said")
    return 143

sys.exit(main(lambda name: SimpleNamespace(main=ended)))
"""


def test_a_thread_that_is_left_behind_does_not_keep_a_command_that_a_signal_ended() -> None:
    done = subprocess.run([sys.executable, "-c", LEFT_BEHIND], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (143, "said\n", "")
