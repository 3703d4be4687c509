"""What lets attempts go on the wire: counts them, keeps to a budget, can be shut; one for all providers of a run.

The innermost layer, inside of the limits: each attempt passes it, retries and hedges too. Once it is shut nothing more
is sent; what is on the wire may still come back (`drained`), and what would have been sent is held for ever: whoever
shut the valve ends the run. A budget that is spent shuts it, so what is under way is not lost.
"""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import structlog

from semprop.providers.base import Completion, Lost, Request, Sent
from semprop.providers.budget import NOTHING, Amount, BudgetSpent, Caps, Purse, failed, settled, worst_case
from semprop.providers.errors import ErrorClass, ProviderError, StopError
from semprop.providers.layers import Price, Send
from semprop.providers.pictures import UNTOLD, Pictures

LOW = 0.8
"""Share of a budget from which its end is announced."""

_log = structlog.get_logger(__name__)


class Valve:
    """One for all providers that a budget covers, in one event loop at a time."""

    def __init__(self, caps: Caps = Caps(), spent: Amount = NOTHING) -> None:
        """
        Args:
            caps: the most that may be spent.
            spent: what was spent before, and counts.
        """
        self.purse = Purse(caps, spent)
        self.on_wire = 0
        self.held = 0
        self.reason: BudgetSpent | None = None
        self._shut = anyio.Event()
        self._drained = anyio.Event()
        self._warned = False

    def __repr__(self) -> str:
        state = "shut" if self.is_shut else "open"
        return f"Valve({state}, on_wire={self.on_wire}, held={self.held}, {self.purse!r})"

    @property
    def is_shut(self) -> bool:
        """Whether nothing more is sent."""
        return self._shut.is_set()

    def shut(self, reason: BudgetSpent | None = None) -> None:
        """Let nothing more pass. The first reason counts."""
        if self.is_shut:
            return
        self.reason = reason
        self._shut.set()
        if not self.on_wire:
            self._drained.set()

    async def until_shut(self) -> None:
        """Return once it is shut."""
        await self._shut.wait()

    async def drained(self) -> None:
        """Return once it is shut and nothing is on the wire."""
        await self._drained.wait()

    def around(self, price: Price, pictures: Pictures = UNTOLD) -> Passage:
        """The layer of one provider, whose usages and pictures cost this."""
        return Passage(self, price, pictures)

    def statistics(self) -> Mapping[str, object]:
        """What the budget says, attempts on the wire, and those that are held back since it was shut."""
        return {**self.purse.statistics(), "on_wire": self.on_wire, "held": self.held, "shut": self.is_shut}

    async def hold(self) -> None:
        """Wait for ever: whoever shut the valve ends this."""
        self.held += 1
        try:
            await anyio.sleep_forever()
        finally:
            self.held -= 1

    def opened(self) -> None:
        """An attempt goes on the wire."""
        self.on_wire += 1

    def closed(self) -> None:
        """It came back, or was given up."""
        self.on_wire -= 1
        if self.is_shut and not self.on_wire:
            self._drained.set()
        if not self._warned and self.purse.share() >= LOW:
            self._warned = True
            _log.warning("budget_low", share=round(self.purse.share(), 3), spent=self.purse.spent.document())


class Passage:
    """The way of one provider's attempts through a valve."""

    def __init__(self, valve: Valve, price: Price, pictures: Pictures) -> None:
        self._valve, self._price, self._pictures = valve, price, pictures

    def around(self, send: Send) -> Send:
        """`send`, each attempt reserved at its worst before, and settled after."""
        valve, price, pictures = self._valve, self._price, self._pictures
        purse = valve.purse

        async def complete(request: Request) -> Completion:
            check_bounded(purse.caps, request)
            worst = worst_case(request, price, pictures)
            sent = request.admission.sent
            if valve.is_shut:
                await valve.hold()
            try:
                reservation = await purse.reserve(worst)
            except BudgetSpent as spent:
                valve.shut(spent)
                await valve.hold()
                raise
            try:
                if valve.is_shut:
                    await valve.hold()
                if sent is not None:
                    await _told(sent, worst)
            except BaseException:
                purse.settle(reservation, NOTHING)
                raise
            amount, answered, cancelled = worst, False, True
            valve.opened()
            try:
                completion = await send(request)
                amount, answered = settled(worst, completion, price), True
            except ProviderError as error:
                amount, cancelled = failed(worst, error), False
                if sent is not None and sent.attempts and not error.attempts:
                    sent.attempts -= 1  # It was counted as it went out, and did not get there.
                raise
            finally:
                purse.settle(reservation, amount)
                if sent is not None:
                    _ended(sent, worst)
                    sent.spent = amount if sent.spent is None else sent.spent + amount
                    if answered and not sent.answered:
                        sent.answered = True
                    else:
                        sent.lost = (*sent.lost, lost_of(amount, cancelled))
                valve.closed()
            return completion

        return complete

    def statistics(self) -> Mapping[str, object]:
        return {"budget": self._valve.statistics()} if not self._valve.purse.caps.is_empty else {}


async def _told(sent: Sent, worst: Amount) -> None:
    """An attempt is about to go out: if it is not the first of its request, say so before."""
    beside = sent.under_way or NOTHING
    # From here on: of two that are told at once each counts the other. Mostly there is one, and nothing to add.
    sent.under_way = worst if beside is NOTHING else beside + worst
    if sent.again is not None and (sent.attempts or beside.calls):
        try:
            await sent.again(sent, beside)
        except BaseException:
            _ended(sent, worst)
            raise


def _ended(sent: Sent, worst: Amount) -> None:
    """An attempt is not under way any more."""
    sent.under_way = NOTHING if sent.under_way is worst else sent.under_way - worst


def lost_of(amount: Amount, cancelled: bool) -> Lost:
    """An attempt that gave no reply, and what it may have cost."""
    return Lost(cancelled, amount.calls, amount.input, amount.output, amount.picodollars)


def check_bounded(caps: Caps, request: Request) -> None:
    """Make sure that what is capped can be reserved.

    Raises:
        StopError: a reply of any length is asked for (CONFIGURATION).
    """
    if caps.bounds_output and request.sampling.max_tokens is None:
        raise StopError(
            "tokens or dollars are capped, and this request does not say how long its reply may be: give max_tokens "
            "under `sampling` of the provider in the --providers file, or cap calls instead",
            ErrorClass.CONFIGURATION,
            attempts=0,
        )
