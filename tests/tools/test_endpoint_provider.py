"""Our own provider, and a whole optimization, against the mock endpoint; and the command that runs it."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from dataclasses import replace
from random import Random

import orjson
import pytest

from semprop.bench.task import Sizes
from semprop.bench.worlds.lookup import examples, lookup_graph
from semprop.engine import Exact, Specification, optimize, semantic
from semprop.providers import ErrorClass, Message, Request, StopError, VirtualClock, connect
from semprop.providers.base import LimitSeen
from semprop.providers.surroundings import Surroundings
from semprop.tools.endpoint import Endpoint, parse, serving

REQUEST = Request((Message.of("user", "hello"),))
FIXED = "[reply]\ntext = 'twelve chars'\n"


def provider(served, clock=None):
    """`openai:mock@URL` with no key, and waits on a clock of its own."""
    around = Surroundings(environment={}, clock=clock or VirtualClock(), random=Random(0))
    return connect(f"openai:mock@{served.url}", surroundings=around)


async def test_our_provider_reads_answers_usage_and_limits():
    toml = FIXED + "[[limit]]\nof = 'requests'\nmost = 600\n"
    async with serving(Endpoint(parse(toml))) as served, provider(served) as mock:
        completion = await mock.complete(REQUEST)
    assert (completion.text, completion.model) == ("twelve chars", "mock")
    assert (completion.usage.input, completion.usage.output) == (2, 3)
    (seen,) = completion.limits
    assert replace(seen, reset=None) == LimitSeen("requests/minute", 600, 599)


@pytest.mark.parametrize("dialect", ["openai", "azure", "anthropic", "gemini", "groq", "mistral", "vllm", "ollama"])
async def test_after_a_429_our_provider_waits_as_it_was_told_and_succeeds(dialect):
    toml = (
        FIXED + f"[headers]\ndialect = '{dialect}'\n[[fault]]\nkind = 'throttle'\nretry_after = 89\nlast_attempt = 1\n"
    )
    clock = VirtualClock()
    async with serving(Endpoint(parse(toml))) as served, provider(served, clock) as mock:
        completion = await mock.complete(REQUEST)
        assert completion.attempts == served.endpoint.ledger.summary()["attempts"] == 2
    # vLLM and Ollama do not say for how long.
    assert clock.now() >= 89 or dialect in ("vllm", "ollama")


@pytest.mark.parametrize(
    "kind",
    [
        *("server_error", "unavailable", "overloaded", "timeout"),
        *("reset_before_headers", "reset_after_headers", "half_json", "error_after_200", "garbage"),
    ],
)
async def test_a_fault_that_passes_costs_an_attempt_and_no_answer(kind):
    toml = FIXED + f"[[fault]]\nkind = '{kind}'\nlast_attempt = 1\n"
    async with serving(Endpoint(parse(toml))) as served, provider(served) as mock:
        completion = await mock.complete(REQUEST)
        assert (completion.text, completion.attempts) == ("twelve chars", 2)
        rows = b"".join(served.endpoint.ledger.lines()).splitlines()
    assert [orjson.loads(row)["fault"] for row in rows] == [kind, None]


@pytest.mark.parametrize(("kind", "error_class"), [("billing", ErrorClass.QUOTA), ("auth", ErrorClass.AUTH)])
async def test_what_cannot_pass_stops_our_provider_at_once(kind, error_class):
    async with serving(Endpoint(parse(f"[[fault]]\nkind = '{kind}'\n"))) as served, provider(served) as mock:
        with pytest.raises(StopError) as stopped:
            await mock.complete(REQUEST)
        assert (stopped.value.error_class, served.endpoint.ledger.summary()["attempts"]) == (error_class, 1)


async def test_a_field_that_the_endpoint_refuses_is_done_without():
    async with serving(Endpoint(parse("refuses = ['temperature']\n" + FIXED))) as served, provider(served) as mock:
        assert (await mock.complete(REQUEST)).text == "twelve chars"
        statuses = served.endpoint.ledger.summary()["statuses"]
        assert (statuses, mock.statistics()["degraded"]) == ({"400": 1, "200": 1}, ["temperature not sent"])


def specification(model):
    return Specification(
        graph=lookup_graph(),
        loss=Exact(),
        splits=examples(0, Sizes(8, 8, 8)),
        method=semantic(),
        providers={"forward": model},
        steps=2,
        minibatch=6,
    )


def decided(result):
    """Everything that a run decided, without who answered, and the note that rules did."""
    document = orjson.loads(orjson.dumps(result.document()["result"]))
    del document["models"], document["notes"]
    return orjson.dumps(document)


async def test_an_optimization_over_the_endpoint_decides_what_the_simulated_model_decides():
    direct = await optimize(specification(connect("simulated:")))
    async with serving(Endpoint(parse(""))) as served:
        async with provider(served) as mock:
            over_http = await optimize(specification(mock))
            counted = mock.statistics()["attempts"]
        attempts = served.endpoint.ledger.summary()["attempts"]
    assert over_http.parameters == direct.parameters
    assert over_http.parameters != lookup_graph().initial
    assert decided(over_http) == decided(direct)
    assert attempts == counted


async def test_an_optimization_through_faults_decides_the_same():
    toml = (
        "seed = 1\n[[fault]]\nkind = 'server_error'\nshare = 0.1\n"
        "[[fault]]\nkind = 'reset_after_headers'\nshare = 0.05\n"
        "[[fault]]\nkind = 'throttle'\nretry_after = 89\nevery = 17\n"
    )
    direct = await optimize(specification(connect("simulated:")))
    async with serving(Endpoint(parse(toml))) as served:
        async with provider(served) as mock:
            # One at a time, so that no request is cancelled while it is being sent.
            over_http = await optimize(replace(specification(mock), in_flight=1))
            counted = mock.statistics()["attempts"]
        summary = served.endpoint.ledger.summary()
    assert decided(over_http) == decided(direct)
    assert summary["attempts"] == counted
    assert len(summary["faults"]) == 3


# The command --------------------------------------------------------------------------------------------------------

RUN = """
import sys
from semprop.tools.endpoint.command import endpoint
from semprop.tools.preparing import Surrounding
from semprop.tools.screen import screen
from pathlib import Path
endpoint(Path(sys.argv[1]), 0, "127.0.0.1")(Surrounding(), screen(json=False))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_where_it_listens_and_ends_at_a_signal(tmp_path, number):
    file = tmp_path / "mock.toml"
    file.write_text(FIXED)
    process = subprocess.Popen([sys.executable, "-c", RUN, str(file)], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        line = orjson.loads(process.stdout.readline())
        assert line["pid"] == process.pid and line["url"].startswith("http://127.0.0.1:")
        with urllib.request.urlopen(line["health"]) as response:
            assert orjson.loads(response.read())["status"] == "ok"
        process.send_signal(number)
        assert (process.stdout.read(), process.wait(10)) == ("", 0)
