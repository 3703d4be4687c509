"""`semprop batches RUN`: the batches of a run as its providers show them now, and a stop to those that still run.

Reads the run's journal and asks the providers; the run itself may be stopped, killed or going on. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from semprop.providers.base import Note
from semprop.providers.batches.notes import Draft
from semprop.providers.batches.service import State, Status
from semprop.providers.batches.terms import BatchTerms
from semprop.providers.endpoints import BATCHED
from semprop.providers.specification import Specification, resolve
from semprop.providers.specification import load as load_providers
from semprop.providers.stack import batches_of
from semprop.tools.exits import Ended
from semprop.tools.optimizing import run_loop
from semprop.tools.preparing import Order, Surrounding, run_in
from semprop.tools.resuming import order_of
from semprop.tools.screen import Screen


def batches(directory: Path, cancel: bool, around: Surrounding, screen: Screen) -> Ended:
    """List the batches of a run; with `cancel`, stop those that run.

    Raises:
        UsageError: there is no run, or it was not made by this command.
        StopError: a provider cannot be asked.
    """
    run = run_in(directory)
    specifications = batched_by(order_of(directory, {}))
    rows: list[dict[str, Any]] = run_loop(partial(_asked, run.notes(), specifications, cancel, around))
    for row in rows:
        place = row["batch"] or f"tagged {row['tag']}, not known to be at the provider"
        screen.show(f"{place}: {row['status']}, {row['done']:,} of {row['requests']:,} done")
    if not rows:
        screen.show(f"{directory} sent no batch")
    return Ended({"status": "done", "error": None, "batches": rows})


def batched_by(order: Order) -> list[Specification]:
    """The providers of an order whose batch API may have been used, each once."""
    named = {} if order.providers is None else load_providers(order.providers)
    found = [resolve(text, named) for text in dict.fromkeys(order.roles.values())]
    return [replace(each, batch=each.batch or BatchTerms()) for each in found if each.kind in BATCHED]


async def _asked(
    notes: Sequence[Note], specifications: Sequence[Specification], cancel: bool, around: Surrounding
) -> list[dict[str, Any]]:
    rows = []
    for specification in specifications:
        api = batches_of(specification, around.providers)
        try:
            for draft in api.drafts(notes):
                status = None if draft.batch is None else await api.status(draft.batch)
                if cancel and status is not None and status.state is State.RUNNING:
                    status = await api.cancel(status.id)
                rows.append(_row(draft, status))
        finally:
            await api.close()
    return rows


def _row(draft: Draft, status: Status | None) -> dict[str, Any]:
    return {
        "batch": draft.batch,
        "tag": draft.tag,
        "status": "unknown" if status is None else status.word,
        "done": 0 if status is None else status.done,
        "requests": len(draft.keys),
    }
