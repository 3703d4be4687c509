"""A batch service for tests: in memory, in virtual time, killed wherever a test wants it to be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from semprop.providers.base import Admission, Completion, Message, Note, Request, Sampling, content_key
from semprop.providers.batches.calls import Calls
from semprop.providers.batches.notes import Draft
from semprop.providers.batches.provider import Batches
from semprop.providers.batches.service import End, Found, Line, Row, State, Status
from semprop.providers.batches.submitting import Outside
from semprop.providers.batches.terms import BatchTerms
from semprop.providers.connection import HttpSettings
from semprop.providers.scripted import VirtualClock
from semprop.providers.transport import Transport
from semprop.providers.wire.classify import Origin, Reply
from semprop.providers.wire.openai import OpenAIFormat

WHO = "openai:m@http://localhost"
TERMS = BatchTerms(first=10.0, most=100.0, gather=1.0, settle=60.0)
WIRE = OpenAIFormat("m", Origin(WHO, dialect="openai"))


class Killed(Exception):
    """The process is gone."""


def asked(text: str, **sampling: Any) -> Request:
    return Request(
        (Message.of("user", text),), Sampling(**({"max_tokens": 9} | sampling)), admission=Admission(patient=True)
    )


def key_of(text: str) -> str:
    return content_key(WHO, asked(text))


def answer(text: str) -> Reply:
    """What a chat endpoint says."""
    body = {
        "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    }
    return Reply(200, {}, orjson.dumps(body))


def echoed(line: Line) -> Row:
    """An answer that repeats the request's text."""
    text = orjson.loads(line.body)["messages"][0]["content"]
    return Row(line.custom_id, End.ANSWERED, answer(f"re: {text}"))


@dataclass
class Held:
    """A batch at the service."""

    name: str
    tag: str
    lines: tuple[Line, ...]
    made: float
    files: str | None


@dataclass
class Service:
    """Everything that outlives a process: batches, files, notes. `steps` are counted over every effect; at `killed_at`
    the process dies, before the effect if `before`, else after it."""

    clock: VirtualClock
    takes: float = 25.0
    rows: Callable[[Held], Sequence[Row]] = lambda held: [echoed(line) for line in reversed(held.lines)]
    has_files: bool = True
    has_tags: bool = True
    listed_after: float = 0.0
    most_rows: int = 1000
    most_bytes: int = 10**9
    killed_at: int | None = None
    before: bool = False
    steps: int = 0
    held: dict[str, Held] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)
    looks: list[float] = field(default_factory=list)
    refusals: list[Exception] = field(default_factory=list)
    word: str = "completed"
    is_dead: bool = False
    prefix: str = "0"
    deleted: int = 0

    async def effect(self, do: Callable[[], Any]) -> Any:
        """Something that lasts."""
        await self.alive()
        self.steps += 1
        is_last = self.steps == self.killed_at
        done = None if is_last and self.before else do()
        self.is_dead = self.is_dead or is_last
        await self.alive()
        return done

    async def alive(self) -> None:
        """Takes a moment; nobody does anything any more once the process is gone."""
        if not self.is_dead:
            await self.clock.sleep(0.01)
        if self.is_dead:
            raise Killed

    # Notes

    def noted(self) -> Sequence[Note]:
        return tuple(self.notes)

    def settled(self) -> Mapping[str, int]:
        return dict(self.outcomes)

    async def note(self, name: str, document: Mapping[str, Any]) -> int:
        def keep() -> int:
            self.notes.append(Note(len(self.notes) + len(self.outcomes) + 1, orjson.loads(orjson.dumps(document))))
            return self.notes[-1].place

        return int(await self.effect(keep))

    # Service

    async def upload(self, draft: Draft, lines: Sequence[Line]) -> str | None:
        if not self.has_files:
            return None

        def keep() -> str:
            name = f"file-{len(self.files) + self.deleted}"
            self.files[name] = draft.tag
            return name

        return str(await self.effect(keep))

    async def create(self, draft: Draft, lines: Sequence[Line]) -> Status:
        if self.refusals:
            raise self.refusals.pop(0)
        assert draft.file is None or draft.file in self.files

        def keep() -> Status:
            name = f"batch-{len(self.held)}"
            self.held[name] = Held(name, draft.tag, tuple(lines), self.clock.now(), draft.file)
            return self._status(self.held[name])

        found: Status = await self.effect(keep)
        return found

    async def find(self, draft: Draft, others: Collection[str]) -> Found:
        await self.alive()
        if self.has_files and draft.file is None:
            return Found(None, is_none=True)
        unsure = False
        for held in self.held.values():
            if held.name in others or self.clock.now() - held.made < self.listed_after:
                continue
            if not self.has_tags and self._status(held).state is State.RUNNING:
                unsure = True
            elif held.tag == draft.tag:
                return Found(self._status(held))
        return Found(None, unsure)

    async def discard(self, draft: Draft) -> None:
        await self.alive()
        for name in [name for name, tag in self.files.items() if tag == draft.tag]:
            del self.files[name]
            self.deleted += 1

    async def status(self, name: str) -> Status:
        self.looks.append(self.clock.now())
        await self.alive()
        return self._status(self.held[name])

    async def results(self, status: Status, take: Callable[[Row], None]) -> None:
        for row in self.rows(self.held[status.id]):
            await self.effect(lambda row=row: take(row))

    async def cancel(self, name: str) -> Status:
        return self._status(self.held[name])

    def _status(self, held: Held) -> Status:
        over = self.clock.now() - held.made >= self.takes
        total = len(held.lines)
        return Status(
            held.name,
            State.OVER if over else State.RUNNING,
            self.word if over else "in_progress",
            total if over else 0,
            total,
        )


def connected(service: Service, terms: BatchTerms = TERMS) -> Batches:
    """A process that uses the service, and goes on with its notes."""
    names = iter(f"{service.prefix}{number:015x}" for number in range(1000 * service.steps, 10**9))
    outside = Outside(service.clock, lambda: 1e9 + service.clock.now(), lambda: next(names))
    calls = Calls(HttpSettings("http://localhost", WHO), WIRE, Transport())
    batches = Batches(service, calls, WIRE, WHO, terms, outside)
    batches.keep(service)
    return batches


async def together(batches: Batches, texts: Sequence[str], service: Service | None = None) -> list[Any]:
    """Ask for all at once; replies or errors, in the order of the texts. With a service, replies are put on record."""

    async def one(text: str) -> Completion:
        completion = await batches.complete(asked(text), key_of(text))
        if service is not None:
            place = len(service.notes) + len(service.outcomes) + 1
            await service.effect(lambda: service.outcomes.__setitem__(key_of(text), place))
        return completion

    async def told() -> None:
        for _ in range(8):
            await asyncio.sleep(0)
        batches.quiescent()

    results = await asyncio.gather(told(), *(one(text) for text in texts), return_exceptions=True)
    if any(isinstance(result, Killed) for result in results):
        raise Killed
    return list(results[1:])


def submissions(service: Service) -> dict[str, int]:
    """Key → in how many batches at the service it stands."""
    counts: dict[str, int] = {}
    for held in service.held.values():
        for line in held.lines:
            key = line.custom_id.partition("-")[2]
            counts[key] = counts.get(key, 0) + 1
    return counts
