"""A small world for tests: sums in words, rules in place of models. Deterministic; takes no time.

Two hidden steps give hints, a final step answers. An instruction that holds the word "sum" makes its step right; any
other makes it answer "dunno". Backward always asks for change; an update proposes an instruction with that word.
"""

import json
import re

from semprop.engine import (
    Ask,
    Evaluate,
    Example,
    Fork,
    Graph,
    Model,
    Numeric,
    Parameter,
    Probe,
    Record,
    Specification,
    Splits,
    Tape,
    semantic,
)
from semprop.engine.gradients import Gradient, Provenance, change
from semprop.engine.method import Collected, Local, UpdateContext
from semprop.engine.nodes import Purpose
from semprop.engine.parameters import Kind
from semprop.engine.replies.parsers import ReplyStyle
from semprop.engine.tape import SlotValue
from semprop.providers import Completion, JsonSchema, Scripted

GOOD = "Add the numbers. Say the sum."


def example(number):
    return Example(f"e{number}", {"question": f"What is {number} plus {2 * number + 1}?"}, str(3 * number + 1))


def splits(train=8, gate=8, test=0):
    numbers = iter(range(train + gate + test))
    return Splits(*(tuple(example(next(numbers)) for _ in range(size)) for size in (train, gate, test)))


def graph(hints=2, **changes):
    """`hints` hidden steps with instructions `w1`, …, and a final step `answer` with the instruction `s`."""
    names = [f"hint_{number}" for number in range(1, hints + 1)]
    parameters = [Parameter(f"w{number}", "Work out a step.") for number in range(1, hints + 1)]
    nodes = [Model(name, f"w{number}", ("question",)) for number, name in enumerate(names, 1)]
    answer = Model("answer", "s", ("question", *names))
    return Graph(
        inputs=("question",),
        parameters=[*parameters, Parameter("s", "Solve the problem.")],
        nodes=[*nodes, changes.get("answer", answer)],
        output="answer",
    )


def keys(request):
    """The keys that a reply to this request must have; empty for a forward call."""
    if not isinstance(request.schema, JsonSchema):
        return []
    return [
        key for key in json.loads(request.schema.document)["properties"] if key.casefold().strip("_") != "reasoning"
    ]


def is_update(request):
    return "proposal_1" in keys(request)


def is_backward(request):
    return bool(keys(request)) and not is_update(request)


def is_forward(request):
    return not keys(request)


def solve(request):
    """What a forward step says."""
    first, second = re.search(r"(\d+) plus (\d+)", request.messages[-1].text).groups()
    return str(int(first) + int(second)) if "sum" in request.messages[0].text else "dunno"


def advise(request, verdict="change"):
    """Advice for every slot that is asked about."""
    entry = {"verdict": verdict, "advice": "say the right number" if verdict == "change" else ""}
    return json.dumps({"reasoning": "r", **dict.fromkeys(keys(request), entry)})


def propose(request, *texts):
    """As many proposals as are asked for."""
    texts = texts or (GOOD,)
    return json.dumps({"reasoning": "r", **dict(zip(keys(request), texts, strict=False))})


def script(request):
    if is_update(request):
        return propose(request)
    return advise(request) if is_backward(request) else solve(request)


def scripted(answers=script, **options):
    return Scripted(answers, **options)


def specification(**changes):
    given = {
        "graph": graph(),
        "loss": Numeric(),
        "splits": splits(),
        "method": semantic(),
        "steps": 1,
        **changes,
    }
    given.setdefault("providers", {"forward": scripted()})
    return Specification(**given)


# Plans by hand -------------------------------------------------------------------------------------------------------


def run_plan(plan, answer):
    """Drive a plan to its end; `answer(effect)` gives the reply to an effect. Forks run one after the other."""
    replies = None
    while True:
        try:
            effects = next(plan) if replies is None else plan.send(replies)
        except StopIteration as end:
            return end.value
        replies = tuple(
            tuple(run_plan(each, answer) for each in effect.plans) if isinstance(effect, Fork) else answer(effect)
            for effect in effects
        )


class Answers:
    """Replies to a plan's effects out of a list of texts, and a record of what was asked."""

    def __init__(self, *texts):
        self._texts = list(texts)
        self.asks = []

    def __call__(self, effect):
        assert isinstance(effect, Ask | Evaluate | Probe)
        self.asks.append(effect)
        given = self._texts.pop(0)
        return Completion(given) if isinstance(given, str) else given

    @property
    def prompts(self):
        """The user's turn of every request."""
        return [ask.request.messages[1].text for ask in self.asks]


def record(node, value="out", reply="", **values):
    """A record of a node, whose slots hold these values."""
    slots = tuple(SlotValue(slot.name, slot.source, slot.purpose, values.get(slot.name, "")) for slot in node.slots)
    return Record(node, slots, value, reply)


def gradient(*contents, variable="v", example="e0", successor=""):
    """A gradient that asks for these changes."""
    messages = tuple(change(content, Provenance(example, successor, "x")) for content in contents)
    return Gradient(variable, Kind.TEXT, messages)


def local(of, grad=None, active=None, style=ReplyStyle.JSON):
    """What a backward rule sees of a record."""
    active = tuple(slot.name for slot in of.slots) if active is None else active
    return Local(of, grad or gradient("it should be 7", variable=of.name), active, "e0", style)


def tape(of_graph, given, values, parameters=None):
    """A tape of an example on which nodes gave these values."""
    known = {**given.inputs, **(parameters or of_graph.initial), **values}
    records = tuple(
        record(node, values[node.name], values[node.name], **{slot.name: known[slot.source] for slot in node.slots})
        for node in of_graph.nodes
        if node.name in values
    )
    return Tape(given, "", records, of_graph.output)


def context(of_graph, **changes):
    """What an update sees."""
    given = {
        "graph": of_graph,
        "parameters": of_graph.initial,
        "collected": {},
        "scored": (),
        "solved": (),
        "step": 0,
        "seed": 0,
        "wanted": 1,
        "style": ReplyStyle.JSON,
        "is_copy": lambda text, present: "",
    }
    return UpdateContext(**{**given, **changes})


def collected(of_graph, name, *gradients, left_out=0):
    """Evidence for one parameter."""
    return Collected(of_graph.parameter(name), of_graph.initial[name], gradients, left_out)


def inputs_of(of):
    """The ordinary inputs of a record."""
    return [slot.name for slot in of.slots if slot.purpose is Purpose.INPUT]
