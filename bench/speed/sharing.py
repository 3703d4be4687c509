"""Sharing: equal requests at once are one attempt, and random draws share nothing. Counted in the mock endpoint's
ledger, through the forward pass of a trainer's step.
"""

from __future__ import annotations

from collections.abc import Sequence

from semprop.bench.speed.mock import Mock, mock
from semprop.bench.speed.reuse import proposing
from semprop.bench.speed.rows import Measure, Row, Settings, at_least, at_most
from semprop.engine import Exact, Example, Graph, Model, Parameter, Specification, Splits, Trainer
from semprop.providers import Sampling, connect
from semprop.providers.base import Provider

TEMPERATURES = {"temperature 0": 0.0, "temperature 0.8": 0.8}


def specification(provider: Provider, temperature: float, count: int) -> Specification:
    """A step that asks so many examples the same question, all at once, and then has nothing to propose."""
    return Specification(
        graph=Graph(
            inputs=("question",),
            parameters=[Parameter("told", "Answer with a town.")],
            nodes=[Model("answer", "told", ("question",), sampling=Sampling(temperature=temperature))],
            output="answer",
        ),
        loss=Exact(),
        splits=Splits(
            tuple(Example(f"e{number}", {"question": "Which town is it?"}, "Alder") for number in range(count)),
            (Example("gate", {"question": "And which river?"}, "Ouse"),),
            (),
        ),
        method=proposing([]),
        providers={"forward": provider},
        steps=1,
        minibatch=count,
        examples_per_gradient=None,
        in_flight=count,
    )


async def attempts(endpoint: Mock, temperature: float, count: int) -> int:
    """The attempts of a step that asks so many equal requests at once."""
    await endpoint.reset()
    # Sockets are bounded, the requests that the engine has open are not.
    provider = connect(f"openai:any@{endpoint.url}", in_flight=64)
    async with Trainer(specification(provider, temperature, count)) as trainer:
        step = await anext(trainer)
    assert len(step.selected.scored) == count, "every example has its answer"
    return len(await endpoint.ledger())


async def sharing(settings: Settings) -> Sequence[Row]:
    """Attempts for 1,000 equal requests at once, greedy and at random."""
    count = settings.sized(1_000, 20)
    rows = []
    async with mock({"latency": {"first": 0.05}, "reply": {"text": "Alder"}}, settings) as endpoint:
        for name, temperature in TEMPERATURES.items():
            samples = [await attempts(endpoint, temperature, count) for _ in range(settings.repetitions)]
            rows.append(
                Row(
                    what=f"{count} equal requests at once, {name}: attempts",
                    samples=samples,
                    bar=at_least(count) if temperature else at_most(1),
                    beside="the ledger",
                    note="each is a draw of its own (law L2)" if temperature else "",
                )
            )
    return rows


MEASURES: dict[str, Measure] = {"sharing": sharing}
