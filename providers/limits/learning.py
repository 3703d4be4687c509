"""What replies teach a limit group: limits and remainders in headers and bodies, throttles, overloads, outages.

Takes a group, a permit, what the endpoint said and the time; changes the group's books. Pure but for that: draws and
clocks are arguments. Two things are kept apart on purpose: the wait that an endpoint asks for (a freeze of a dimension)
and our own belief that we ask too much (a cut, once per episode), since a long wait must not put off the next cut.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import structlog

from semprop.providers.base import LimitSeen
from semprop.providers.errors import ErrorClass, ProviderError
from semprop.providers.limits.accounts import Account, Book, DayAccount, Dimension
from semprop.providers.limits.groups import OUTAGE, Group, Permit

STRIKES = 2
"""Throttles within a minute, each an episode of its own, before less than the stated limit is used."""

MARGIN = 0.015
"""Share of a limit that is left alone beside what refusals told that others use."""

CUT = 0.9
CALM = 60.0
GROWTH = 0.005
OVERLOADED = 0.05
"""Share of overloads among replies above which fewer requests are sent at once."""

_log = structlog.get_logger(__name__)


def limiter_waits(error: ProviderError) -> bool:
    """Whether the limiter holds a retry back (a freeze), so that nobody else needs to sleep for it."""
    if error.error_class in (ErrorClass.RATE, ErrorClass.DAILY):
        return True
    return error.error_class is ErrorClass.OVERLOAD and error.retry_after is not None


def follow(
    group: Group, seen: Iterable[LimitSeen], permit: Permit, now: float, order: int, *, refused: bool = False
) -> None:
    """Follow what a reply or refusal to `permit` said of limits, after `order` grants in all.

    Replies to older requests than the last one followed are passed over: what they tell is out of date.
    """
    for told in seen:
        book = group.books.get(told.dimension)
        if book is None:
            dimension = Dimension.parse(told.dimension)
            if dimension is None or not told.limit:
                continue
            book = group.open_book(dimension, told.limit, now, order, permit.cost[dimension.resource])
        if permit.order < book.order:
            continue
        book.order = permit.order
        if told.limit:
            _adopt(group, book, told.limit, now)
        if told.remaining is None:
            continue
        if isinstance(book, DayAccount):
            book.at_least(book.limit - told.remaining)
            if not told.remaining and told.reset:
                book.frozen = now + min(told.reset, book.until_midnight())
        elif isinstance(book, Account):
            _follow_remaining(group, book, told.remaining, permit, now, refused)


def follow_pace(group: Group, seen: Iterable[LimitSeen], permit: Permit) -> None:
    """Slow down while an answer tells that little is left and others have taken it; afterwards speed up again.

    In proportion to what is left, so that what others leave is used and no refusal is needed to find out how much it
    is. Refusals do not come here: they tell of an empty limit only, and freeze it.
    """
    for told in seen:
        account = group.books.get(told.dimension)
        if not isinstance(account, Account) or told.remaining is None or account.order != permit.order:
            continue
        amount = permit.cost[account.dimension.resource]
        scarce = max(0.02 * account.limit, 3.0 * amount, _rounding(group, account))
        # What others took in the last period they will take in the next: without this, a minute in which little was
        # sent is followed by one in which too much is.
        share = 1.0 - account.others.amount / account.limit
        if account.others.amount and told.remaining < scarce:
            # No less than half of it, since what is told is as old as the answer took.
            gauge = share * max(0.5, (told.remaining + 0.25 * amount) / scarce)
        elif account.gauge == share == 1.0:
            continue
        else:
            gauge = account.gauge * 1.1
        # Even so, something is asked every two seconds, since only answers tell of better times.
        least = max(0.05, 0.5 * amount * account.dimension.period / account.limit)
        account.gauge = min(1.0, max(least, min(gauge, share)))
        account.tune()


def _beside(account: Account, now: float) -> None:
    """Go at the pace that others, of whom only refusals told, leave."""
    account.gauge = min(1.0, max(0.05, 1.0 - account.others.coming(now) / account.limit))
    account.tune()


def _rounding(group: Group, account: Account) -> float:
    return group.profile.rounding if account.dimension.resource else 1.0


def _adopt(group: Group, book: Book, limit: float, now: float) -> None:
    given = group.given.get(book.dimension.name)
    if given is not None:
        limit = min(limit, given)
    if limit == book.limit:
        return
    _log.warning("limit_changed", group=group.name, dimension=book.dimension.name, old=book.limit, new=limit)
    if isinstance(book, Account):
        book.change_limit(limit, now)
        book.factor = 1.0
        book.tune()
    else:
        book.limit = limit


def _follow_remaining(
    group: Group, account: Account, remaining: float, permit: Permit, now: float, refused: bool
) -> None:
    """Bad news at once: what the endpoint counts beyond our own books when this request came to it, others used.

    Requests sent after this one are in our books and not in `remaining`; they need no further care, since the books of
    the moment at which it was sent are compared.
    """
    hold = next((hold for hold in permit.holds if hold.book is account), None)
    rounding = _rounding(group, account)
    if hold is None:
        # Sent before this book was opened: those that were sent between are in the book and not in `remaining`.
        missed = max(0, group.opened[account.dimension.name] - permit.order) * permit.cost[account.dimension.resource]
        excess = account.limit - max(0.0, account.used(now) - missed) - remaining
        if excess > account.others.now(now):
            account.others.told(excess, now)
        return
    excess = account.limit - (hold.own - account.returned) - remaining - rounding / 2.0
    tolerance = max(rounding / 2.0, 0.005 * account.limit, hold.amount)
    if refused:
        # It was not admitted, and yet it is in our own books of that moment.
        if excess + hold.amount > tolerance:
            margin = max(hold.amount, MARGIN * account.limit)
            account.others.refused(excess + hold.amount, permit.granted, margin)
            _beside(account, now)
        return
    before = account.others.now(now)
    if excess <= tolerance:
        excess = 0.0
    if excess < before:
        excess += 0.75 * (before - excess)
    account.others.told(excess, now)


def throttled(group: Group, error: ProviderError, permit: Permit, now: float, draw: float) -> None:
    """The endpoint refused a request for its rate. `draw` in [0, 1) spreads wake-ups."""
    works(group)
    fresh = permit.granted >= group.episode
    if fresh:
        group.episode = now
        group.episodes += 1
        group.refusals += 1
    retry_after = error.retry_after
    if retry_after is None:
        retry_after = min(30.0, 0.5 * 2.0 ** min(group.refusals - 1, 10)) * (0.5 + 0.5 * draw)
    until = now + spread(retry_after, draw)
    suspects = _suspects(group, error, permit, now)
    if suspects:
        for book in suspects:
            book.frozen = max(book.frozen, until)
            if isinstance(book, Account):
                book.level = min(book.level, 0.0)
                if fresh and not _explained(book, permit, now):
                    _strike(group, book, now)
        return
    if error.error_class is not ErrorClass.DAILY and group.learned is not None:
        asked = None if error.retry_after is None else until - now
        group.learned.refused(permit.granted, now, asked, draw)
    else:
        group.frozen = max(group.frozen, until)
        accounts = [book for book in group.books.values() if isinstance(book, Account)]
        if accounts and fresh:
            _strike(group, max(accounts, key=lambda account: account.used(now) / account.limit), now)
    group.slots.cut(now)


def spread(wait: float, draw: float) -> float:
    """A wait that was asked for, and a little more, so that several clients do not wake at once."""
    return wait + draw * min(1.0, 0.05 + 0.05 * wait)


def overloaded(group: Group, error: ProviderError, now: float, draw: float) -> None:
    """The endpoint has too much to do, from whomever."""
    group.overloaded += OVERLOADED * (1.0 - group.overloaded)
    if group.overloaded > OVERLOADED:
        group.slots.cut(now)
    if error.retry_after is not None:
        group.frozen = max(group.frozen, now + spread(error.retry_after, draw))


def broken(group: Group, permit: Permit, now: float, draw: float) -> None:
    """A failure of transport: no sign of a limit, but after many without a success requests go out one by one.

    Those that were out together fail together: only one that was sent after the last wait makes the next one longer.
    """
    group.failures += 1
    if group.failures >= OUTAGE and permit.granted >= group.outage:
        wait = min(30.0, 0.5 * 2.0 ** min(group.trials, 10))
        group.trials += 1
        group.outage = now
        group.frozen = max(group.frozen, now + wait * (0.5 + 0.5 * draw))


def works(group: Group) -> None:
    """The endpoint can be talked to: there is no outage, or none any more."""
    if group.failures:
        group.failures = group.trials = 0
        group.outage = -math.inf


def answered(group: Group, permit: Permit, now: float) -> None:
    """The endpoint answered: what waits for calm may grow."""
    works(group)
    group.overloaded *= 1.0 - OVERLOADED
    if permit.granted >= group.episode:
        group.refusals = 0
    group.slots.completed(group.in_flight, now, now - permit.granted)
    learned = group.learned
    if learned is not None and learned.accepted(permit.granted, now, permit.probe):
        group.use_learned(now)
    for hold in permit.holds:
        account = hold.book
        if type(account) is Account:
            if account.factor < 1.0:
                _grow(account, now)
            if account.others.lasting:
                _beside(account, now)


def _grow(account: Account, now: float) -> None:
    """Slowly back up: half a per cent in five seconds, more after long calm, while the limit is used."""
    calm = now - account.struck
    if calm < 10.0 or now - account.grown < 5.0:
        return
    account.grown = now
    if account.used(now) < 0.5 * account.factor * account.limit:
        return
    account.factor = min(1.0, account.factor * (1.0 + GROWTH * max(1.0, calm / CALM)))
    account.tune()


def _suspects(group: Group, error: ProviderError, permit: Permit, now: float) -> list[Book]:
    """The book that the error names, else those that are nearly used up or that bound the rate just now."""
    if error.dimension is not None:
        named = group.books.get(error.dimension)
        if named is not None:
            return [named]
    found: list[Book] = []
    for book, resource in ((book, book.dimension.resource) for book in group.books.values() if book.told):
        used = book.used(now) + permit.cost[resource]
        if isinstance(book, Account):
            used += book.others.now(now)
            if book.blocked:
                used = book.limit
        if used >= 0.9 * book.limit:
            found.append(book)
    return found


def _explained(account: Account, permit: Permit, now: float) -> bool:
    """Whether it is known why it was refused: the limit is another one since, or others are known to use it."""
    return permit.granted < account.changed or account.others.now(now) >= MARGIN * account.limit


def _strike(group: Group, account: Account, now: float) -> None:
    account.strikes = account.strikes + 1 if now - account.struck < CALM else 1
    account.struck = account.grown = now
    if account.strikes < STRIKES:
        return
    # A further step at once where the refusals said that others use more than that.
    left = 1.0 - account.others.now(now) / account.limit
    account.factor = max(0.02, CUT * CUT * account.factor, min(CUT * account.factor, left))
    account.tune()
    if account.strikes == STRIKES:
        _log.warning(
            "less_than_the_limit",
            group=group.name,
            dimension=account.dimension.name,
            limit=account.limit,
            share=round(account.factor, 3),
            why="it was refused though our books were below it: somebody else uses it, or it is stated too high",
        )
