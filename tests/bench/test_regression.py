"""Linear regression as a task: examples by seed alone, weights that are known."""

import numpy as np
import orjson

from semprop.bench.data import data_source
from semprop.bench.regression import BIAS, NOISE, SIZES, TASK, WEIGHTS, example, load
from semprop.engine.training.specification import Specification


def test_an_example_is_a_function_of_seed_and_number():
    assert example(1, 2) == example(1, 2)
    assert len({example(seed, number).inputs["x"] for seed in (1, 2) for number in range(20)}) == 40


def test_targets_are_the_weights_of_the_row_up_to_the_noise():
    for number in range(50):
        row = orjson.loads(example(0, number).inputs["x"])
        assert abs(float(example(0, number).expected) - np.dot(row, WEIGHTS) - BIAS) <= NOISE + 1e-6


def test_splits_have_their_sizes_and_need_no_provider(tmp_path):
    splits = load(data_source(None, {}, print), 0, SIZES)
    assert (len(splits.train), len(splits.gate), len(splits.test)) == (SIZES.train, SIZES.gate, SIZES.test)
    spec = Specification(graph=TASK.graph, loss=TASK.loss, splits=splits, method=None)
    assert spec.provider("forward").identity == "nobody"
