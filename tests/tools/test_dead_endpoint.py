"""An address where nothing answers: the command ends soon, says what to look at, and leaves nothing behind."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from commandline import AROUND, LOOKUP

from semprop.providers import RetryPolicy
from semprop.tools.__main__ import main

# As in real use, but for the seconds: the first refused connection decides.
PROVIDERS = replace(AROUND.providers, retry=RetryPolicy(base=0.0, unreached=1, unreached_seconds=0.0))


def a_closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("verb", ["optimize", "evaluate"])
def test_a_server_that_does_not_run_ends_the_command_with_the_mend(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    address = f"http://127.0.0.1:{a_closed_port()}/v1"
    try:
        code = main((verb, LOOKUP, "--forward", f"openai:m@{address}"), replace(AROUND, providers=PROVIDERS))
    finally:
        structlog.reset_defaults()
    last = capsys.readouterr().err.splitlines()[-1]
    assert code == 3
    assert address in last
    assert "cannot be reached" in last
    assert last.endswith("check the address, and whether the server is running, then run again")
    assert not list(tmp_path.iterdir())
