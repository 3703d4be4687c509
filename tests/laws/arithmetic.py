"""A small world for the laws: additions, answered by rules that fail in every way a model or an endpoint can.

Every answer is a function of the request alone, so that runs of the same specification see the same outcomes however
they are scheduled. Run as a script, it prints what a run decided (for tests that vary the interpreter).
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from semprop.engine import (
    Example,
    Function,
    Graph,
    Model,
    Numeric,
    Parameter,
    ReplyFormat,
    Result,
    Specification,
    Splits,
    Step,
    Trainer,
    semantic,
)
from semprop.engine.method import Selection
from semprop.engine.prompts.forward import forward_request
from semprop.engine.tape import Tape
from semprop.providers import Scripted, VirtualClock
from semprop.providers.base import Completion, JsonSchema, Request, Stop, content_key
from semprop.providers.errors import ErrorClass, ItemError, ProviderFailure

GOOD = "Add the numbers and give the sum."


def numbers_of(question: str) -> str:
    """The numbers of a question, each on a line of its own."""
    return "\n".join(re.findall(r"\d+", question))


GRAPH = Graph(
    inputs=("question",),
    parameters=[
        Parameter("hint_told", "Work out a step."),
        Parameter("second_told", "Work out a step."),
        Parameter("solve_told", "Solve the problem."),
    ],
    nodes=[
        Function("numbers", numbers_of, ("question",)),
        Model("hint", "hint_told", ("question",)),
        Model("second", "second_told", ("question", "numbers")),
        Model("answer", "solve_told", ("question", "hint", "second"), reply=ReplyFormat.TAGGED),
    ],
    output="answer",
)


def example(index: int) -> Example:
    return Example(f"e{index}", {"question": f"What is {index} plus {2 * index + 1}?"}, str(3 * index + 1))


def examples(first: int, count: int) -> tuple[Example, ...]:
    return tuple(map(example, range(first, first + count)))


def digest(request: Request) -> int:
    return int(content_key("arithmetic", request), 16)


def lucky(request: Request) -> Any:
    """The rules, with failures of all kinds."""
    match digest(request) % 29:
        case 0:
            return ProviderFailure("the endpoint is down", ErrorClass.TRANSIENT)
        case 1:
            return ItemError("the prompt was filtered", ErrorClass.FILTER)
        case 2:
            return Completion("I would rather", Stop.REFUSAL)
        case 3:
            return Completion("To begin with, let us", Stop.LENGTH)
        case 4:
            return "no form at all"
        case _:
            return honest(request)


def honest(request: Request) -> str:
    """The rules, without failures."""
    luck = digest(request) // 29
    if isinstance(request.schema, JsonSchema):
        keys = list(json.loads(request.schema.document)["properties"])
        proposals = [key for key in keys if key.startswith("proposal_")]
        if proposals:
            texts = [GOOD if (luck + n) % 3 else f"Be careful, way {luck % 97 + n}." for n, _ in enumerate(proposals)]
            return json.dumps({"reasoning": "", **dict(zip(proposals, texts, strict=True))})
        verdicts = [{"verdict": "keep", "advice": ""}, {"verdict": "change", "advice": f"say more of {luck % 10}"}]
        return json.dumps({key: verdicts[(luck >> place) % 2] for place, key in enumerate(keys)})
    told, asked = request.messages[0].text, request.messages[1].text
    first, second = (int(part) for part in re.findall(r"(\d+) plus (\d+)", asked)[0])
    if "<answer>" not in told:
        return f"Add {first} to {second}" if "sum" in told else f"Think of {luck % 7}"
    knows = "sum" in told or luck % 4 == 0
    return f"It is <answer>{first + second if knows else luck % 50}</answer>"


def shuffled_latency(seed: int) -> Callable[[Request], float]:
    """A latency that depends on the request and on nothing that a run can see."""
    return lambda request: 1.0 + int(content_key(f"latency {seed}", request), 16) % 1000 / 100


def provider(script: Any = lucky, latency: int | None = None) -> Scripted:
    if latency is None:
        return Scripted(script)
    return Scripted(script, latency=shuffled_latency(latency), clock=VirtualClock())


def specification(scripted: Scripted, **changes: Any) -> Specification:
    given: dict[str, Any] = {
        "graph": GRAPH,
        "loss": Numeric(),
        "splits": Splits(examples(0, 14), examples(20, 14), examples(40, 10)),
        "method": semantic(selection=Selection(solved=1)),
        "providers": {"forward": scripted},
        "steps": 3,
        "minibatch": 7,
        "examples_per_gradient": 3,
        "candidates": 2,
        "lookahead": 3,
        "keep_rejected": True,
        "seed": 1,
    }
    return Specification(**{**given, **changes})


async def ran(spec: Specification, *, resume: bool = False) -> tuple[Result, list[Step]]:
    async with Trainer(spec, resume=resume) as trainer:
        steps = [step async for step in trainer]
        return await trainer.report(), steps


def prompts_of(tape: Tape) -> list[Request]:
    """The first request of every model node on a tape."""
    return [
        forward_request(record.node, record.slots, tape.example.id, f"{record.name}|{tape.example.id}")
        for record in tape.records
        if isinstance(record.node, Model)
    ]


def used_prompts(steps: list[Step]) -> list[str]:
    """The forward prompts that selections used, as text."""
    return [
        repr(replace(request)) for step in steps for entry in step.selected.scored for request in prompts_of(entry.tape)
    ]


def decided(result: Result, steps: list[Step]) -> str:
    """All that a run decided, as one text."""
    document = json.dumps(result.document()["result"])
    return "\n".join([document, *used_prompts(steps), *map(repr, (step.proposals for step in steps))])


if __name__ == "__main__":
    print(f"\n{decided(*asyncio.run(ran(specification(provider(latency=5), in_flight=8))))}")  # noqa: T201
