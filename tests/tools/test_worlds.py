"""`semprop worlds`: the short table that CI runs, the scatter, predictions, files, and what it says when it cannot."""

from __future__ import annotations

import csv
import subprocess
import sys

import orjson
import pytest

WHICH = ("--world", "lookup,sum", "--methods", "joint,alone,shuffled-gradients")
SHORT = ("worlds", *WHICH, "--seeds", "2", "--l0", "inf")


def _rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_the_short_table_agrees_with_the_predictions_in_both_worlds(command, tmp_path):
    files = ("--write", str(tmp_path / "table.json"), "--write", str(tmp_path / "runs.csv"))
    said = command(*SHORT, *files, "--json")
    assert said.code == 0
    document = said.document
    assert (document["status"], document["simulated"]) == ("done", True)
    assert "never shows that a method helps language models" in document["claim"]
    losses = {(row["world"], row["method"]): row["loss"] for row in document["rows"]}
    assert losses["lookup", "joint"] == losses["sum", "joint"] == losses["sum", "alone"] == 0.0
    assert losses["lookup", "alone"] == losses["lookup", "shuffled-gradients"] == 1.0
    assert orjson.loads((tmp_path / "table.json").read_bytes())["rows"] == document["rows"]
    assert len(_rows(tmp_path / "runs.csv")) == 12
    # Known runs are not done again, and a table can be put together from several files.
    again = command(*SHORT, "--runs", str(tmp_path / "table.json"), "--json")
    assert again.document["runs"] == document["runs"]


def test_people_read_the_claim_the_criterion_the_rows_and_the_agreement(command):
    said = command("worlds", "--world", "coverage", "--methods", "joint,per-edge", "--seeds", "2", "--l0", "inf,300")
    assert said.code == 0
    lines = said.out.splitlines()
    assert "Simulated" in lines[0]
    assert "coverage, L0 inf: W3; siblings hold 1.00 bits" in said.out
    assert "coverage, L0 300" in said.out and "per-edge" in said.out
    assert "comparisons came out as predicted" in said.out


def test_under_one_rule_for_all_ties_calls_apart_agree_as_one_joint_call_does(command):
    which = ("worlds", "--world", "coverage", "--methods", "joint,per-edge", "--seeds", "2", "--l0", "inf", "--json")
    seeded, ordered = (command(*which, *flags).document["rows"] for flags in ((), ("--ties", "lexicographic")))
    assert seeded[1]["advice"] < seeded[0]["advice"] == 1.0
    assert ordered[1]["advice"] == ordered[0]["advice"] == 1.0
    assert ordered[1]["against"][0]["predicted"] == ""  # Predictions are of seeded draws.


def test_deep_worlds_show_what_arrives_at_each_level(command):
    said = command("worlds", "--world", "shared-2", "--methods", "joint", "--seeds", "1", "--l0", "inf")
    assert "share of the facts still told" in said.out
    assert "shared-2, L0 inf, joint: 1: " in said.out


def test_random_worlds_are_plotted_and_written(command, tmp_path):
    said = command("worlds", "--random", "1", "--write", str(tmp_path / "points.csv"))
    assert said.code == 0
    assert "1 random worlds" in said.out and "Spearman" in said.out
    assert [row["world"] for row in _rows(tmp_path / "points.csv")] == ["random-0"]


def test_the_list_gives_bits_and_best_advice(command):
    said = command("worlds", "--list")
    assert said.code == 0
    assert "5.29" in said.out and "shared-16" in said.out


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--world", "nowhere"), "there is no world 'nowhere'"),
        (("--methods", "nothing"), "there is no method 'nothing'"),
        (("--l0", "some"), "L0=some"),
        (("--ties", "none"), "ties=none"),
        (("--write", "table.txt"), "ends neither in .json nor in .csv"),
        (("--write", "nowhere/table.json"), "there is no directory nowhere"),
        (("--runs", "missing.json"), "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_runs(command, flags, told):
    said = command("worlds", "--seeds", "1", *flags)
    assert said.code == 2
    assert told in said.err


@pytest.fixture
def apart(tmp_path):
    """The simulated reader in a process of its own, behind `semprop endpoint`; gives its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "semprop.tools", "endpoint", "--port", "0"], stdout=subprocess.PIPE, cwd=tmp_path
    )
    with process:
        assert process.stdout is not None
        yield orjson.loads(process.stdout.readline())["url"]
        process.terminate()
        process.stdout.read()


def test_behind_an_endpoint_of_its_own_the_reader_gives_the_same_runs(command, apart):
    which = ("worlds", "--world", "coverage", "--methods", "joint,per-edge", "--seeds", "1", "--json")
    here = command(*which, "--l0", "inf").document
    there = command(*which, "--provider", f"openai:mock@{apart}").document
    assert there["simulated"] is False and "Answered by openai:mock" in there["claim"]
    # What was in flight when a race was decided is paid as well: calls depend on timing, decisions do not.
    strip = ("l0", "tokens", "calls", "repaired")
    runs = [[{k: v for k, v in run.items() if k not in strip} for run in each["runs"]] for each in (here, there)]
    assert runs[0] == runs[1]
    assert [run["after"] for run in there["runs"]] == [1.0, 1.0]
    assert all(each["predicted"] == "" for row in there["rows"] for each in row["against"])
