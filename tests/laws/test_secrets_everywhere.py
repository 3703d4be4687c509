"""A planted key and a run's prompts: what every command writes, prints and starts holds no key, and every file is its
owner's only, whatever the process lets others do."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web

from semprop.providers import KINDS, Message, ProviderError, Request, RetryPolicy, Surroundings, connect
from semprop.providers.specification import resolve

KEY = "sk-planted-0c4be7719d5a42f8"

CHILD = """
import asyncio, contextlib, io, json, os, sys, threading
from aiohttp import web
from semprop.tools.__main__ import main

os.umask(0)
KEY = os.environ["PLANTED"]
started, said = [], []

def look(event, arguments):
    if event in ("subprocess.Popen", "os.posix_spawn", "os.exec", "os.spawn"):
        started.append(repr(arguments[:2]))  # The program and its arguments: what others see of a process.

sys.addaudithook(look)
count = 0

async def answer(request):
    # Every third reply is an error that says the key back.
    global count
    count += 1
    body = await request.json()
    if count % 3 == 0:
        told = {"error": {"message": f"bad key {request.headers['authorization']}", "type": "x"}}
        return web.json_response(told, status=429 if count % 2 else 503)
    message = {"role": "assistant", "content": "<answer>7</answer>"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 9, "completion_tokens": 3}
    return web.json_response({"id": "c", "model": "m", "choices": [choice], "usage": usage})

async def serve(told):
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    told.append(runner.addresses[0][1])
    listening.set()
    await asyncio.Event().wait()

port, listening = [], threading.Event()
threading.Thread(target=asyncio.run, args=(serve(port),), daemon=True).start()
listening.wait()
table = f'spec = "openai:m@http://127.0.0.1:{port[0]}/v1"\\nkey_env = "PLANTED"\\n'
table += 'headers = { x-other = "env:PLANTED" }\\n'
prices = "prices = { input = 1.0, output = 2.0 }\\n"
with open("providers.toml", "w") as file:
    file.write("[provider.mine]\\n" + table)
with open("bench.toml", "w") as file:
    file.write("[benchmark]\\nrequests = 4\\nblocks = 1\\nwarmup = 0\\n[[load]]\\nform = 'concurrency'\\nat = 2\\n")
    file.write("[provider.mine]\\n" + table + prices)

def command(*arguments):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(["--log-level", "debug", "--log-format", "json", "--log-file", "log", "--debug", *arguments])
    said.append([arguments[0], code, out.getvalue(), err.getvalue()])

sizes = ("--train", "2", "--gate-size", "2", "--test", "2", "--steps", "1", "--in-flight", "4")
mine = ("--providers", "providers.toml", "--forward", "mine", "--cache", "cache")
command("optimize", "lookup", *mine, *sizes, "--run", "run", "--json")
for flags in ((), ("--json",), ("--prompts", "--json")):
    command("show", "run", *flags)
command("export", "run", "out")
command("verify", "run", "--salvage", "kept")
command("resume", "run", "--json")
command("replay", "run", "--json")
command("evaluate", "lookup", *mine, "--test", "2", "--json")
command("cache", "stats", "--cache", "cache", "--json")
written = [word for name in ("page.html", "rows.jsonl", "all.json") for word in ("--write", name)]
command("bench", "providers", "bench.toml", "--json", *written)
json.dump({"said": said, "started": started, "asked": count}, sys.stdout)
"""


@pytest.fixture(scope="module")
def carried_out(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], Path]:
    work = tmp_path_factory.mktemp("work")
    around = {**os.environ, "PLANTED": KEY, "HOME": str(work), "XDG_CACHE_HOME": str(work / "home")}
    done = subprocess.run(
        [sys.executable, "-c", CHILD], cwd=work, env=around, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout), work


def test_no_command_prints_a_key_or_starts_a_process_with_one(carried_out) -> None:
    found, _ = carried_out
    codes = {name: code for name, code, _, _ in found["said"]}
    assert found["asked"] > 10
    assert codes["optimize"] == codes["show"] == codes["export"] == codes["bench"] == 0, found["said"]
    assert KEY not in json.dumps(found)


def test_no_file_holds_a_key(carried_out) -> None:
    _, work = carried_out
    files = [file for file in work.rglob("*") if file.is_file()]
    names = {file.name for file in files}
    assert names >= {"journal.sqlite", "replies.sqlite", "log", "page.html", "rows.jsonl", "all.json", "graph.json"}
    assert not [file for file in files if KEY.encode() in file.read_bytes()]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows files have no such mode")
def test_every_file_that_a_command_made_is_its_owners_only_though_the_process_let_all_others(carried_out) -> None:
    _, work = carried_out
    mine = ("providers.toml", "bench.toml")
    files = [file for file in work.rglob("*") if file.is_file() and file.name not in mine]
    open_to_others = {file.name for file in files if stat.S_IMODE(file.stat().st_mode) & 0o077}
    assert open_to_others == set()


HTTP = [kind for kind in KINDS if kind not in ("simulated", "embedded")]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("kind", HTTP)
async def test_no_kind_of_provider_follows_a_redirect_with_its_key(kind: str, status: int) -> None:
    seen: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        seen.append(str(dict(request.headers)))
        return web.json_response({})

    async def redirecting(request: web.Request) -> web.Response:
        assert KEY in str(dict(request.headers)) + str(request.url)
        return web.Response(status=status, headers={"Location": f"http://127.0.0.1:{ports[1]}{request.path}"})

    runners, ports = [], []
    for handler in (redirecting, elsewhere):
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", handler)
        runners.append(web.AppRunner(application))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "127.0.0.1", 0).start()
        ports.append(runners[-1].addresses[0][1])
    try:
        named = KINDS[kind].key_env or "KEY"
        surroundings = Surroundings(environment={named: KEY}, retry=RetryPolicy(tries=1, throttles=1))
        spec = resolve(f"{kind}:m@http://127.0.0.1:{ports[0]}/v1", {})
        async with connect(spec, surroundings=surroundings) as provider:
            with pytest.raises(ProviderError) as raised:
                await provider.complete(Request((Message.of("user", "?"),)))
        assert KEY not in str(raised.value)
        assert seen == []
    finally:
        for runner in runners:
            await runner.cleanup()
