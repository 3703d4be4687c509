"""Against gaming: the reader stands apart, knows no heading of ours, and nothing but true gradients repairs a world."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, replace

import pytest

from semprop.bench.task import Sizes
from semprop.bench.worlds.catalogue import WORLDS
from semprop.bench.worlds.methods import compared
from semprop.bench.worlds.running import ground_of, run_cell
from semprop.bench.worlds.world import drawn
from semprop.engine import Specification, optimize
from semprop.engine.graph import Graph
from semprop.engine.methods.clauses import clauses
from semprop.providers.base import Message
from semprop.providers.simulated import model as simulated

HEADINGS = {
    "You trace an error back through one step of a larger system.": "Here is a stage that went astray.",
    "How the output should have been different:": "Remarks:",
    "You are asked about:": "Kindly treat:",
    "The present instruction:": "It says at present:",
    "Where the instruction is used:": "Its use:",
    '<input name="': '<given called="',
    "</input>": "</given>",
    "<instruction": "<rule",
    "</instruction>": "</rule>",
    "<output": "<written",
    "</output>": "</written>",
    "<feedback": "<remark",
    "</feedback>": "</remark>",
    "<case number=": "<instance nr=",
    "</case>": "</instance>",
}
"""Our wording → another one that says as much."""

BY_NAME = "ties=lexicographic"
"""A draw by the prompt would differ with the prompt."""


@dataclass(frozen=True)
class Reworded:
    """The simulated model behind somebody who rewrites our prompts: other headings and tags, another order."""

    inner: object
    turned: bool

    def __getattr__(self, name):
        return getattr(self.inner, name)

    async def complete(self, request):
        turns = tuple(Message.of(turn.role, self.reworded(turn.text)) for turn in request.messages)
        return await self.inner.complete(replace(request, messages=turns))

    def reworded(self, text):
        if self.turned and "should have been different:" in text:
            text = "\n\n".join(reversed(text.split("\n\n")))
        for ours, other in HEADINGS.items():
            text = text.replace(ours, other)
        return text

    async def __aenter__(self):
        return self

    async def __aexit__(self, *failure):
        return None


async def result_of(world, provider, method="joint", seed=1):
    return await run_cell(ground_of(WORLDS[world]), compared(method), provider, "inf", seed)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("world", ["lookup", "coverage"])
async def test_other_headings_tags_and_order_change_no_verdict_and_no_result(world, turned):
    plain = await result_of(world, simulated.connect(BY_NAME))
    reworded = await result_of(world, Reworded(simulated.connect(BY_NAME), turned))
    assert plain.after == 1.0
    assert (reworded.verdicts, reworded.validity, reworded.after) == (plain.verdicts, plain.validity, plain.after)


async def test_the_prompts_are_really_rewritten():
    seen = []

    class Spy(Reworded):
        async def complete(self, request):
            seen.extend(self.reworded(turn.text) for turn in request.messages)
            return await super().complete(request)

    await result_of("coverage", Spy(simulated.connect(), True))
    words = "\n".join(seen)
    assert "<given called=" in words and "<remark" in words and "Remarks:" in words
    assert not re.search(r"<(?:input|feedback|output|instruction)\b", words)


@pytest.mark.parametrize("seed", range(3))
async def test_shuffled_gradients_fall_to_the_level_of_no_gradient(seed):
    true = await result_of("lookup", simulated.connect(), "joint", seed)
    shuffled = await result_of("lookup", simulated.connect(), "shuffled-gradients", seed)
    none = await result_of("lookup", simulated.connect(), "no-gradient", seed)
    assert (true.after, shuffled.after, none.after) == (1.0, 0.0, 0.0)


WRONG = ("Give the value of the field backup.", "Give the value of the field guest.", "Count the lines.")


async def pooled(texts):
    world = WORLDS["lookup"]
    spec = Specification(
        graph=world.graph,
        loss=world.loss,
        splits=drawn(world.example, 0, Sizes(12, 16, 40)),
        method=clauses({"key-instruction": (texts,)}, demonstrations=0),
        providers={"forward": simulated.connect()},
        steps=3,
        minibatch=12,
        examples_per_gradient=8,
        candidates=4,
    )
    return (await optimize(spec)).held_out


async def test_a_pool_without_the_right_clause_yields_no_reliable_gain():
    held_out = await pooled(WRONG)
    assert held_out.strict.n == 40
    # Stronger than "no reliable gain": the interval excludes a gain worth having, or leaves it open.
    assert held_out.word.startswith(("no reliable gain", "no gain of"))


async def test_the_same_pool_with_the_right_clause_yields_a_reliable_gain():
    held_out = await pooled((*WRONG, WORLDS["lookup"].repairs["key-instruction"]))
    assert held_out.word == "reliable gain"


@pytest.mark.parametrize(
    ("world", "parameter", "wording"),
    [
        ("lookup", "key-instruction", "Return whatever the previous field holds."),
        ("lookup", "place-instruction", "Consult the table and return the value that belongs to the key."),
        ("sum", "answer-instruction", "Compute the sum of all values."),
    ],
)
async def test_wordings_that_stand_nowhere_in_the_package_are_understood_on_the_way_back(world, parameter, wording):
    given = WORLDS[world]
    parameters = [replace(each, value=wording) if each.name == parameter else each for each in given.graph.parameters]
    graph = Graph(inputs=given.graph.inputs, parameters=parameters, nodes=given.graph.nodes, output=given.graph.output)
    cell = await run_cell(ground_of(replace(given, graph=graph)), compared("joint"), simulated.connect(), "inf", 1)
    assert cell.before < 0.5
    assert cell.after == 1.0


def test_the_reader_imports_nothing_of_the_engine_or_of_the_worlds():
    code = "import sys, semprop.providers.simulated.model; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = [name for name in done.stdout.split() if name.startswith("semprop.")]
    assert loaded
    assert all(name.startswith("semprop.providers") for name in loaded)
