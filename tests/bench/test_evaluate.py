"""Evaluation: one set of parameters, the test split alone, a figure with its interval."""

from __future__ import annotations

from typing import Any

import pytest
import worlds

from semprop.bench.evaluate import evaluate
from semprop.engine import Answer, CaseFolded, Custom, Event, Example, Score, SpecificationError
from semprop.engine.parameters import Parameters
from semprop.engine.statistics import wilson
from semprop.providers import Capabilities, Choices, Request, Scripted, StopError, Usage
from semprop.providers.errors import ErrorClass, ProviderFailure


def specification(test: int = 12, **changes: Any) -> Any:
    return worlds.specification(splits=worlds.splits(test=test), **changes)


def good() -> Parameters:
    return Parameters(dict(worlds.graph().initial.replaced({"s": worlds.GOOD})))


async def test_it_scores_the_parameters_that_the_specification_starts_from() -> None:
    before, after = await evaluate(specification()), await evaluate(specification(start=good()))
    assert (before.score, after.score, after.n, after.missing) == (0.0, 1.0, 12, 0)
    assert after.interval == wilson(12, 12)
    assert after.method == "Wilson's score interval"


async def test_only_forward_calls_are_made_and_only_on_the_test_split() -> None:
    provider = worlds.scripted()
    evaluation = await evaluate(specification(providers={"forward": provider}))
    assert all(worlds.is_forward(request) for request in provider.requests)
    assert evaluation.telemetry["calls"] == {"test": len(provider.requests)}
    asked = {request.messages[-1].text.splitlines()[0] for request in provider.requests}
    learned = worlds.splits(test=12)
    assert not any(example.inputs["question"] in asked for example in (*learned.train, *learned.gate))


async def test_graded_scores_get_a_bootstrap_interval_inside_the_unit() -> None:
    def graded(example: Example, answer: str) -> float:
        return int(example.id.removeprefix("e")) % 3 / 2

    evaluation = await evaluate(specification(loss=Custom("graded", graded, pure=True)))
    assert evaluation.method == "BCa bootstrap interval"
    assert 0.0 <= evaluation.interval.low < evaluation.score < evaluation.interval.high <= 1.0


async def test_what_a_provider_failed_on_is_asked_once_more_and_else_left_out() -> None:
    asked: dict[str, int] = {}

    def flaky(request: Request) -> str | Exception:
        text = request.messages[-1].text
        asked[text] = asked.get(text, 0) + 1
        if "What is 17 " in text or ("What is 18 " in text and asked[text] == 1):
            return ProviderFailure("down", ErrorClass.TRANSIENT)
        return worlds.solve(request)

    changes: dict[str, Any] = {"graph": worlds.graph(hints=0), "start": Parameters({"s": worlds.GOOD})}
    evaluation = await evaluate(specification(providers={"forward": Scripted(flaky)}, **changes))
    assert (evaluation.n, evaluation.missing, evaluation.score) == (11, 1, 1.0)


async def test_without_a_single_score_there_is_no_figure() -> None:
    provider = Scripted(lambda request: ProviderFailure("down", ErrorClass.TRANSIENT))
    with pytest.raises(StopError, match="none of 2 examples could be scored; the first failure said: down"):
        await evaluate(specification(test=2, providers={"forward": provider}, graph=worlds.graph(hints=0)))


async def test_an_empty_test_split_is_refused() -> None:
    with pytest.raises(SpecificationError, match="the test split is empty"):
        await evaluate(specification(test=0))


async def test_constrained_scores_stand_beside_the_strict_ones_where_the_provider_can() -> None:
    def shout(request: Request) -> str:
        held = isinstance(request.schema, Choices)
        return "25" if held else "It is 25."

    labels = ("25", "28")
    able = Scripted(shout, capabilities=Capabilities(choices=True))
    changes: dict[str, Any] = {"loss": CaseFolded(), "labels": labels, "graph": worlds.graph(hints=0)}
    evaluation = await evaluate(specification(test=2, providers={"forward": able}, **changes))
    assert evaluation.score == 0.0
    assert evaluation.lenient is not None
    assert evaluation.constrained is not None
    unable = Scripted(shout, capabilities=Capabilities(choices=False))
    assert (await evaluate(specification(test=2, providers={"forward": unable}, **changes))).constrained is None


async def test_a_lenient_score_needs_a_loss_that_reads_leniently() -> None:
    def strict(example: Example, answer: str) -> Score:
        return Score(1.0)

    assert (await evaluate(specification(loss=Custom("strict", strict)))).lenient is None
    assert Answer("x").reply == ""


async def test_observers_see_every_item_and_prices_are_counted() -> None:
    seen: list[Event] = []

    def price(role: str, usage: Usage) -> float | None:
        return 0.5

    evaluation = await evaluate(specification(), observers=[seen.append], price=price)
    assert sum(type(event).__name__ == "ItemDone" for event in seen) == 12
    assert evaluation.telemetry["cost"]["usd"] == 0.5 * sum(evaluation.telemetry["calls"].values())


async def test_the_document_is_the_same_for_one_and_many_in_flight() -> None:
    documents = [(await evaluate(specification(in_flight=bound))).document()["result"] for bound in (1, 64)]
    assert documents[0] == documents[1]
