"""`semprop replay`: a run decided again from its journal alone. No network, no key, no providers file is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from semprop.engine.training.replay import replay as decided_again
from semprop.engine.training.report import RESULT_SCHEMA
from semprop.providers.base import Capabilities, Completion, Request
from semprop.providers.errors import ErrorClass, StopError
from semprop.tools.exits import Ended
from semprop.tools.optimizing import run_loop
from semprop.tools.preparing import Surrounding, prepare, run_in
from semprop.tools.resuming import order_of
from semprop.tools.screen import Screen


@dataclass(frozen=True, slots=True)
class Offline:
    """In place of a provider whose replies are on record: it promises what that one did, and is never asked."""

    identity: str
    capabilities: Capabilities

    @property
    def model(self) -> str:
        return self.identity.partition(":")[2].partition("@")[0]

    async def complete(self, request: Request) -> Completion:
        """Nobody is asked.

        Raises:
            StopError: always.
        """
        raise StopError(f"{self.identity} is not asked in a replay", ErrorClass.CONFIGURATION, attempts=0)

    def statistics(self) -> Mapping[str, object]:
        return {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def replay(path: Path, data: Path | None, around: Surrounding, screen: Screen) -> Ended:
    """Decide a run again from its journal alone, and compare byte for byte.

    Raises:
        ReplayError: something is decided otherwise; the message says what first.
    """
    run = run_in(path)
    order = order_of(path, {"data": data})
    recorded = run.meta("specification")
    models, promised = recorded["models"], recorded.get("capabilities", {})
    offline = {role: Offline(name, Capabilities(**promised.get(role, {}))) for role, name in models.items()}
    # Nothing of a connection is used but whether a model answered, which stands in the notes of a result.
    stand_in = {
        role: "simulated:" if entry.capabilities.simulated else "openai:none" for role, entry in offline.items()
    }
    order = replace(order, roles=stand_in, providers=None, run=None, no_cache=True)
    spec = prepare(order, around, screen.say, run.initial).specification
    found = run_loop(partial(decided_again, replace(spec, providers=offline), run))
    words = "and its result" if found.whole else "and no result, since the run is not finished"
    screen.show(f"{path}: {found.steps} steps, {found.decisions} decisions {words} are the same, byte for byte")
    document = {"run": str(path), "steps": found.steps, "decisions": found.decisions, "whole": found.whole}
    return Ended({"schema": RESULT_SCHEMA, "status": "done", "error": None, **document})
