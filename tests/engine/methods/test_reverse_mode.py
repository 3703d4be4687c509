"""Reverse mode: exact derivatives through the real passes, against automatic differentiation by another's hand."""

import autograd
import autograd.numpy
import numeric
import numpy as np
import pytest
import worlds

from semprop.engine import (
    Array,
    Function,
    Graph,
    Kind,
    Model,
    NodeError,
    Number,
    Parameter,
    primitives,
)
from semprop.engine.gradients import Provenance, Stance, change, keep, lost
from semprop.engine.losses import Objective, Score
from semprop.engine.method import Scored
from semprop.engine.methods.descent import summed
from semprop.engine.methods.reverse_mode import ReverseMode, objective_seed

GRAPHS = 1_000


async def compared(seed):
    """(graph, worst relative error, what the graph has) for one random graph."""
    rng = np.random.default_rng(seed)
    values = numeric.random_parameters(rng)
    steps = numeric.random_steps(rng, values)
    graph = numeric.graph_of(steps, values)
    weight = rng.uniform(-3, 3)
    tape = await numeric.taped(graph)
    assert all(np.max(np.abs(record.value)) <= numeric.MOST for record in tape.records)
    gradients = await numeric.differentiated(graph, weight, tape=tape)
    names = list(graph.trainable)
    oracle = numeric.oracle(steps, values, names, weight)
    errors = [numeric.error(numeric.derivative(gradients[name]), oracle[name]) for name in names]
    operands = [operand for _, operation, pair in steps if operation == "matmul" for operand in pair]
    deficient = [name for name in operands if np.ndim(values.get(name, 0)) == 2 and values[name].shape == (3, 3)]
    uses = [operand for _, _, pair in steps for operand in dict.fromkeys(pair)]
    return max(errors), {
        "rank-deficient operand": any(np.linalg.matrix_rank(values[name]) < 3 for name in deficient),
        "multi-edge": any(len(set(pair)) < len(pair) for _, _, pair in steps),
        "fan-out of a node": any(uses.count(name) > 1 for name, _, _ in steps),
        "shared parameter": any(uses.count(name) > 1 for name in names),
        **{name: any(operation == name for _, operation, _ in steps) for name in ("add", "multiply", "sin", "exp")},
        "matmul": bool(operands),
    }


async def test_reverse_mode_equals_autograd_on_1000_random_graphs():
    found = [await compared(seed) for seed in range(GRAPHS)]
    assert max(worst for worst, _ in found) <= 1e-10
    # What the sample is said to hold, it holds often.
    for feature in found[0][1]:
        assert sum(has[feature] for _, has in found) >= 100, feature


UNARY = {
    "negative": (primitives.negative, lambda x: -x),
    "sin": (primitives.sin, autograd.numpy.sin),
    "cos": (primitives.cos, autograd.numpy.cos),
    "exp": (primitives.exp, autograd.numpy.exp),
    "log": (primitives.log, autograd.numpy.log),
    "tanh": (primitives.tanh, autograd.numpy.tanh),
    "transpose": (primitives.transpose, autograd.numpy.transpose),
    "sum": (primitives.sum_of, autograd.numpy.sum),
    "mean": (primitives.mean_of, autograd.numpy.mean),
    "sum over rows": (lambda n, x: primitives.sum_of(n, x, axis=0), lambda x: autograd.numpy.sum(x, axis=0)),
    "mean over columns": (lambda n, x: primitives.mean_of(n, x, axis=-1), lambda x: autograd.numpy.mean(x, axis=-1)),
}
NEED_AXES = ("transpose", "sum over rows", "mean over columns")
BINARY = {
    "add": (primitives.add, lambda a, b: a + b),
    "subtract": (primitives.subtract, lambda a, b: a - b),
    "multiply": (primitives.multiply, lambda a, b: a * b),
    "divide": (primitives.divide, lambda a, b: a / b),
    "power": (primitives.power, lambda a, b: a**b),
    "maximum": (primitives.maximum, autograd.numpy.maximum),
}
SHAPES = [((), ()), ((3,), ()), ((2, 3), (3,)), ((2, 1), (1, 3)), ((2, 3), (2, 3)), ((1,), (4, 2, 3))]
PRODUCTS = [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4))]
STACKS = [((3,), (5, 3, 2)), ((5, 2, 3), (3,)), ((1, 2, 3), (5, 3, 4))]


def value(array):
    return Array(array) if np.ndim(array) else Number(float(array))


async def checked(node, arrays, oracle, seed_shape=None):
    """Compare one node's derivatives with autograd's, for a random gradient of its output."""
    names = ["a", "b"][: len(arrays)]
    graph = Graph(
        inputs=(),
        parameters=[Parameter(name, value(array)) for name, array in zip(names, arrays, strict=True)],
        nodes=[node],
        output=node.name,
    )
    tape = await numeric.taped(graph)
    assert np.allclose(tape.answer, oracle(*arrays), rtol=1e-14, atol=0)
    g = np.random.default_rng(7).uniform(-2, 2, np.shape(tape.answer))
    gradients = await numeric.differentiated(graph, g if g.ndim else g.item(), tape=tape)
    for place, name in enumerate(names):
        wanted = autograd.grad(lambda *given: autograd.numpy.sum(g * oracle(*given)), place)(*arrays)
        found = numeric.derivative(gradients[name])
        assert found.shape == np.shape(arrays[place])
        assert numeric.error(found, np.asarray(wanted)) <= 1e-12


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        (name, shape)
        for name in UNARY
        for shape in ((), (3,), (2, 3))
        if shape or (name.isalpha() and name != "transpose")
    ],
    ids=str,
)
async def test_each_operation_on_one_operand_has_the_derivative_of_autograd(name, shape):
    if (shape == () and " over " in name) or (shape == () and name == "transpose"):
        pytest.skip("no axis")
    make, oracle = UNARY[name]
    array = np.random.default_rng(1).uniform(0.2, 2, shape)
    await checked(make("y", "a"), [array], oracle)


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("name", BINARY)
async def test_each_operation_on_two_operands_broadcasts_and_has_the_derivative_of_autograd(name, shapes):
    make, oracle = BINARY[name]
    rng = np.random.default_rng(2)
    await checked(make("y", "a", "b"), [rng.uniform(0.2, 2, shape) for shape in shapes], oracle)


@pytest.mark.parametrize("shapes", PRODUCTS + STACKS, ids=str)
async def test_matrix_products_of_all_shapes_have_the_derivative_of_autograd(shapes):
    rng = np.random.default_rng(3)
    arrays = [rng.uniform(-2, 2, shape) for shape in shapes]
    await checked(primitives.matmul("y", "a", "b"), arrays, autograd.numpy.matmul)


async def test_equal_numbers_share_the_gradient_of_the_larger_one():
    arrays = [np.array([1.0, 2.0, 3.0]), np.array([1.0, 5.0, 0.0])]
    await checked(primitives.maximum("y", "a", "b"), arrays, autograd.numpy.maximum)


async def test_a_negative_base_to_a_fixed_power_has_a_derivative():
    parameters = [Parameter("a", Array([-2.0, 0.0, 3.0])), Parameter("b", Number(2), trainable=False)]
    node = primitives.power("y", "a", "b")
    gradients = await numeric.differentiated(
        Graph(inputs=(), parameters=parameters, nodes=[node], output="y"), np.ones(3)
    )
    assert np.array_equal(numeric.derivative(gradients["a"]), [-4, 0, 6])
    assert "b" not in gradients


@pytest.mark.parametrize(
    ("node", "values"),
    [
        (primitives.log("y", "a"), [0.0]),
        (primitives.exp("y", "a"), [1e4]),
        (primitives.divide("y", "a", "b"), [1.0, 0.0]),
        (primitives.power("y", "a", "b"), [-1.0, 0.5]),
    ],
    ids=["log", "exp", "divide", "power"],
)
async def test_a_result_that_is_not_finite_is_bad_content(node, values):
    names = ["a", "b"][: len(values)]
    parameters = [Parameter(name, Number(each)) for name, each in zip(names, values, strict=True)]
    tape = await numeric.taped(Graph(inputs=(), parameters=parameters, nodes=[node], output="y"))
    assert tape.failure.is_model_failure
    assert "is not finite" in tape.failure.message


# F, h, A -------------------------------------------------------------------------------------------------------------


def line():
    return Graph(
        inputs=(),
        parameters=[Parameter("w", Number(3))],
        nodes=[primitives.multiply("y", "w", "w")],
        output="y",
    )


async def test_the_seed_is_the_derivative_of_the_loss_at_the_answer_and_knows_the_loss():
    tape = await numeric.taped(line())
    (seed,) = objective_seed(Scored(tape, Score(0.5, objective=Objective(2.0, -1.5))))
    assert (seed.variable, seed.message.content, seed.loss) == ("y", -1.5, 2.0)


async def test_an_example_without_a_derivative_has_no_seed():
    assert objective_seed(Scored(await numeric.taped(line()), Score(0.0, "It is not a number."))) == ()


async def test_zero_is_a_derivative_like_any_other():
    gradients = await numeric.differentiated(line(), 0.0)
    assert gradients["w"].stance is Stance.CHANGE
    assert numeric.derivative(gradients["w"]) == 0


async def test_the_slots_of_a_multi_edge_are_added():
    assert numeric.derivative((await numeric.differentiated(line()))["w"]) == 6


async def test_a_node_without_a_backward_is_refused_with_the_mend():
    def twice(w):
        return 2 * w

    node = Function("y", twice, ("w",), kind=Kind.NUMBER, pure=True)
    graph = Graph(inputs=(), parameters=[Parameter("w", Number(3))], nodes=[node], output="y")
    with pytest.raises(NodeError, match=r"'y' cannot be differentiated: .*method numerical"):
        await numeric.differentiated(graph)


def test_a_model_node_is_refused_with_the_mend():
    local = worlds.local(worlds.record(Model("m", "s", ("q",))))
    with pytest.raises(NodeError, match="'m' cannot be differentiated"):
        ReverseMode()(local)


SOURCE = Provenance("e", "y", "left")


def test_a_lost_message_makes_the_sum_unknown():
    gradient = summed("w", Kind.NUMBER, (change(1.0, SOURCE), lost(SOURCE, "gone")))
    assert (gradient.stance, gradient.messages[0].content) == (Stance.LOST, "gone")


def test_words_are_not_added():
    messages = (change("be larger", SOURCE), change(1.0, SOURCE))
    assert summed("w", Kind.NUMBER, messages).messages == messages
    assert summed("w", Kind.NUMBER, (keep(SOURCE),)).stance is Stance.KEEP


def test_a_sum_says_of_which_example_it_is():
    gradient = summed("w", Kind.NUMBER, (change(1.0, SOURCE), change(2.5, SOURCE)))
    assert gradient.messages == (change(3.5, Provenance("e")),)
