"""Update: evidence → candidates that may be tried. Drives the method's U and checks what it returned.

Law L4: a proposal that changes nothing, is too long, breaks a constraint, or repeats another never becomes a candidate;
what was dropped is reported with the reason. No candidate left means "no proposal", and no gate call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from semprop.engine.constraints import fault_of
from semprop.engine.method import Candidate, Dropped, Edit, Proposals, UpdateContext, UpdateRule, candidate
from semprop.engine.parameters import rendered
from semprop.engine.plans import Plan

Drive = Callable[[Plan[Any]], Awaitable[Any]]


async def update(context: UpdateContext, rule: UpdateRule, drive: Drive) -> Proposals:
    """The candidates of this step, checked, in the rule's order."""
    proposals: Proposals = await drive(rule(context))
    dropped = list(proposals.dropped)
    kept: dict[str, Candidate] = {}
    for proposed in proposals.candidates:
        edits = tuple(edit for edit in proposed.edits if _stands(edit, context, dropped))
        if edits:
            checked = candidate(context.parameters, edits)
            if checked.id in context.tried:
                names = ", ".join(edit.parameter for edit in edits)
                dropped.append(Dropped(names, "it lost against the same parameters before"))
            else:
                kept.setdefault(checked.id, checked)
    unique = {(entry.parameter, entry.reason, entry.text): entry for entry in dropped}
    return Proposals(tuple(kept.values()), tuple(unique.values()), proposals.state)


def _stands(edit: Edit, context: UpdateContext, dropped: list[Dropped]) -> bool:
    """Whether an edit may be tried; if not, the reason is noted."""
    declared = context.graph.parameter(edit.parameter)
    text = rendered(edit.after)
    reason = ""
    if not declared.trainable:
        reason = "the parameter is frozen"
    elif edit.after == context.parameters[edit.parameter]:
        reason = "it changes nothing"
    elif isinstance(edit.after, str) and not edit.after.strip():
        reason = "it is empty"
    elif len(text.encode()) > declared.max_bytes:
        reason = f"it has {len(text.encode())} bytes, more than the {declared.max_bytes} allowed"
    elif isinstance(edit.after, str) and (fault := fault_of(declared.constraints, edit.after)):
        reason = fault
    elif isinstance(edit.after, str) and (copied := context.is_copy(edit.after, rendered(edit.before))):
        reason = f"it copies a training example: «{copied}»"
    if reason:
        dropped.append(Dropped(edit.parameter, reason, text))
    return not reason
