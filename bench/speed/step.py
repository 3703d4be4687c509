"""One step of an optimization, by the clock: over its critical path and the bare loop's time for its calls.

The step is a `Trainer`'s, with a journal: forward of N examples, backward of all N (all are wrong), an update of three
parameters, and the strict gate on N other examples for both sides. The graph has three nodes: `left` and `right` read
texts of their own, `join` reads what both wrote. Nothing is cancelled and nothing is reused: every example has a case
number that every prompt shows, and, all scores being 0, the gate is not decided before its last item.

    ratio = wall / (D · L + C · t)

    D   dependent calls in a row: 2 forward (left or right, then join), 1 backward (join's; what the others read cannot
        be trained, so they need no call), 1 update (the three are asked side by side), 2 in the gate: 6
    L   latency of the endpoint in seconds, as configured
    C   attempts in the endpoint's ledger
    t   processor time of one call of the bare loop, with bodies of the same mean size, as many calls and as many in
        flight; by the clock it would be longer, and the bar lower

An endpoint that answers a fixed text serves all roles: the text is an answer, advice to both inputs, and a proposal.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import orjson

from semprop.bench.speed.bare import Body, Spent, Stopwatch, bare_loop
from semprop.bench.speed.bodies import prose
from semprop.bench.speed.cost import Tally, timed
from semprop.bench.speed.mock import Attempt, Mock, mock
from semprop.bench.speed.rows import Measure, Row, Settings, at_most
from semprop.engine import (
    Exact,
    Example,
    Graph,
    Model,
    Parameter,
    Specification,
    Splits,
    Trainer,
    semantic,
)
from semprop.engine.errors import RunError
from semprop.engine.methods.rewrite import Raced, RewriteUpdate
from semprop.engine.training.step import Step
from semprop.providers import connect

LATENCY = 0.2
EXAMPLES = 256
CHAIN = 2 + 1 + 1 + 2
"""Dependent calls of a step in a row: forward, backward, update, gate."""

NAMES = ("left", "right", "join")

GRAPH = Graph(
    inputs=("case", "this", "that"),
    parameters=[Parameter(f"{name}-instruction", f"Do the {name} part of the work.") for name in NAMES],
    nodes=[
        Model("left", instruction="left-instruction", inputs=("case", "this")),
        Model("right", instruction="right-instruction", inputs=("case", "that")),
        Model("join", instruction="join-instruction", inputs=("case", "left", "right")),
    ],
    output="join",
)

_ADVICE = {"verdict": "change", "advice": prose(5, 400)}

REPLY = orjson.dumps(
    {"reasoning": prose(6, 500), "left": _ADVICE, "right": _ADVICE, "proposal_1": "Do this part with more care."}
).decode()
"""1.4 kB, so that the prompts of all three nodes have about 3 kB."""

BYTES_PER_TOKEN = 4
"""Of the mock endpoint's count."""


def calls_of(examples: int) -> int:
    """Calls of a step without reuse: three nodes forward, one backward, three updates, three nodes on both sides."""
    return 3 * examples + examples + 3 + 2 * 3 * examples


def places(examples: int) -> int:
    """The most requests at once: in the gate, two nodes on both sides."""
    return 2 * 2 * examples


def ideal(latency: float, calls: int, per_call: float) -> float:
    """Seconds that a step takes at best: its chain of dependent calls, and the bare loop's work for all of them."""
    return CHAIN * latency + calls * per_call


@dataclass(frozen=True, slots=True)
class Taken:
    """A step that was carried out: what it cost, and its attempts."""

    spent: Spent
    attempts: Sequence[Attempt]

    @property
    def input_bytes(self) -> float:
        """Mean bytes of a prompt."""
        return BYTES_PER_TOKEN * sum(entry.input for entry in self.attempts) / len(self.attempts)


async def step(settings: Settings) -> list[Row]:
    """One step of 256 examples over a three-node graph, an endpoint of 0.2 s, no limits."""
    examples = settings.sized(EXAMPLES, 2)
    calls = calls_of(examples)
    tally = Tally()
    config = {"latency": {"first": LATENCY}, "reply": {"text": REPLY}}
    async with mock(config, settings) as endpoint:
        for number in range(settings.repetitions):
            taken = await _taken(endpoint, examples, number)
            body = body_of(round(taken.input_bytes))
            spent = await timed(partial(bare_loop, endpoint.url, body, calls, places(examples)))
            tally.add("bare", spent.cpu_per_call)
            tally.add("wall", taken.spent.wall)
            tally.add("cpu", taken.spent.cpu_per_call)
            tally.add("served", median(entry.seconds for entry in taken.attempts))
            tally.add("ratio", taken.spent.wall / ideal(LATENCY, len(taken.attempts), spent.cpu_per_call))
    return [
        Row(
            what=f"one step, N = {examples}, 3-node graph, {LATENCY:g} s latency, no limits, journal: wall over "
            "(critical path + calls × the bare loop's time per call)",
            samples=tally["ratio"],
            bar=at_most(1.25),
            beside=f"{CHAIN} × {LATENCY:g} s + {calls:,} calls × {tally.micro('bare')}",
            note=f"Calls are the ledger's attempts: {calls:,} = 3N forward, N backward, 3 update, 6N gate. The bare "
            "loop's time is processor time, the smaller one. Latency as served at the median: "
            f"{median(tally['served']):.3f} s.",
        ),
        Row(
            what=f"the same step, N = {examples}, by the clock",
            samples=tally["wall"],
            unit="s",
            note=f"The step's own processor time: {tally.micro('cpu')} a call.",
        ),
    ]


async def _taken(endpoint: Mock, examples: int, number: int) -> Taken:
    """One step, with a run and examples of its own."""
    await endpoint.reset()
    with tempfile.TemporaryDirectory(prefix="semprop-bench-") as directory:
        spec = specification(endpoint.url, examples, number, Path(directory) / "run")
        async with Trainer(spec) as trainer:
            watch = Stopwatch()
            done = await anext(trainer)
            spent = watch.spent(calls_of(examples))
    attempts = await endpoint.ledger()
    check(done, attempts, examples)
    return Taken(spent, attempts)


def specification(url: str, examples: int, number: int, run: Path) -> Specification:
    """A run of one step in which nothing is wrong but everything is scored 0."""
    train, gate = (tuple(_example(split, number, index) for index in range(examples)) for split in ("train", "gate"))
    return Specification(
        graph=GRAPH,
        loss=Exact(),
        splits=Splits(train, gate),
        method=semantic(update=RewriteUpdate(raced=Raced.TOGETHER)),
        providers={"forward": connect(f"openai:any@{url}", in_flight=places(examples))},
        steps=1,
        minibatch=examples,
        examples_per_gradient=None,
        lookahead=examples,
        in_flight=places(examples),
        run=run,
    )


def _example(split: str, number: int, index: int) -> Example:
    case = f"{split} {number} {index}"
    return Example(f"{split}-{index}", {"case": case, "this": _THIS, "that": _THAT}, "no reply is this")


_THIS, _THAT = prose(3), prose(4)


def check(done: Step, attempts: Sequence[Attempt], examples: int) -> None:
    """Make sure that the step did all of its work, once.

    Raises:
        RunError: it did less or more; its figure would be no claim.
    """
    verdict = done.verdict
    found = (len(done.selected.wrong), len(done.gradients), 0 if verdict is None else verdict.n, len(attempts))
    wanted = (examples, examples, examples, calls_of(examples))
    changed = [len(entry.edits) for entry in done.proposals.candidates]
    unanswered = sum(not entry.is_answered for entry in attempts)
    if found != wanted or changed != [3] or unanswered:
        raise RunError(
            f"the step did not do its whole work: wrong, backward, gate items and attempts are {found} in place of "
            f"{wanted}, edits {changed} in place of [3], unanswered attempts {unanswered}"
        )


def body_of(size: int) -> Body:
    """Bodies for the bare loop with prompts of so many bytes."""
    text = prose(7, size)

    def body(number: int) -> object:
        messages = [
            {"role": "system", "content": "Do this part of the work."},
            {"role": "user", "content": f"{number} {text}"},
        ]
        return {"model": "any", "messages": messages, "temperature": 0.0}

    return body


MEASURES: Mapping[str, Measure] = {"step": step}
