"""What a proxy writes down: each attempt before it is sent, each reply before it is used, and what they cost.

The one module of the proxy that knows the engine's ledger. An attempt that was noted and never settled may have been
charged: the proxy was killed, or the client left. Such attempts, and what was spent, are found again by the next start.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from semprop.engine.errors import StorageError, UsageError
from semprop.engine.outcomes import Position
from semprop.engine.training.journal import Journal
from semprop.engine.training.ledger import AT_ONCE, SOON, Ledger, MemoryLedger
from semprop.engine.training.lock import Lock, hold
from semprop.engine.training.reading import FILE_NAME
from semprop.engine.training.runs import Run
from semprop.providers.base import Completion, Request
from semprop.providers.budget import NOTHING, Amount
from semprop.providers.errors import ProviderError

KEPT = 10_000
"""Replies that are kept in memory where there is no store."""

SHOWN = 20
"""Unsettled attempts of earlier starts that statistics list."""

_KIND = "proxy-store"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Lost:
    """Attempts that were noted and never settled, and the most that they cost. `last`: some of them, for people."""

    attempts: int = 0
    amount: Amount = NOTHING
    last: tuple[Mapping[str, Any], ...] = ()

    def document(self) -> dict[str, Any]:
        """For statistics."""
        return {"attempts": self.attempts, "at_most": self.amount.document(), "last": list(self.last)}


@dataclass(frozen=True, slots=True)
class Opening:
    """How books are opened: the number of this start, and what all starts before it spent and lost."""

    start: int = 1
    spent: Amount = NOTHING
    lost: Lost = Lost()


@dataclass(frozen=True, slots=True)
class Entry:
    """An attempt that may be sent."""

    number: int
    key: str
    kept: bool
    position: Position


class Books:
    """The books of one start of a proxy."""

    def __init__(self, ledger: Ledger, opening: Opening = Opening(), lock: Lock | None = None) -> None:
        """
        Args:
            ledger: keeps what is noted.
            opening: what was there before.
            lock: held as long as a store is open. None: the ledger ends with the proxy, so replies that nobody can be
                served again are not kept.
        """
        self.opening = opening
        self._ledger = ledger
        self._lock = lock
        self._durable = lock is not None
        self._attempts = self._open = self._lost = self._failures = 0

    def __repr__(self) -> str:
        return f"Books(start={self.opening.start}, attempts={self._attempts}, open={self._open})"

    def stored(self, key: str) -> Completion | None:
        """The reply of this key, if there is one."""
        try:
            stored = self._ledger.stored(key)
        except StorageError as error:
            self._complain(error)
            return None
        return stored if isinstance(stored, Completion) else None

    async def begin(self, upstream: str, key: str, request: Request, worst: Amount) -> Entry:
        """Note an attempt; when this returns it is durable, and may be sent.

        Raises:
            StorageError: it could not be noted; nothing may be sent.
        """
        self._attempts += 1
        number, start = self._attempts, self.opening.start
        entry = Entry(number, key, self._durable or not request.draw, Position(start, _KIND, str(number)))
        body = {"upstream": upstream, "key": key, "at": time.time(), "worst": worst.document()}
        try:
            self._ledger.decide(start, "sent", str(number), body)
            mark = self._ledger.intend(entry.position, key, upstream, request)
            await self._ledger.reach(mark, SOON if self._open else AT_ONCE)
        except StorageError as error:
            self._complain(error)
            raise
        except BaseException:
            # Its client left while it was being noted: it is not sent.
            self._settle(entry, "unsent", NOTHING)
            raise
        self._open += 1
        return entry

    async def answered(self, entry: Entry, completion: Completion, amount: Amount) -> None:
        """Keep a reply; when this returns it is durable, and may be used. One that cannot be kept is still a reply: it
        is paid for, so it is delivered, counted as not stored, and nothing is sent after it."""
        self._open -= 1
        try:
            self._settle(entry, "answered", amount)
            if entry.kept:
                mark = self._ledger.answer(entry.position, entry.key, completion)
                await self._ledger.reach(mark, SOON if self._open else AT_ONCE)
        except StorageError as error:
            self._complain(error)

    def failed(self, entry: Entry, error: ProviderError, amount: Amount) -> None:
        """Note that an attempt failed, and what it may have cost."""
        self._open -= 1
        try:
            self._settle(entry, error.error_class.value, amount)
        except StorageError as broken:
            self._complain(broken)

    def left(self, entry: Entry) -> None:
        """Nobody waits for the attempt any more. Nothing is noted: it may have been charged."""
        self._open -= 1
        self._lost += 1

    def statistics(self) -> dict[str, object]:
        """Attempts, what of them is not settled now and was given up, and what earlier starts left unsettled."""
        return {
            "start": self.opening.start,
            "attempts": self._attempts,
            "open": self._open,
            "possibly_charged": self._lost,
            "possibly_charged_before": self.opening.lost.document(),
            "store_failures": self._failures,
        }

    async def close(self) -> None:
        """Let go of the storage.

        Raises:
            StorageError: something that was noted could not be written.
        """
        try:
            await self._ledger.close()
        finally:
            if self._lock is not None:
                self._lock.close()

    def _settle(self, entry: Entry, outcome: str, amount: Amount) -> None:
        body = {"outcome": outcome, "amount": amount.document()}
        self._ledger.decide(self.opening.start, "settled", str(entry.number), body)

    def _complain(self, error: StorageError) -> None:
        if not self._failures:
            _log.error("store_failed", reason=str(error))
        self._failures += 1


@dataclass(slots=True)
class _Sums:
    """What one start of a proxy spent, and what it left unsettled."""

    spent: Amount = NOTHING
    unsettled: dict[str, Mapping[str, Any]] = field(default_factory=dict)


async def opened(store: Path | None) -> Books:
    """The books in a directory, which is made if it is not there; None: the last `KEPT` replies in memory.

    Raises:
        UsageError: something else is there, or another proxy uses it.
        StorageError: it cannot be read or written.
    """
    if store is None:
        return Books(MemoryLedger(KEPT))
    found = _holds_replies(store)
    run = Run(store) if found else None
    if run is not None and run.meta("kind") != _KIND:
        raise UsageError(f"{store} holds a run, not the replies of a proxy: name another directory with --store")
    created = None if found else await Journal.create(store, {"kind": _KIND})
    with contextlib.ExitStack() as undo:
        lock = undo.enter_context(contextlib.closing(_locked(store)))
        opening = Opening() if run is None else _opening(run)
        ledger = created or await Journal.reopen(store)
        ledger.decide(opening.start, "opened", "", {"spent": opening.spent.document(), "lost": opening.lost.document()})
        await ledger.flush()
        undo.pop_all()
    if opening.lost.attempts:
        _log.warning("possibly_charged", attempts=opening.lost.attempts, usd_at_most=opening.lost.amount.usd)
    return Books(ledger, opening, lock)


def _opening(run: Run) -> Opening:
    """What the starts before left: the sums of the last one's own opening, and its attempts."""
    openings = run.decisions("opened")
    if not openings:
        return Opening()
    last = openings[-1]
    sums = _Sums(Amount.of(last.body["spent"]))
    for sent in run.decisions("sent", last.step):
        sums.unsettled[sent.name] = sent.body
    for settled in run.decisions("settled", last.step):
        sums.unsettled.pop(settled.name, None)
        sums.spent += Amount.of(settled.body["amount"])
    before = last.body["lost"]
    lost = Amount.of(before["at_most"])
    for body in sums.unsettled.values():
        lost += Amount.of(body["worst"])
        sums.spent += Amount.of(body["worst"])
    shown = (*before["last"], *sums.unsettled.values())[-SHOWN:]
    attempts = before["attempts"] + len(sums.unsettled)
    return Opening(last.step + 1, sums.spent, Lost(attempts, lost, shown))


def _locked(store: Path) -> Lock:
    """The store's lock: what was spent is only known if one proxy spends. The system lets go of it with the process."""
    try:
        return hold(store)
    except UsageError as error:
        raise UsageError(
            f"another proxy uses {store}: give each its own --store, or one proxy several upstreams ({error})"
        ) from error


def _holds_replies(store: Path) -> bool:
    found = (store / FILE_NAME).is_file()
    if not found and store.exists():
        raise UsageError(f"{store} is there and holds no replies: name a directory that is not there yet")
    return found
