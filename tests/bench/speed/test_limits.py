"""The shares of a limit: how they are counted, and that every endpoint of a case can be."""

from __future__ import annotations

import pytest

from semprop.bench.speed.limits import (
    LATENCIES,
    Case,
    Figures,
    Span,
    never,
    refused_share,
    rows,
    stated,
    told,
    used_share,
)
from semprop.bench.speed.mock import Attempt, toml
from semprop.bench.speed.rows import at_least, at_most
from semprop.tools.endpoint import parse

MINUTE = Span("a minute", 10.0, 70.0, 4.0, at_least(0.9), at_most(0.01))


def attempt(arrived: float, status: int | None = 200, tokens: int = 3) -> Attempt:
    return Attempt(1, "k", "any", arrived, 1, arrived + 1.0, status, tokens - 1, 1, None)


def test_what_arrived_within_a_span_and_was_not_refused_is_used() -> None:
    attempts = [attempt(9.9), attempt(10.0), attempt(30.0, 429), attempt(69.9, None), attempt(70.0)]
    assert used_share(attempts, MINUTE, tokens=False) == 2 / 4
    assert used_share(attempts, MINUTE, tokens=True) == 6 / 4
    assert refused_share(attempts, MINUTE) == pytest.approx(1 / 3)
    assert refused_share([], MINUTE) == 0.0


def test_a_row_tells_the_worst_latency_of_each_repetition_and_all_of_them_in_its_note() -> None:
    case = Case("c", {}, (MINUTE,))
    found = {
        (case.name, latency, seed): Figures({"a minute": used}, {"a minute": 1.0 - used}, failed=seed)
        for seed in range(2)
        for latency, used in zip(LATENCIES, (0.97, 0.91 - 0.02 * seed, 0.95), strict=True)
    }
    used, refused = rows(case, MINUTE, found, 2)
    assert [round(sample, 2) for sample in used.samples] == [0.91, 0.89]
    assert [round(sample, 2) for sample in refused.samples] == [0.09, 0.11]
    assert (used.met, refused.met) == (True, False)
    assert used.note == "0.2 s: 97.00%; log-normal 1 s: 90.00%; 4 s: 95.00%; 3 requests given up"


CASES = [case for cases in (stated, told, never) for case in cases(1.0)]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
@pytest.mark.parametrize("latency", LATENCIES.values(), ids=LATENCIES)
def test_every_case_is_an_endpoint_whose_spans_fit_its_changes(case: Case, latency: dict[str, object]) -> None:
    endpoint = parse(toml({**case.endpoint, "latency": latency, "seed": 3}))
    begins = [change.when.begin for change in endpoint.changes] + [foreign.begin for foreign in endpoint.foreign]
    assert not any(span.begin < begin < span.end for span in case.spans for begin in begins)
    for span in case.spans:
        factor = 0.5 if begins and span.begin > begins[0] else 1.0
        others = sum(60.0 * foreign.rate for foreign in endpoint.foreign if foreign.begin < span.begin)
        assert span.a_minute == endpoint.limits[0].most * factor - others
