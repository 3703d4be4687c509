"""`semprop proxy` as a process: its line, its end, and what it refuses to start with."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request

import orjson
import pytest

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_where_it_listens_and_ends_at_a_signal(number, tmp_path):
    arguments = ["proxy", "--upstream", "simulated:", "--store", str(tmp_path / "replies")]
    command = [sys.executable, "-m", "semprop.tools", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = orjson.loads(process.stdout.readline())
        assert line["pid"] == process.pid and line["url"].startswith("http://127.0.0.1:")
        body = {"model": "simulated", "messages": [{"role": "user", "content": "hello"}], "temperature": 0}
        asked = urllib.request.Request(f"{line['url']}/chat/completions", orjson.dumps(body))
        with urllib.request.urlopen(asked) as response:
            assert orjson.loads(response.read())["object"] == "chat.completion"
        with urllib.request.urlopen(line["statistics"]) as response:
            assert orjson.loads(response.read())["replies"]["upstream"] == 1
        process.send_signal(number)
        assert (process.stdout.read(), process.wait(10)) == ("", 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--upstream", "simulated:", "--host", "0.0.0.0"], "--token-env"),
        (["--upstream", "simulated:", "--host", "0.0.0.0", "--token-env", "NOT_SET"], "NOT_SET is not set"),
        (["--upstream", "nonsense"], "there is no provider"),
        (["--upstream", "simulated:", "--upstream", "simulated:"], "two upstreams"),
        (["--upstream", "simulated:", "--store", "."], "holds no replies"),
        (["--upstream", "openai:unheard-of@http://localhost:1/v1", "--max-usd", "1"], "no price is known"),
        (["--upstream", "simulated:", "--max-calls", "-1"], "max-calls"),
        (["--upstream", "simulated:", "--max-usd", "inf"], "a budget of"),
        (["--upstream", "simulated:", "--host", "192.0.2.77", "--token-env", "TOKEN"], "cannot listen"),
        ([], "upstream"),
    ],
)
def test_what_it_cannot_start_with_is_refused_with_exit_code_2(command, arguments, words):
    said = command("proxy", *arguments, environment={"TOKEN": "t"})
    assert said.code == 2, said
    assert words in said.err
