"""The one seam between the engine's decisions and the world: `ask(position, call) → outcome`. Types only.

Whatever comes from outside (a model's reply, a tool's result, a loss of the user's) comes through it, so a run can be
recorded, replayed and rebuilt. Nothing else in the engine awaits the world.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from semprop.engine.outcomes import Failure, Position, Returned, Unread
from semprop.engine.replies.parsers import ReplyStyle
from semprop.providers.base import Completion, Request


class ModelCall(NamedTuple):
    """A request to the provider that plays a role.

    `level` (how many dependent steps lie before it) and `order` (the place of its item in its stream) say where it
    stands in line; `unread` says why it is asked once more. They enter no key and no decision.
    """

    role: str
    request: Request
    level: int = 0
    order: int = 0
    unread: Unread | None = None


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A call of the user's code: a function node or a loss. Its result is recorded unless it is pure.

    `name` and `version` address the recorded result; `blocking` code runs in a worker thread.
    """

    name: str
    call: Callable[..., Any]
    arguments: Mapping[str, Any] = field(hash=False)
    version: str = "1"
    pure: bool = False
    blocking: bool = False


class Seam(Protocol):
    """Asks the world. Fatal errors (`StopError`, `NodeError`) are raised; failures of one item are outcomes."""

    async def ask_model(self, position: Position, call: ModelCall) -> Completion | Failure: ...

    async def ask_function(self, position: Position, call: FunctionCall) -> Returned | Failure: ...

    def style(self, role: str) -> ReplyStyle:
        """How replies of this role's provider are to be written; constant."""
