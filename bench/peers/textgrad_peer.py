"""TextGrad on a graph of instructions: each is a variable, every model node a call with it as system prompt.

The loop is that of the package's own `evaluation/prompt_optimization.py`: minibatches of 3, 3 epochs, and a step that
lowers the score on the validation examples is undone. Deviations: a node with several inputs reads them between tags
with their names; a function node is a string-based function; the loss is a string-based function that gives the metric
and its words; a reply that cannot be read is passed on whole. Calls are sampled as its own engine does (temperature 0,
top_p 0.99, 2,000 tokens), whatever the graph says.
"""

from __future__ import annotations

import random

import textgrad as tg
from described import Desk, main
from textgrad.autograd.llm_ops import FormattedLLMCall
from textgrad.autograd.string_based_ops import StringBasedFunction
from textgrad.engine.openai import ChatOpenAI

BATCH, EPOCHS = 3, 3


class Program:
    """The graph as TextGrad variables and calls."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.engines = {
            role: ChatOpenAI(role) for role in {node["role"] for node in desk.order["nodes"] if node["model"]}
        }
        self.texts = {
            name: tg.Variable(text, requires_grad=True, role_description=f"instruction of a language model: {name}")
            for name, text in desk.texts.items()
        }

    def __call__(self, example):
        values = {
            name: tg.Variable(text, requires_grad=False, role_description=f"input of the system: {name}")
            for name, text in example["inputs"].items()
        }
        for node in self.desk.order["nodes"]:
            inputs = {f"f{number}": values[source] for number, (_, source) in enumerate(node["inputs"])}
            role = f"what the step {node['name']} wrote"
            if node["model"]:
                steering = self.texts.get(node["instruction"])
                if steering is None:
                    steering = tg.Variable(node["fixed"], requires_grad=False, role_description="a fixed instruction")
                shape = "{f0}" if len(inputs) == 1 else shaped(node["inputs"])
                # Text after the instruction that tells how to write the answer is a part of the user's message here.
                shape += "\n\n" + node["ending"].replace("{", "{{").replace("}", "}}") if node["ending"] else ""
                call = FormattedLLMCall(self.engines[node["role"]], shape, dict.fromkeys(inputs), steering)
                value = call(inputs, response_role_description=role)
                value.set_value(self.desk.read(node["name"], value.value) or value.value)
            else:
                value = StringBasedFunction(self.function(node), f"the function {node['name']}")(inputs, role)
            values[node["name"]] = value
        return values[self.desk.order["output"]]

    def function(self, node):
        names = [slot for slot, _ in node["inputs"]]

        def work(**inputs):
            return self.desk.run(node["name"], {name: inputs[f"f{n}"].value for n, name in enumerate(names)})

        return work

    def judged(self, example, answer):
        def metric(prediction):
            score, feedback = self.desk.score(example["id"], prediction.value)
            return f"score {score:g} of 1. {feedback}"

        purpose = "The metric that compares the answer with the right one, and says how it should have been."
        return StringBasedFunction(metric, function_purpose=purpose)(inputs={"prediction": answer})

    def accuracy(self, examples):
        scores = [self.desk.score(example["id"], self(example).value)[0] for example in examples]
        return sum(scores) / max(len(scores), 1)


def shaped(inputs):
    return "\n".join(f'<input name="{slot}">\n{{f{number}}}\n</input>' for number, (slot, _) in enumerate(inputs))


def optimized(desk: Desk):
    order = desk.order
    program = Program(desk)
    tg.set_backward_engine(ChatOpenAI(order["update"]), override=True)
    optimizer = tg.TextualGradientDescent(engine=ChatOpenAI(order["update"]), parameters=list(program.texts.values()))
    best = program.accuracy(order["val"])
    draws = random.Random(order["seed"])
    for _ in range(EPOCHS):
        rows = list(order["train"])
        draws.shuffle(rows)
        for start in range(0, len(rows), BATCH):
            before = {name: variable.value for name, variable in program.texts.items()}
            optimizer.zero_grad()
            losses = [program.judged(example, program(example)) for example in rows[start : start + BATCH]]
            tg.sum(losses).backward()
            optimizer.step()
            score = program.accuracy(order["val"])
            if score >= best:
                best = score
            else:
                for name, variable in program.texts.items():
                    variable.set_value(before[name])
            desk.tell(do="best", parameters={name: variable.value for name, variable in program.texts.items()})
    return {name: variable.value for name, variable in program.texts.items()}


if __name__ == "__main__":
    main("textgrad", optimized)
