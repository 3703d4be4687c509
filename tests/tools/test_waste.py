"""What was paid for nothing: every attempt that an endpoint's own ledger holds is in one kind, once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from anyio.from_thread import start_blocking_portal
from commandline import LOOKUP, Command, Said, Serve, completion

from semprop.engine import Run
from semprop.providers import RetryPolicy, Surroundings
from semprop.tools.__main__ import main
from semprop.tools.endpoint import Endpoint, Served, parse, serving
from semprop.tools.preparing import Surrounding
from semprop.tools.recorded import _used

PATIENT = Surrounding(
    providers=Surroundings(
        environment={}, retry=RetryPolicy(tries=8, throttles=40, base=0.001, cap=0.01, per_minute=1e6)
    )
)
PROVIDERS = """
[provider.priced]
spec = "openai:mock@{url}"
key_env = ""
prices = {{ input = 1.0, output = 10.0 }}
sampling = {{ max_tokens = {most} }}
{more}
"""
GIVEN = ("optimize", LOOKUP, "--providers", "providers.toml", "--forward", "priced", "--run", "run", "--no-cache")


@pytest.fixture
def semprop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: Command
) -> Command:
    """The command with second tries."""

    def run(*arguments: str) -> Said:
        capsys.readouterr()
        code = main(arguments, PATIENT)
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run


@pytest.fixture
def mock() -> Iterator[Any]:
    """Start the mock endpoint with a configuration."""
    with start_blocking_portal() as portal:
        opened = []

        def start(text: str) -> Served:
            context = portal.wrap_async_context_manager(serving(Endpoint(parse(text))))
            opened.append(context)
            return context.__enter__()

        yield start
        for context in opened:
            context.__exit__(None, None, None)


def rows_of(served: Served) -> list[dict[str, Any]]:
    lines = b"".join(served.endpoint.ledger.lines()).splitlines()
    return [orjson.loads(line) for line in lines]


def check_attempts(telemetry: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """All that the endpoint saw is counted; what we counted and it did not see was cancelled before it got there."""
    unseen = telemetry["attempts"] - len(rows)
    assert 0 <= unseen <= telemetry["waste"]["cancelled"]["attempts"]


def check_exclusive(telemetry: dict[str, Any]) -> None:
    """Every attempt is of use, or in one kind of waste; the total is the sum."""
    waste = dict(telemetry["waste"])
    total = waste.pop("total")
    assert total["attempts"] == sum(tally["attempts"] for tally in waste.values()) <= telemetry["attempts"]
    for name in ("input", "output"):
        assert total["tokens"][name] == sum(tally["tokens"][name] for tally in waste.values())
    known = [tally["usd"] for tally in waste.values() if tally["usd"] is not None]
    assert total["usd"] == pytest.approx(sum(known), abs=1e-9)


FAULTS = """
[[fault]]
kind = "reset_before_headers"
first_attempt = 20
last_attempt = 22
[[fault]]
kind = "half_json"
first_attempt = 50
last_attempt = 51
[[fault]]
kind = "filter"
every = 25
"""


def test_waste_agrees_with_the_ledger_of_the_endpoint(semprop: Command, mock: Any) -> None:
    served = mock(FAULTS)
    Path("providers.toml").write_text(PROVIDERS.format(url=served.url, most=300, more=""))
    said = semprop(*GIVEN, "--json")
    telemetry, rows = said.document["telemetry"], rows_of(served)
    waste = telemetry["waste"]
    check_exclusive(telemetry)
    check_attempts(telemetry, rows)

    whole = [row for row in rows if row["fault"] is None]
    filtered = [row for row in rows if row["fault"] == "filter"]
    others = [row for row in rows if row["fault"] not in (None, "filter")]
    assert min(len(filtered), len(others)) > 2, "the endpoint did all of it"
    cut = waste["cancelled"]["attempts"]  # Among them may be attempts that met a fault meanwhile.
    failed = waste["retried"]["attempts"] + waste["failed"]["attempts"]
    assert len(filtered) - cut <= waste["filtered"]["attempts"] <= len(filtered)
    assert len(others) - cut <= failed <= len(others)
    for name in ("input", "output"):
        # The endpoint may have begun or ended what was cancelled here: that is told at its worst, and apart.
        beside = sum(row[name] for row in whole) - telemetry["tokens"][name]
        assert 0 <= beside <= waste["cancelled"]["tokens"][name]
        assert waste["cancelled"]["attempts"] or not beside
    broken = waste["retried"]["at_most"] + waste["failed"]["at_most"]
    assert broken == failed, "each was begun, so each may have been paid for"
    check_journal(semprop, telemetry["waste"])


def check_journal(semprop: Command, told: dict[str, Any]) -> None:
    """What the journal and the commands that read it say is what the run said."""
    shown = semprop("show", "run", "--json").document["telemetry"]["waste"]
    assert shown == told
    read = _used(Run("run"))["waste"]
    for kind in ("retried", "failed", "cancelled", "truncated", "filtered"):
        assert {**read[kind], "usd": None, "unpriced": 0} == {**told[kind], "usd": None, "unpriced": 0}, kind
    lines = semprop("show", "run").out
    assert f"wasted: {told['total']['attempts']} (at most " in lines
    assert f"{told['retried']['attempts']} (at most" in lines
    (row,) = semprop("runs", ".", "--json").document["runs"]
    assert row["wasted"] == told["total"]


def test_a_hedge_that_lost_is_cancelled_and_counted_at_its_worst(semprop: Command, mock: Any) -> None:
    served = mock('[[fault]]\nkind = "hang"\nfirst_attempt = 9\nlast_attempt = 11\ndelay = 60.0\n')
    more = "hedge = { after = 0.1, extra = 1.0 }\nin_flight = 4"
    Path("providers.toml").write_text(PROVIDERS.format(url=served.url, most=300, more=more))
    telemetry = semprop(*GIVEN, "--json").document["telemetry"]
    rows = rows_of(served)
    check_exclusive(telemetry)
    left = [row for row in rows if row["status"] == 499]
    waste = telemetry["waste"]["cancelled"]
    check_attempts(telemetry, rows)
    lost = waste["attempts"]
    # One that was answered in the very moment in which it was overtaken was cancelled here, and whole there.
    assert lost >= waste["at_most"] >= len(left) > 0
    answered = sum(telemetry["calls"].values()) - telemetry["failures"].get("unanswered", 0)
    assert lost == telemetry["attempts"] - answered, "look-ahead that was not needed is among them"
    produced = waste["tokens"]["output"]
    assert 256 * len(left) <= produced, "each may have been as long as its node allows"
    assert waste["usd"] == pytest.approx((waste["tokens"]["input"] + 10 * produced) / 1e6, rel=1e-6)


def test_what_cannot_be_read_is_counted_once_with_its_tokens(semprop: Command, serve: Serve) -> None:
    repairs = []

    async def answer(request: web.Request) -> web.Response:
        body = await request.text()
        repairs.append("could not be used" in body or "could not be read" in body)
        return completion("no tags, no braces")

    Path("providers.toml").write_text(
        PROVIDERS.format(url="URL", most=50, more="").replace('"openai:mock@URL"', f'"{serve(answer)}"')
    )
    telemetry = semprop(*GIVEN, "--json").document["telemetry"]
    asked_again = sum(repairs)
    unreadable = telemetry["waste"]["unreadable"]
    check_exclusive(telemetry)
    assert asked_again > 0
    assert unreadable["attempts"] == 2 * asked_again, "neither the first reply nor the second could be read"
    assert unreadable["tokens"] == {"input": 20 * asked_again, "output": 4 * asked_again}
    assert unreadable["usd"] == pytest.approx(2 * asked_again * 30e-6)
    first_replies = _used(Run("run"))["waste"]["unreadable"]
    assert first_replies["attempts"] == asked_again, "a journal tells what was asked again"


def test_replies_that_were_cut_or_refused_are_counted_with_their_tokens(semprop: Command, serve: Serve) -> None:
    ended: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        ended.append(("stop", "length", "content_filter", "stop", "stop")[len(ended) % 5])
        document = orjson.loads(completion("<answer>x</answer>").body)  # type: ignore[arg-type]
        document["choices"][0]["finish_reason"] = ended[-1]
        return web.json_response(document)

    Path("providers.toml").write_text(
        PROVIDERS.format(url="URL", most=50, more="").replace('"openai:mock@URL"', f'"{serve(answer)}"')
    )
    telemetry = semprop(*GIVEN, "--json").document["telemetry"]
    check_exclusive(telemetry)
    for kind, word in (("truncated", "length"), ("filtered", "content_filter")):
        number = ended.count(word)
        assert telemetry["waste"][kind]["attempts"] == number > 0
        assert telemetry["waste"][kind]["tokens"] == {"input": 10 * number, "output": 2 * number}
        assert telemetry["waste"][kind]["usd"] == pytest.approx(30e-6 * number)
    assert telemetry["attempts"] == len(ended)


def test_a_resumed_run_counts_the_waste_of_all_its_sittings(semprop: Command, mock: Any) -> None:
    served = mock(FAULTS)
    Path("providers.toml").write_text(PROVIDERS.format(url=served.url, most=300, more=""))
    assert semprop(*GIVEN, "--max-calls", "60").code == 4
    said = semprop("resume", "run", "--max-calls", "100000", "--json")
    telemetry = said.document["telemetry"]
    check_exclusive(telemetry)
    rows = rows_of(served)
    check_attempts(telemetry, rows)
    others = [row for row in rows if row["fault"] not in (None, "filter")]
    failed = telemetry["waste"]["retried"]["attempts"] + telemetry["waste"]["failed"]["attempts"]
    # A fault may meet an attempt that is cancelled meanwhile.
    assert len(others) - telemetry["waste"]["cancelled"]["attempts"] <= failed <= len(others)
    with sqlite3.connect("run/journal.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM entries WHERE kind = 'charge'").fetchone()[0] > 0
