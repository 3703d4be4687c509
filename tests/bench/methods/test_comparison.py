"""What another package ends with is taken with care; a row without a measurement holds no number."""

import pytest

from semprop.bench.data import data_source
from semprop.bench.evaluate import Evaluation
from semprop.bench.methods.comparison import Run, status_of, taken
from semprop.bench.methods.ledger import NOMINAL, Spent, upstreams
from semprop.bench.methods.programs import PROGRAMS, Ended, deviations, missing
from semprop.bench.methods.report import COLUMNS, cells, means
from semprop.bench.tasks import resolve
from semprop.engine import Specification, semantic
from semprop.engine.statistics import Interval
from semprop.providers import Scripted


def spec():
    task = resolve("lookup")
    splits = task.load(data_source(None, {}, print), 0, task.defaults.sizes)
    provider = Scripted(lambda request: "x")
    return Specification(
        graph=task.graph, loss=task.loss, splits=splits, method=semantic(), providers={"forward": provider}
    )


def test_texts_of_trained_parameters_are_taken_and_others_are_named():
    found, note = taken(spec(), Ended({"key-instruction": "Do.", "other": "x", "place-instruction": "y" * 9000}))
    assert found["key-instruction"] == "Do."
    assert found["place-instruction"] == spec().initial["place-instruction"]
    assert "'other', which is no parameter" in note and "too long" in note


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (Ended(None, failed="it\n\n broke"), "it broke; scored: the texts it started from"),
        (Ended({"key-instruction": "Do."}, failed="stopped"), "stopped; scored: the best texts that it told"),
        (Ended({"key-instruction": "Do."}), ""),
    ],
)
def test_what_failed_is_said_beside_what_is_scored(said, words):
    assert taken(spec(), said)[1] == words


def test_what_an_outage_stopped_is_not_done():
    assert status_of(True, Spent()) == "failed"
    assert status_of(True, Spent(refused=1)) == status_of(False, Spent(refused=1)) == "budget"
    assert status_of(False, Spent()) == "done"


def test_a_package_that_is_not_installed_has_a_row_without_numbers():
    run = Run("gepa", 3, "not installed", "gepa is not installed")
    assert len(cells(run)) == len(COLUMNS)
    assert not any(character.isdigit() for cell in cells(run)[2:] for character in cell)
    document = run.document()
    assert {document[name] for name in ("score", "n", "calls", "usd", "seconds", "lenient")} == {None}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_says_how_it_deviates_from_its_package(name):
    assert len(deviations(PROGRAMS[name])) > 100


def test_a_method_of_ours_and_the_package_of_its_name_have_a_mean_each():
    def run(seed, score, *, is_package=False):
        evaluation = Evaluation(spec(), 4, 0, score, Interval(0.0, 1.0), "", None, None, {})
        return Run("textgrad", seed, "done", evaluation=evaluation, is_package=is_package)

    runs = [run(0, 1.0), run(0, 0.25, is_package=True), run(1, 0.5), Run("gepa", 0, "not installed", is_package=True)]
    assert list(means(runs)) == [("textgrad", 0.75, 2), ("textgrad (package)", 0.25, 1)]


async def test_what_an_interpreter_lacks_is_said():
    assert "cannot be run" in await missing(PROGRAMS["gepa"], "/nowhere/python")


def test_one_upstream_stands_for_each_different_provider():
    named = {"big": {"spec": "openai:gpt-4.1", "sampling": {"temperature": 1.0}}}
    found = upstreams({"forward": "simulated:", "backward": "big", "update": "big"}, named)
    assert found.models == {"forward": "forward", "backward": "backward", "update": "backward"}
    assert found.tables["forward"] == {
        "spec": "simulated:",
        "prices": dict(NOMINAL),
        "sampling": {"max_tokens": 4096},
    }
    assert found.tables["backward"] == {
        "spec": "openai:gpt-4.1",
        "sampling": {"max_tokens": 4096, "temperature": 1.0},
    }
