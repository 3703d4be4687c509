"""Methods by name, for command lines and task files. Data and one pure function; no registry that anybody fills."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from semprop.engine.errors import SpecificationError
from semprop.engine.gates import Gate, NoGate, StrictGate
from semprop.engine.method import Method, Selection
from semprop.engine.methods.clauses import ClausePool, clauses
from semprop.engine.methods.semantic import InstructionMessage, SemanticBackward, semantic

METHODS = MappingProxyType(
    {
        "semantic": "semantic gradient descent: joint backward calls, a model rewrites the instructions",
        "semantic-advised": "the same, and instructions get advice from the joint call instead of worked cases",
        "clauses": "for small models: feedback passed back without calls, instructions from clauses, demonstrations",
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


def method_named(name: str, *, gate: Gate, pools: Mapping[str, ClausePool], solved: int = 0) -> Method:
    """The method of this name.

    Args:
        pools: clauses by parameter, for `clauses`.
        solved: how many solved examples an update is shown as "must not break".

    Raises:
        SpecificationError: there is no such method, or it lacks its clauses.
    """
    selection = Selection(solved=solved)
    match name:
        case "semantic":
            return semantic(gate=gate, selection=selection)
        case "semantic-advised":
            backward = SemanticBackward(instruction=InstructionMessage.ADVISED)
            return semantic(gate=gate, selection=selection, backward=backward)
        case "clauses":
            if not pools:
                raise SpecificationError(
                    "the method 'clauses' needs clauses, and this task has none: use --method semantic, or give the "
                    "task its clauses"
                )
            return clauses(pools, gate=gate, selection=selection)
    raise SpecificationError(f"there is no method {name!r}; there are: {', '.join(METHODS)}")
