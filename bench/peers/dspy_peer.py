"""DSPy on a graph of instructions: one predictor a model node; MIPROv2, GEPA or COPRO optimizes them.

Deviations: a node's own calls are made with this product's forward prompt, by an adapter, so that what is scored is
what was optimized (a reply that cannot be read is an empty answer, without a repair); MIPROv2 has no demonstrations,
since the graph takes instructions alone; `n` samples are `n` calls, and JSON mode without a schema is left out, as the
proxy carries neither; GEPA has its budget `auto="light"`; an instruction that steers two nodes is optimized as two, and
the first one counts. COPRO takes no validation examples: it scores on the training examples.
"""

from __future__ import annotations

import copy
import re

import dspy
from described import WORKERS, Desk, main


class Plain(dspy.LM):
    """The package's client, for an endpoint that gives one sample a call and knows no JSON mode without a schema."""

    def forward(self, prompt=None, messages=None, **kwargs):
        wanted = kwargs.pop("n", None) or 1
        if (kwargs.get("response_format") or {}) == {"type": "json_object"}:
            kwargs.pop("response_format")
        replies = []
        for number in range(wanted):
            # Its cache knows a sample by this number; a single call is left as it is.
            draw = {"rollout_id": number} if wanted > 1 else {}
            replies.append(super().forward(prompt=prompt, messages=messages, **kwargs, **draw))
        if wanted == 1:
            return replies[0]
        # A new reply: those that came are in the package's cache.
        joined = copy.copy(replies[0])
        joined.choices = [choice for reply in replies for choice in reply.choices]
        return joined


class Forward(dspy.Adapter):
    """Writes a node's prompt, and reads its reply, as this product does."""

    def __init__(self, desk: Desk, node: dict) -> None:
        super().__init__()
        self.desk = desk
        self.node = node

    def format(self, signature, demos, inputs):
        slots = {field(slot): slot for slot, _ in self.node["inputs"]}
        given = {slots[name]: str(value) for name, value in inputs.items() if name in slots}
        return self.desk.messages(self.node["name"], signature.instructions, given)

    def parse(self, signature, completion):
        value = self.desk.read(self.node["name"], completion)
        return dict.fromkeys(signature.output_fields, value or "")


def field(name: str) -> str:
    """A name that can be a field's."""
    return "f_" + re.sub(r"\W", "_", name)


class Graph(dspy.Module):
    """One predictor a model node."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        for node in desk.order["nodes"]:
            if not node["model"]:
                continue
            fields = {field(slot): (str, dspy.InputField()) for slot, _ in node["inputs"]}
            fields[field(f"out_{node['name']}")] = (str, dspy.OutputField())
            text = desk.texts.get(node["instruction"], node["fixed"])
            setattr(self, field(node["name"]), dspy.Predict(dspy.Signature(fields, text or " ")))

    def forward(self, **inputs):
        values = {name: inputs[field(name)] for name in DESK.order["inputs"]}
        for node in DESK.order["nodes"]:
            given = {slot: values[source] for slot, source in node["inputs"]}
            if node["model"]:
                with dspy.context(adapter=Forward(DESK, node), lm=client(node)):
                    found = getattr(self, field(node["name"]))(**{field(slot): text for slot, text in given.items()})
                values[node["name"]] = str(found[field(f"out_{node['name']}")] or "")
            else:
                values[node["name"]] = DESK.run(node["name"], given)
        return dspy.Prediction(answer=values[DESK.order["output"]])


DESK: Desk
CLIENTS: dict = {}


def client(node):
    """The client of a node's calls. It is no part of the module, which the package copies again and again."""
    key = (node["role"], node["temperature"], node["max_tokens"])
    if key not in CLIENTS:
        CLIENTS[key] = Plain(f"openai/{node['role']}", temperature=node["temperature"], max_tokens=node["max_tokens"])
    return CLIENTS[key]


def examples(rows):
    made = []
    for row in rows:
        inputs = {field(name): text for name, text in row["inputs"].items()}
        made.append(dspy.Example(example_id=row["id"], **inputs).with_inputs(*inputs))
    return made


def metric(example, prediction, trace=None):
    return DESK.score(example.example_id, prediction.answer)[0]


def explained(gold, pred, trace=None, pred_name=None, pred_trace=None):
    score, feedback = DESK.score(gold.example_id, pred.answer)
    return dspy.Prediction(score=score, feedback=feedback)


def compiled(student, order):
    """The student as the package leaves it."""
    train, val = examples(order["train"]), examples(order["val"])
    writer = Plain(f"openai/{order['update']}")
    match order["peer"]:
        case "dspy-copro":
            kwargs = {"num_threads": WORKERS, "display_progress": False, "display_table": 0}
            return dspy.COPRO(prompt_model=writer, metric=metric).compile(student, trainset=train, eval_kwargs=kwargs)
        case "dspy-miprov2":
            none = {"max_bootstrapped_demos": 0, "max_labeled_demos": 0}
            search = dspy.MIPROv2(metric=metric, prompt_model=writer, num_threads=WORKERS, seed=order["seed"], **none)
            return search.compile(student, trainset=train, valset=val)
        case "dspy-gepa":
            search = dspy.GEPA(
                metric=explained, auto="light", reflection_lm=writer, num_threads=WORKERS, seed=order["seed"]
            )
            return search.compile(student, trainset=train, valset=val)
    raise ValueError(order["peer"])


def optimized(desk: Desk):
    global DESK
    DESK = desk
    trained = desk.order["parameters"]
    dspy.configure(lm=Plain(f"openai/{desk.order['update']}"))
    student = Graph(desk)
    found = compiled(student, desk.order)
    texts = {}
    for node in desk.order["nodes"]:
        if node["model"] and node["instruction"] in trained:
            texts.setdefault(node["instruction"], getattr(found, field(node["name"])).signature.instructions)
    return texts


if __name__ == "__main__":
    main("dspy", optimized)
