"""Methods and gates by name, for command lines and task files. Data and pure functions; no registry that anybody fills.

A method's entry says what it is, what it needs, and when to choose it: the README's table is made of these words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from semprop.engine.errors import SpecificationError
from semprop.engine.gates import Gate, NoGate, StrictGate
from semprop.engine.method import Method, Selection
from semprop.engine.methods.clauses import ClausePool, clauses
from semprop.engine.methods.semantic import InstructionMessage, SemanticBackward, semantic


@dataclass(frozen=True, slots=True)
class Choices:
    """What a user chooses beside the method's name: the gate, how many solved examples an update must not break, and
    the task's clauses by parameter."""

    gate: Gate
    solved: int = 0
    pools: Mapping[str, ClausePool] = field(default_factory=dict, hash=False)

    @property
    def selection(self) -> Selection:
        """σ for methods that learn from wrong examples."""
        return Selection(solved=self.solved)


@dataclass(frozen=True, slots=True)
class Entry:
    """A method in the catalogue: one line on what it does, what it needs, when to choose it, and how it is made."""

    words: str
    needs: str
    when: str
    made: Callable[[Choices], Method]


def _semantic(choices: Choices) -> Method:
    return semantic(gate=choices.gate, selection=choices.selection)


def _advised(choices: Choices) -> Method:
    backward = SemanticBackward(instruction=InstructionMessage.ADVISED)
    return semantic(gate=choices.gate, selection=choices.selection, backward=backward)


def _clauses(choices: Choices) -> Method:
    if not choices.pools:
        raise SpecificationError(
            "the method 'clauses' needs clauses, and this task has none: use --method semantic, or give the task its "
            "clauses"
        )
    return clauses(choices.pools, gate=choices.gate, selection=choices.selection)


METHODS: Mapping[str, Entry] = MappingProxyType(
    {
        "semantic": Entry(
            "semantic gradient descent: joint backward calls, a model rewrites the instructions",
            "a model that can give advice and rewrite prompts",
            "the default",
            _semantic,
        ),
        "semantic-advised": Entry(
            "the same, and instructions get advice from the joint call instead of worked cases",
            "the same",
            "worked cases are too long for an update prompt, or show too much",
            _advised,
        ),
        "clauses": Entry(
            "for small models: feedback passed back without calls, instructions from clauses, demonstrations",
            "the task's clauses",
            "the model is too small to rewrite prompts",
            _clauses,
        ),
    }
)

GATES: Mapping[str, Gate] = MappingProxyType({"strict": StrictGate(), "none": NoGate()})


def gate_named(name: str) -> Gate:
    """The gate of this name.

    Raises:
        SpecificationError: there is none; the message lists them.
    """
    if name not in GATES:
        raise SpecificationError(f"there is no gate {name!r}; there are: {', '.join(GATES)}")
    return GATES[name]


def method_named(name: str, choices: Choices) -> Method:
    """The method of this name.

    Raises:
        SpecificationError: there is no such method, or it lacks what it needs.
    """
    if name not in METHODS:
        raise SpecificationError(f"there is no method {name!r}; there are: {', '.join(METHODS)}")
    return METHODS[name].made(choices)
