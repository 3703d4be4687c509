"""Update: what a method proposes → candidates that may be tried."""

from __future__ import annotations

from typing import Any

import pytest

from semprop.engine import (
    Candidate,
    Demonstration,
    Demonstrations,
    Edit,
    Example,
    Graph,
    GraphError,
    Model,
    Number,
    Parameter,
    Parameters,
    Plan,
    Proposals,
    SpecificationError,
    UpdateContext,
)
from semprop.engine.copying import CopyGuard
from semprop.engine.method import Dropped, candidate
from semprop.engine.parameters import ParameterValue
from semprop.engine.passes.update import update
from semprop.engine.plans import nothing
from semprop.engine.replies.parsers import ReplyStyle

GRAPH = Graph(
    inputs=("question",),
    parameters=[
        Parameter("told", "Do it.", max_bytes=40),
        Parameter("fixed", "As it is.", trainable=False),
        Parameter("heat", Number(0.5, 0, 1)),
        Parameter("shown", Demonstrations(), max_bytes=40),
    ],
    nodes=[
        Model("hint", "fixed", ("question",)),
        Model("answer", "told", ("hint",), demonstrations="shown", numbers={"temperature": "heat"}),
    ],
    output="answer",
)
TRAIN = [Example("e", {"question": "Seven sailors left the port of Cadiz with salted fish"})]


def context() -> UpdateContext:
    return UpdateContext(
        GRAPH, GRAPH.initial, {}, (), (), step=0, seed=0, wanted=1, style=ReplyStyle.JSON, is_copy=CopyGuard(TRAIN)
    )


def edit(name: str, after: ParameterValue) -> Edit:
    return Edit(name, GRAPH.initial[name], after)


def proposed(*edits: Edit) -> Candidate:
    return Candidate("unchecked", edits, GRAPH.initial)


async def updated(*candidates: Candidate, dropped: tuple[Dropped, ...] = ()) -> Proposals:
    async def drive(plan: Plan[Any]) -> Any:
        try:
            next(plan)
        except StopIteration as end:
            return end.value

    return await update(context(), lambda context: nothing(Proposals(candidates, dropped)), drive)


async def test_a_candidate_that_stands_is_named_by_its_edits_and_holds_the_new_parameters() -> None:
    result = await updated(proposed(edit("told", "Do it well.")))
    assert result.dropped == ()
    (checked,) = result.candidates
    assert checked == candidate(GRAPH.initial, (edit("told", "Do it well."),))
    assert checked.parameters["told"] == "Do it well."
    assert checked.parameters["fixed"] == "As it is."
    assert GRAPH.initial["told"] == "Do it."


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (edit("told", "Do it."), "changes nothing"),
        (edit("told", " \n"), "empty"),
        (edit("told", "ä" * 21), "42 bytes, more than the 40"),
        (edit("fixed", "Otherwise."), "frozen"),
        (edit("told", "7 if SEVEN sailors left the port of Cadiz with"), "more than the 40"),
        (edit("told", "seven sailors left the port of cadiz with"), "bytes, more than"),
        (edit("shown", Demonstrations((Demonstration((("question", "x" * 40),), "y"),))), "more than the 40"),
    ],
)
async def test_an_edit_that_cannot_be_tried_is_dropped_with_the_reason(bad: Edit, reason: str) -> None:
    result = await updated(proposed(bad))
    assert result.candidates == ()
    (dropped,) = result.dropped
    assert dropped.parameter == bad.parameter
    assert reason in dropped.reason


async def test_a_copied_example_is_rejected_and_quoted() -> None:
    wide = Graph(
        inputs=("question",),
        parameters=[Parameter("told", "Do it.")],
        nodes=[Model("answer", "told", ("question",))],
        output="answer",
    )
    given = UpdateContext(
        wide, wide.initial, {}, (), (), step=0, seed=0, wanted=1, style=ReplyStyle.JSON, is_copy=CopyGuard(TRAIN)
    )
    text = "Think. When seven sailors left the port of Cadiz with salted fish, say 7."

    async def drive(plan: Plan[Any]) -> Any:
        return Proposals((Candidate("x", (Edit("told", "Do it.", text),), wide.initial),))

    result = await update(given, lambda context: nothing(Proposals(())), drive)
    assert result.candidates == ()
    assert "copies a training example: «seven sailors left the port of cadiz with»" in result.dropped[0].reason
    assert result.dropped[0].text == text


async def test_the_edits_that_stand_form_the_candidate_without_those_that_do_not() -> None:
    result = await updated(proposed(edit("told", ""), edit("heat", Number(0.6, 0, 1))))
    (checked,) = result.candidates
    assert [one.parameter for one in checked.edits] == ["heat"]
    assert checked.parameters["told"] == "Do it."
    assert [dropped.parameter for dropped in result.dropped] == ["told"]


async def test_candidates_that_became_equal_are_raced_once_in_the_rules_order() -> None:
    better, other = edit("told", "Better."), edit("told", "Other.")
    result = await updated(proposed(other), proposed(better, edit("fixed", "x")), proposed(better))
    assert [one.edits for one in result.candidates] == [(other,), (better,)]


async def test_the_same_loss_is_reported_once_and_the_rules_own_losses_first() -> None:
    lost = Dropped("told", "1 proposal(s) lost")
    result = await updated(proposed(edit("told", "")), proposed(edit("told", "")), dropped=(lost,))
    assert [entry.reason for entry in result.dropped] == ["1 proposal(s) lost", "it is empty"]


async def test_no_proposal_is_no_candidate() -> None:
    assert await updated() == Proposals(())


async def test_an_edit_of_an_unknown_parameter_or_another_kind_is_an_error_of_the_method() -> None:
    with pytest.raises(GraphError, match="no parameter 'other'"):
        await updated(proposed(Edit("other", "", "x")))
    with pytest.raises(SpecificationError, match="'heat' is number"):
        await updated(proposed(edit("heat", "hot")))


def test_a_candidates_name_depends_on_its_edits_alone() -> None:
    elsewhere = Parameters({**GRAPH.initial, "fixed": "Different."})
    one = candidate(GRAPH.initial, (edit("told", "Better."),))
    assert one.id == candidate(elsewhere, (edit("told", "Better."),)).id
    assert one.id != candidate(GRAPH.initial, (edit("told", "Worse."),)).id
