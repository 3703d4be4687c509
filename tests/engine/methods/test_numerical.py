"""Numerical gradients: central differences and SPSA, against exact derivatives."""

import math
from dataclasses import replace

import numeric
import numpy as np
import pytest
import worlds

from semprop.engine import (
    Array,
    ContentError,
    Example,
    Failure,
    FailureKind,
    Function,
    Graph,
    Kind,
    Model,
    Number,
    Objective,
    Parameter,
    Position,
    Probe,
    Score,
    SpecificationError,
    primitives,
)
from semprop.engine.converters import parsed_array
from semprop.engine.gradients import Stance
from semprop.engine.method import Scored
from semprop.engine.methods.descent import GradientDescent
from semprop.engine.methods.numerical import (
    CentralDifferences,
    JointSPSA,
    LocalSPSA,
    joint_spsa,
    no_messages,
    numerical,
    signs,
)
from semprop.engine.passes.forward import wiring
from semprop.engine.squared import Squared
from semprop.engine.training.driver import Driver, Stage

GRAPHS = 100


async def differences(seed):
    """The worst relative error of central differences on one random graph."""
    rng = np.random.default_rng(seed)
    values = numeric.random_parameters(rng)
    steps = numeric.random_steps(rng, values)
    graph = numeric.graph_of(steps, values)
    gradients = await numeric.differentiated(graph, h=CentralDifferences())
    wanted = numeric.oracle(steps, values, list(graph.trainable))
    # Where the whole derivative is tiny, only rounding is left; it is measured against the graph's size, which is ≤ 10.
    large = {name: each for name, each in wanted.items() if np.max(np.abs(each)) >= 1e-3}
    return max((numeric.error(numeric.derivative(gradients[name]), each) for name, each in large.items()), default=0.0)


async def test_central_differences_equal_autograd_on_100_random_graphs():
    found = [await differences(seed) for seed in range(GRAPHS)]
    assert max(found) <= 1e-5
    assert sum(each > 0 for each in found) >= 75


def within_four_errors(draws, wanted):
    """Whether the mean of the draws is within four standard errors of what is wanted, component by component."""
    stacked = np.stack(draws)
    errors = np.std(stacked, axis=0, ddof=1) / math.sqrt(len(draws))
    assert np.max(errors) > 0
    return np.all(np.abs(np.mean(stacked, axis=0) - wanted) <= 4 * errors + 1e-9)


LAYERS = [
    primitives.matmul("z", "w", "x"),
    primitives.tanh("a", "z"),
    primitives.multiply("b", "a", "a"),
    primitives.matmul("y", "b", "v"),
]


def network():
    rng = np.random.default_rng(5)
    parameters = [
        Parameter("w", Array(rng.uniform(-1, 1, (3, 2)))),
        Parameter("x", Array(rng.uniform(-1, 1, 2))),
        Parameter("v", Array(rng.uniform(-1, 1, 3))),
    ]
    return Graph(inputs=(), parameters=parameters, nodes=LAYERS, output="y")


@pytest.mark.parametrize("samples", [1, 3])
async def test_the_mean_of_local_spsa_is_the_exact_gradient_within_four_standard_errors(samples):
    graph = network()
    exact = await numeric.differentiated(graph)
    drawn = [
        await numeric.differentiated(graph, h=LocalSPSA(width=1e-4, samples=samples), draws=(1, step))
        for step in range(1_000 // samples)
    ]
    for name in graph.trainable:
        draws = [numeric.derivative(gradients[name]) for gradients in drawn]
        assert within_four_errors(draws, numeric.derivative(exact[name]))


async def test_local_spsa_takes_two_runs_of_a_node_however_many_slots_it_has():
    graph = network()
    tape = await numeric.taped(graph)
    seam = numeric.Functions()
    await numeric.differentiated(graph, h=LocalSPSA(), tape=tape, seam=seam)
    assert seam.calls == 2 * len(LAYERS)


async def test_central_differences_take_two_runs_for_each_number_of_each_active_slot():
    graph = network()
    tape = await numeric.taped(graph)
    seam = numeric.Functions()
    await numeric.differentiated(graph, h=CentralDifferences(), tape=tape, seam=seam)
    assert seam.calls == 2 * ((6 + 2) + 3 + (3 + 3) + (3 + 3))


async def test_perturbations_are_keyed_by_seed_step_node_and_sample():
    graph = network()
    first, again, other_step, other_seed = [
        await numeric.differentiated(graph, h=LocalSPSA(), draws=draws) for draws in ((0, 1), (0, 1), (0, 2), (1, 1))
    ]
    assert np.array_equal(numeric.derivative(first["w"]), numeric.derivative(again["w"]))
    for other in (other_step, other_seed):
        assert not np.array_equal(numeric.derivative(first["w"]), numeric.derivative(other["w"]))


def test_signs_are_plus_and_minus_one_with_even_odds():
    drawn = signs((100, 100), 0, "spsa")
    assert set(drawn.ravel().tolist()) == {1.0, -1.0}
    assert abs(drawn.mean()) <= 4 / 100


# What cannot be run or said -----------------------------------------------------------------------------------------


def single(call, value=Number(0.5, 0, 1)):
    node = Function("y", call, ("w",), kind=Kind.NUMBER)
    return Graph(inputs=(), parameters=[Parameter("w", value)], nodes=[node], output="y")


@pytest.mark.parametrize("h", [CentralDifferences(), LocalSPSA()], ids=["central", "spsa"])
async def test_a_node_without_backward_that_need_not_be_pure_is_differentiated_inside_the_bounds(h):
    asked = []

    def cubed(w):
        asked.append(w)
        return w**3

    for value in (0.0, 0.5, 1.0):
        gradients = await numeric.differentiated(single(cubed, Number(value, 0, 1)), h=h)
        assert numeric.derivative(gradients["w"]) == pytest.approx(3 * value**2, abs=4e-3)
    assert 0 <= min(asked) <= max(asked) <= 1


@pytest.mark.parametrize("h", [CentralDifferences(), LocalSPSA()], ids=["central", "spsa"])
async def test_a_node_that_fails_beside_its_place_has_no_derivative_and_says_why(h):
    def steep(w):
        if w != 0.5:
            raise ContentError("only one half will do")
        return w

    (message,) = (await numeric.differentiated(single(steep), h=h))["w"].messages
    assert (message.stance, message.content) == (Stance.LOST, "only one half will do")


@pytest.mark.parametrize("h", [CentralDifferences(), LocalSPSA()], ids=["central", "spsa"])
async def test_a_node_that_gives_no_numbers_beside_its_place_has_no_derivative(h):
    def moody(w):
        return w if w == 0.5 else "half"

    (message,) = (await numeric.differentiated(single(moody), h=h))["w"].messages
    assert (message.stance, message.content) == (Stance.LOST, "the node gave no finite numbers of one shape")


@pytest.mark.parametrize("h", [CentralDifferences(), LocalSPSA()], ids=["central", "spsa"])
async def test_words_have_no_derivative(h):
    def long(w):
        return float(len(w))

    (message,) = (await numeric.differentiated(single(long, "text"), h=h))["w"].messages
    assert (message.stance, message.content) == (Stance.LOST, "only numbers have a derivative")


async def test_a_value_that_a_bound_holds_in_place_has_no_slope():
    gradients = await numeric.differentiated(single(lambda w: w, Number(1, 1, 1)), h=CentralDifferences())
    assert numeric.derivative(gradients["w"]) == 0


@pytest.mark.parametrize("made", [LocalSPSA, JointSPSA])
@pytest.mark.parametrize(("change", "words"), [({"width": 0}, "a number above 0"), ({"samples": 0}, "1 or more")])
def test_perturbations_that_are_none_are_refused(made, change, words):
    with pytest.raises(SpecificationError, match=words):
        made(**change)


# The whole graph ------------------------------------------------------------------------------------------------------

EXAMPLES = tuple(Example(f"e{number}", {"x": f"[{number}, 1]"}, str(2 * number + 1)) for number in range(4))


def line(**parameters):
    given = {"w": Array([0.5, -0.5]), **parameters}
    return Graph(
        inputs=("x",),
        parameters=[Parameter(name, value) for name, value in given.items()],
        nodes=[parsed_array("row", "x"), primitives.matmul("y", "row", "w")],
        output="y",
    )


async def scored(graph, stage):
    tapes = [await numeric.taped(graph, example, seam=stage.seam) for example in EXAMPLES]
    return tuple(Scored(tape, Score(0.0)) for tape in tapes)


async def test_the_mean_of_joint_spsa_is_the_exact_gradient_within_four_standard_errors():
    graph = line()
    stage = Stage(wiring(graph), Squared(), numeric.Functions(), 4)
    examples = await scored(graph, stage)
    rows = np.array([[number, 1.0] for number in range(4)])
    exact = rows.T @ (rows @ [0.5, -0.5] - [1, 3, 5, 7]) / 4
    context = worlds.context(graph, scored=examples)
    draws = []
    for step in range(1_000):
        drive = Driver(stage, Position(step, "update"))
        draws.append((await drive(JointSPSA(width=1e-3).derivatives(replace(context, step=step))))["w"])
    assert within_four_errors(draws, exact)


async def test_two_probes_a_draw_whatever_the_number_of_parameters():
    graph = line()
    examples = await scored(graph, Stage(wiring(graph), Squared(), numeric.Functions(), 4))
    plan = JointSPSA(samples=3, width=0.25)(worlds.context(graph, scored=examples))
    probes = next(plan)
    assert [type(probe) for probe in probes] == [Probe] * 6
    assert [probe.sample for probe in probes] == [0, 0, 1, 1, 2, 2]
    above, below = (probe.parameters["w"].values for probe in probes[:2])
    assert np.array_equal(above + below, [1.0, -1.0])
    assert np.array_equal(np.abs(above - below), [0.5, 0.5])


def joint(graph, *columns, scored_answers=1):
    """What joint SPSA proposes when its probes are answered by these columns."""
    tape = worlds.tape(graph, EXAMPLES[0], {})
    plan = JointSPSA(rule=GradientDescent(1.0), width=0.1)(
        worlds.context(graph, scored=(Scored(tape, Score(0.0)),) * scored_answers)
    )
    probes = next(plan)
    with pytest.raises(StopIteration) as end:
        plan.send(columns)
    return probes, end.value.value


MISSING = Failure(FailureKind.TRANSPORT, "gone")


def test_without_an_objective_it_descends_one_minus_the_score():
    graph = Graph(
        inputs=("x",),
        parameters=[Parameter("s", "Say."), Parameter("t", Number(0.0, -1, 9))],
        nodes=[Model("m", "s", ("x",), numbers={"temperature": "t"})],
        output="m",
    )
    probes, proposals = joint(graph, (Score(0.9),), (Score(0.7),))
    values = [probe.parameters["t"].value for probe in probes]
    # What a sampling field cannot mean is not asked for, however wide the parameter's own bounds are.
    assert sorted(values) == [0.0, 0.1]
    (edit,) = proposals.candidates[0].edits
    assert edit.after.value == pytest.approx(2.0 if values[0] > values[1] else -1.0)


@pytest.mark.parametrize(
    ("above", "below"),
    [(MISSING, Score(1.0)), (Score(1.0), MISSING), (Score(1.0), Score(1.0, objective=Objective(0.5, 1.0)))],
    ids=["above", "below", "one objective"],
)
def test_an_example_without_both_sides_says_nothing(above, below):
    _, proposals = joint(line(), (above,), (below,))
    assert not proposals.candidates


def test_nothing_is_probed_without_numbers_or_examples():
    graph = worlds.graph()
    for context in (worlds.context(graph), worlds.context(line())):
        with pytest.raises(StopIteration) as end:
            next(JointSPSA()(context))
        assert not end.value.value.candidates


def test_the_methods_say_what_they_are():
    assert [method.name for method in (numerical(), numerical(backward=LocalSPSA()), joint_spsa())] == [
        "numerical",
        "spsa",
        "spsa-joint",
    ]
    with pytest.raises(StopIteration) as end:
        next(no_messages(worlds.local(worlds.record(Model("m", "s", ("q",))))))
    assert end.value.value == {}
    assert joint_spsa().seed(Scored(worlds.tape(line(), EXAMPLES[0], {}), Score(0.0))) == ()
