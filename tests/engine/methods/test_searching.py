"""COPRO and OPRO: texts are scored on training examples, what scored is shown with its score; no backward call."""

import json

import pytest
import worlds

from semprop.engine import (
    Example,
    Failure,
    FailureKind,
    Function,
    Graph,
    Model,
    NoGate,
    Number,
    Parameter,
    Probe,
    Score,
    optimize,
)
from semprop.engine.constraints import MaxWords
from semprop.engine.method import Scored
from semprop.engine.methods.copro import CoordinateUpdate, copro
from semprop.engine.methods.labels import MisledUpdate
from semprop.engine.methods.opro import Trajectory, TrajectoryUpdate, opro
from semprop.engine.prompts.attempts import Attempt, ascending, points
from semprop.engine.replies.parsers import ReplyStyle


def graph():
    return Graph(
        inputs=("question",),
        parameters=[
            Parameter("w", "", purpose="gives a hint"),
            Parameter("s", "", max_bytes=20, constraints=(MaxWords(2),)),
        ],
        nodes=[Model("hint", "w", ("question",)), Model("answer", "s", ("question", "hint"))],
        output="answer",
    )


def scored(number, score=0.0, expected="7", feedback=""):
    given = Example(f"e{number}", {"question": f"q{number}"}, expected)
    return Scored(worlds.tape(graph(), given, {"hint": "h", "answer": "5"}), Score(score, feedback))


class World:
    """A text's worth is how many letters `a` it has; both parameters count, up to the score of 1."""

    def __init__(self, *texts, lost=()):
        self.texts = list(texts)
        self.lost = lost
        self.prompts = []
        self.probes = []

    def __call__(self, effect):
        if isinstance(effect, Probe):
            self.probes.append(effect)
            score = sum(str(text).count("a") for text in effect.parameters.values()) / 10
            return tuple(
                Failure(FailureKind.OVERLOADED, "busy")
                if (example.id, effect.parameters["w"]) in self.lost
                else Score(score)
                for example in effect.examples
            )
        self.prompts.append(effect.request.messages[1].text)
        texts = self.texts.pop(0) if self.texts else ()
        if isinstance(texts, Failure):
            return texts
        names = (f"proposal_{number}" for number in range(1, len(texts) + 1))
        return worlds.Completion(json.dumps({"reasoning": "r", **dict(zip(names, texts, strict=True))}))


def run(rule, world, **changes):
    given = {"scored": (scored(1), scored(2)), **changes}
    return worlds.run_plan(rule(worlds.context(graph(), **given)), world)


def edits(proposals):
    return [[(edit.parameter, edit.after) for edit in each.edits] for each in proposals.candidates]


# COPRO ---------------------------------------------------------------------------------------------------------------


def test_copro_takes_the_best_text_of_one_parameter_before_it_scores_the_next():
    world = World(("a", "aaa"), ("aa", "b"))
    found = run(CoordinateUpdate(breadth=3, depth=1), world)
    assert edits(found) == [[("w", "aaa"), ("s", "aa")]]
    assert {probe.parameters["w"] for probe in world.probes[3:]} == {"aaa"}


def test_copro_probes_the_examples_of_the_step_and_no_others():
    world = World(("a",), ("b",))
    run(CoordinateUpdate(breadth=2, depth=1), world)
    assert {tuple(example.id for example in probe.examples) for probe in world.probes} == {("e1", "e2")}


def test_copro_knows_the_instruction_alone_at_first_and_then_the_scores_in_ascending_order():
    world = World(("aaa", "a"), ("b", "bb"), ("aaaa", "x", "y"), ("c", "cc", "ccc"))
    run(CoordinateUpdate(breadth=3, depth=2), world)
    first, later = world.prompts[0], world.prompts[2]
    assert "The instruction before optimization:" in first and "score" not in first
    assert "Write 2 new instructions" in first and "Write 3 new instructions" in later
    shown = ['<instruction score="0">\n\n', '<instruction score="10">\na\n', '<instruction score="30">\naaa\n']
    assert [later.index(piece) for piece in shown] == sorted(later.index(piece) for piece in shown)


def test_copro_shows_no_example():
    world = World(("a",), ("b",), ("aa",), ("bb",))
    run(CoordinateUpdate(breadth=2, depth=2), world)
    assert not any("q1" in prompt or "7" in prompt for prompt in world.prompts)


def test_copro_sends_the_best_to_the_gate_as_many_as_are_wanted():
    found = run(CoordinateUpdate(breadth=3, depth=1), World(("a", "aaa"), ("aa", "b")), wanted=2)
    assert edits(found) == [[("w", "aaa"), ("s", "aa")], [("w", "aaa")]]


def test_copro_proposes_nothing_that_is_no_better_on_training_examples():
    found = run(CoordinateUpdate(breadth=2, depth=1), World(("b",), ("c",)))
    assert not found.candidates


@pytest.mark.parametrize("rule", [CoordinateUpdate(breadth=5, depth=1), TrajectoryUpdate(texts=4)])
def test_texts_that_could_never_be_accepted_are_not_probed(rule):
    world = World(("b",), ("a" * 21, "a b c", "copied", "c"))
    found = run(rule, world, is_copy=lambda text, present: text if text == "copied" else "")
    reasons = [entry.reason for entry in found.dropped if entry.parameter == "s" and entry.text]
    assert reasons == [
        "it has 21 bytes, more than the 20 allowed",
        "it has 3 words, more than the 2 allowed",
        "it copies a training example: «copied»",
    ]
    assert "What you write must keep to this:\n- it has at most 2 words" in world.prompts[1]
    assert all(probe.parameters["s"] in ("", "c") for probe in world.probes)


@pytest.mark.parametrize("rule", [CoordinateUpdate(breadth=3, depth=1), TrajectoryUpdate(texts=2)])
def test_texts_are_compared_where_all_of_them_have_a_score(rule):
    world = World(("a", "aa"), (), lost=(("e1", "aa"),))
    found = run(rule, world, scored=(scored(1, 1.0), scored(2, 0.0)))
    assert edits(found) == [[("w", "aa")]], "e1, which the present text solves, is left out for all"


def test_copro_holds_no_text_against_the_present_score_on_other_examples():
    class Partly(World):
        def __call__(self, effect):
            found = super().__call__(effect)
            if isinstance(effect, Probe) and effect.parameters["s"] == "b":
                return (Failure(FailureKind.OVERLOADED, "busy"), *found[1:])
            return found

    world = Partly(("aa", "aaaa"), ("b",))
    found = run(CoordinateUpdate(breadth=3, depth=1), world, scored=(scored(1, 1.0), scored(2, 0.0)), wanted=9)
    assert [("w", "aaaa")] in edits(found), "0.4 against 0, on the example that was left"
    assert [("w", "aa")] not in edits(found), "0.2 against 0.5, on both examples"


@pytest.mark.parametrize("rule", [CoordinateUpdate(breadth=2, depth=1), TrajectoryUpdate(texts=1)])
def test_under_wrong_labels_the_present_text_is_scored_by_them_too(rule):
    world = World(("a",), ())
    found = run(MisledUpdate(rule, {"e1": "9", "e2": "8"}), world, scored=(scored(1, 1.0), scored(2, 1.0)))
    assert edits(found) == [[("w", "a")]]
    assert {example.expected for probe in world.probes for example in probe.examples} == {"9", "8"}


def test_opro_whose_present_text_has_no_score_under_wrong_labels_keeps_its_trajectory():
    known = Trajectory({"w": (Attempt("x", 0.5),)})
    world = World(("a",), (), lost=(("e1", ""), ("e2", "")))
    found = run(MisledUpdate(TrajectoryUpdate(texts=1), {"e1": "9", "e2": "8"}), world, state=known)
    assert (found.candidates, found.state) == ((), known)
    assert "a provider failed" in found.dropped[-1].reason


@pytest.mark.parametrize("rule", [CoordinateUpdate(breadth=3, depth=1), TrajectoryUpdate(texts=2)])
def test_nothing_is_proposed_if_no_example_can_be_compared(rule):
    found = run(rule, World(("a", "aa"), (), lost=(("e1", "aa"), ("e2", "aa"))))
    assert not found.candidates
    assert "a provider failed" in found.dropped[-1].reason


@pytest.mark.parametrize("rule", [CoordinateUpdate(breadth=3, depth=1), TrajectoryUpdate(texts=2)])
def test_a_failed_call_is_noted_and_the_other_parameter_goes_on(rule):
    found = run(rule, World(Failure(FailureKind.OVERLOADED, "busy"), ("aa", "a")))
    assert ("s", "aa") in edits(found)[0]
    assert "no reply: busy" in [entry.reason for entry in found.dropped]


# OPRO ----------------------------------------------------------------------------------------------------------------


def test_opro_scores_every_text_and_the_best_together():
    found = run(TrajectoryUpdate(texts=2), World(("a", "aaa"), ("aa", "b")), wanted=9)
    assert edits(found) == [[("w", "aaa"), ("s", "aa")], [("w", "aaa")], [("s", "aa")], [("w", "a")]]


def test_opro_carries_the_trajectory_from_step_to_step():
    world = World(("a", "aaa"), ("b", "c"))
    state = run(TrajectoryUpdate(texts=2), world).state
    assert isinstance(state, Trajectory)
    assert state.attempts["w"] == (Attempt("", 0.0), Attempt("a", 0.1), Attempt("aaa", 0.3))
    world = World(("a", "aaaa"), ("d", "e"))
    found = run(TrajectoryUpdate(texts=2), world, state=state, step=1)
    assert world.prompts[0].count("<instruction score=") == 3
    assert "it was tried before" in [entry.reason for entry in found.dropped]
    assert edits(found) == [[("w", "aaaa")]]


def test_opro_shows_the_best_texts_of_the_trajectory_in_ascending_order():
    tried = {"w": tuple(Attempt("a" * number, number / 10) for number in range(1, 8)), "s": ()}
    world = World()
    run(TrajectoryUpdate(shown=3), world, state=Trajectory(tried))
    pieces = [f'score="{10 * number}">\n{"a" * number}\n' for number in (5, 6, 7)]
    places = [world.prompts[0].index(piece) for piece in pieces]
    assert places == sorted(places)
    assert world.prompts[0].count("score=") == 3


def test_opro_shows_problems_wrong_ones_first_with_what_is_known_of_their_answers():
    world = World()
    judged = scored(4, 0.5, None, "too long")
    run(TrajectoryUpdate(exemplars=3), world, scored=(scored(1, 1.0), judged, scored(3), scored(2, 1.0)))
    prompt = world.prompts[0]
    assert [prompt.index(f"q{number}") for number in (4, 3, 1)] == sorted(prompt.index(f"q{n}") for n in (4, 3, 1))
    assert "q2" not in prompt
    assert "<feedback>\ntoo long\n</feedback>" in prompt
    assert "<feedback>\nThe expected output is: 7\n</feedback>" in prompt


def test_opro_without_a_readable_text_keeps_its_trajectory():
    found = run(TrajectoryUpdate(texts=2), World())
    assert not found.candidates
    assert found.state.attempts["w"] == (Attempt("", 0.0),)


def test_where_no_schema_can_be_asked_for_texts_come_in_tags():
    world = World()
    run(TrajectoryUpdate(texts=2), world, style=ReplyStyle.TAGS)
    assert world.prompts[0].endswith('<proposal number="1">…</proposal>\n<proposal number="2">…</proposal>')


def test_attempts_stand_in_ascending_order_and_equals_in_the_order_of_their_trial():
    tried = (Attempt("x", 0.5), Attempt("y", 0.1), Attempt("z", 0.5), Attempt("w", 0.0))
    assert ascending(tried, 3) == (Attempt("y", 0.1), Attempt("x", 0.5), Attempt("z", 0.5))
    assert [points(score) for score in (0.0, 0.125, 1 / 3, 1.0)] == ["0", "12.5", "33.3", "100"]


# Both, in runs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    [copro(update=CoordinateUpdate(breadth=3, depth=2)), opro(update=TrajectoryUpdate(texts=2))],
    ids=["copro", "opro"],
)
async def test_a_run_improves_and_makes_no_backward_call(method):
    texts = iter(range(1000))

    def script(request):
        if worlds.is_update(request):
            return worlds.propose(request, worlds.GOOD, f"Say the sum {next(texts)}.", "Guess.")
        return worlds.solve(request)

    spec = worlds.specification(method=method, providers={"forward": worlds.scripted(script)}, steps=2)
    result = await optimize(spec)
    assert result.steps[0].accepted
    assert "backward" not in result.telemetry["calls"]


async def test_a_graph_without_instructions_has_no_proposal():
    numbers = Graph(
        inputs=("question",),
        parameters=[Parameter("s", "Solve.", trainable=False), Parameter("n", Number(1.0, 0.0, 2.0))],
        nodes=[
            Model("guess", "s", ("question",)),
            Function("answer", lambda guess, n: guess, ("guess", "n"), pure=True),
        ],
        output="answer",
    )
    for method in (copro(gate=NoGate()), opro(gate=NoGate())):
        result = await optimize(worlds.specification(graph=numbers, method=method))
        assert result.steps[0].reason == "no proposal"
