"""What bounds the retries of all requests together: a budget for them, and a breaker.

Takes outcomes and times; gives waits and stops. Pure but for its own counters. A request's own bounds (tries, elapsed
time) stand in `semprop.providers.retry`; these keep ten thousand requests from asking five times each of an endpoint
that is down.
"""

from __future__ import annotations

from semprop.providers.errors import ErrorClass, ProviderError, StopError

_COUNTED = (ErrorClass.TRANSIENT, ErrorClass.OVERLOAD, ErrorClass.BAD_REQUEST)


EPSILON = 1e-6

LONGEST_GAP = 60.0
"""Seconds between two failures in a row that count at most: longer, nobody asked, or the machine was suspended."""


class RetryBudget:
    """Retries may be so many a minute, and a share of the successes. What costs nothing is not counted.

    Each takes a ticket, and is due when so many have been allowed in all: sooner than it seemed if much succeeds.
    """

    def __init__(self, per_minute: float, share: float, now: float) -> None:
        self._rate = per_minute / 60.0
        self._share = share
        self._cap = per_minute
        self._level = per_minute
        self._spent = 0
        self._at = now

    def __repr__(self) -> str:
        return f"RetryBudget(level={self._level:.1f} of {self._cap:g})"

    def succeeded(self) -> None:
        """A request was answered."""
        # Saved up to ten times the minute's own, so that a long calm does not pay for a long storm.
        self._level = min(max(self._level, 10.0 * self._cap), self._level + self._share)

    def spend(self, now: float) -> int:
        """Take one retry; its ticket."""
        self._grow(now)
        self._level -= 1.0
        self._spent += 1
        return self._spent

    def wait(self, ticket: int, now: float) -> float:
        """Seconds until the retry with this ticket is due, if nothing succeeds before (0: now)."""
        self._grow(now)
        missing = ticket - self._spent - self._level
        return missing / self._rate if missing > EPSILON else 0.0

    def _grow(self, now: float) -> None:
        grown = (now - self._at) * self._rate
        self._at = now
        if self._level < self._cap:
            self._level = min(self._cap, self._level + grown)


class Breaker:
    """Stops everything when nothing succeeds any more: so many failures in a row, over so many seconds.

    Two different things look alike: an endpoint that was there is out for a while, and is waited for; one that could
    never be reached at all has a wrong address or is not running, and nobody should wait for minutes to hear of it.
    """

    def __init__(self, failures: int, seconds: float, *, unreached: int = 5, unreached_seconds: float = 3.0) -> None:
        """
        Args:
            failures: in a row that stop …
            seconds: … if they lasted so long.
            unreached, unreached_seconds: the same while no attempt has ever been sent, since no connection could be
                made (errors with `attempts` of 0).
        """
        self._failures = failures
        self._seconds = seconds
        self._unreached = unreached
        self._unreached_seconds = unreached_seconds
        self._row = 0
        self._lasted = self._last = 0.0
        self._succeeded = False
        self._reached = False

    def __repr__(self) -> str:
        return f"Breaker({self._row} of {self._failures} failures in a row)"

    @property
    def row(self) -> int:
        """Failures in a row."""
        return self._row

    def succeeded(self) -> None:
        """A request was answered."""
        self._row = 0
        self._succeeded = self._reached = True

    def failed(self, error: ProviderError, now: float) -> StopError | None:
        """Count a failure; the stop, if nothing has succeeded for too long.

        Refused requests (`BAD_REQUEST`) count only while nothing has ever succeeded: then they are the settings' fault,
        later their own. So are replies that say "success" and cannot be read: a page of another server, for one.
        """
        if error.attempts:
            self._reached = True
        if error.error_class not in _COUNTED or (error.error_class is ErrorClass.BAD_REQUEST and self._succeeded):
            return None
        self._lasted = self._lasted + min(LONGEST_GAP, now - self._last) if self._row else 0.0
        self._last = now
        self._row += 1
        lasted = self._lasted
        if not self._reached and self._row >= self._unreached and lasted >= self._unreached_seconds:
            return self._never_there(error, lasted)
        if self._row < self._failures or (lasted < self._seconds and not self._is_misaddressed(error)):
            return None
        row, self._row = self._row, 0
        return StopError(
            f"nothing succeeds: {row} attempts failed in a row over {lasted:.0f} s; see whether the endpoint works, "
            f"then run again. The last error: {error}",
            error.error_class,
            status=error.status,
        )

    def _is_misaddressed(self, error: ProviderError) -> bool:
        """Whether an answer says that the settings are at fault, which no waiting mends."""
        if error.error_class is ErrorClass.BAD_REQUEST:
            return True
        unreadable = error.error_class is ErrorClass.TRANSIENT and error.status is not None and error.status < 300
        return unreadable and not self._succeeded

    def _never_there(self, error: ProviderError, lasted: float) -> StopError:
        row, self._row = self._row, 0
        return StopError(
            f"{error}; {row} attempts in {lasted:.0f} s, and nothing has ever answered there: check the address, and "
            "whether the server is running, then run again",
            error.error_class,
            attempts=0,
        )
