"""`semprop resume`: a run's own order, read back from its journal, with what was asked for now in its place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from semprop.engine.errors import UsageError
from semprop.engine.training.resuming import check_protocol
from semprop.engine.training.sittings import written_by
from semprop.tools import optimizing
from semprop.tools.exits import Ended
from semprop.tools.preparing import Order, Surrounding, run_in
from semprop.tools.screen import Screen


def resume(run: Path, changes: Mapping[str, Any], around: Surrounding, screen: Screen) -> Ended:
    """Go on with a run.

    Args:
        changes: fields of the order, in place of the recorded ones; None is no change.

    Raises:
        UsageError: the run was not made by this command, or is another one with these changes.
        SpecificationError: its prompts and rules are no longer known.
    """
    order = order_of(run, changes)
    return optimizing.resume(order, around, screen) if order.fork is None else optimizing.fork(order, around, screen)


def order_of(run: Path, changes: Mapping[str, Any]) -> Order:
    """The order that a run was made by.

    Raises:
        UsageError: there is no run, or it was not made by this command.
        SpecificationError: nor could it be gone on with, since its prompts and rules are no longer known.
    """
    recorded = run_in(run)
    recipe = recorded.meta("recipe")
    if recipe is None:
        check_protocol(recorded.specification, written_by(recorded))
        raise UsageError(
            f"{run} was not made by semprop optimize, so this command cannot make its graph and data again: resume it "
            "with Trainer(specification, resume=True)"
        )
    given = {name: value for name, value in changes.items() if value is not None}
    roles = {**recipe["roles"], **given.pop("roles", {})}
    return Order.of({**recipe, **given, "roles": roles, "run": run})
