"""How the baselines differ from the packages that they are named after. Data; a test compares it with the packages.

`slots` maps each piece of information in the package's prompts, by the package's own name for it, to the words under
which it stands in ours; a piece that is not shown here maps to "" and has a difference that says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is done otherwise here."""

    of: str
    theirs: str
    ours: str


@dataclass(frozen=True, slots=True)
class Counterpart:
    """A method and the code that it was written after."""

    package: str
    slots: Mapping[str, str] = field(hash=False)
    differences: tuple[Difference, ...]


COUNTERPARTS: Mapping[str, Counterpart] = MappingProxyType(
    {
        "optoprime": Counterpart(
            "trace-opt, opto.optimizers.optoprime.OptoPrime",
            {
                "instruction": "What to do:",
                "code": "The program:",
                "documentation": "What its calls do:",
                "variables": "Values that you can change:",
                "constraints": "What is asked of them:",
                "inputs": "<input name=",
                "others": "<output name=",
                "outputs": "<output name=",
                "feedback": "<feedback>",
                "memory": "Values of earlier steps and what became of them:",
            },
            (
                Difference("values", "lines `(type) name=value`", "fences that no value can close; no types"),
                Difference(
                    "several examples",
                    "one batched graph: every variable of every example in one list",
                    "one case an example, under the program, which stands there once",
                ),
                Difference("memory", "size 0 unless set; whole feedback", "the last 3 steps; feedback shortened"),
                Difference(
                    "length", "unbounded", "cases and memory bounded in bytes; values that may change never cut"
                ),
                Difference(
                    "reply",
                    "JSON, mended by regular expressions; a value of another type is cast; TERMINATE for no change",
                    "JSON schema or tags; read whole or asked for once more; an empty text for no change",
                ),
                Difference(
                    "parameters", "any Python value, code of functions", "texts and numbers; demonstrations are shown"
                ),
                Difference("several candidates", "OptoPrimeMulti: temperature 1.3 falling to 0", "0 rising to 1"),
                Difference("copying", "nothing is said", "asked not to copy cases, and checked"),
                Difference("acceptance", "every suggestion is installed", "the gate decides; --gate none is theirs"),
            ),
        ),
        "copro": Counterpart(
            "dspy, dspy.teleprompt.COPRO",
            {
                "basic_instruction": "The instruction before optimization:",
                "attempted_instructions": "Instructions that were tried, with their scores:",
                "proposed_instruction": "proposal_1",
                "proposed_prefix_for_output_field": "",
            },
            (
                Difference("output prefix", "proposed with each instruction", "none: our prompts have no such field"),
                Difference(
                    "how many texts come",
                    "`breadth` samples of one request at temperature 1.4",
                    "one request at temperature 0 for `breadth` texts that differ",
                ),
                Difference("what is known of the step", "its instruction", "also where it is used, and its purpose"),
                Difference("data", "the whole training set", "the step's training examples (--minibatch, all)"),
                Difference("errors", "an exception scores 0", "excluded from both sides, counted"),
                Difference(
                    "first-round texts and later ones",
                    "all are scored again in every round",
                    "the same; equal calls at temperature 0 are paid once",
                ),
                Difference(
                    "acceptance", "the best on the training set", "the best on it go to the gate; --gate none is theirs"
                ),
            ),
        ),
        "opro": Counterpart(
            "google-deepmind/opro (not on PyPI); trace-opt, opto.optimizers.opro.OPRO",
            {
                "examples": "Instructions that were tried, with their scores:",
                "instruction": "Write 8 new instructions",
                "problem": "Some of the problems:",
                "Ground truth answer": "The expected output is:",
                "score": "score=",
            },
            (
                Difference("graph", "one instruction", "every instruction has its own trajectory; the best are joined"),
                Difference(
                    "how many texts come",
                    "8 requests at temperature 1",
                    "one request at temperature 0 for 8 texts that differ",
                ),
                Difference(
                    "exemplars",
                    "3 drawn at random, or those most often wrong, shown with the place of the instruction",
                    "3 of the step, wrong ones first, as the system's inputs",
                ),
                Difference("low scores", "texts below a threshold are not shown", "the best 20 are shown"),
                Difference("data", "a fixed share of the training set", "the step's training examples"),
                Difference(
                    "Trace's OPRO",
                    "past variables with their feedback in words, no scores, and no problems",
                    "scores and problems, as published",
                ),
                Difference("acceptance", "the best on training examples", "the gate decides; --gate none is theirs"),
            ),
        ),
    }
)
