"""Text and numbers in one graph: one pass, one step, each kind with the gradient of its kind."""

import json

import numpy as np
import pytest
import worlds

from semprop.bench.calibration import GAIN, OFFSET, RIGHT, example, graph
from semprop.engine import (
    Array,
    CaseFolded,
    Example,
    Failure,
    FailureKind,
    Fork,
    Function,
    Graph,
    Kind,
    Model,
    NodeError,
    NoGate,
    Number,
    Objective,
    Parameter,
    Score,
    Specification,
    Splits,
    Squared,
    Trainer,
    primitives,
)
from semprop.engine.converters import parsed_number, written_number
from semprop.engine.gradients import Evidence, Gradient, Provenance, Stance, change
from semprop.engine.method import Local, Scored, Seed
from semprop.engine.methods.descent import GradientDescent
from semprop.engine.methods.mixed import MixedBackward, MixedUpdate, by_kind, descends, mixed, mixed_seed
from semprop.engine.methods.rewrite import Raced, RewriteUpdate
from semprop.engine.replies.parsers import ReplyStyle
from semprop.providers import Completion, Scripted

SOURCE = Provenance("e0", "next", "operand")


def local(node, value, content, *, loss=None, active=None, **values):
    """What h sees of a node that gave a value, whose gradient has this content."""
    record = worlds.record(node, value, **values)
    gradient = Gradient(node.name, node.kind, (change(content, SOURCE),))
    names = tuple(slot.name for slot in record.slots) if active is None else active
    seeds = () if loss is None else (Seed("answer", change(1.0, Provenance("e0")), loss),)
    return Local(record, gradient, names, "e0", ReplyStyle.JSON, seeds)


def ran(plan, *replies):
    """(what a plan returned, the effects that it asked for), answered in order; forks are run to their end."""
    left, asked = list(replies), []

    def run(one):
        answers = None
        while True:
            try:
                effects = next(one) if answers is None else one.send(answers)
            except StopIteration as end:
                return end.value
            answers = tuple(
                tuple(map(run, effect.plans)) if isinstance(effect, Fork) else asked.append(effect) or left.pop(0)
                for effect in effects
            )

    return run(plan), asked


def back(given, *replies, **parts):
    messages, asked = ran(MixedBackward(**parts)(given), *replies)
    return messages, asked


# Text → number -------------------------------------------------------------------------------------------------------

READ = parsed_number("reading", "said")


@pytest.mark.parametrize(
    ("derivative", "loss", "words"),
    [
        (3.0, 4.5, "It should fall by about 3; it is 7 now."),
        (-3.0, 4.5, "It should rise by about 3; it is 7 now."),
        # A derivative through · 2: the error is 3, so the reading is 1.5 off.
        (6.0, 4.5, "It should fall by about 1.5; it is 7 now."),
        (6.0, None, "It should fall by about 6; it is 7 now."),
        (1e-308, 4.5, "It should fall by about 1e-308; it is 7 now."),
    ],
)
def test_a_parser_says_in_words_by_how_much_the_number_should_move(derivative, loss, words):
    given = local(READ, 7.0, derivative, loss=loss, text="7")
    messages, _ = back(given, least=0.0)
    assert messages["text"].content == words
    assert messages["text"].source == Provenance("e0", "reading", "text")


@pytest.mark.parametrize(("derivative", "loss"), [(0.0, 0.0), (1e-4, 5e-9)])
def test_a_number_that_is_right_is_kept(derivative, loss):
    messages, _ = back(local(READ, 7.0, derivative, loss=loss, text="7"))
    assert messages["text"].stance is Stance.KEEP


def test_an_array_cannot_be_said_in_words():
    def read(text):
        return np.array(json.loads(text))

    node = Function("rows", read, ("text",), kind=Kind.ARRAY, pure=True)
    with pytest.raises(NodeError, match="'rows' is told to change by a derivative, and gave"):
        back(local(node, np.array([1.0, 2.0]), np.array([1.0, 0.0]), text="[1, 2]"))


def test_a_text_that_is_no_number_is_told_so():
    node = graph().node("reading")
    failed = Failure(FailureKind.CONTENT, "It must be one number")
    messages, _ = back(local(node, failed, "It must be one number", text="many"))
    assert messages["text"].content == "(from the step next) It must be one number"


def test_a_model_whose_own_text_is_the_number_hears_it_in_words():
    node = Model("answer", "told", ("question",))
    given = local(node, "7", 3.0, loss=4.5, active=("instruction",), instruction="Say.", question="?")
    messages, asked = back(given)
    assert isinstance(messages["instruction"].content, Evidence)
    (message,) = messages["instruction"].content.gradient.messages
    assert message.content == "It should fall by about 3; it is 7 now."
    assert not asked


# Numbers -------------------------------------------------------------------------------------------------------------


def test_an_operation_uses_its_own_backward():
    messages, asked = back(local(primitives.multiply("y", "a", "b"), 6.0, 2.0, left=2.0, right=Number(3.0)))
    assert [messages[name].content for name in ("left", "right")] == [6.0, 4.0]
    assert not asked


def test_a_function_of_text_and_number_is_told_words_and_differentiated():
    def scaled(text, factor):
        return float(text) * factor

    node = Function("y", scaled, ("text", "factor"), kind=Kind.NUMBER, pure=True)
    given = local(node, 6.0, 2.0, loss=2.0, text="2", factor=3.0)
    messages, asked = back(given, 2 * (3 + 18e-6), 2 * (3 - 18e-6))
    assert messages["factor"].content == pytest.approx(4.0)
    assert messages["text"].content == "It should fall by about 2; it is 6 now."
    assert len(asked) == 2


def test_why_an_operation_failed_is_passed_on_in_words():
    messages, _ = back(local(primitives.log("y", "a"), Failure(FailureKind.CONTENT, "bad"), "bad", operand=-1.0))
    assert messages["operand"].content == "(from the step next) bad"


def test_a_function_with_a_backward_of_the_users_hears_words_as_they_are():
    def backward(inputs, output, gradient):
        return {"n": -1.0 if gradient.changes[0].content == "longer" else None}

    node = Function("text", lambda n: "x" * int(n), ("n",), pure=True, backward=backward)
    assert back(local(node, "xx", "longer", n=2.0))[0]["n"].content == -1.0


# Number → text -------------------------------------------------------------------------------------------------------

WRITE = written_number("text", "n")


def reply(**moves):
    return Completion(json.dumps({"reasoning": "", **moves}))


@pytest.mark.parametrize(("word", "derivative"), [("raise", -1.0), ("lower", 1.0), ("keep", 0.0)])
def test_a_writer_asks_in_which_direction_and_the_answer_becomes_a_derivative(word, derivative):
    messages, (ask,) = back(local(WRITE, "3", "It is too low.", number=3.0), reply(number=word))
    assert messages["number"].content == derivative
    assert messages["number"].source == Provenance("e0", "text", "number")
    assert (ask.role, ask.node, ask.slot) == ("backward", "text", "number")
    assert "Writes the number in digits" in ask.request.messages[1].text


def test_a_model_is_asked_for_numbers_and_for_words_side_by_side():
    node = Model("plan", "told", ("question", "limit"))
    given = local(node, "out", "too long", active=("question", "limit"), question="?", limit=3.0)
    advice = json.dumps({"reasoning": "", "question": {"verdict": "change", "advice": "be clear"}})
    messages, asked = back(given, reply(limit="lower"), Completion(advice))
    assert messages["limit"].content == 1.0
    assert messages["question"].content == "be clear"
    assert len(asked) == 2


def test_an_unreadable_answer_is_asked_once_more_and_then_lost():
    given = local(WRITE, "3", "too low", number=3.0)
    messages, asked = back(given, Completion("well"), reply(number="raise"))
    assert messages["number"].content == -1.0
    assert asked[1].slot == "number:repair"
    messages, _ = back(given, Completion("well"), Completion("hm"))
    assert messages["number"].stance is Stance.LOST
    assert "Expected one JSON object" in messages["number"].content


@pytest.mark.parametrize("replies", [("gone",), ("well", "gone")])
def test_a_failed_call_loses_the_message(replies):
    gone = Failure(FailureKind.TRANSPORT, "gone")
    answers = [gone if text == "gone" else Completion(text) for text in replies]
    messages, _ = back(local(WRITE, "3", "too low", number=3.0), *answers)
    assert (messages["number"].stance, messages["number"].content) == (Stance.LOST, "gone")


# F, A, U -------------------------------------------------------------------------------------------------------------


def scored(score):
    built = graph()
    values = {"read": "1", "reading": 1.0, "scaled": 1.0, "answer": 1.0}
    return Scored(worlds.tape(built, example(0, 1), values), score)


def test_the_seed_is_a_derivative_where_there_is_one_and_words_elsewhere():
    (seed,) = mixed_seed(scored(Score(0.5, objective=Objective(2.0, -1.5))))
    assert seed.message.content == -1.5
    (seed,) = mixed_seed(scored(Score(0.5)))
    assert seed.message.content.startswith("The expected output is: ")


def test_derivatives_are_added_and_words_are_listed():
    assert by_kind("n", Kind.NUMBER, (change(1.0, SOURCE), change(2.0, SOURCE))).messages[0].content == 3.0
    words = (change("a", SOURCE), change("b", SOURCE))
    assert by_kind("t", Kind.TEXT, words).messages == words


def test_a_number_that_only_steers_a_model_is_probed_not_descended():
    built = Graph(
        inputs=("q",),
        parameters=[
            Parameter("s", "Say."),
            *(Parameter(name, Number(0.5, 0, 1)) for name in ("steering", "read", "both")),
        ],
        nodes=[Model("m", "s", ("q", "read", "both"), numbers={"temperature": "steering", "top_p": "both"})],
        output="m",
    )
    assert [name for name in built.trainable if descends(built, name)] == ["read"]


def update(context, *replies, raced=Raced.TOGETHER_AND_ALONE):
    rule = MixedUpdate(GradientDescent(1.0), RewriteUpdate(raced=raced))
    return ran(rule(context), *replies)


def both_kinds():
    built = graph()
    words = Gradient("read-instruction", Kind.TEXT, (change("be right", SOURCE),))
    number = Gradient("gain", Kind.NUMBER, (change(0.5, Provenance("")),))
    collected = {
        "read-instruction": worlds.collected(built, "read-instruction", words),
        "gain": worlds.collected(built, "gain", number),
    }
    return worlds.context(built, collected=collected)


def names(proposals):
    return [tuple(edit.parameter for edit in entry.edits) for entry in proposals.candidates]


def test_one_step_has_both_kinds_in_one_candidate_and_each_alone():
    texts = Completion(json.dumps({"reasoning": "", "proposal_1": RIGHT}))
    proposals, _ = update(both_kinds(), texts)
    assert names(proposals) == [("read-instruction", "gain"), ("read-instruction",), ("gain",)]
    first = proposals.candidates[0].parameters
    assert (first["read-instruction"], first["gain"].value) == (RIGHT, 0.5)
    assert proposals.state["gain"].count == 1
    proposals, _ = update(both_kinds(), texts, raced=Raced.TOGETHER)
    assert names(proposals) == [("read-instruction", "gain")]


def test_a_lost_rewriting_leaves_the_numbers_their_step():
    proposals, _ = update(both_kinds(), Failure(FailureKind.TRANSPORT, "gone"))
    assert names(proposals) == [("gain",)]
    assert [entry.parameter for entry in proposals.dropped] == ["read-instruction"]


# Whole runs ----------------------------------------------------------------------------------------------------------


def reader(request):
    """A model that gives the field that its instruction names, and rewrites to the right one."""
    if worlds.is_update(request):
        return worlds.propose(request, RIGHT)
    told, record = request.messages[0].text, request.messages[-1].text
    field = told.split()[-1].strip(".")
    return next(line.split(": ")[1] for line in record.splitlines() if line.startswith(f"{field}: "))


async def test_text_and_numbers_of_one_path_are_trained_to_the_known_optimum_in_one_run():
    examples = [example(3, number) for number in range(40)]
    spec = Specification(
        graph=graph(),
        loss=Squared(),
        splits=Splits(tuple(examples[:16]), tuple(examples[16:32]), tuple(examples[32:])),
        method=mixed(GradientDescent(0.5)),
        providers={"forward": Scripted(reader)},
        steps=40,
        minibatch=16,
        examples_per_gradient=None,
    )
    async with Trainer(spec) as trainer:
        steps = [step async for step in trainer]
        result = await trainer.report()
    # One step changes both kinds.
    assert {edit.parameter for edit in steps[0].proposals.candidates[0].edits} == {"read-instruction", "gain", "offset"}
    assert result.parameters["read-instruction"] == RIGHT
    assert result.parameters["gain"].value == pytest.approx(GAIN, abs=1e-3)
    assert result.parameters["offset"].value == pytest.approx(OFFSET, abs=1e-3)
    # Once all is right, nothing is said to the text any more.
    assert {each["read-instruction"].stance for each in steps[0].gradients} == {Stance.CHANGE}
    assert {each["read-instruction"].stance for each in steps[-1].gradients} == {Stance.KEEP}


async def test_a_number_that_a_model_reads_is_trained_by_raise_and_lower():
    def model(request):
        keys = worlds.keys(request)
        if keys == ["limit"]:
            return json.dumps({"reasoning": "", "limit": "raise"})
        return "yes" if float(request.messages[-1].text.rsplit(": ", 1)[1]) >= 5 else "no"

    built = Graph(
        inputs=("question",),
        parameters=[Parameter("told", "Answer.", trainable=False), Parameter("limit", Number(2.0, 0, 10))],
        nodes=[Model("answer", "told", ("question", "limit"))],
        output="answer",
    )
    examples = [Example(f"e{index}", {"question": f"question {index}?"}, "yes") for index in range(3)]
    spec = Specification(
        graph=built,
        loss=CaseFolded(),
        splits=Splits(*((each,) for each in examples)),
        method=mixed(GradientDescent(1.0), gate=NoGate()),
        providers={"forward": Scripted(model)},
        steps=6,
    )
    async with Trainer(spec) as trainer:
        path = [step.after["limit"].value async for step in trainer]
    assert path == [3, 4, 5, 5, 5, 5]


async def test_arrays_and_texts_train_together():
    built = Graph(
        inputs=("record",),
        parameters=[Parameter("s", "Give primary."), Parameter("w", Array([1.0, 1.0]))],
        nodes=[
            Model("read", "s", ("record",)),
            parsed_number("reading", "read"),
            primitives.multiply("both", "reading", "w"),
            primitives.sum_of("answer", "both"),
        ],
        output="answer",
    )
    examples = [example(4, number) for number in range(12)]
    spec = Specification(
        graph=built,
        loss=Squared(),
        splits=Splits(tuple(examples[:8]), tuple(examples[8:]), ()),
        method=mixed(GradientDescent(0.2), gate=NoGate()),
        providers={"forward": Scripted(reader)},
        steps=3,
        minibatch=8,
        examples_per_gradient=None,
    )
    async with Trainer(spec) as trainer:
        steps = [step async for step in trainer]
    assert all(isinstance(step.after["w"], Array) for step in steps)
    assert steps[-1].after["w"] != built.initial["w"]
