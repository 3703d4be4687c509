"""The controls of a diagnosis: what they are run on."""

import worlds

from semprop.bench.diagnosis.controls import halved


def test_half_of_the_gate_stands_in_for_the_test_and_fresh_items_come_out_of_the_other():
    spec = worlds.specification(splits=worlds.splits(gate=11, test=5), gate_items=9)
    found = halved(spec)
    assert found.splits.gate + found.splits.test == spec.splits.gate
    assert (len(found.splits.gate), found.gate_items) == (6, 6)
    assert halved(worlds.specification(splits=worlds.splits(gate=11), gate_items=2)).gate_items == 2
