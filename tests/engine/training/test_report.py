"""The report: what changed, and whether it helped on data that nobody learned from."""

from types import SimpleNamespace

import worlds

from semprop.engine import Failure, FailureKind, Kind, Score, Status
from semprop.engine.gradients import Gradient, Provenance, lost
from semprop.engine.method import Scored
from semprop.engine.tape import Tape
from semprop.engine.training.claim import held_out, held_out_document
from semprop.engine.training.report import Result, lost_messages, status_of

MISSING = Failure(FailureKind.OVERLOADED, "busy")


def entry(value, lenient=None):
    return Scored(Tape(worlds.example(0), "", (), "answer"), Score(value, "", lenient))


def rows(*pairs):
    return [tuple(side if isinstance(side, Failure) else entry(side) for side in pair) for pair in pairs]


def test_only_items_that_both_sides_have_are_compared_and_the_others_counted():
    report = held_out(rows((0.0, 1.0), (MISSING, 1.0), (0.0, MISSING), (1.0, 1.0)), [], 0)
    assert (report.strict.before, report.strict.after, report.strict.n, report.missing) == (0.5, 1.0, 2, 2)


def test_without_a_single_complete_item_there_is_no_report():
    assert held_out([], [], 0) is None
    assert held_out(rows((MISSING, 1.0)), [], 0) is None


def test_the_lenient_reading_is_reported_only_if_every_item_has_one():
    both = [(entry(0.0, 1.0), entry(1.0, 1.0)), (entry(0.0, 0.0), entry(1.0, 1.0))]
    assert held_out(both, [], 0).lenient == (0.5, 1.0)
    assert held_out([*both, (entry(0.0), entry(1.0, 1.0))], [], 0).lenient is None


def test_constrained_scores_are_means_over_complete_items():
    report = held_out(rows((0.0, 1.0)), rows((0.0, 1.0), (1.0, 1.0), (MISSING, 1.0)), 0)
    assert report.constrained == (0.5, 1.0)
    assert held_out(rows((0.0, 1.0)), [], 0).constrained is None


def test_the_document_of_the_claim_has_the_test_and_the_interval():
    document = held_out_document(held_out(rows(*[(0.0, 1.0)] * 30), rows((0.0, 1.0)), 0))
    assert document["n"] == 30
    assert document["difference"] == 1.0
    assert len(document["interval"]) == 2
    assert document["word"] == "reliable gain"
    assert document["constrained"] == {"before": 0.0, "after": 1.0}
    assert document["lenient"] is None


def status(before, after, pairs):
    initial = worlds.graph().initial
    report = None if pairs is None else held_out(rows(*pairs), [], 0)
    return status_of(initial, initial.replaced({"s": "new"}) if before != after else initial, report)


def test_the_status_follows_from_the_parameters_and_the_claim_alone():
    assert status("a", "a", [(0.0, 1.0)] * 40) is Status.NO_GAIN
    assert status("a", "b", [(0.0, 1.0)] * 40) is Status.DONE
    assert status("a", "b", [(1.0, 0.0)] * 40) is Status.NO_GAIN
    assert status("a", "b", [(0.0, 1.0)] * 2) is Status.UNDECIDED
    assert status("a", "b", None) is Status.UNDECIDED


def test_a_result_of_a_run_that_did_not_get_far_is_a_document_too():
    spec = worlds.specification()
    result = Result(Status.BUDGET, spec, spec.initial, spec.initial, (), None, {"calls": {}})
    document = result.document()
    assert document["status"] == "budget"
    assert document["result"]["steps"] == []
    assert document["telemetry"] == {"calls": {}}
    assert "telemetry" not in document["result"]


def test_lost_derivatives_are_counted_and_numbers_that_are_probed_are_not():
    def gradient(kind, slot):
        return Gradient("v", kind, (lost(Provenance("e", "node", slot), "gone"),))

    told = {"a": gradient(Kind.NUMBER, "left"), "b": gradient(Kind.ARRAY, "left"), "c": gradient(Kind.TEXT, "question")}
    probed = {"d": gradient(Kind.NUMBER, "temperature")}
    step = SimpleNamespace(gradients=(told, probed))
    assert lost_messages(step) == 3
