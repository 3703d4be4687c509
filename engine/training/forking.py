"""Where else a request may be answered from: the journal of a run that this one is a fork of, then the shared cache."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Self

from semprop.engine.errors import StorageError
from semprop.engine.outcomes import Outcome, outcome_of
from semprop.engine.training.bodies import unpacked
from semprop.engine.training.cache import Shared, key_in
from semprop.engine.training.groups import Entries
from semprop.engine.training.keys import Keys
from semprop.engine.training.reading import opened
from semprop.engine.training.runs import Run


class Forked:
    """The replies of another run, by key; open while its block runs. Nothing is written to it."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._seed: int = run.specification["seed"]
        self._keys = Keys()
        self._connection: sqlite3.Connection | None = None

    async def __aenter__(self) -> Self:
        try:
            self._connection = opened(self._run.path)
            self._entries = Entries(self._connection)
            self._keys.extend(self._connection.execute("SELECT key, id FROM outcomes WHERE usable ORDER BY id"))
        except sqlite3.Error as error:
            raise StorageError(f"the journal in {self._run.path} cannot be read: {error}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection, self._connection = self._connection, None
        self._keys.close()
        if connection is not None:
            connection.close()

    @asynccontextmanager
    async def claim(self, key: str) -> AsyncIterator[Outcome | None]:
        """The outcome of a key in the other run."""
        yield self._find(key)

    async def keep(self, key: str, outcome: Outcome) -> None:
        """Another run is not written to."""

    def _find(self, shared: str) -> Outcome | None:
        key = key_in(shared, self._seed)
        place = None if key is None else self._keys.find(key)
        if place is None or self._connection is None:
            return None
        try:
            entry = self._entries.find(place)
        except sqlite3.Error as error:
            raise StorageError(f"the journal in {self._run.path} cannot be read: {error}") from error
        if entry is None or entry.key != key or entry.body is None:
            return None
        return outcome_of(unpacked(entry.body))


class Chained:
    """Several sources, asked in their order; all of them keep what comes."""

    def __init__(self, sources: Sequence[Shared]) -> None:
        self._sources = tuple(sources)

    @asynccontextmanager
    async def claim(self, key: str) -> AsyncIterator[Outcome | None]:
        """The outcome in the first source that has it; claimed in all that were asked."""
        async with AsyncExitStack() as stack:
            found: Outcome | None = None
            for source in self._sources:
                found = await stack.enter_async_context(source.claim(key))
                if found is not None:
                    break
            yield found

    async def keep(self, key: str, outcome: Outcome) -> None:
        """Keep an outcome in all sources."""
        for source in self._sources:
            await source.keep(key, outcome)


def chained(sources: Sequence[Shared]) -> Shared | None:
    """One source of several; None of none."""
    return Chained(sources) if len(sources) > 1 else next(iter(sources), None)
