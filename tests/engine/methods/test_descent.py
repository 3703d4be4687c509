"""Updates out of derivatives, through the trainer, against loops in plain numpy."""

import numpy as np
import pytest
import worlds

from semprop.engine import (
    Array,
    Exact,
    Example,
    Graph,
    Kind,
    NoGate,
    Number,
    Parameter,
    Specification,
    Splits,
    Squared,
    Status,
    Trainer,
    primitives,
)
from semprop.engine.converters import parsed_array
from semprop.engine.errors import SpecificationError
from semprop.engine.gradients import Gradient, Provenance, change
from semprop.engine.method import Collected
from semprop.engine.methods.descent import (
    Adam,
    DescentUpdate,
    GradientDescent,
    Mean,
    Memory,
    Momentum,
    RuleName,
    placed,
    rule_named,
)
from semprop.engine.methods.numerical import CentralDifferences, joint_spsa, numerical
from semprop.engine.methods.reverse_mode import reverse_mode

STEPS = 100
ROWS, SIZE = 12, 3


def data():
    """Rows and targets of a linear regression, with noise."""
    rng = np.random.default_rng(11)
    rows = rng.uniform(-1, 1, (ROWS, SIZE))
    return rows, rows @ [1.5, -2.0, 0.5] + 0.3 + rng.normal(0, 0.1, ROWS)


def examples():
    rows, targets = data()
    return tuple(
        Example(f"e{index}", {"x": str(row.tolist())}, repr(float(target)))
        for index, (row, target) in enumerate(zip(rows, targets, strict=True))
    )


GRAPH = Graph(
    inputs=("x",),
    parameters=[Parameter("weights", Array(np.zeros(SIZE))), Parameter("bias", Number(0.0))],
    nodes=[
        parsed_array("row", "x"),
        primitives.matmul("product", "row", "weights"),
        primitives.add("answer", "product", "bias"),
    ],
    output="answer",
)

OTHERS = tuple(Example(f"o{index}", {"x": f"[{index}, 0, 0]"}, "0") for index in range(2, 4))


def specification(method, **changes):
    """Every example in every step, in whatever order; no provider."""
    given = {
        "graph": GRAPH,
        "loss": Squared(),
        "splits": Splits(examples(), OTHERS[:1], OTHERS[1:]),
        "method": method,
        "steps": STEPS,
        "minibatch": ROWS,
        "examples_per_gradient": None,
    }
    return Specification(**{**given, **changes})


async def trained(method, **changes):
    """The parameters after each step."""
    async with Trainer(specification(method, **changes)) as trainer:
        return [step.after async for step in trainer], await trainer.report()


def slopes(weights, bias):
    """The exact gradient of half the mean squared error."""
    rows, targets = data()
    residuals = rows @ weights + bias - targets
    return rows.T @ residuals / ROWS, float(np.mean(residuals))


def followed(path, loop):
    """The largest deviation of a path of parameters from a loop's, over all steps."""
    return max(
        max(np.max(np.abs(at["weights"].values - weights)), abs(at["bias"].value - bias))
        for at, (weights, bias) in zip(path, loop, strict=True)
    )


def descent_loop(rate):
    weights, bias = np.zeros(SIZE), 0.0
    for _ in range(STEPS):
        for_weights, for_bias = slopes(weights, bias)
        weights, bias = weights - rate * for_weights, bias - rate * for_bias
        yield weights, bias


def momentum_loop(rate, decay):
    """The heavy ball in its other form: the last move again, decayed, and a step down."""
    points = [np.zeros(SIZE + 1)] * 2
    for _ in range(STEPS):
        old, now = points
        for_weights, for_bias = slopes(now[:SIZE], now[SIZE])
        points = [now, now - rate * np.append(for_weights, for_bias) + decay * (now - old)]
        yield points[1][:SIZE], points[1][SIZE]


def adam_loop(rate, first=0.9, second=0.999, epsilon=1e-8):
    """Adam in the order of computation of the paper's section 2: the corrections are part of the rate, number by
    number."""
    at, m, v = [0.0] * (SIZE + 1), [0.0] * (SIZE + 1), [0.0] * (SIZE + 1)
    for count in range(1, STEPS + 1):
        for_weights, for_bias = slopes(np.array(at[:SIZE]), at[SIZE])
        root = (1 - second**count) ** 0.5
        for place, g in enumerate([*for_weights.tolist(), for_bias]):
            m[place] = first * m[place] + (1 - first) * g
            v[place] = second * v[place] + (1 - second) * g * g
            at[place] -= rate * root / (1 - first**count) * m[place] / (v[place] ** 0.5 + epsilon * root)
        yield np.array(at[:SIZE]), at[SIZE]


async def test_100_steps_of_gradient_descent_are_those_of_a_numpy_loop():
    path, result = await trained(reverse_mode(GradientDescent(0.5)))
    assert len(path) == STEPS
    assert followed(path, descent_loop(0.5)) <= 1e-12
    assert result.document()["result"]["models"] == dict.fromkeys(("forward", "backward", "update", "judge"), "nobody")
    assert result.telemetry["calls"] == {}


async def test_100_steps_of_momentum_are_those_of_the_heavy_ball():
    path, _ = await trained(reverse_mode(Momentum(0.1, 0.8)))
    assert followed(path, momentum_loop(0.1, 0.8)) <= 1e-12


async def test_100_steps_of_adam_are_those_of_the_papers_loop():
    path, _ = await trained(reverse_mode(Adam(0.05)))
    assert followed(path, adam_loop(0.05)) <= 1e-12


async def test_100_steps_on_central_differences_come_to_the_same_place():
    path, _ = await trained(numerical(GradientDescent(0.5), backward=CentralDifferences()))
    assert followed(path, descent_loop(0.5)) <= 1e-7


async def test_spsa_over_all_parameters_at_once_comes_near_the_optimum():
    path, _ = await trained(joint_spsa(GradientDescent(0.2), samples=2), steps=200)
    rows, targets = data()
    best = np.linalg.lstsq(np.column_stack([rows, np.ones(ROWS)]), targets, rcond=None)[0]
    assert np.max(np.abs(path[-1]["weights"].values - best[:SIZE])) <= 0.1


async def test_a_minibatch_steps_along_the_mean_of_its_own_examples():
    async with Trainer(specification(reverse_mode(GradientDescent(0.5)), minibatch=5)) as trainer:
        step = await anext(trainer)
    rows, targets = data()
    used = [int(entry.tape.example.id[1:]) for entry in step.selected.scored]
    assert len(used) == 5
    assert np.allclose(step.after["weights"].values, 0.5 * rows[used].T @ targets[used] / 5, rtol=1e-12)


async def test_a_run_is_the_same_at_any_concurrency():
    narrow, one = await trained(reverse_mode(Adam(0.1)), steps=10, in_flight=1)
    wide, other = await trained(reverse_mode(Adam(0.1)), steps=10, in_flight=64)
    assert [at.hash for at in narrow] == [at.hash for at in wide]
    assert one.document()["result"] == other.document()["result"]


async def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path):
    whole, _ = await trained(reverse_mode(Adam(0.1)), steps=6)
    spec = specification(reverse_mode(Adam(0.1)), steps=6, run=tmp_path / "run")
    async with Trainer(spec) as trainer:
        async for step in trainer:
            if step.index == 2:
                break
    async with Trainer(spec, resume=True) as trainer:
        again = [step.after async for step in trainer]
    assert [at.hash for at in again] == [at.hash for at in whole]


async def test_a_rate_that_is_too_large_ends_in_steps_without_proposals_not_in_numbers_that_are_none():
    path, result = await trained(reverse_mode(GradientDescent(1e80)), steps=12)
    assert all(np.all(np.isfinite(at["weights"].values)) for at in path)
    assert path[-1] == path[-2]
    assert result.status is not Status.DONE


async def test_a_loss_without_a_derivative_is_refused_with_the_mend():
    with pytest.raises(SpecificationError, match=r"none of 12 answers has a derivative: .*squared"):
        await trained(reverse_mode(), loss=Exact())


# The parts -----------------------------------------------------------------------------------------------------------


def numeric_context(value=Number(1.0, 0, 2), derivative=0.5, **changes):
    graph = Graph(
        inputs=(),
        parameters=[Parameter("w", value)],
        nodes=[primitives.negative("y", "w")],
        output="y",
    )
    kind = graph.parameter("w").kind
    gradient = Gradient("w", kind, (change(derivative, Provenance("")),))
    collected = {"w": Collected(graph.parameter("w"), value, (gradient,))}
    return worlds.context(graph, collected=collected, **changes)


def update(rule, context):
    with pytest.raises(StopIteration) as end:
        next(DescentUpdate(rule)(context))
    return end.value.value


def test_a_step_stays_inside_the_bounds():
    proposals = update(GradientDescent(10), numeric_context())
    assert proposals.candidates[0].edits[0].after == Number(0, 0, 2)
    array = update(GradientDescent(1), numeric_context(Array([0, 2], 0, 2), np.array([-1.5, -1.5])))
    assert array.candidates[0].edits[0].after == Array([1.5, 2], 0, 2)
    assert placed(Number(1, 0, 2), np.asarray(7.0)) == Number(2, 0, 2)


def test_the_edit_says_the_rule_and_the_derivative():
    (edit,) = update(GradientDescent(1), numeric_context()).candidates[0].edits
    assert edit.reason == "descent: derivative 0.5"


def test_a_step_that_is_not_finite_is_dropped_with_the_mend_and_remembers_nothing():
    proposals = update(Momentum(1e300), numeric_context(derivative=1e300))
    assert not proposals.candidates
    assert [entry.reason for entry in proposals.dropped] == ["the step is not finite: lower the rate"]
    assert dict(proposals.state) == {}


def test_the_memory_goes_from_step_to_step_and_outlives_a_step_without_a_derivative():
    first = update(Momentum(1, 0.5), numeric_context())
    assert first.state["w"] == Memory(1, np.asarray(0.5))
    idle = update(Momentum(1, 0.5), worlds.context(worlds.graph(), state=first.state, step=1))
    assert idle.state == first.state
    second = update(Momentum(1, 0.5), numeric_context(state=idle.state, step=2))
    assert second.state["w"] == Memory(2, np.asarray(0.75))


def test_nesterov_looks_ahead():
    memory = Memory(1, np.asarray(2.0))
    assert Momentum(1, 0.5, nesterov=True)(np.asarray(1.0), memory).change == -(1 + 0.5 * 2)


@pytest.mark.parametrize(
    ("rule", "parts", "words"),
    [
        (GradientDescent, {"rate": 0}, "the rate of descent is 0"),
        (GradientDescent, {"rate": float("nan")}, "the rate of descent is nan"),
        (Momentum, {"decay": 1}, "decay of momentum is 1"),
        (Adam, {"second": -0.1}, "second of adam is -0.1"),
    ],
)
def test_rules_refuse_numbers_without_meaning(rule, parts, words):
    with pytest.raises(SpecificationError, match=words):
        rule(**parts)


def test_the_mean_is_over_examples_with_a_derivative_and_the_others_are_counted():
    parameter = Parameter("w", Number(1))
    gradients = tuple(
        Gradient("w", Kind.NUMBER, (change(content, Provenance(f"e{index}")),))
        for index, content in enumerate([1.0, "it must be positive", 4.0])
    )
    collected = Mean()(parameter, Number(1), gradients)
    assert collected.gradients[0].messages[0].content == 2.5
    assert collected.left_out == 1
    assert Mean()(parameter, Number(1), gradients[1:2]).gradients == ()


def test_the_method_has_no_gate_and_takes_every_example():
    method = reverse_mode()
    assert method.gate == NoGate()
    assert method.selection.threshold < 0


def test_rules_have_names_and_a_rate_of_their_own_unless_told():
    assert [rule_named(name).name for name in RuleName] == [str(name) for name in RuleName]
    assert rule_named(RuleName.ADAM, 0.5) == Adam(0.5)
