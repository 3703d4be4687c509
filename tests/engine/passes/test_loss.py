"""Loss: a tape → a score; whose fault a failure was decides whether it counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from semprop.engine import (
    ContentError,
    Custom,
    DataError,
    Exact,
    Example,
    Failure,
    FailureKind,
    Function,
    Judge,
    LabelProbability,
    Model,
    Position,
    Score,
    Scored,
    Tape,
)
from semprop.engine.losses import Answer, Loss
from semprop.engine.passes.loss import judged, loss_of
from semprop.engine.tape import Record
from semprop.providers import Capabilities, Scripted
from semprop.providers.base import Completion, Stop
from semprop.providers.errors import ErrorClass, ItemError, ProviderFailure

Direct = Callable[[Scripted], Any]
AT = Position(1, "gate", "e", candidate="c")
EXAMPLE = Example("e", {"question": "Is it so?"}, "yes")
MODEL_KINDS = [kind for kind in FailureKind if kind.is_model_failure]
PROVIDER_KINDS = [kind for kind in FailureKind if not kind.is_model_failure]


def tape(value: object, reply: str = "", example: Example = EXAMPLE) -> Tape:
    return Tape(example, "hash", (Record(Model("answer", "told", ("question",)), (), value, reply),), "answer")


async def scored(direct: Direct, given: Tape, loss: Loss, *answers: Any) -> Score:
    result = await judged(given, loss, AT, direct(Scripted(list(answers))))
    assert isinstance(result, Scored)
    assert result.tape is given
    return result.score


@pytest.mark.parametrize(("score", "loss"), [(1.0, 0.0), (0.25, 0.75), (0.0, 1.0)])
def test_loss_is_one_minus_score(score: float, loss: float) -> None:
    assert loss_of(Score(score)) == loss


# Failures on the tape ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODEL_KINDS)
async def test_a_model_failure_counts_as_wrong_and_says_why(direct: Direct, kind: FailureKind) -> None:
    score = await scored(direct, tape(Failure(kind, "why")), Exact())
    assert score.value == 0.0
    assert score.lenient == 0.0
    assert score.feedback


@pytest.mark.parametrize("kind", PROVIDER_KINDS)
async def test_a_provider_failure_is_no_score(direct: Direct, kind: FailureKind) -> None:
    failure = Failure(kind, "gone")
    assert await judged(tape(failure), Exact(), AT, direct(Scripted([]))) is failure


async def test_an_unreadable_reply_is_still_read_leniently(direct: Direct) -> None:
    score = await scored(direct, tape(Failure(FailureKind.UNPARSEABLE, "no tags"), "The answer is yes."), Exact())
    assert (score.value, score.lenient) == (0.0, 1.0)


async def test_a_failed_hidden_node_leaves_nothing_to_read(direct: Direct) -> None:
    hidden = Record(Model("hint", "told", ("question",)), (), Failure(FailureKind.FILTER, "no"), "yes")
    score = await scored(direct, Tape(EXAMPLE, "hash", (hidden,), "answer"), Exact())
    assert (score.value, score.lenient) == (0.0, 0.0)


@pytest.mark.parametrize("loss", [LabelProbability(("yes", "no")), Custom("own", lambda **_: 1.0), Judge()])
async def test_a_filtered_reply_with_text_is_wrong_under_losses_without_a_lenient_reading(
    direct: Direct, loss: Loss
) -> None:
    score = await scored(direct, tape(Failure(FailureKind.FILTER, "stopped"), "yes, but"), loss)
    assert (score.value, score.lenient) == (0.0, 0.0)


# Pure losses ---------------------------------------------------------------------------------------------------------


async def test_a_pure_loss_reads_the_value_and_the_whole_reply(direct: Direct) -> None:
    assert await scored(direct, tape("yes", "I say <answer>yes</answer>"), Exact()) == Score(1.0, "", 1.0)


async def test_a_whole_number_of_any_size_is_judged_as_written(direct: Direct) -> None:
    number = Record(Function("answer", print, ()), (), 1234567890123456789)
    example = Example("e", {"question": "?"}, "1234567890123456789")
    assert (await scored(direct, Tape(example, "hash", (number,), "answer"), Exact())).value == 1.0


class Picky:
    name = "picky"

    def __call__(self, example: Example, answer: Answer) -> Score:
        raise ContentError(answer.text)


async def test_content_that_a_pure_loss_cannot_use_counts_as_wrong(direct: Direct) -> None:
    assert await scored(direct, tape("gibberish"), Picky()) == Score(0.0, "gibberish")
    assert await scored(direct, tape(""), Picky()) == Score(0.0, "picky could not use the answer")
    assert (await scored(direct, tape(Failure(FailureKind.FILTER, "no"), "text"), Picky())).value == 0.0


async def test_an_example_that_the_loss_cannot_judge_ends_the_run_with_its_name(direct: Direct) -> None:
    with pytest.raises(DataError, match="example 'e7'"):
        await judged(tape("yes", example=Example("e7", {"question": "?"})), Exact(), AT, direct(Scripted([])))


# Losses of the user --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("returned", [0.5, Score(0.5, "half", 1.0), {"value": 0.5, "feedback": "half"}])
async def test_a_loss_of_the_user_gets_the_example_and_the_bare_value(direct: Direct, returned: object) -> None:
    seen: list[tuple[Example, object]] = []

    def loss(example: Example, answer: object) -> object:
        seen.append((example, answer))
        return returned

    seam = direct(Scripted([]))
    result = await judged(tape(["any", "object"]), Custom("own", loss), AT, seam)
    assert isinstance(result, Scored) and result.score.value == 0.5
    assert seen == [(EXAMPLE, ["any", "object"])]
    assert seam.asked == [Position(1, "gate", "e", candidate="c", node="own", slot="loss")]


async def test_content_that_it_cannot_use_counts_as_wrong_with_its_words(direct: Direct) -> None:
    def loss(example: Example, answer: object) -> float:
        raise ContentError("no verdict in it")

    assert await scored(direct, tape("x"), Custom("own", loss)) == Score(0.0, "no verdict in it")


async def test_any_other_error_of_it_excludes_the_example(direct: Direct) -> None:
    result = await judged(tape("x"), Custom("own", lambda example, answer: 1 / 0), AT, direct(Scripted([])))
    assert isinstance(result, Failure) and not result.is_model_failure


# Judges --------------------------------------------------------------------------------------------------------------


def grade(score: object, feedback: str = "fine") -> str:
    return orjson.dumps({"feedback": feedback, "score": score}).decode()


async def test_a_judge_grades_by_its_criteria_and_sees_the_reference_only_if_told(direct: Direct) -> None:
    for reference, held in ((True, 1), (False, 0)):
        scripted = Scripted([grade(7, "short")])
        loss = Judge("Be strict.", reference=reference)
        result = await judged(tape("the-answer"), loss, AT, direct(scripted))
        assert isinstance(result, Scored) and result.score == Score(0.7, "short")
        text = scripted.requests[0].messages[-1].text
        assert "Be strict." in text and "the-answer" in text and "Is it so?" in text
        assert text.count("<expected>") == held


async def test_a_judge_without_schema_is_asked_for_tags(direct: Direct) -> None:
    scripted = Scripted(["<feedback>ok</feedback><score>10</score>"], capabilities=Capabilities(schema=False))
    result = await judged(tape("x"), Judge(), AT, direct(scripted))
    assert isinstance(result, Scored) and result.score == Score(1.0, "ok")
    assert scripted.requests[0].schema is None


async def test_an_unreadable_grade_is_asked_for_once_more(direct: Direct) -> None:
    seam = direct(Scripted(["good!", grade(9)]))
    result = await judged(tape("x"), Judge(), AT, seam)
    assert isinstance(result, Scored) and result.score.value == 0.9
    assert [(position.node, position.slot) for position in seam.asked] == [("judge", "loss"), ("judge", "loss-repair")]


@pytest.mark.parametrize(
    "answers",
    [
        ("good!", "very good!"),
        ("good!", ItemError("no", ErrorClass.FILTER)),
        (ItemError("no", ErrorClass.REFUSAL),),
        (ItemError("too long", ErrorClass.CONTEXT),),
        (ProviderFailure("gone", ErrorClass.TRANSIENT),),
    ],
)
async def test_a_judge_that_fails_excludes_the_example_and_never_counts_it_as_wrong(
    direct: Direct, answers: tuple[Any, ...]
) -> None:
    result = await judged(tape("x"), Judge(), AT, direct(Scripted(list(answers))))
    assert isinstance(result, Failure)
    assert not result.is_model_failure
    assert "the judge gave no grade" in result.message


async def test_a_judge_that_refuses_in_words_is_not_a_grade(direct: Direct) -> None:
    refusal = Completion(grade(3), Stop.REFUSAL)
    result = await judged(tape("x"), Judge(), AT, direct(Scripted([refusal])))
    assert isinstance(result, Failure) and not result.is_model_failure
