"""What providers without a session have in common: a name, promises, and nothing to open or close."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from semprop.providers.base import Capabilities


class Plain:
    """Who answers and what it promises; whoever inherits it answers."""

    def __init__(self, identity: str, model: str, capabilities: Capabilities) -> None:
        self._identity = identity
        self._model = model
        self._capabilities = capabilities

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def model(self) -> str:
        return self._model

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
