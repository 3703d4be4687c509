"""What a load asks: prompts of a given size, a recorded run's own requests, or a task's examples through its graph.

A unit of work is a coroutine function of a provider; whoever runs it watches the calls that it makes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semprop.bench.task import Task
from semprop.engine.errors import SpecificationError, UsageError
from semprop.engine.example import Example
from semprop.engine.method import Scored
from semprop.engine.outcomes import Position
from semprop.engine.parameters import Parameters
from semprop.engine.passes.forward import wiring
from semprop.engine.scheduler import group
from semprop.engine.training.driver import Stage
from semprop.engine.training.program import Direct, NoAnswer
from semprop.engine.training.runs import Run
from semprop.providers.base import Choices, Constraint, JsonSchema, Message, Provider, Request, Sampling
from semprop.providers.errors import ItemError

WORDS = "the quick brown fox jumps over the lazy dog while seven wizards judge my vow "

Work = Callable[[Provider], Awaitable[float | None]]
"""Does a unit; its score, or None where there is none."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A unit of work that can be done again: the item that it is about, and how it is done."""

    item: str
    work: Work


@dataclass(frozen=True, slots=True)
class Workload:
    """Pieces of work, taken in turn and from the beginning again; `scored` where they have a loss."""

    name: str
    pieces: tuple[Piece, ...]
    scored: bool = False

    def piece(self, number: int) -> Piece:
        """The number-th piece."""
        return self.pieces[number % len(self.pieces)]


def prompts(prompt_bytes: int, max_tokens: int, distinct: int) -> Workload:
    """Prompts of so many bytes that differ in their first words, so that no cache of a prefix serves them."""
    pieces = []
    for number in range(distinct):
        text = f"Question {number}. Answer in {max_tokens} words or fewer. {WORDS * (prompt_bytes // len(WORDS) + 1)}"
        request = Request((Message.of("user", text[:prompt_bytes]),), Sampling(max_tokens=max_tokens))
        pieces.append(Piece(f"prompt-{number}", _asking(request)))
    return Workload(f"prompts of {prompt_bytes} bytes, at most {max_tokens} tokens", tuple(pieces))


def recorded(path: Path) -> Workload:
    """The requests that a run sent to its forward role, as they were sent.

    Raises:
        UsageError: it recorded none.
        StorageError: it cannot be read.
    """
    pieces = [
        Piece(exchange.position, _asking(_request_of(exchange.request)))
        for exchange in Run(path).exchanges()
        if exchange.role == "forward" and exchange.request
    ]
    if not pieces:
        raise UsageError(f"the run {path} recorded no request of its forward role: name another run")
    return Workload(f"the requests of {path.name}", tuple(pieces))


def task_work(task: Task, parameters: Parameters, examples: tuple[Example, ...]) -> Workload:
    """Each example once through the task's graph and its loss.

    Raises:
        SpecificationError: there is no example.
    """
    if not examples:
        raise SpecificationError(f"the task {task.name} has no example to ask: give `examples` of 1 or more")
    wired = wiring(task.graph)

    def piece(example: Example) -> Piece:
        async def work(provider: Provider) -> float | None:
            stage = Stage(wired, task.loss, Direct({"forward": provider}), 1)
            try:
                async with group() as start:
                    found = await stage.score(parameters, example, Position(0, "benchmark"), start)
            except NoAnswer:
                return None
            # A provider's failure is no score (law L3); the calls that failed are counted where they are watched.
            return found.score.value if isinstance(found, Scored) else None

        return Piece(example.id, work)

    return Workload(f"task {task.name}, n = {len(examples)}", tuple(map(piece, examples)), scored=True)


def _asking(request: Request) -> Work:
    async def work(provider: Provider) -> float | None:
        try:
            await provider.complete(request)
        except ItemError:
            # Whoever watches the calls has counted it; the load goes on.
            return None
        return None

    return work


def _request_of(document: dict[str, Any]) -> Request:
    """A request out of a journal's document."""
    sampling = dict(document["sampling"])
    sampling["stop"] = tuple(sampling["stop"])
    messages = tuple(Message.of(turn["role"], turn["content"]) for turn in document["messages"])
    return Request(messages, Sampling(**sampling), _constraint_of(document["constraint"]))


def _constraint_of(document: dict[str, Any] | None) -> Constraint | None:
    match document:
        case {"choices": list(options)}:
            return Choices(tuple(options))
        case {"name": str(name), "schema": dict() as schema}:
            return JsonSchema.of(name, schema)
    return None
