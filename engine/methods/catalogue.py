"""Methods by name, for command lines and task files. Data and pure functions; no registry that anybody fills.

A method's entry says what it is, what it needs, and when to choose it: the README's table is made of these words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType

from semprop.engine.errors import SpecificationError
from semprop.engine.gates import Gate
from semprop.engine.gates.catalogue import gate_named as gate_named
from semprop.engine.graph import Graph
from semprop.engine.graph_changes import demonstrations_only, unchanged
from semprop.engine.method import Method, Selection
from semprop.engine.methods.clauses import ClausePool, clauses
from semprop.engine.methods.clusters import ClusteredEvidence, ClusteredMessages, Messages
from semprop.engine.methods.controls import (
    improve_blind,
    no_gradient,
    one_step_rewrite,
    with_shuffled_gradients,
)
from semprop.engine.methods.copro import copro
from semprop.engine.methods.descent import Rule, RuleName, rule_named
from semprop.engine.methods.mixed import mixed
from semprop.engine.methods.numerical import LocalSPSA, joint_spsa, numerical
from semprop.engine.methods.opro import opro
from semprop.engine.methods.optoprime import optoprime
from semprop.engine.methods.reverse_mode import reverse_mode
from semprop.engine.methods.rewrite import RewriteUpdate
from semprop.engine.methods.semantic import (
    Calls,
    EvidenceList,
    InstructionMessage,
    SemanticBackward,
    ordered_list,
    semantic,
)
from semprop.engine.methods.shots import demonstrations
from semprop.engine.methods.textgrad import EVERY, textgrad, textgrad_library
from semprop.engine.prompts.backward import Neighbours, Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Parts of a method that a user may set, one a flag; None leaves the method's own. An entry names those that it
    takes, the others are refused."""

    neighbours: Neighbours | None = None
    calls: Calls | None = None
    instruction_message: InstructionMessage | None = None
    backward_style: Question | None = None
    messages: Messages | None = None
    message_bytes: int | None = None
    cases_bytes: int | None = None
    momentum: int | None = None
    rule: RuleName | None = None
    rate: float | None = None
    width: float | None = None
    samples: int | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """The options that were set."""
        return tuple(each.name for each in fields(self) if getattr(self, each.name) is not None)


def flag(option: str) -> str:
    """An option as it stands on the command line."""
    return f"--{option.replace('_', '-')}"


@dataclass(frozen=True, slots=True)
class Choices:
    """What a user chooses beside the method's name: the gate, how many solved examples an update must not break, the
    task's clauses by parameter, options of the method, and the seed of what it draws."""

    gate: Gate
    solved: int = 0
    pools: Mapping[str, ClausePool] = field(default_factory=dict, hash=False)
    options: Options = Options()
    seed: int = 0

    @property
    def selection(self) -> Selection:
        """σ for methods that learn from wrong examples."""
        return Selection(solved=self.solved)


@dataclass(frozen=True, slots=True)
class Entry:
    """A method in the catalogue: one line on what it does, what it needs, when to choose it, and how it is made.

    Attributes:
        options: the options that it takes.
        gate: the gate that it has unless told otherwise.
        graph: what it makes of a task's graph before anything runs.
        task: a built-in task on which it can be shown.
    """

    words: str
    needs: str
    when: str
    made: Callable[[Choices], Method]
    options: tuple[str, ...] = ()
    gate: str = "strict"
    graph: Callable[[Graph], Graph] = unchanged
    task: str = "lookup"


def _semantic(choices: Choices) -> Method:
    given = choices.options
    backward = SemanticBackward(
        given.neighbours or Neighbours.LABELLED,
        given.calls or Calls.JOINT,
        given.instruction_message or InstructionMessage.EVIDENCE,
        given.backward_style or Question.TARGET,
    )
    return _made_semantic(choices, backward)


def _made_semantic(choices: Choices, backward: SemanticBackward) -> Method:
    given, update = choices.options, RewriteUpdate()
    if given.cases_bytes is not None:
        update = replace(update, cases_bytes=given.cases_bytes)
    grouped = given.messages is Messages.CLUSTERS
    return semantic(
        gate=choices.gate,
        selection=choices.selection,
        backward=replace(backward, message_bytes=given.message_bytes),
        update=update,
        aggregate=ClusteredMessages() if grouped else ordered_list,
        collect=ClusteredEvidence() if grouped else EvidenceList(),
    )


def _advised(choices: Choices) -> Method:
    return _made_semantic(choices, SemanticBackward(instruction=InstructionMessage.ADVISED))


def _clauses(choices: Choices) -> Method:
    if not choices.pools:
        raise SpecificationError(
            "the method 'clauses' needs clauses, and this task has none: use --method semantic, or give the task its "
            "clauses"
        )
    return clauses(choices.pools, gate=choices.gate, selection=choices.selection)


def _textgrad(choices: Choices) -> Method:
    return textgrad(gate=choices.gate, selection=_every(choices))


def _textgrad_library(choices: Choices) -> Method:
    momentum = choices.options.momentum or 0
    return textgrad_library(gate=choices.gate, selection=_every(choices), momentum=momentum)


def _every(choices: Choices) -> Selection:
    return replace(EVERY, solved=choices.solved)


def _demonstrations(choices: Choices) -> Method:
    return demonstrations(gate=choices.gate, selection=choices.selection)


def _no_gradient(choices: Choices) -> Method:
    return no_gradient(gate=choices.gate, selection=choices.selection)


def _one_step(choices: Choices) -> Method:
    return one_step_rewrite(gate=choices.gate, selection=choices.selection)


def _blind(choices: Choices) -> Method:
    return improve_blind(gate=choices.gate)


def _shuffled(choices: Choices) -> Method:
    return with_shuffled_gradients(semantic(gate=choices.gate, selection=choices.selection), choices.seed)


BOUNDS = ("messages", "message_bytes", "cases_bytes")
"""The options of methods that pass messages in words from level to level."""

NUMERIC = ("rule", "rate")
"""The options of methods that step along derivatives."""


def _rule(choices: Choices) -> Rule:
    return rule_named(choices.options.rule or RuleName.DESCENT, choices.options.rate)


def _spsa(choices: Choices) -> Method:
    width, samples = _perturbed(choices, 1e-3)
    backward = LocalSPSA(width, samples)
    return numerical(_rule(choices), backward=backward, selection=_every(choices), gate=choices.gate)


def _spsa_joint(choices: Choices) -> Method:
    width, samples = _perturbed(choices, 1e-2)
    return joint_spsa(_rule(choices), width=width, samples=samples, selection=_every(choices), gate=choices.gate)


def _perturbed(choices: Choices, width: float) -> tuple[float, int]:
    """The width and the number of random perturbations, as given."""
    given = choices.options
    return width if given.width is None else given.width, given.samples or 1


METHODS: Mapping[str, Entry] = MappingProxyType(
    {
        "semantic": Entry(
            "semantic gradient descent: joint backward calls, a model rewrites the instructions",
            "a model that can give advice and rewrite prompts",
            "the default",
            _semantic,
            options=("neighbours", "calls", "instruction_message", "backward_style", *BOUNDS),
        ),
        "semantic-advised": Entry(
            "the same, and instructions get advice from the joint call instead of worked cases",
            "the same",
            "worked cases are too long for an update prompt, or show too much",
            _advised,
            options=BOUNDS,
        ),
        "clauses": Entry(
            "for small models: feedback passed back without calls, instructions from clauses, demonstrations",
            "the task's clauses",
            "the model is too small to rewrite prompts",
            _clauses,
            task="cities",
        ),
        "textgrad": Entry(
            "TextGrad by its formula: one call an edge, which sees no other input of the step",
            "a model that can give advice and rewrite prompts; twice the backward calls of semantic, or more",
            "to compare, or where inputs do not depend on one another",
            _textgrad,
            gate="none",
        ),
        "textgrad-library": Entry(
            "TextGrad as its library behaves: each call sees the step's whole prompt, without telling inputs apart",
            "the same; --momentum K shows the last K values and their feedback",
            "to compare",
            _textgrad_library,
            options=("momentum",),
            gate="none",
        ),
        "demonstrations": Entry(
            "solved examples as demonstrations, and no text is changed; adds a place for them where a graph has none",
            "right answers, or steps that came out right; no model beside the forward one",
            "instructions are good, and the form of the answer is what fails",
            _demonstrations,
            graph=demonstrations_only,
        ),
        "no-gradient": Entry(
            "control: instructions are rewritten from failures, with no word on what was wrong",
            "a model that can rewrite prompts",
            "to see what gradients are worth on your task",
            _no_gradient,
        ),
        "one-step-rewrite": Entry(
            "control: instructions are rewritten from failures and the answer's feedback, without backward calls",
            "a model that can rewrite prompts",
            "to see what the backward pass is worth; enough for a graph of one step",
            _one_step,
        ),
        "improve-blind": Entry(
            "control: “improve this instruction”, with no data",
            "a model that can rewrite prompts",
            "to see what a rewrite gains by itself",
            _blind,
        ),
        "shuffled-gradients": Entry(
            "control: semantic, and each failure is told the gradient of another one",
            "as semantic",
            "to see whether it matters that the gradients are the right ones",
            _shuffled,
        ),
        "optoprime": Entry(
            "Trace's OptoPrime: one call reads the whole run as pseudo-code, sets all parameters; no backward",
            "a model that can follow a program over many values",
            "the graph and its values fit one prompt, and one call a step is all that you want to pay",
            lambda choices: optoprime(gate=choices.gate, selection=choices.selection),
        ),
        "copro": Entry(
            "DSPy's COPRO: many instructions, scored on training examples, one parameter after another; no backward",
            "a model that can write instructions, and many forward calls",
            "forward calls are cheap, and nothing is known of an answer but its score",
            lambda choices: copro(gate=choices.gate, selection=choices.selection),
        ),
        "opro": Entry(
            "OPRO: instructions out of a trajectory of scored ones and a few problems; no backward",
            "the same",
            "the same, with a single instruction, and problems that may be shown",
            lambda choices: opro(gate=choices.gate, selection=choices.selection),
        ),
        "mixed": Entry(
            "texts by semantic gradient descent, numbers by their derivatives, in one pass and one step",
            "a loss with a derivative for the numbers; a model that can rewrite prompts for the texts",
            "a graph trains prompts and numbers together",
            lambda choices: mixed(_rule(choices), selection=_every(choices), gate=choices.gate),
            options=NUMERIC,
            task="calibration",
        ),
        "reverse-mode": Entry(
            "exact derivatives of function nodes; descent, momentum or Adam on numbers and arrays",
            "a loss with a derivative (squared), nodes with a backward; no model",
            "the way from the loss to the parameters is numeric and differentiable",
            lambda choices: reverse_mode(_rule(choices), selection=_every(choices), gate=choices.gate),
            options=NUMERIC,
            gate="none",
            task="regression",
        ),
        "numerical": Entry(
            "the same on central differences, node by node: 2n runs of a node for n numbers",
            "a loss with a derivative; no backward, no model",
            "nodes are numeric, cheap to run and have no backward",
            lambda choices: numerical(_rule(choices), selection=_every(choices), gate=choices.gate),
            options=NUMERIC,
            gate="none",
            task="regression",
        ),
        "spsa": Entry(
            "the same on random perturbations: two runs of a node, however many numbers it takes",
            "the same",
            "the same, with arrays too large for differences number by number",
            _spsa,
            options=(*NUMERIC, "width", "samples"),
            gate="none",
            task="regression",
        ),
        "spsa-joint": Entry(
            "all numbers and arrays of the graph perturbed at once: two runs of the graph a step, no backward",
            "numbers to train, anywhere in any graph; any loss",
            "numbers act through models or tools, and runs of the graph are cheap",
            _spsa_joint,
            options=(*NUMERIC, "width", "samples"),
            gate="none",
            task="regression",
        ),
    }
)

ALIASES: Mapping[str, str] = MappingProxyType({"clause-pool": "clauses"})
"""Other names of methods."""


def default_gate(method: str) -> str:
    """The gate that this method has unless told otherwise.

    Raises:
        SpecificationError: there is no such method.
    """
    return _entry(method).gate


def method_named(name: str, choices: Choices) -> Method:
    """The method of this name.

    Raises:
        SpecificationError: there is no such method, it lacks what it needs, or it does not take an option.
    """
    entry = _entry(name)
    for option in choices.options.given:
        if option not in entry.options:
            takers = ", ".join(other for other, each in METHODS.items() if option in each.options)
            raise SpecificationError(
                f"{flag(option)} does not apply to the method {name!r}; it applies to: {takers}. Leave it out, or "
                "choose one of these methods"
            )
    return entry.made(choices)


def graph_for(method: str, graph: Graph) -> Graph:
    """What a method makes of a task's graph.

    Raises:
        SpecificationError: there is no such method, or it can make nothing of this graph.
    """
    return _entry(method).graph(graph)


def _entry(name: str) -> Entry:
    known = ALIASES.get(name, name)
    if known not in METHODS:
        raise SpecificationError(f"there is no method {name!r}; there are: {', '.join(METHODS)}")
    return METHODS[known]
