"""Around each attempt of a proxy, inside its limits: the budget, the books, and word to those who wait.

Takes attempts that have their turn; lets them be sent when their worst case is reserved and they are noted, and settles
both whatever becomes of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from semprop.providers.base import Completion, Request, Stop, content_key
from semprop.providers.budget import (
    NOTHING,
    Amount,
    Purse,
    Reservation,
    failed,
    settled,
    worst_case,
)
from semprop.providers.errors import ErrorClass, ItemError, ProviderError
from semprop.providers.layers import Price, Send
from semprop.providers.pictures import UNTOLD, Pictures
from semprop.tools.proxy.books import Books, Entry

_LOW = 0.8
"""Share of a budget from which its end is announced."""

_log = structlog.get_logger(__name__)


class Watch(Protocol):
    """Who knows for whom an attempt is sent."""

    def is_wanted(self, key: str) -> bool:
        """Whether anybody waits for it."""

    def sent(self, key: str) -> None:
        """It goes on the wire: from now on it may be charged."""


@dataclass(slots=True)
class Accounts:
    """What all upstreams of a proxy share. `purse` is None where nothing is capped."""

    books: Books
    purse: Purse | None
    watch: Watch
    warned: bool = False

    def settle(self, reservation: Reservation | None, amount: Amount) -> None:
        """Book what a try cost; says once when most of the budget is spent."""
        purse = self.purse
        if purse is None or reservation is None:
            return
        purse.settle(reservation, amount)
        if not self.warned and purse.share() >= _LOW:
            self.warned = True
            _log.warning("budget_low", share=round(purse.share(), 3), spent=purse.spent.document())


class Attempts:
    """The layer of one upstream."""

    def __init__(
        self,
        upstream: str,
        identity: str,
        price: Price,
        accounts: Accounts,
        pictures: Pictures = UNTOLD,
        passed_on: tuple[Stop, ...] = (),
    ) -> None:
        """
        Args:
            passed_on: replies that ended so are no answers yet, since a pool asks its next member: they are paid for,
                and not kept.
        """
        self._upstream = upstream
        self._identity = identity
        self._price = price
        self._pictures = pictures
        self._passed_on = passed_on
        self._accounts = accounts

    def check(self, request: Request) -> None:
        """Refuse before it waits for its turn what no turn would help.

        Raises:
            BudgetSpent: it can never be sent.
        """
        purse = self._accounts.purse
        hopeless = None if purse is None else purse.refusal(worst_case(request, self._price, self._pictures))
        if hopeless is not None:
            raise hopeless

    def around(self, send: Send) -> Send:
        """`send`, reserved and noted before, settled after."""
        accounts = self._accounts

        async def complete(request: Request) -> Completion:
            worst = worst_case(request, self._price, self._pictures)
            # A member of a pool may have filled in more: by another key it would not be found again, and paid twice.
            key = request.admission.key or content_key(self._identity, request)
            if not accounts.watch.is_wanted(key):
                # Of a class that says nothing about the endpoint: no limit and no breaker may learn from it.
                raise ItemError("nobody waits for the reply any more", ErrorClass.QUOTA, attempts=0)
            reservation = None if accounts.purse is None else await accounts.purse.reserve(worst)
            try:
                entry = await accounts.books.begin(self._upstream, key, request, worst)
            except BaseException:
                accounts.settle(reservation, NOTHING)
                raise
            accounts.watch.sent(key)
            try:
                completion = await send(request)
            except ProviderError as error:
                self._failed(entry, error, failed(worst, error), reservation)
                raise
            except BaseException:
                # Sent, and perhaps answered.
                accounts.settle(reservation, worst)
                accounts.books.left(entry)
                raise
            amount = settled(worst, completion, self._price)
            accounts.settle(reservation, amount)
            if completion.stop in self._passed_on:
                entry = replace(entry, kept=False)
            await accounts.books.answered(entry, completion, amount)
            return completion

        return complete

    def statistics(self) -> Mapping[str, object]:
        return {}

    def _failed(self, entry: Entry, error: ProviderError, amount: Amount, reservation: Reservation | None) -> None:
        self._accounts.settle(reservation, amount)
        self._accounts.books.failed(entry, error, amount)
