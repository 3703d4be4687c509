"""What bounds the retries of all requests together: a budget for them, and a breaker.

Takes outcomes and times; gives waits and stops. Pure but for its own counters. A request's own bounds (tries, elapsed
time) stand in `semprop.providers.retry`; these keep ten thousand requests from asking five times each of an endpoint
that is down.
"""

from __future__ import annotations

import math

from semprop.providers.errors import ErrorClass, ProviderError, StopError

_COUNTED = (ErrorClass.TRANSIENT, ErrorClass.OVERLOAD, ErrorClass.BAD_REQUEST)


class RetryBudget:
    """Retries may be so many a minute, and a share of the successes. Refusals that cost nothing are not counted."""

    def __init__(self, per_minute: float, share: float, now: float) -> None:
        self._rate = per_minute / 60.0
        self._share = share
        self._cap = per_minute
        self._level = per_minute
        self._at = now

    def __repr__(self) -> str:
        return f"RetryBudget(level={self._level:.1f} of {self._cap:g})"

    def succeeded(self) -> None:
        """A request was answered."""
        # Saved up to ten times the minute's own, so that a long calm does not pay for a long storm.
        self._level = min(max(self._level, 10.0 * self._cap), self._level + self._share)

    def spend(self, now: float) -> float:
        """Take one retry; the seconds until it is due (0: at once)."""
        grown = (now - self._at) * self._rate
        self._at = now
        if self._level < self._cap:
            self._level = min(self._cap, self._level + grown)
        self._level -= 1.0
        if self._level >= 0.0:
            return 0.0
        return -self._level / self._rate if self._rate else math.inf


class Breaker:
    """Stops everything when nothing succeeds any more: so many failures in a row, over so many seconds."""

    def __init__(self, failures: int, seconds: float) -> None:
        self._failures = failures
        self._seconds = seconds
        self._row = 0
        self._since = 0.0
        self._succeeded = False

    def __repr__(self) -> str:
        return f"Breaker({self._row} of {self._failures} failures in a row)"

    @property
    def row(self) -> int:
        """Failures in a row."""
        return self._row

    def succeeded(self) -> None:
        """A request was answered."""
        self._row = 0
        self._succeeded = True

    def failed(self, error: ProviderError, now: float) -> StopError | None:
        """Count a failure; the stop, if nothing has succeeded for too long.

        Refused requests (`BAD_REQUEST`) count only while nothing has ever succeeded: then they are the settings' fault,
        later their own.
        """
        if error.error_class not in _COUNTED or (error.error_class is ErrorClass.BAD_REQUEST and self._succeeded):
            return None
        if not self._row:
            self._since = now
        self._row += 1
        lasted = now - self._since
        if self._row < self._failures or (lasted < self._seconds and error.error_class is not ErrorClass.BAD_REQUEST):
            return None
        row, self._row = self._row, 0
        return StopError(
            f"nothing succeeds: {row} attempts failed in a row over {lasted:.0f} s; see whether the endpoint works, "
            f"then run again. The last error: {error}",
            error.error_class,
            status=error.status,
        )
