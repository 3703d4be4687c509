"""Truth by intervention: losses of repaired sets, and blame, of every world."""

from __future__ import annotations

import pytest

from semprop.bench.worlds.catalogue import WORLDS, world_named
from semprop.bench.worlds.truth import Truth, blame, described_by
from semprop.engine.errors import UsageError
from semprop.engine.example import normalised


@pytest.mark.parametrize("name", WORLDS)
def test_the_blame_adds_up_to_what_repairing_everything_gains(name):
    found = blame(Truth(WORLDS[name]))
    assert sum(found.shapley.values()) == pytest.approx(found.planted - found.losses[tuple(WORLDS[name].repairs)])


@pytest.mark.parametrize(
    ("name", "losses"),
    [
        ("lookup", {(): 1.0, ("key-instruction",): 0.0}),
        ("lookup-seen", {(): 1.0, ("key-instruction",): 0.0}),
        ("masking", {(): 0.3, ("left-instruction",): 0.6, ("right-instruction",): 0.6, "both": 0.0}),
        ("harmful", {(): 0.3, ("left-instruction",): 0.1, ("right-instruction",): 0.5, "both": 0.3}),
        ("coverage", {(): 1.0, ("left-instruction",): 0.0, ("right-instruction",): 0.0, "both": 1.0}),
        ("shared-8", {(): 1.0, ("read-instruction",): 0.0}),
    ],
)
def test_repairs_have_the_losses_that_the_world_is_planted_with(name, losses):
    both = ("left-instruction", "right-instruction")
    wanted = {both if names == "both" else names: loss for names, loss in losses.items()}
    assert blame(Truth(WORLDS[name])).losses == pytest.approx(wanted)


def test_a_harmful_edit_has_negative_blame_and_twins_have_none():
    assert blame(Truth(WORLDS["harmful"])).shapley == pytest.approx(
        {"left-instruction": 0.2, "right-instruction": -0.2}
    )
    assert blame(Truth(WORLDS["coverage"])).shapley == pytest.approx({"left-instruction": 0, "right-instruction": 0})


def test_always_no_scores_the_prior_and_repairs_nothing():
    truth = Truth(WORLDS["prevalence"])
    parameters = {**truth.world.graph.initial, "answer-instruction": "Always answer no."}
    assert 0.1 < truth.loss(parameters, described_by(truth.world)) < 0.3
    assert blame(truth).best == 0.0


def test_no_clause_helps_in_the_null_world():
    truth = Truth(WORLDS["null"])
    assert not truth.world.repairs
    assert truth.loss(truth.world.graph.initial, described_by(truth.world)) > 0.75
    right = {**truth.world.graph.initial, "key-instruction": WORLDS["lookup"].repairs["key-instruction"]}
    assert truth.loss(right, described_by(truth.world)) > 0.75


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("seed", [0, 7])
def test_splits_are_full_disjoint_and_the_seeds_own(name, seed):
    world = WORLDS[name]
    splits = world.splits(seed)
    everything = (*splits.train, *splits.gate, *splits.test)
    sizes = world.sizes
    assert (len(splits.train), len(splits.gate), len(splits.test)) == (sizes.train, sizes.gate, sizes.test)
    assert len({normalised(each) for each in everything}) == sizes.train + sizes.gate + sizes.test
    assert splits == world.splits(seed) and splits != world.splits(seed + 1)


@pytest.mark.parametrize(("name", "low", "high"), [("noise-10", 0, 0.3), ("noise-30", 0.1, 0.5), ("noise-100", 1, 1)])
def test_labels_of_the_gradient_are_flipped_and_those_of_the_gate_are_true(name, low, high):
    flipped = total = 0
    for seed in range(10):
        splits, truths = WORLDS[name].splits(seed), WORLDS[name].truths(seed)
        assert all(each.expected == truths[each.id] for each in (*splits.gate, *splits.test))
        flipped += sum(each.expected != truths[each.id] for each in splits.train)
        total += len(splits.train)
    assert low <= flipped / total <= high


def test_random_worlds_are_drawn_by_their_number():
    one, again, other = world_named("random-3"), world_named("random-3"), world_named("random-4")
    assert one.graph.initial == again.graph.initial != other.graph.initial
    shapes = {len(world_named(f"random-{number}").domains) for number in range(40)}
    assert shapes == {2, 3, 4, 5}


def test_an_unknown_world_is_told_the_names():
    with pytest.raises(UsageError, match="lookup, lookup-seen, sum"):
        world_named("nowhere")
