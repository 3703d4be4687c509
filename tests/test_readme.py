"""What the README shows is what runs."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from corpus import REFUSALS
from typer.main import get_command

from semprop.engine.gates.catalogue import GATES
from semprop.engine.methods.catalogue import METHODS
from semprop.providers import KINDS, connect
from semprop.providers.kinds import Speaks
from semprop.providers.specification import tables
from semprop.tools.__main__ import app

README = Path(__file__).parents[1] / "README.md"


def block_after(mark: str) -> str:
    text = README.read_text().split(f"<!-- {mark} -->", 1)[1]
    return re.search(r"```\w+\n(.*?)```", text, re.DOTALL)[1]


def test_the_python_example_has_at_most_30_lines_and_runs_as_written(tmp_path):
    code = block_after("example")
    assert len(code.splitlines()) <= 30
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert "reliable gain" in done.stdout
    assert (tmp_path / "semprop-runs" / "tickets" / "journal.sqlite").is_file()


def test_the_test_command_is_one_line_that_installs_and_runs_pytest():
    assert block_after("test").strip() == 'pip install ".[embedded,dev]" && pytest -n auto'


def test_every_command_and_option_that_the_readme_names_exists():
    commands = get_command(app).commands
    lines = re.findall(
        r"semprop ([a-z]+)([^\n`#&]*)", "\n".join(re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL))
    )
    assert lines
    for name, rest in lines:
        assert name in commands, name
        known = {option for parameter in commands[name].params for option in parameter.opts}
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in known, f"semprop {name} {option}"


@pytest.mark.parametrize(("name", "entry"), [*METHODS.items(), *GATES.items()], ids=[*METHODS, *GATES])
def test_every_method_and_gate_stands_in_a_table_in_the_catalogues_own_words(name, entry):
    assert f"| `{name}` | {entry.words} | {entry.needs} | {entry.when} |" in README.read_text()


SPOKEN = {
    Speaks.CHAT: "chat completions",
    Speaks.RESPONSES: "responses",
    Speaks.MESSAGES: "messages",
    Speaks.GENERATE: "generateContent",
    Speaks.INSIDE: "in this process",
}
CONSTRAINED = {
    Speaks.CHAT: ("yes", "by schema"),
    Speaks.RESPONSES: ("yes", "by schema"),
    Speaks.MESSAGES: ("by a tool", "by a tool"),
    Speaks.GENERATE: ("yes", "natively"),
    Speaks.INSIDE: ("yes", "yes"),
}
"""How a format asks for a schema, and for one of some texts."""


def row_of(kind):
    """What the README says of a kind, out of its data and of the corpus."""
    schema, choices = CONSTRAINED[kind.speaks] if kind.capabilities.schema else ("in tags", "no")
    refusals = REFUSALS.get(kind.name, {})
    known = sum(not isinstance(cell, str) for cell in refusals.values())
    cells = (
        f"`{kind.name}`",
        SPOKEN[kind.speaks],
        f"`{kind.key_env}`" if kind.key_env else "none",
        schema,
        choices,
        ", ".join(form.removeprefix("image/") for form in kind.sees) or "no",
        "yes" if kind.capabilities.logprobs or not kind.is_http else "no",
        ", ".join(f"`{name}`" for name in kind.lacks),
        f"{known} of {len(refusals)}" if refusals else "",
    )
    return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_kind_of_provider_stands_in_the_table_as_it_is(kind):
    assert row_of(kind) in README.read_text()


def test_the_pool_that_the_readme_shows_can_be_connected():
    pool = tables(tomllib.loads(block_after("pool")), "README.md")["llama"]
    assert connect(pool).model == "llama-3.1-8b"


@pytest.mark.parametrize("package", ["engine", "providers", "bench", "tools"])
def test_the_import_table_names_every_top_level_package(package):
    assert re.search(rf"^\| `{package}`", README.read_text(), re.MULTILINE)
