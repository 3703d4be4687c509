"""A seam without memory, for passes that are tested without a trainer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio.to_thread
import pytest

from semprop.engine.errors import ContentError
from semprop.engine.outcomes import Failure, FailureKind, Position, Returned, failure_of
from semprop.engine.replies.parsers import ReplyStyle
from semprop.engine.seam import FunctionCall, ModelCall, Seam
from semprop.providers import Scripted
from semprop.providers.base import Completion
from semprop.providers.errors import ItemError


class DirectSeam:
    """Asks a scripted provider and runs functions; keeps every position that was asked."""

    def __init__(self, provider: Scripted) -> None:
        self.provider = provider
        self.asked: list[Position] = []
        self.roles: list[str] = []

    def style(self, role: str) -> ReplyStyle:
        return ReplyStyle.JSON if self.provider.capabilities.schema else ReplyStyle.TAGS

    async def ask_model(self, position: Position, call: ModelCall) -> Completion | Failure:
        self.asked.append(position)
        self.roles.append(call.role)
        try:
            return await self.provider.complete(call.request)
        except ItemError as error:
            return failure_of(error)

    async def ask_function(self, position: Position, call: FunctionCall) -> Returned | Failure:
        self.asked.append(position)
        work = partial(call.call, **call.arguments)
        try:
            result: Any = await anyio.to_thread.run_sync(work) if call.blocking else work()
            return Returned(await result if inspect.isawaitable(result) else result)
        except ContentError as error:
            return Failure(FailureKind.CONTENT, str(error))
        except ArithmeticError as error:
            return Failure(FailureKind.FUNCTION, f"{call.name} raised {error}")


@pytest.fixture
def direct() -> Callable[[Scripted], Seam]:
    return DirectSeam
