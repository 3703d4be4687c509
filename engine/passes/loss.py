"""Loss: a tape → a score. The one place where score and loss are converted into each other.

A model failure scores 0 with its reason as feedback; a provider failure has no score at all (law L3).
"""

from __future__ import annotations

from dataclasses import replace

from semprop.engine.errors import ContentError
from semprop.engine.example import Example, words_of
from semprop.engine.losses import Answer, Custom, Judge, LabelProbability, Loss, PureLoss, Score, as_score
from semprop.engine.method import Scored
from semprop.engine.outcomes import Failure, FailureKind, Position, Unread, stopped_short
from semprop.engine.prompts.forward import repair_request
from semprop.engine.prompts.judge import judge_request
from semprop.engine.prompts.words import failure_words
from semprop.engine.replies.parsers import ReplyError, ReplyStyle, parse_judgement
from semprop.engine.seam import FunctionCall, ModelCall, Seam
from semprop.engine.tape import Tape, shown
from semprop.providers.base import Completion


def loss_of(score: Score) -> float:
    """Loss in [0, 1], 0 best."""
    return 1.0 - score.value


async def judged(tape: Tape, loss: Loss, at: Position, seam: Seam) -> Scored | Failure:
    """Score a tape, or say which provider failure left it without a score."""
    failure = tape.failure
    if failure is not None:
        if not failure.is_model_failure:
            return failure
        return Scored(tape, _failed(tape, loss, failure))
    score = await _score(tape, loss, at, seam)
    if not isinstance(score, Failure):
        return Scored(tape, score)
    if score.kind is FailureKind.CONTENT:
        return Scored(tape, Score(0.0, score.message))
    return score


def _failed(tape: Tape, loss: Loss, failure: Failure) -> Score:
    """A wrong answer because of content. What the output's reply says leniently still counts as lenient."""
    record = tape.record(tape.output)
    lenient: float | None = 0.0
    if record is not None and record.reply and not isinstance(loss, Custom | Judge | LabelProbability):
        lenient = _read(loss, tape.example, Answer("", record.reply, record.logprobs)).lenient
    return Score(0.0, failure_words(failure.kind), lenient)


async def _score(tape: Tape, loss: Loss, at: Position, seam: Seam) -> Score | Failure:
    example = tape.example
    record = tape.record(tape.output)
    assert record is not None, "a tape without failure has its output"
    match loss:
        case Custom():
            arguments = {"example": example, "answer": record.value}
            call = FunctionCall(loss.name, loss.call, arguments, loss.version, loss.pure, loss.blocking)
            outcome = await seam.ask_function(at.moved(node=loss.name, slot="loss"), call)
            return outcome if isinstance(outcome, Failure) else as_score(outcome.value, loss.name)
        case Judge():
            return await graded(loss, example, shown(tape.answer), at.moved(node=loss.name, slot="loss"), seam)
        case _:
            return _read(loss, example, Answer(shown(record.value), record.reply, record.logprobs, record.value))


def _read(loss: PureLoss, example: Example, answer: Answer) -> Score:
    try:
        return as_score(loss(example, answer), loss.name)
    except ContentError as error:
        return Score(0.0, str(error) or f"{loss.name} could not use the answer")


async def graded(loss: Judge, example: Example, answer: str, at: Position, seam: Seam) -> Score | Failure:
    """A judge's grade of an answer, or why there is none; a grade that cannot be read is asked for once more."""
    style = seam.style(loss.role)
    expected = example.expected if loss.reference else None
    inputs = {name: words_of(given) for name, given in example.inputs.items()}
    request = judge_request(loss.criteria, inputs, expected, answer, style, loss.sampling)
    request = replace(request, draw=f"{loss.name}|{example.id}", sample=at.sample)
    outcome = await seam.ask_model(at, ModelCall(loss.role, request))
    for attempt in (1, 2):
        if isinstance(outcome, Failure):
            return _unjudged(outcome)
        stopped = stopped_short(outcome)
        if stopped is not None:
            return _unjudged(stopped)
        try:
            judgement = parse_judgement(outcome.text, style)
        except ReplyError as error:
            if attempt == 2:
                return _unjudged(Failure(FailureKind.UNPARSEABLE, str(error), outcome.text))
            again = repair_request(request, outcome, str(error))
            call = ModelCall(loss.role, again, unread=Unread(outcome, lambda reply: _is_read(reply, style)))
            outcome = await seam.ask_model(at.moved(slot=f"{at.slot}-repair"), call)
        else:
            return Score(judgement.score, judgement.feedback)
    raise AssertionError("both attempts return")


def _is_read(reply: Completion, style: ReplyStyle) -> bool:
    try:
        parse_judgement(reply.text, style)
    except ReplyError:
        return False
    return True


def _unjudged(failure: Failure) -> Failure:
    """A judge that fails says nothing about the answer: the example is excluded, never counted as wrong."""
    kind = FailureKind.BAD_REQUEST if failure.is_model_failure else failure.kind
    return Failure(kind, f"the judge gave no grade: {failure.message}", failure.text, failure.attempts)
