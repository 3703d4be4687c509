"""The limiter against a server with true sliding windows, in virtual minutes. The figures are bars."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest
from limited import Rule, Server, load, stack_of

from semprop.providers.limits.limiter import Limiter, Terms
from semprop.providers.scripted import VirtualClock
from semprop.providers.wire.profiles import PROFILES


def requests(limit: float = 600.0, seconds: float = 60.0, name: str = "requests/minute") -> Rule:
    return Rule("requests", limit, seconds, name)


def tokens(limit: float = 60_000.0, seconds: float = 60.0, name: str = "tokens/minute") -> Rule:
    return Rule("tokens", limit, seconds, name)


def stated(dimension: str, limit: float, in_flight: int = 32) -> Terms:
    return Terms("a", "m", ((f"{dimension}/minute", limit),), in_flight=in_flight)


@dataclass
class Run:
    """What happened from `begin` on: requests admitted, the share of refusals, and what the limiter holds after it."""

    server: Server
    limiter: Limiter
    begin: float
    end: float
    sizes: tuple[int, ...] = field(default=(100,))

    @property
    def admitted(self) -> int:
        return self.server.admitted(self.begin, self.end)

    @property
    def tokens(self) -> float:
        return self.server.taken(self.begin, self.end)

    @property
    def refused(self) -> float:
        refused = self.server.refused(self.begin, self.end)
        return refused / max(1, refused + self.admitted)


async def run(
    rules: list[Rule],
    end: float,
    *,
    begin: float = 0.0,
    terms: Terms | None = None,
    workers: int = 64,
    sizes: tuple[int, ...] = (100,),
    **behaviour: Any,
) -> Run:
    server = Server(VirtualClock(), rules, **behaviour)
    stack, limiter = stack_of(server, terms)
    await load(stack, server, end, workers, sizes)
    assert (limiter.permits, limiter.waiting) == (0, 0)
    return Run(server, limiter, begin, end)


ALL_WINDOWS = [(1.0, 1 / 60), (10.0, 1 / 6), (60.0, 1.0)]


@pytest.mark.parametrize("limit", [60.0, 600.0, 6000.0])
async def test_a_stated_limit_of_requests_is_used_and_no_window_refuses(limit: float) -> None:
    rules = [requests(limit * share, seconds, "") for seconds, share in ALL_WINDOWS]
    result = await run(rules, 120.0, terms=stated("requests", limit, 128), workers=128)
    assert result.admitted >= 0.96 * 2 * limit
    assert result.refused <= 0.001


async def test_a_stated_limit_of_tokens_is_used_and_no_window_refuses() -> None:
    rules = [tokens(60_000.0 * share, seconds, "") for seconds, share in ALL_WINDOWS]
    result = await run(rules, 120.0, terms=stated("tokens", 60_000.0))
    assert result.tokens >= 0.96 * 120_000
    assert result.refused <= 0.001


async def test_requests_of_every_size_use_a_limit_of_tokens_too() -> None:
    sizes = (20, 50, 900, 100, 3000, 10, 400)
    result = await run([tokens()], 240.0, begin=60.0, terms=stated("tokens", 60_000.0), sizes=sizes)
    assert result.tokens >= 0.94 * 180_000
    assert result.refused <= 0.005


@pytest.mark.parametrize("rule", [requests, tokens])
async def test_a_limit_that_headers_tell_of_is_found_without_a_refusal(rule: Any) -> None:
    result = await run([rule()], 120.0, headers=True)
    assert result.admitted >= 0.96 * 1200
    assert result.refused == 0.0


@pytest.mark.parametrize("rule", [requests, tokens])
async def test_a_limit_that_only_refusals_tell_of_is_found_with_few_of_them(rule: Any) -> None:
    # Refusals are decided at the door, sooner than answers; what is sent until they come back is their price.
    result = await run([rule()], 120.0, bodies=True, retry_after=True, refusal=0.05)
    assert result.admitted >= 0.90 * 1200
    assert result.refused <= 0.01


@pytest.mark.parametrize("told", [{"headers": True}, {"bodies": True, "retry_after": True}])
async def test_a_quota_that_is_halved_is_followed(told: dict[str, bool]) -> None:
    result = await run([requests()], 300.0, begin=150.0, changes={120.0: 0.5}, **told)
    assert result.admitted >= 0.90 * 750
    assert result.refused <= 0.01


@pytest.mark.parametrize("told", [{"headers": True}, {"bodies": True, "retry_after": True}])
async def test_what_others_leave_of_a_quota_is_used(told: dict[str, bool]) -> None:
    result = await run([requests()], 360.0, begin=150.0, foreign=5.0, foreign_from=120.0, **told)
    assert result.admitted >= 0.90 * 210 * 5
    assert result.refused <= 0.01


LATENCIES: list[Any] = [0.2, (1.0, 0.7), 4.0]


@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize("refusal", [0.15, None])
async def test_what_others_leave_is_used_when_refusals_alone_tell_however_long_answers_take(
    latency: Any, refusal: float | None
) -> None:
    behaviour = {"bodies": True, "retry_after": True, "latency": latency, "refusal": refusal}
    result = await run(
        [requests()], 450.0, begin=330.0, changes={150.0: 0.5}, foreign=2.5, foreign_from=300.0, **behaviour
    )
    assert result.admitted >= 0.90 * 120 * 2.5
    assert result.refused <= 0.01


async def test_others_who_leave_are_noticed_though_nobody_tells() -> None:
    server = Server(
        VirtualClock(), [requests()], bodies=True, retry_after=True, refusal=0.1, foreign=5.0, foreign_from=0.0
    )
    stack, _ = stack_of(server, stated("requests", 600.0))
    server.foreign_until = 200.0
    await load(stack, server, 600.0, 64)
    assert server.admitted(80.0, 200.0) >= 0.90 * 120 * 5
    assert server.admitted(500.0, 600.0) >= 0.95 * 100 * 10


@pytest.mark.parametrize("latency", LATENCIES)
async def test_a_stated_limit_is_used_from_the_start_however_long_answers_take(latency: Any) -> None:
    terms = Terms("a", "m", (("requests/minute", 600.0),))
    result = await run([requests()], 120.0, terms=terms, workers=128, latency=latency)
    assert result.admitted >= 0.96 * 1200
    assert result.refused <= 0.001


@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize("limit", [120.0, 600.0])
@pytest.mark.parametrize("retry_after", [False, True])
async def test_a_limit_that_nobody_tells_of_is_searched_for_however_long_answers_take(
    latency: Any, limit: float, retry_after: bool
) -> None:
    rule = requests(limit, name="")
    result = await run([rule], 300.0, workers=128, latency=latency, refusal=0.15, retry_after=retry_after)
    assert result.admitted >= 0.80 * 5 * limit
    assert result.refused <= 0.03


async def test_refusals_that_take_as_long_as_answers_cost_what_was_out_and_no_more() -> None:
    result = await run([requests(name="")], 300.0, workers=128, latency=4.0)
    assert result.admitted >= 0.80 * 3000
    # 128 were out when the window was full: no client can know before the first of them comes back.
    assert result.server.refused(0.0, 300.0) <= 128 + 20


async def test_a_quota_stated_too_high_and_never_told_is_learned() -> None:
    result = await run([requests(300.0)], 600.0, begin=180.0, terms=stated("requests", 600.0))
    assert result.admitted >= 0.75 * 7 * 300
    assert result.refused <= 0.03


@pytest.mark.parametrize(("seconds", "share"), ALL_WINDOWS)
async def test_a_limit_that_nobody_tells_of_is_searched_for(seconds: float, share: float) -> None:
    result = await run([requests(600.0 * share, seconds, "")], 240.0)
    assert result.admitted >= 0.80 * 2400
    assert result.refused <= 0.03


async def test_in_a_storm_nothing_is_sent_before_it_is_time_and_nothing_is_held() -> None:
    result = await run([requests()], 600.0, terms=stated("requests", 600.0), storms=[(60.0, 360.0, 89.0)])
    storm = [at for at, admitted, _ in result.server.arrivals if not admitted]
    # A few were out when it began and when each freeze ended; between two of these lies a whole retry-after.
    episodes = [at for at, before in zip(storm[1:], storm, strict=False) if at - before > 1.0]
    assert len(episodes) <= 4
    assert all(after - before >= 89.0 for before, after in pairwise(episodes))
    assert len(storm) <= 30
    assert result.server.admitted(480.0, 600.0) >= 0.8 * 1200


async def test_long_answers_do_not_make_headers_look_worse_than_they_are() -> None:
    result = await run(
        [requests()], 300.0, begin=60.0, headers=True, latency=8.0, terms=stated("requests", 600.0, 300), workers=300
    )
    assert result.admitted >= 0.94 * 2400
    assert result.refused <= 0.005


async def test_what_remains_in_thousands_is_read_as_such() -> None:
    anthropic = Terms("a", "m", (("tokens/minute", 60_000.0),), in_flight=32, profile=PROFILES["anthropic"])
    server = Server(VirtualClock(), [tokens()], headers=True)
    stack, _ = stack_of(server, replace(anthropic))
    seen = server._seen

    def rounded(now: float) -> Any:
        return tuple(replace(one, remaining=round((one.remaining or 0.0) / 1000) * 1000) for one in seen(now))

    server._seen = rounded  # type: ignore[method-assign]
    await load(stack, server, 180.0, 64)
    assert server.taken(0.0, 180.0) >= 0.94 * 180_000
    assert server.refused(0.0, 180.0) <= 2
