"""A run that goes by batches, stopped and looked at from outside. Costs some 9 s: seven processes."""

import signal
import sys
from dataclasses import replace
from subprocess import DEVNULL, PIPE

import anyio
import orjson
import pytest

from semprop.bench.speed.children import command_line
from semprop.tools.endpoint import Endpoint, parse, serving
from semprop.tools.endpoint.settings import Distribution

SIZES = ("--train", "8", "--gate-size", "8", "--test", "12", "--steps", "1")


async def ran(*arguments):
    done = await anyio.run_process(command_line([*arguments, "--json"], None), check=False, stderr=PIPE)
    return done.returncode, orjson.loads(done.stdout)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for another process")
async def test_ctrl_c_leaves_the_batch_running_and_resume_fetches_it(tmp_path):
    run, started = tmp_path / "run", anyio.Event()

    def watch(step):
        if step == "poll":
            started.set()
        return True

    mock = Endpoint(parse("[batch]\nseconds = 3600\n"))
    async with serving(mock, watch=watch) as served:
        providers = tmp_path / "providers.toml"
        terms = "{first = 0.05, most = 0.1, gather = 0.05, settle = 0.1}"
        providers.write_text(f'[provider.mock]\nspec = "openai:m@{served.url}"\nkey_env = ""\nbatch = {terms}\n')
        named = ["--providers", str(providers), "--forward", "mock", "--run", str(run), "--no-cache"]
        arguments = ["optimize", "lookup-two-faults", *named, "--batch", "gate,test", *SIZES, "--json"]
        async with await anyio.open_process(command_line(arguments, None), stdin=DEVNULL, stderr=DEVNULL) as process:
            await started.wait()
            process.send_signal(signal.SIGINT)
            said = b"".join([chunk async for chunk in process.stdout])
            assert await process.wait() == 130
        message = orjson.loads(said)["error"]["message"]
        assert "requests are in batches that go on there" in message

        code, shown = await ran("batches", str(run))
        assert code == 0
        (row,) = shown["batches"]
        assert (row["batch"], row["done"]) == ("batch_000001", 0)

        code, refused = await ran("resume", str(run), "--batch", "none")
        assert code == 2
        assert "stand in a batch" in refused["error"]["message"]

        forked = await anyio.run_process(
            command_line(["resume", str(run), "--fork", str(run)], None), check=False, stderr=PIPE
        )
        assert forked.returncode == 2
        assert b"is paid once more, unless that run is resumed first" in b" ".join(forked.stderr.split())

        served.batches.settings = replace(served.batches.settings, seconds=Distribution(0.05))
        served.batches.batches["batch_000001"].seconds = 0.05
        code, document = await ran("resume", str(run))
        assert code == 0
        assert document["result"]["held_out"]["n"] == 12
        rows = served.batches.summary()["rows"]
        assert rows == sum(map(len, (set(batch.rows) for batch in served.batches.batches.values())))
        keys = [row["key"] for row in map(orjson.loads, b"".join(mock.ledger.lines()).splitlines()) if row["batch"]]
        assert len(keys) == len(set(keys)) == rows

        code, shown = await ran("batches", str(run), "--cancel")
        assert {row["status"] for row in shown["batches"]} == {"completed"}


async def test_what_is_stopped_by_command_is_asked_again_in_another_batch(tmp_path):
    run, started = tmp_path / "run", anyio.Event()

    def watch(step):
        if step == "poll":
            started.set()
        return True

    mock = Endpoint(parse("[batch]\nseconds = 3600\n"))
    async with serving(mock, watch=watch) as served:
        providers = tmp_path / "providers.toml"
        terms = "{first = 0.05, most = 0.1, gather = 0.05, settle = 0.1}"
        providers.write_text(f'[provider.mock]\nspec = "anthropic:m@{served.url}"\nkey_env = ""\nbatch = {terms}\n')
        named = ["--providers", str(providers), "--forward", "mock", "--run", str(run), "--no-cache"]
        arguments = ["optimize", "lookup-two-faults", *named, "--batch", "gate,test", *SIZES, "--json"]
        async with await anyio.open_process(command_line(arguments, None), stdin=DEVNULL, stderr=DEVNULL) as process:
            await started.wait()
            served.batches.settings = replace(served.batches.settings, seconds=Distribution(0.05))
            code, shown = await ran("batches", str(run), "--cancel")
            assert code == 0
            assert shown["batches"][0]["status"] in ("canceling", "ended")
            document = orjson.loads(b"".join([chunk async for chunk in process.stdout]))
            assert await process.wait() == 0
    assert document["result"]["held_out"]["n"] == 12
