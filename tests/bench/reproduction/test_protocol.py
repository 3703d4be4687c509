"""The published experiment as specifications: sizes, arms, what is substituted and what departs."""

import math
from pathlib import Path

import pytest
import worlds

from semprop.bench import bbh, liar
from semprop.bench.data import DataSource
from semprop.bench.projection import projected, projection
from semprop.bench.reproduction.experiment import ALGORITHMIC, EXPERIMENTS, faults_of
from semprop.bench.reproduction.protocol import (
    Plan,
    Protocol,
    departures,
    is_model,
    specification,
    substitutions,
    units,
)
from semprop.engine import UsageError
from semprop.engine.methods.catalogue import METHODS
from semprop.engine.methods.rewrite import Raced

FIXTURES = Path(__file__).parent.parent / "fixtures"


@pytest.fixture
def source():
    return DataSource(FIXTURES)


def specs(plan, source):
    providers = {"forward": worlds.scripted()}
    return [(unit, specification(plan, unit, providers, source, 8)) for unit in units(plan)]


def test_the_published_sizes_and_halves_are_the_papers():
    assert [(found.train, found.test, found.steps, found.errors) for found in EXPERIMENTS.values()] == [
        (128, 1319, 4, 2),
        (20, 230, 4, 2),
        (50, 0, 8, 2),
    ]
    assert set(ALGORITHMIC) < set(bbh.KINDS)
    assert (len(ALGORITHMIC), len(bbh.KINDS)) == (15, 27)
    assert [figure.score for figure in EXPERIMENTS["gsm8k"].figures] == [0.932, 0.782]
    assert [figure.score for figure in EXPERIMENTS["bbh"].figures][:2] == [0.825, 0.856]


def test_a_plan_has_a_run_for_each_arm_task_seed_and_single_parameter():
    assert len(units(Plan(name="bbh"))) == 27
    assert len(units(Plan(name="bbh", tasks=("navigate", "snarks"), arms=("full", "no-gate"), seeds=(0, 1)))) == 8
    alone = units(Plan(name="liar", arms=("one-parameter",)))
    assert [unit.parameter for unit in alone] == list(liar.TASK.graph.trainable)
    assert alone[0].name == "one-parameter-liar-statement_instruction-s0"


def test_the_arms_are_what_they_are_called(source):
    plan = Plan(name="gsm8k", arms=("full", "no-gradient", "no-neighbourhood", "no-gate", "textgrad"))
    methods = {unit.arm: spec.method for unit, spec in specs(plan, source)}
    assert methods["full"].gate.name == "strict"
    assert methods["no-gradient"].name == "no-gradient"
    assert "hidden" in repr(methods["no-neighbourhood"].backward).lower()
    assert methods["no-gate"].gate.name == "none"
    assert methods["textgrad"].name.startswith("textgrad")
    ((_, alone),) = specs(Plan(name="gsm8k", arms=("one-parameter",)), source)[:1]
    assert len(alone.graph.trainable) == 1


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_an_arm(name):
    assert units(Plan(name="gsm8k", arms=(name,)))


def test_the_published_protocol_judges_on_the_training_examples_with_whole_vectors(source):
    ((_, published),) = specs(Plan(name="gsm8k", protocol=Protocol.PUBLISHED), source)
    assert published.gate_on_train
    assert published.splits.gate == ()
    assert published.method.update.raced is Raced.TOGETHER
    assert published.minibatch == len(published.splits.train)
    ((_, own),) = specs(Plan(name="gsm8k"), source)
    assert not own.gate_on_train
    assert own.splits.gate


def test_what_departs_is_said():
    told = departures(Plan(name="gsm8k", sizes={"test": 12, "train": 128}, protocol=Protocol.PUBLISHED))
    assert told[0] == "test is 12, published 1319"
    assert not any("train is" in line for line in told)
    assert any(line.startswith("not mimicked: the leak") for line in told)
    assert any("disjoint" in line for line in departures(Plan(name="liar")))


def test_every_substitution_of_a_model_is_named():
    own = {"forward": "openai:gpt-4o-mini", "backward": "openai:gpt-4-turbo-2024-04-09@https://api.openai.com/v1"}
    assert substitutions({**own, "update": "openai:gpt-4.1"}) == ("update: openai:gpt-4.1 in place of gpt-4-turbo",)


@pytest.mark.parametrize(
    ("identity", "same"),
    [
        ("openai:gpt-4o-mini", True),
        ("openai:gpt-4o-mini-2024-07-18", True),
        ("openai:gpt-4o-mini-tuned", False),
        ("openai:gpt-4o-mini-search-preview-2025-03-11", False),
        ("openai:gpt-4o", False),
        ("openai:gpt-4o-mini@http://localhost:1/v1", False),
        ("simulated:rules-2", False),
    ],
)
def test_a_model_is_the_published_one_by_name_date_and_place(identity, same):
    assert is_model(identity, "gpt-4o-mini") is same


def test_a_projection_bounds_what_is_run_and_says_what_can_be_shown(source):
    plan = Plan(name="gsm8k", protocol=Protocol.PUBLISHED, sizes={"steps": 2})
    ((_, spec),) = specs(plan, source)
    found = projected(spec, lambda role, usage: 0.01)
    items = len(spec.splits.train) * 3 + 2 * len(spec.splits.test)
    assert found.calls == items * 3 + 2 * 2 * 3 + 2 * 3
    assert found.usd == pytest.approx(0.01 * found.calls)
    whole = projection([spec], lambda role, usage: None)
    assert whole.spent.usd is None
    assert whole.test == len(spec.splits.test)
    assert whole.smallest > 0 or math.isinf(whole.smallest)


def test_the_faults_are_told_where_they_belong():
    assert any("18.4 of the 20" in fault.what for fault in faults_of("bbh"))
    assert not any("18.4 of the 20" in fault.what for fault in faults_of("gsm8k"))
    assert any("without neighbourhood" in fault.what for fault in faults_of("liar"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "mmlu"}, "no experiment 'mmlu'"),
        ({"arms": ("magic",)}, "no arm 'magic'"),
        ({"arms": ()}, "nothing is to be run"),
        ({"tasks": ("navigate",)}, "--task"),
        ({"name": "bbh", "tasks": ("chess",)}, "no task 'chess'"),
    ],
)
def test_what_cannot_be_reproduced_is_refused(changes, told):
    with pytest.raises(UsageError, match=told):
        Plan(**{"name": "gsm8k", **changes})
