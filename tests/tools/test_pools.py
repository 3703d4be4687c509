"""Pools from the command line, against mock endpoints over HTTP: one dies, one throttles, one refuses."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from commandline import LOOKUP, Command, check_result

from semprop.engine import Run
from semprop.engine.outcomes import Failure
from semprop.providers.base import Completion
from semprop.tools.endpoint import Endpoint, Served, parse, serving

CUT = {"unanswered"}
"""Requests that ran ahead of a verdict that did not need them, and were cancelled."""

SMALL = ("--steps", "1", "--train", "8", "--gate-size", "8", "--test", "12")


class Mortal:
    """A mock endpoint, and what happens once so many attempts have reached it."""

    def __init__(self, settings: str = "") -> None:
        self.endpoint = Endpoint(parse(settings))
        self.served: Served | None = None
        self._gone: asyncio.Event | None = None
        self._arrive = self.endpoint.arrive
        self.endpoint.arrive = self._noted  # type: ignore[method-assign]
        self._arrivals = 0
        self._at = (0, lambda: None)

    def after(self, attempts: int, what: Callable[[], None]) -> None:
        """Do this when so many more attempts have come."""
        self._at = (self._arrivals + attempts, what)

    def die(self) -> None:
        """Break all connections off and listen no more."""
        assert self._gone is not None
        self._gone.set()

    @property
    def url(self) -> str:
        assert self.served is not None
        return self.served.url

    @property
    def rows(self) -> list[Any]:
        return [orjson.loads(line) for block in self.endpoint.ledger.lines() for line in block.splitlines()]

    def answered(self) -> Counter[str]:
        """How often each request was answered, by its body."""
        return Counter(row["key"] for row in self.rows if row["status"] == 200 and row["answered"] is not None)

    async def live(self, begun: Callable[[], None]) -> None:
        self._gone = asyncio.Event()
        async with serving(self.endpoint) as self.served:
            begun()
            await self._gone.wait()

    def _noted(self, *arguments: Any) -> Any:
        self._arrivals += 1
        if self._arrivals == self._at[0]:
            self._at[1]()
        return self._arrive(*arguments)


Served3 = Callable[..., list[Mortal]]


@pytest.fixture
def endpoints() -> Iterator[Served3]:
    """Serve mock endpoints with these settings."""
    with start_blocking_portal() as portal, ExitStack() as stack:

        def start(*settings: str) -> list[Mortal]:
            return [stack.enter_context(_lives(portal, Mortal(each))) for each in settings]

        yield start


@contextmanager
def _lives(portal: BlockingPortal, mortal: Mortal) -> Iterator[Mortal]:
    begun = portal.call(asyncio.Event)
    ended = portal.start_task_soon(mortal.live, begun.set)
    portal.call(begun.wait)
    yield mortal
    portal.call(mortal.die)
    ended.result()


def written(mortals: list[Mortal], *settings: str, name: str = "mine") -> str:
    """A providers file that names them a, b, c, and a pool of them."""
    names = [chr(ord("a") + number) for number in range(len(mortals))]
    tables = [
        f'[provider.{each}]\nspec = "openai:mock@{mortal.url}"\nin_flight = 4'
        for each, mortal in zip(names, mortals, strict=True)
    ]
    members = f"members = {orjson.dumps(names).decode()}"
    text = "\n".join([*tables, f"[pool.{name}]", members, *settings])
    Path("providers.toml").write_text(text)
    return "providers.toml"


def recorded_in(run: Path, mortals: list[Mortal]) -> set[str]:
    """The requests whose answers a run has, by their bodies: the endpoint that answered names each of its attempts."""
    found = set()
    for call in Run(run).calls():
        if isinstance(call.outcome, Completion) and call.outcome.request_id is not None:
            rows = mortals[ord(call.outcome.usage.member) - ord("a")].rows
            number = int("".join(filter(str.isdigit, call.outcome.request_id)))
            found.add(next(row["key"] for row in rows if row["seq"] == number))
    return found


def optimized(command: Command, file: str, *more: str, pool: str = "mine") -> Any:
    said = command("optimize", LOOKUP, "--providers", file, "--forward", pool, *SMALL, *more, "--json")
    assert said.code == 0, said.err
    check_result(said.document)
    return said.document


def test_the_result_is_the_same_byte_for_byte_whoever_answers(command: Command, endpoints: Served3) -> None:
    mortals = endpoints("", "[latency]\nfirst = 0.002", "[latency]\nfirst = 0.004")
    seen, served = set(), []
    for policy in ("failover", "fastest", "cheapest"):
        file = written(mortals, f'policy = "{policy}"', "patience = 0")
        document = optimized(command, file, "--run", policy)
        seen.add(orjson.dumps(document["result"]))
        told = document["telemetry"]
        served.append(told["served"])
        assert sum(served[-1].values()) + told["failures"].get("unanswered", 0) == sum(told["calls"].values())
    assert len(seen) == 1
    assert len({orjson.dumps(each) for each in served}) > 1
    assert document["result"]["models"]["forward"].startswith("pool:mine[openai:mock@")


def test_a_member_that_dies_in_mid_run_loses_nothing_and_doubles_nothing(command: Command, endpoints: Served3) -> None:
    mortals = endpoints(*["[latency]\nfirst = 0.005"] * 3)
    clean = optimized(command, written(mortals, "patience = 0"), "--run", "clean")
    for mortal in mortals:
        mortal.endpoint.reset()
    mortals[0].after(15, mortals[0].die)
    document = optimized(command, "providers.toml", "--run", "cut")
    assert orjson.dumps(document["result"]) == orjson.dumps(clean["result"])
    assert set(document["telemetry"]["failures"]) <= CUT
    calls = [call for call in Run(Path("cut")).calls() if call.outcome is not None]
    assert all(isinstance(call.outcome, Completion) for call in calls)
    assert document["telemetry"]["served"]["a"] < 15
    again = sum((mortal.answered() for mortal in mortals[1:]), Counter())
    assert max(again.values()) == 1
    # Attempts in flight at the death are asked again elsewhere, and are counted.
    assert document["telemetry"]["attempts"] >= len(calls)


def test_a_storm_at_one_member_is_left_to_the_others(command: Command, endpoints: Served3) -> None:
    storm = '[[fault]]\nkind = "throttle"\nretry_after = 60'
    mortals = endpoints(storm, "", "")
    document = optimized(command, written(mortals, "patience = 0"))
    assert set(document["telemetry"]["failures"]) <= CUT
    assert "a" not in document["telemetry"]["served"]
    # Those that were out together when it began, and nobody before the minute is over.
    assert 1 <= len(mortals[0].rows) <= 4
    again = mortals[1].answered() + mortals[2].answered()
    assert max(again.values()) == 1


def test_what_one_member_refuses_is_sent_to_the_next_only_if_that_was_told(
    command: Command, endpoints: Served3
) -> None:
    refusing = '[[fault]]\nkind = "filter"'
    mortals = endpoints(refusing, "")
    strict = optimized(command, written(mortals))
    assert mortals[1].rows == []
    assert strict["result"]["held_out"]["before"] == 0.0
    assert set(strict["telemetry"]["failures"]) - CUT == {"filter"}
    told = optimized(command, written(mortals, 'on_refusal = "next"'), "--run", "told")
    assert set(told["telemetry"]["failures"]) <= CUT
    assert told["result"]["held_out"]["after"] == 1.0


def test_a_wrong_key_takes_one_member_out_and_the_run_goes_on(command: Command, endpoints: Served3) -> None:
    mortals = endpoints('[[fault]]\nkind = "auth"', "")
    said = command("optimize", LOOKUP, "--providers", written(mortals), "--forward", "mine", *SMALL)
    assert said.code == 0, said.err
    assert said.err.count("pool_member_out") == 1
    assert "answered by b" in said.out
    both = endpoints(*['[[fault]]\nkind = "billing"'] * 2)
    said = command("optimize", LOOKUP, "--providers", written(both), "--forward", "mine", *SMALL, "--run", "unpaid")
    assert said.code == 3
    assert "nobody is left in the pool 'mine' to answer: a: " in said.err


def test_a_pool_is_written_out_where_a_provider_is_named(command: Command, endpoints: Served3) -> None:
    one, two = endpoints("", "")
    pool = f"pool:openai:mock@{one.url},openai:mock@{two.url};policy=fastest;name=pair"
    said = command("optimize", LOOKUP, "--forward", pool, *SMALL, "--json")
    assert said.code == 0, said.err
    assert said.document["result"]["models"]["forward"] == f"pool:pair[openai:mock@{one.url}, openai:mock@{two.url}]"


def test_several_models_are_refused_with_the_mend_and_each_example_is_pinned_to_one_where_that_is_wanted(
    command: Command, endpoints: Served3
) -> None:
    one, two = endpoints("", "")
    members = f"pool:openai:large@{one.url},openai:small@{two.url}"
    said = command("optimize", LOOKUP, "--forward", members, *SMALL)
    assert said.code == 2
    assert 'say `model = "NAME"` of the pool' in said.err
    assert (one.rows, two.rows) == ([], [])
    said = command("optimize", LOOKUP, "--forward", f"{members};mixed=pinned", *SMALL, "--run", "pinned", "--json")
    assert said.code == 0, said.err
    by_example: dict[tuple[str, str], set[str]] = {}
    for call in Run(Path("pinned")).calls():
        if isinstance(call.outcome, Completion) and call.position.phase in ("forward", "gate", "test"):
            by_example.setdefault(call.position.example, set()).add(call.outcome.usage.member)  # type: ignore[arg-type]
    assert {len(members) for members in by_example.values()} == {1}
    assert len({next(iter(members)) for members in by_example.values()}) == 2
    # The same is decided again without a provider.
    assert command("replay", "pinned").code == 0
    # Backward and update compare nothing: a pool of several models may write there.
    said = command(
        "optimize", LOOKUP, "--forward", f"openai:large@{one.url}", "--backward", members, "--update", members, *SMALL
    )
    assert said.code == 0, said.err


def test_dollars_are_not_capped_where_the_price_of_a_member_is_unknown(command: Command, endpoints: Served3) -> None:
    said = command(
        "optimize", LOOKUP, "--providers", written(endpoints("", "")), "--forward", "mine", "--max-usd", "1", *SMALL
    )
    assert said.code == 2
    assert "no price is known for 'a (of mine)'" in said.err


def test_a_run_that_was_killed_goes_on_with_a_member_gone_and_another_policy_and_not_as_another_pool(
    command: Command, endpoints: Served3
) -> None:
    slow = "[latency]\nfirst = 0.02"
    mortals = endpoints(slow, slow, slow)
    file = written(mortals, "patience = 0")
    clean = optimized(command, file, "--run", "clean")
    for mortal in mortals:
        mortal.endpoint.reset()
    order = ("optimize", LOOKUP, "--providers", file, "--forward", "mine", *SMALL, "--run", "run", "--no-cache")
    process = subprocess.Popen([sys.executable, "-m", "semprop.tools", *order], stderr=subprocess.DEVNULL)
    mortals[1].after(12, lambda: os.kill(process.pid, signal.SIGKILL))
    process.wait()
    assert process.returncode == -signal.SIGKILL
    recorded = recorded_in(Path("run"), mortals)
    assert 0 < len(recorded) < sum(clean["telemetry"]["calls"].values())
    seen = [len(mortal.rows) for mortal in mortals]

    written(mortals, name="other")
    assert command("resume", "run").code == 2
    written(mortals[:2], "patience = 0")
    changed = command("resume", "run")
    assert changed.code == 2
    assert f"mock@{mortals[1].url}]" in changed.err.partition("models.forward: ")[2]

    written(mortals, "patience = 0", 'policy = "fastest"', "hedge = {after = 5}")
    mortals[2].after(1, mortals[2].die)
    said = command("resume", "run", "--json")
    assert said.code == 0, said.err
    assert orjson.dumps(said.document["result"]) == orjson.dumps(clean["result"])
    assert not any(isinstance(call.outcome, Failure) for call in Run(Path("run")).calls())
    later = {row["key"] for mortal, known in zip(mortals, seen, strict=True) for row in mortal.rows[known:]}
    assert later
    assert recorded.isdisjoint(later)
