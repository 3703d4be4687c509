"""Claims that money and truth hang on, each of which was once broken: what is scored, stopped, shared and said."""

import dataclasses
from dataclasses import replace

import pytest
import worlds

from semprop.engine import (
    Custom,
    Example,
    Failure,
    FailureKind,
    Function,
    Graph,
    Kind,
    Model,
    NodeError,
    Numeric,
    Parameter,
    Provenance,
    ReplyFormat,
    Score,
    SemanticBackward,
    SpecificationError,
    Splits,
    Stance,
    Status,
    Trainer,
    change,
    optimize,
)
from semprop.engine.gradients import Gradient
from semprop.engine.method import Scored
from semprop.engine.methods.semantic import target_seed
from semprop.engine.outcomes import Position
from semprop.engine.seam import FunctionCall
from semprop.engine.tape import shown
from semprop.engine.training.claim import held_out
from semprop.engine.training.function_results import function_key
from semprop.engine.training.report import status_of
from semprop.providers import Capabilities, Choices, Sampling
from semprop.providers.errors import ErrorClass, ProviderFailure


def scored(value, name="e"):
    graph = worlds.graph()
    tape = worlds.tape(graph, Example(name, {"question": "?"}, "7"), {node.name: "7" for node in graph.nodes})
    return Scored(tape, Score(value))


async def test_a_tagged_output_held_to_its_labels_is_read_as_it_is_and_asked_once():
    def answer(request):
        text = worlds.script(request)
        return f"<answer>{text}</answer>" if "<answer>" in request.messages[0].text else text

    graph = worlds.graph()
    tagged = [replace(node, reply=ReplyFormat.TAGGED) if node.name == "answer" else node for node in graph.nodes]
    graph = Graph(inputs=graph.inputs, parameters=graph.parameters, nodes=tagged, output="answer")
    provider = worlds.scripted(answer, capabilities=Capabilities(choices=True))
    spec = worlds.specification(
        graph=graph, providers={"forward": provider}, splits=worlds.splits(8, 8, 8), labels=("1", "4", "7"), steps=1
    )
    await optimize(spec)
    held = [request for request in provider.requests if isinstance(request.schema, Choices)]
    assert held
    assert not any("<answer>" in message.text for request in held for message in request.messages)
    assert not any("could not be read" in request.messages[-1].text for request in held), "no repair is paid for"


def test_failures_on_one_side_of_the_held_out_split_leave_no_word():
    lost = Failure(FailureKind.TRANSPORT, "line down")
    rows = [(scored(0.0), scored(1.0))] * 40 + [(scored(0.0), lost)] * 12
    report = held_out(rows, [], seed=0)
    assert report.strict.word == "reliable gain"
    assert report.word == "undecided: failures fall unequally, 0 before and 12 after"
    assert status_of(worlds.graph().initial, worlds.graph().initial.replaced({"s": "x"}), report) is Status.UNDECIDED


def test_missing_items_that_could_turn_the_word_leave_none_and_others_do_not_matter():
    lost = Failure(FailureKind.TRANSPORT, "line down")
    near = [(scored(0.0), scored(1.0))] * 6 + [(scored(1.0), scored(1.0))] * 30
    assert held_out(near, [], seed=0).word == "reliable gain"
    assert held_out([*near, (lost, lost)], [], seed=0).word == "undecided: the 1 missing items could turn the word"
    clear = [(scored(0.0), scored(1.0))] * 40 + [(lost, lost)]
    assert held_out(clear, [], seed=0).word == "reliable gain"


async def test_a_candidate_that_lost_is_not_raced_against_the_same_parameters_again():
    def answer(request):
        return worlds.propose(request, "No better.") if worlds.is_update(request) else worlds.script(request)

    spec = worlds.specification(providers={"forward": worlds.scripted(answer)}, splits=worlds.splits(2, 8), steps=4)
    async with Trainer(spec) as trainer:
        steps = [step async for step in trainer]
    assert [step.verdict is not None for step in steps] == [True, False, False, False]
    assert all("lost against the same parameters" in entry.reason for entry in steps[1].proposals.dropped)


async def test_a_minibatch_that_a_provider_failed_on_is_not_a_solved_one():
    def answer(request):
        if worlds.is_forward(request):
            raise ProviderFailure("line down", ErrorClass.TRANSIENT)
        return worlds.script(request)

    providers = {"forward": worlds.scripted(answer)}
    spec = worlds.specification(graph=worlds.graph(hints=0), providers=providers, splits=worlds.splits(2, 2), steps=2)
    async with Trainer(spec) as trainer:
        steps = [step async for step in trainer]
    assert len(steps) == 2
    assert steps[0].reason == "no example had a score: a provider failed on all 2"


async def test_a_pure_function_that_always_raises_stops_the_run_and_is_counted():
    def parse(text):
        raise KeyError("gone")

    graph = Graph(
        inputs=("question",),
        parameters=[Parameter("s", "Solve.")],
        nodes=[Model("think", "s", ("question",)), Function("parse", parse, {"text": "think"}, pure=True)],
        output="parse",
    )
    trainer = Trainer(worlds.specification(graph=graph, splits=worlds.splits(16, 16), minibatch=16))
    with pytest.raises(NodeError, match="the function 'parse' failed and none succeeded"):
        async with trainer:
            async for _ in trainer:
                pass
    assert trainer.telemetry.failures["function"] >= 12


@dataclasses.dataclass
class Page:
    title: str
    _text: str


@pytest.mark.parametrize(
    ("one", "other"), [(Page("t", "a"), Page("t", "b")), (float("nan"), None), ({"x": float("inf")}, {"x": None})]
)
def test_different_arguments_never_share_a_recorded_result(one, other):
    def key(value, candidate):
        return function_key(Position(0, "gate", candidate=candidate), FunctionCall("f", len, {"value": value}))

    assert key(one, "a") != key(other, "b")


class OutOfTen:
    name = "ten"

    def __call__(self, example, answer):
        return Score(10.0)


async def test_a_loss_outside_its_range_is_refused_before_a_gate_can_believe_it():
    with pytest.raises(SpecificationError, match="'ten' returned"):
        await optimize(worlds.specification(loss=OutOfTen()))


def test_a_bare_function_as_a_loss_is_refused_with_the_mend():
    with pytest.raises(SpecificationError, match=r"pass one of the losses, or Custom\(name, call\)"):
        worlds.specification(loss=lambda example, answer: 1.0)
    assert worlds.specification(loss=Custom("c", lambda example, answer: 1.0))


def test_splits_that_differ_only_in_fields_the_graph_does_not_read_are_not_disjoint():
    train, gate, _ = (Example(name, {"question": "same?", "row": name}, "1") for name in ("a", "b", "c"))
    with pytest.raises(SpecificationError, match="reads the same as 'a' \\(train\\)"):
        worlds.specification(splits=Splits((train,), (gate,)))


@pytest.mark.parametrize(("temperature", "samples"), [(0.0, {0}), (0.7, {0, 1, 2})])
async def test_at_a_temperature_every_step_measures_the_gate_anew_and_greedy_ones_pay_once(temperature, samples):
    def answer(request):
        return (
            worlds.propose(request, f"No better {len(provider.requests)}.")
            if worlds.is_update(request)
            else (worlds.script(request))
        )

    provider = worlds.scripted(answer)
    graph = worlds.graph()
    nodes = [replace(node, sampling=Sampling(temperature=temperature, max_tokens=9)) for node in graph.nodes]
    graph = Graph(inputs=graph.inputs, parameters=graph.parameters, nodes=nodes, output=graph.output)
    spec = worlds.specification(
        graph=graph, providers={"forward": provider}, splits=worlds.splits(8, 4), minibatch=2, steps=3
    )
    await optimize(spec)
    assert {request.sample for request in provider.requests} == samples


def test_a_functions_own_backward_is_given_the_number_and_a_derivative_of_zero_asks_for_nothing():
    seen = []

    def rule(inputs, output, gradient):
        seen.append(gradient.messages[0].content)
        return {"x": 3.0}

    node = Function("f", lambda x: 2 * x, ("x",), kind=Kind.NUMBER, backward=rule)
    told = Gradient("f", Kind.NUMBER, (change(-2.0, Provenance("e", "g", "y")),))
    worlds.run_plan(SemanticBackward()(worlds.local(worlds.record(node, 4.0, x=2.0), told)), worlds.Answers())
    assert seen == [-2.0]
    flat = replace(told, messages=(change(0.0, Provenance("e", "g", "y")),))
    plain = worlds.record(replace(node, backward=None), 4.0, x=2.0)
    messages = worlds.run_plan(SemanticBackward()(worlds.local(plain, flat)), worlds.Answers())
    assert messages["x"].stance is Stance.KEEP


def test_an_answer_that_scores_one_is_told_to_stay():
    (seed,) = target_seed(scored(1.0))
    assert seed.message.stance is Stance.KEEP


def test_a_value_without_a_text_of_its_own_is_shown_without_its_address():
    assert shown(object()) == "<object>"


async def test_replies_that_cannot_be_read_are_counted_in_the_report():
    def answer(request):
        return "positive" if worlds.is_backward(request) else worlds.script(request)

    result = await optimize(worlds.specification(providers={"forward": worlds.scripted(answer)}))
    (step,) = result.document()["result"]["steps"]
    assert step["lost"] == 2 * step["wrong"] > 0, "both hints of every wrong example"


def test_numeric_is_still_a_loss():
    assert worlds.specification(loss=Numeric()).loss.name == "numeric"
