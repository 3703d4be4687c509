"""Numeric graphs for tests: the real forward and backward passes over functions, without a trainer; random graphs."""

import inspect

import autograd
import autograd.numpy
import numpy as np

from semprop.engine import Array, Example, Graph, Number, Parameter, Position, primitives
from semprop.engine.errors import ContentError
from semprop.engine.gradients import Provenance, change
from semprop.engine.method import Seed
from semprop.engine.methods.descent import summed
from semprop.engine.methods.reverse_mode import ReverseMode
from semprop.engine.outcomes import Failure, FailureKind, Returned
from semprop.engine.passes.backward import backward
from semprop.engine.passes.forward import forward, wiring
from semprop.engine.replies.parsers import ReplyStyle
from semprop.engine.scheduler import group
from semprop.engine.squared import Squared
from semprop.engine.training.driver import Driver, Stage

RUN = Example("e", {})


class Functions:
    """A seam that runs functions and has no model to ask."""

    def __init__(self):
        self.calls = 0

    def style(self, role):
        return ReplyStyle.JSON

    async def ask_function(self, position, call):
        self.calls += 1
        try:
            result = call.call(**call.arguments)
            return Returned(await result if inspect.isawaitable(result) else result)
        except ContentError as error:
            return Failure(FailureKind.CONTENT, str(error))
        except ArithmeticError as error:
            return Failure(FailureKind.FUNCTION, str(error))

    async def ask_model(self, position, call):
        raise AssertionError("a numeric graph asks no model")


async def taped(graph, example=RUN, parameters=None, seam=None):
    """The tape of one forward pass."""
    async with group() as start:
        given = parameters or graph.initial
        return await forward(wiring(graph), given, example, Position(0, "forward"), seam or Functions(), start)


async def differentiated(graph, seed=1.0, *, h=ReverseMode(), draws=(0, 0), tape=None, seam=None):
    """Variable → gradient of (seed · output), through the real passes."""
    tape = tape or await taped(graph)
    assert tape.failure is None, tape.failure
    seam = seam or Functions()
    drive = Driver(Stage(wiring(graph), Squared(), seam, 8), Position(0, "backward", tape.example.id))
    seeds = (Seed(graph.output, change(seed, Provenance(tape.example.id)), 1.0),)
    rules = (h, summed)
    async with group() as start:
        return await backward(tape, seeds, graph.trainable, rules, ReplyStyle.JSON, drive, start, draws)


def derivative(gradient):
    """The one derivative that an aggregated gradient holds."""
    (message,) = gradient.messages
    return np.asarray(message.content)


# Random graphs -------------------------------------------------------------------------------------------------------

MAKERS = {
    "add": primitives.add,
    "multiply": primitives.multiply,
    "matmul": primitives.matmul,
    "sin": primitives.sin,
    "exp": primitives.exp,
    "mean": primitives.mean_of,
}
WORK = {
    "add": lambda m, a, b: a + b,
    "multiply": lambda m, a, b: a * b,
    "matmul": lambda m, a, b: m.matmul(a, b),
    "sin": lambda m, a: m.sin(a),
    "exp": lambda m, a: m.exp(a),
    "mean": lambda m, a: m.mean(a),
}
MOST = 10.0


def evaluated(steps, values, module=np):
    """Every value of a random graph, for numpy or autograd's numpy; `steps` are (name, operation, operands)."""
    held = dict(values)
    for name, operation, operands in steps:
        held[name] = WORK[operation](module, *(held[operand] for operand in operands))
    return held


def random_parameters(rng):
    """Numbers, vectors and matrices; a matrix in three is of rank 1, has two equal rows, or is zero in one row."""
    values = {}
    for index in range(rng.integers(3, 7)):
        shape = ((), (3,), (3, 3), (3, 3), (1, 3))[rng.integers(5)]
        value = rng.uniform(-2, 2, shape)
        if shape == (3, 3):
            match rng.integers(6):
                case 0:
                    value = np.outer(rng.uniform(-2, 2, 3), rng.uniform(-2, 2, 3))
                case 1:
                    value[2] = value[0]
                case 2:
                    value[1] = 0
        values[f"p{index}"] = value
    return values


def random_steps(rng, values, size=10):
    """Operations on what is there, each of at most 10 in size; then whatever nobody uses is brought together."""
    held, steps = dict(values), []
    while len(steps) < size:
        operation = ("add", "multiply", "matmul", "matmul", "sin", "exp")[rng.integers(6)]
        names = list(held)
        count = 1 if operation in ("sin", "exp") else 2
        operands = [names[rng.integers(len(names))] for _ in range(count)]
        if rng.random() < 0.25:
            operands = operands[:1] * count  # A multi-edge: the same variable in both slots.
        try:
            with np.errstate(over="ignore"):
                value = WORK[operation](np, *(held[operand] for operand in operands))
        except ValueError:
            continue
        if np.max(np.abs(value)) <= MOST:
            steps.append((f"n{len(steps)}", operation, operands))
            held[steps[-1][0]] = value
    used = {operand for _, _, operands in steps for operand in operands}
    total = ""
    for sink in [name for name, _, _ in steps if name not in used]:
        steps += [(f"m_{sink}", "mean", [sink]), (f"s_{sink}", "sin", [f"m_{sink}"])]
        if total:
            steps.append((f"t_{sink}", "add", [total, f"s_{sink}"]))
        total = steps[-1][0]
    return steps


def oracle(steps, values, names, weight=1.0):
    """name → derivative of weight · output, by HIPS autograd."""

    def output(*given):
        held = evaluated(steps, {**values, **dict(zip(names, given, strict=True))}, autograd.numpy)
        return weight * held[steps[-1][0]]

    found = autograd.grad(output, tuple(range(len(names))))(*(values[name] for name in names))
    return {name: np.asarray(each) for name, each in zip(names, found, strict=True)}


def error(found, wanted):
    """The largest deviation, relative to the largest component of what is wanted."""
    largest, deviation = np.max(np.abs(wanted)), np.max(np.abs(found - wanted))
    return deviation / largest if largest else deviation


def graph_of(steps, values, frozen=()):
    """The graph of these operations, its last one the output."""
    used = {operand for _, _, operands in steps for operand in operands}
    parameters = [
        Parameter(name, Array(value) if np.ndim(value) else Number(float(value)), trainable=name not in frozen)
        for name, value in values.items()
        if name in used
    ]
    nodes = [MAKERS[operation](name, *operands) for name, operation, operands in steps]
    return Graph(inputs=(), parameters=parameters, nodes=nodes, output=steps[-1][0])
