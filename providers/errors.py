"""What can go wrong with a model call, grouped by what the caller can do.

    ProviderError
    ├── RetryError     ask again later: RATE, OVERLOAD, TRANSIENT, DAILY
    ├── ItemError      this request is finished: model failures and refused requests
    │   └── ProviderFailure   … because retries were used up; nothing was learned about the answer
    └── StopError      no request can succeed until somebody mends it: AUTH, QUOTA, CONFIGURATION

Retryability is a value, `ErrorClass`, so that one pure table decides (classes as in the decision table of the
providers' documentation). Messages never hold a key: transports put only what the endpoint said into them.
"""

from __future__ import annotations

from enum import StrEnum

from semprop.providers.base import LimitSeen


class ErrorClass(StrEnum):
    """What an endpoint's refusal means."""

    RATE = "rate"
    OVERLOAD = "overload"
    TRANSIENT = "transient"
    DAILY = "daily"
    TOO_LARGE_FOR_QUOTA = "too_large_for_quota"
    CONTEXT = "context"
    FILTER = "filter"
    REFUSAL = "refusal"
    BAD_REQUEST = "bad_request"
    QUOTA = "quota"
    AUTH = "auth"
    CONFIGURATION = "configuration"

    @property
    def is_model_failure(self) -> bool:
        """Whether content caused it, so that it counts as a wrong answer (law L3)."""
        return self in (ErrorClass.CONTEXT, ErrorClass.FILTER, ErrorClass.REFUSAL)


class ProviderError(Exception):
    """Base of everything a provider raises.

    Attributes:
        error_class: what it means.
        status: the HTTP status, if there was a reply.
        retry_after: seconds that the endpoint asked to wait, if it did.
        dimension: the limit that was hit (`tokens/minute`), if it said.
        attempts: what had been sent on the wire for this request when it was raised.
        limits: what the refusal told of limits, in headers and in its body.
    """

    def __init__(
        self,
        message: str,
        error_class: ErrorClass,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        dimension: str | None = None,
        attempts: int = 1,
        limits: tuple[LimitSeen, ...] = (),
    ) -> None:
        super().__init__(message)
        self.error_class = error_class
        self.status = status
        self.retry_after = retry_after
        self.dimension = dimension
        self.attempts = attempts
        self.limits = limits


class RetryError(ProviderError):
    """The same request may succeed later."""


class ItemError(ProviderError):
    """This request is finished without an answer; others may succeed."""


class ProviderFailure(ItemError):
    """Retries were used up. The last `RetryError` is the cause."""


class StopError(ProviderError):
    """Nothing will succeed until somebody mends the key, the bill or the settings."""


def classified(message: str, error_class: ErrorClass, **details: object) -> ProviderError:
    """The error whose type fits the class."""
    match error_class:
        case ErrorClass.RATE | ErrorClass.OVERLOAD | ErrorClass.TRANSIENT | ErrorClass.DAILY:
            kind: type[ProviderError] = RetryError
        case ErrorClass.AUTH | ErrorClass.QUOTA | ErrorClass.CONFIGURATION:
            kind = StopError
        case _:
            kind = ItemError
    return kind(message, error_class, **details)  # type: ignore[arg-type]
