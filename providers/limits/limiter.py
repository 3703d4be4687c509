"""The queue in front of an endpoint: reserve in every dimension or in none, wait fairly, settle once.

Takes costs and `Admission`s; gives permits. The one place of the limits that waits. Never polls: it looks again when a
request comes, is settled or gives up, when a reply tells of limits, and when its one timer rings. Starts no task.

Share limits by passing one `Limiter` to several providers; there is no registry.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import time
from collections.abc import Callable, Mapping, Sequence
from random import Random

from semprop.providers.base import Admission, LimitSeen
from semprop.providers.clock import Clock, Handle, SystemClock
from semprop.providers.errors import ErrorClass, ProviderError
from semprop.providers.limits import learning
from semprop.providers.limits.accounts import Cost, Dimension
from semprop.providers.limits.adaptive import Slots
from semprop.providers.limits.fairqueue import FairQueue, State, Waiter
from semprop.providers.limits.groups import Group, Lane, Permit
from semprop.providers.limits.lines import Place, Queued, Terms, first_in_line, give_up
from semprop.providers.limits.reasons import fault, hopeless, late

__all__ = ["Limiter", "Terms"]

_NOBODY = Admission()


class Limiter:
    """All limit groups of one process, or of as many providers as it is passed to."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        wall: Callable[[], float] = time.time,
        random: Random | None = None,
        ageing: float = 30.0,
        patience: float = 900.0,
    ) -> None:
        """
        Args:
            clock: what waits are measured on, and what rings the timer.
            wall: seconds since 1970, for limits of a day only.
            random: spreads the ends of waits; no decision of a run reads it.
            ageing: seconds of waiting that make up for one step of priority.
            patience: seconds; what a daily limit would hold for longer fails at once, with the time of its reset.
        """
        self._clock = clock or SystemClock()
        self._wall = wall
        self._random = random or Random()
        self._ageing = ageing
        self._patience = patience
        self._groups: dict[str, Group] = {}
        self._lanes: dict[tuple[Group, ...], FairQueue] = {}
        self._queued = 0
        self._order = 0
        self._open = 0
        self._timer: Handle | None = None
        self._deadlines: list[tuple[float, int, Queued]] = []

    def __repr__(self) -> str:
        return f"Limiter(groups={list(self._groups)}, waiting={self._queued}, permits={self._open})"

    @property
    def clock(self) -> Clock:
        """What waits are measured on."""
        return self._clock

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return self._queued

    @property
    def permits(self) -> int:
        """Permits that are not settled."""
        return self._open

    def lane(self, terms: Terms) -> Lane:
        """The groups of some terms, which are opened if they are new. Stated limits replace those stated before.

        Raises:
            StopError: a limit has no such dimension, or lets nothing through (CONFIGURATION).
        """
        groups = [self._group(f"{terms.account}/{terms.group}", terms, terms.limits, terms.in_flight)]
        if terms.account_limits or terms.account in self._groups:
            groups.append(self._group(terms.account, terms, terms.account_limits, 1_000_000))
            # A rate is searched for where requests of one kind meet, not a second time above.
            groups[1].forget_learned()
        lane = Lane(groups[0].name, tuple(groups), terms.profile)
        self._lanes.setdefault(lane.groups, FairQueue(self._ageing))
        return lane

    async def acquire(self, lane: Lane, cost: Cost = Cost(), admission: Admission = _NOBODY) -> Permit:
        """Leave to send a request of this cost; waits for its turn.

        Raises:
            ItemError: it is larger than a whole limit (TOO_LARGE_FOR_QUOTA), or cannot be sent before its deadline or
                before a daily limit is renewed (`ProviderFailure`).
        """
        now = self._clock.now()
        if not self._queued:
            granted = self._try(lane, cost, now)
            if granted is not None:
                return granted
        queued = self._stand(Queued(admission, Place(lane, cost), now))
        self._pump(now)
        try:
            permit = await queued.future
        except BaseException:
            # Cancelled, or refused by the pump. A grant that came too late to be used is given back whole.
            if queued.permit is not None:
                self.give_back(queued.permit)
            elif queued.state is State.WAITING:
                self._drop(queued)
                self._pump(self._clock.now())
            raise
        if permit is None:
            raise RuntimeError("a turn came without a permit")
        return permit

    def wait(self, place: Place) -> float:
        """Seconds until a request that came now could be sent there: 0 where there is room and nobody waits for it;
        infinite where it has to wait for others, or until something comes back."""
        now, wait = self._clock.now(), 0.0
        for group in place.lane.groups:
            wait = max(wait, math.inf if group.waiting else group.look(place.cost, now))
        return wait

    def acquire_nowait(self, place: Place) -> Permit | None:
        """Leave to send where there is room and nobody waits for it; None elsewhere."""
        is_free = not any(group.waiting for group in place.lane.groups)
        return self._try(place.lane, place.cost, self._clock.now()) if is_free else None

    async def acquire_any(
        self, places: Sequence[Place], admission: Admission = _NOBODY, seconds: float | None = None
    ) -> Permit | None:
        """Leave to send at whichever of several places has room first: its turn is kept in the queue of each.

        Args:
            seconds: after which None is given; None: it waits for as long as it takes.

        Raises:
            ItemError: as `acquire`, once none of the places can take it any more; the last one's error.
        """
        now = self._clock.now()
        future: asyncio.Future[Permit | None] = asyncio.get_running_loop().create_future()
        beside = [self._stand(Queued(admission, place, now, future)) for place in places]
        for queued in beside:
            queued.beside = beside
        self._pump(now)
        timer = None if seconds is None else self._clock.call_later(seconds, lambda: give_up(future))
        try:
            return await future
        except BaseException:
            for queued in beside:
                if queued.permit is not None:
                    self.give_back(queued.permit)
            raise
        finally:
            if timer is not None:
                timer.cancel()
            for queued in beside:
                if queued.state is State.WAITING:
                    self._drop(queued)
            self._pump(self._clock.now())

    def settle(self, permit: Permit, cost: Cost, seen: tuple[LimitSeen, ...] = ()) -> None:
        """The request was answered, and cost this in the end; its reply told of these limits.

        Raises:
            RuntimeError: the permit was settled before.
        """
        now = self._close(permit)
        for hold in permit.holds:
            change = cost[hold.book.dimension.resource] - hold.amount
            if change:
                hold.book.correct(hold.bin, change, now)
        for group in permit.lane.groups:
            learning.answered(group, permit, now)
        if seen:
            learning.follow(permit.lane.groups[0], seen, permit, now, self._order)
            learning.follow_pace(permit.lane.groups[0], seen, permit)
        self._left(permit, now)

    def failed(self, permit: Permit, error: ProviderError) -> None:
        """The request met an error: a refusal for its rate is charged as the profile says, any other as reserved.

        Raises:
            RuntimeError: the permit was settled before.
        """
        now = self._close(permit)
        group = permit.lane.groups[0]
        if error.limits:
            learning.follow(group, error.limits, permit, now, self._order, refused=True)
        match error.error_class:
            case ErrorClass.RATE | ErrorClass.DAILY | ErrorClass.TOO_LARGE_FOR_QUOTA:
                self._refund(permit, now, refused=permit.lane.profile.refused_counts)
                if error.error_class is not ErrorClass.TOO_LARGE_FOR_QUOTA:
                    learning.throttled(group, error, permit, now, self._random.random())
            case ErrorClass.OVERLOAD:
                self._refund(permit, now, refused=False)
                learning.overloaded(group, error, now, self._random.random())
            case ErrorClass.TRANSIENT:
                if not error.attempts:
                    self._refund(permit, now, refused=False)
                learning.broken(group, permit, now, self._random.random())
            case _:
                learning.answered(group, permit, now)
        self._left(permit, now)

    def abandon(self, permit: Permit) -> None:
        """Nobody waits for the reply any more; the request may have been sent, so its cost stays booked.

        Raises:
            RuntimeError: the permit was settled before.
        """
        now = self._close(permit)
        self._left(permit, now)

    def give_back(self, permit: Permit) -> None:
        """The request was not sent: everything reserved is returned.

        Raises:
            RuntimeError: the permit was settled before.
        """
        now = self._close(permit)
        self._refund(permit, now, refused=False)
        self._left(permit, now)

    def statistics(self) -> Mapping[str, object]:
        """Why it is not running: every group and dimension with its limit, what is used and who waits how long."""
        now = self._clock.now()
        shown: dict[str, object] = {name: group.statistics(now) for name, group in self._groups.items()}
        for groups, queue in self._lanes.items():
            if not queue.waiting:
                continue
            head = queue.head(now)
            entry = dict(groups[0].statistics(now))
            if isinstance(head, Queued):
                entry["next"] = first_in_line(head, groups, now)
            shown[groups[0].name] = entry
        return shown

    # ---- inside

    def _group(self, name: str, terms: Terms, limits: tuple[tuple[str, float], ...], in_flight: int | None) -> Group:
        group = self._groups.get(name)
        if group is None:
            start, most = (terms.profile.start, terms.profile.most) if in_flight is None else (in_flight, in_flight)
            if start < 1:
                raise fault(f"an in-flight bound of {start} lets nothing through: give 1 or more")
            group = self._groups[name] = Group(name, terms.profile, Slots(start, most), self._wall)
        elif in_flight is not None and in_flight > group.slots.ceiling:
            group.slots.limit = group.slots.ceiling = in_flight
        for stated, amount in limits:
            dimension = Dimension.parse(stated)
            if dimension is None:
                raise fault(
                    f"there is no limit {stated!r}: write requests, tokens, input_tokens or output_tokens, a slash, "
                    "and second, minute, hour or day"
                )
            if not 0 < amount < math.inf:
                raise fault(f"a limit of {amount:g} {stated} lets nothing through: give more than 0")
            group.given[stated] = amount
            book = group.books.get(stated)
            if book is None:
                group.open_book(dimension, amount, self._clock.now(), self._order)
            else:
                book.limit = amount
        return group

    def _try(self, lane: Lane, cost: Cost, now: float) -> Permit | None:
        for group in lane.groups:
            if group.eta(cost, now) > 0.0:
                return None
        return self._granted(lane, cost, now)

    def _granted(self, lane: Lane, cost: Cost, now: float) -> Permit:
        self._order += 1
        self._open += 1
        permit = Permit(lane, cost, self._order, now)
        for group in lane.groups:
            group.take(cost, now, permit)
        return permit

    def _stand(self, queued: Queued) -> Queued:
        self._lanes[queued.groups].push(queued)
        self._count(queued.groups, 1)
        if queued.deadline is not None:
            heapq.heappush(self._deadlines, (queued.deadline, id(queued), queued))
        return queued

    def _drop(self, queued: Queued) -> None:
        self._lanes[queued.groups].drop(queued)
        self._count(queued.groups, -1)

    def _pump(self, now: float) -> None:
        """Grant what can be granted; then set the timer for the next time at which something can."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._queued:
            self._deadlines.clear()
            return
        self._expire(now)
        claimed: set[Group] = set()
        soonest = math.inf
        while True:
            chosen = self._next(claimed, now)
            if chosen is None:
                break
            groups, queue, head = chosen
            if head.future.done():
                # Its task is being cancelled and has not run yet.
                self._drop(head)
                continue
            wait = 0.0
            for group in groups:
                seconds = group.eta(head.cost, now)
                if seconds > wait:
                    wait = seconds
            if not wait:
                queue.grant(head)
                self._count(groups, -1)
                head.permit = self._granted(Lane(groups[0].name, groups, groups[0].profile), head.cost, now)
                head.future.set_result(head.permit)
                continue
            error = hopeless(groups, head.cost, wait, now, deadline=head.deadline, patience=self._patience)
            if error is not None:
                self._fail(head, error)
                continue
            # The head waits, and nobody who needs what it waits for may pass it.
            claimed.update(groups)
            soonest = min(soonest, wait)
        if self._deadlines:
            soonest = min(soonest, self._deadlines[0][0] - now)
        if soonest < math.inf:
            self._timer = self._clock.call_later(max(soonest, 0.0), self._rung)

    def _rung(self) -> None:
        self._timer = None
        self._pump(self._clock.now())

    def _next(self, claimed: set[Group], now: float) -> tuple[tuple[Group, ...], FairQueue, Queued] | None:
        """The head of the lane whose turn it is: lowest priority number first, then oldest."""
        best: tuple[tuple[Group, ...], FairQueue, Queued] | None = None
        for groups, queue in self._lanes.items():
            if not queue.waiting or not claimed.isdisjoint(groups):
                continue
            head = queue.head(now)
            if isinstance(head, Queued) and (best is None or _before(head, best[2])):
                best = (groups, queue, head)
        return best

    def _fail(self, queued: Queued, error: ProviderError) -> None:
        self._drop(queued)
        queued.refuse(error)

    def _expire(self, now: float) -> None:
        while self._deadlines and (self._deadlines[0][0] <= now or self._deadlines[0][2].state is not State.WAITING):
            deadline, _, queued = heapq.heappop(self._deadlines)
            if queued.state is State.WAITING:
                self._fail(queued, late(queued.groups[0], None, deadline - now))

    def _close(self, permit: Permit) -> float:
        if not permit.open:
            raise RuntimeError(f"{permit!r} was settled before: settle each permit exactly once")
        permit.open = False
        self._open -= 1
        return self._clock.now()

    def _refund(self, permit: Permit, now: float, *, refused: bool) -> None:
        for hold in permit.holds:
            if hold.amount and not (refused and hold.book.dimension.resource == 0):
                hold.book.correct(hold.bin, -hold.amount, now)
                hold.book.returned += hold.amount
        for entry in permit.traced:
            entry[1] -= 1.0

    def _left(self, permit: Permit, now: float) -> None:
        for group in permit.lane.groups:
            group.leave(permit, now)
        if self._queued:
            self._pump(now)

    def _count(self, groups: tuple[Group, ...], change: int) -> None:
        self._queued += change
        for group in groups:
            group.waiting += change


def _before(one: Waiter, other: Waiter) -> bool:
    return (one.priority, one.arrived) < (other.priority, other.arrived)
