"""Records that agree with each other, of any protocol; what was changed in one of them is told."""

import sqlite3
from contextlib import closing

import orjson
import pytest
from recorded import RUNS, in_rows, unpack

from semprop.engine.training.agreement import disagreements
from semprop.engine.training.bodies import packed, unpacked
from semprop.engine.training.migrating import migrate
from semprop.engine.training.reading import FILE_NAME
from semprop.engine.training.runs import Run


@pytest.fixture(params=RUNS)
def path(request, tmp_path):
    unpack(request.param, tmp_path / "run")
    migrate(tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def rows(path):
    in_rows(path)
    return path


def change(path, statement, *values):
    with closing(sqlite3.connect(path / FILE_NAME)) as connection:
        assert connection.execute(statement, values).rowcount == 1
        connection.commit()


def body(path, kind):
    with closing(sqlite3.connect(path / FILE_NAME)) as connection:
        ((place, found),) = connection.execute("SELECT id, body FROM decisions WHERE kind = ?", (kind,))
    return place, unpacked(found)


def told(path):
    return "; ".join(disagreements(Run(path)))


def test_a_run_of_any_version_agrees_with_itself(path):
    assert disagreements(Run(path)) == ()


FIRST = "(SELECT min(id) FROM records WHERE kind = '{}')"


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (f"UPDATE records SET kind = 'outcomf' WHERE id = {FIRST.format('outcome')}", "is of no known kind: 'outcomf'"),
        (f"UPDATE records SET position = '[0,' WHERE id = {FIRST.format('intent')}", "is at no position of a run"),
        (f"UPDATE records SET key = 'other' WHERE id = {FIRST.format('outcome')}", "is the reply to another request"),
        (f"UPDATE records SET key = 'other' WHERE id = {FIRST.format('link')}", "a reply that is not on record"),
    ],
)
def test_what_stands_beside_a_body_is_looked_at(rows, statement, words):
    change(rows, statement)
    assert words in told(rows)


def test_edits_that_do_not_give_the_parameters_of_the_verdict_are_told(path):
    place, document = body(path, "proposals")
    document["candidates"][0]["edits"][0]["after"] = "Something else."
    change(path, "UPDATE decisions SET body = ? WHERE id = ?", packed(document), place)
    assert "after step 1 are not those that its accepted edits give" in told(path)


def test_an_accepted_candidate_that_nobody_proposed_is_told(path):
    place, document = body(path, "proposals")
    document["candidates"] = []
    change(path, "UPDATE decisions SET body = ? WHERE id = ?", packed(document), place)
    assert "accepted a candidate that is not among its proposals" in told(path)


def test_parameters_and_held_out_figures_that_are_not_those_decided_are_told(path):
    for kind in ("parameters", "held_out"):
        place, document = body(path, kind)
        change(path, "UPDATE decisions SET body = ? WHERE id = ?", packed({**document, "more": "x"}), place)
    assert "noted after step 1 are not those of its verdict" in told(path)
    assert "held-out figures of the result are not those that were decided" in told(path)


def test_a_result_of_other_steps_or_parameters_is_told(path):
    result = Run(path).meta("result")
    changed = orjson.loads(orjson.dumps(result))
    changed["result"]["steps"][0]["verdict"] = "reject"
    changed["result"]["parameters"]["key-instruction"]["after"] = "Something else."
    change(path, "UPDATE meta SET value = ? WHERE name = 'result'", packed(changed))
    assert "the steps of the result are not those that were decided" in told(path)
    assert "the parameters of the result are not those after the last step" in told(path)


def test_a_decision_that_cannot_be_followed_is_told(path):
    place, _ = body(path, "verdict")
    change(path, "UPDATE decisions SET body = ? WHERE id = ?", packed({"reason": "?"}), place)
    assert "the decisions cannot be followed: KeyError" in told(path)
