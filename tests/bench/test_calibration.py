"""The world of text and numbers: examples by seed alone, an optimum that is known."""

import pytest

from semprop.bench.calibration import GAIN, OFFSET, RIGHT, SIZES, TASK, example, graph, load
from semprop.bench.data import data_source
from semprop.engine import Program
from semprop.providers.specification import resolve
from semprop.providers.stack import connect


def test_an_example_is_a_function_of_seed_and_number():
    assert example(1, 2) == example(1, 2)
    assert len({example(seed, number).inputs["record"] for seed in (1, 2) for number in range(20)}) == 40


def test_splits_have_their_sizes():
    splits = load(data_source(None, {}, print), 0, SIZES)
    assert [len(part) for part in (splits.train, splits.gate, splits.test)] == [32, 32, 64]


@pytest.mark.parametrize("number", range(5))
async def test_the_known_optimum_gives_the_expected_answer(number):
    best = graph(read=RIGHT, gain=GAIN, offset=OFFSET)
    given = example(0, number)
    async with connect(resolve("simulated:", {})) as provider:
        answer = await Program(best, best.initial)(given.inputs, provider)
        wrong = await Program(TASK.graph, TASK.graph.initial)(given.inputs, provider)
    assert answer == pytest.approx(float(given.expected), abs=1e-6)
    assert abs(wrong - float(given.expected)) > 0.01
