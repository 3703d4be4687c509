"""Who answers in a run that asks no model: nobody, and an error for whoever asks all the same."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import NoReturn, Self

from semprop.providers.base import Capabilities, Request
from semprop.providers.errors import ErrorClass, StopError


class Nobody:
    """A provider that answers nothing."""

    identity = "nobody"
    model = "nobody"
    capabilities = Capabilities()

    async def complete(self, request: Request) -> NoReturn:
        """Refuse.

        Raises:
            StopError: always (CONFIGURATION).
        """
        raise StopError(
            "a model was asked in a run without providers: pass providers={'forward': …}, or use a method that asks no "
            "model",
            ErrorClass.CONFIGURATION,
        )

    def statistics(self) -> Mapping[str, object]:
        return {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


NOBODY = Nobody()
