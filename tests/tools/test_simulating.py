"""`semprop bench gates`, at a small size."""

from __future__ import annotations

from pathlib import Path

import orjson
from commandline import Command

SMALL = ["bench", "gates", "--runs", "4", "--races", "4", "--checked", "2"]


def test_it_prints_tables_with_sizes_and_the_command_and_writes_them(command: Command) -> None:
    said = command(*SMALL, "--studies", "runs", "--write", "gates.json", "--write", "gates.md")
    assert said.code == 0
    assert "runs with a false acceptance" in said.out
    assert "semprop bench gates --studies runs --runs 4 --races 4 --checked 2" in " ".join(said.out.split())
    document = orjson.loads(Path("gates.json").read_bytes())
    assert document["scale"]["runs"] == 4
    assert {entry["n"] for entry in document["figures"]} == {4}
    assert "### Runs in which nothing is better" in Path("gates.md").read_text()


def test_its_document_holds_the_claims_and_whether_they_hold(command: Command) -> None:
    document = command(*SMALL, "--studies", "sizes", "--json").document
    claims = {entry["what"]: (entry["claimed"], entry["holds"]) for entry in document["figures"]}
    assert claims["Δ = 0.1, ρ = 0.2: items by the formula"] == ("122", True)
    assert claims["Δ = 0.1, ρ = 0.2: power of the exact test at 122 items"] == ("0.80", False)


def test_mistakes_are_told_before_anything_is_simulated(command: Command) -> None:
    assert command(*SMALL, "--studies", "all").code == 2
    assert command(*SMALL, "--write", "gates.txt").code == 2
