"""The baselines' prompts hold what the packages' own prompts hold, and the table of differences says what else."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import worlds

from semprop.engine import Example, Score
from semprop.engine.method import Scored
from semprop.engine.methods.catalogue import METHODS
from semprop.engine.methods.copro import CoordinateUpdate
from semprop.engine.methods.differences import COUNTERPARTS
from semprop.engine.methods.opro import Trajectory, TrajectoryUpdate
from semprop.engine.methods.optoprime import Memory, TraceUpdate
from semprop.engine.outcomes import Failure, FailureKind
from semprop.engine.plans import Probe
from semprop.engine.prompts.attempts import Attempt
from semprop.engine.prompts.traces import Remembered

PYTHON = "SEMPROP_PEERS_PYTHON"

THEIRS = {
    "optoprime": """
from dataclasses import fields
from opto.optimizers.optoprime import OptoPrime, ProblemInstance
names = [field.name for field in fields(ProblemInstance)] + ["memory"] * hasattr(OptoPrime([], llm=print), "memory")
""",
    "copro": """
from dspy.teleprompt import copro_optimizer as module
signatures = (module.BasicGenerateInstruction, module.GenerateInstructionGivenAttempts)
names = [name for signature in signatures for name in signature.model_fields]
""",
    "opro": """
from string import Formatter
from opto.optimizers.opro import OPRO
names = [name for _, name, _, _ in Formatter().parse(OPRO.user_prompt_template) if name]
""",
}


def scored():
    given = Example("e", {"question": "q"}, "7")
    return Scored(worlds.tape(worlds.graph(0), given, {"answer": "5"}), Score(0.0))


def prompts(name):
    """All that the method says to a model in a step of which it remembers an earlier one."""
    rule, state = {
        "optoprime": (TraceUpdate(), Memory((Remembered((("s", "x"),), "bad"),))),
        "copro": (CoordinateUpdate(), None),
        "opro": (TrajectoryUpdate(), Trajectory({"s": (Attempt("x", 0.0),)})),
    }[name]
    said = []

    def answer(effect):
        if isinstance(effect, Probe):
            return tuple(Score(0.5) for _ in effect.examples)
        said.append(effect.request.messages[1].text)
        return Failure(FailureKind.OVERLOADED, "busy")

    worlds.run_plan(rule(worlds.context(worlds.graph(0), scored=(scored(),), state=state)), answer)
    return "\n".join(said)


@pytest.mark.parametrize("name", COUNTERPARTS)
def test_every_piece_of_information_stands_in_our_prompts_or_has_a_difference(name):
    said, counterpart = prompts(name), COUNTERPARTS[name]
    for theirs, ours in counterpart.slots.items():
        assert ours in said if ours else any("prefix" in entry.of for entry in counterpart.differences), theirs


@pytest.mark.parametrize("name", COUNTERPARTS)
def test_differences_are_of_methods_that_can_be_chosen_and_say_both_sides(name):
    assert name in METHODS
    assert all(entry.of and entry.theirs and entry.ours for entry in COUNTERPARTS[name].differences)


@pytest.mark.parametrize("name", THEIRS)
def test_the_package_s_own_prompts_hold_nothing_that_the_table_does_not_know(name):
    python = os.environ.get(PYTHON, "")
    if not Path(python).is_file():
        pytest.skip(f"{PYTHON} does not name the interpreter of an environment with dspy and trace-opt")
    program = f"import json\n{THEIRS[name]}\nprint(json.dumps(names))"
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True, timeout=300)
    theirs = json.loads(done.stdout.splitlines()[-1])
    assert theirs
    assert [each for each in theirs if each not in COUNTERPARTS[name].slots] == []
