"""What the programs beside it share: the order, and a desk that renders prompts, reads replies and scores answers.

Runs in the environment of another package, with the standard library alone. One JSON line on stdin is the order; then
each line on stdout asks the desk something, and one line on stdin answers. So a node's prompt, the reading of its
reply, the functions of the graph and the metric are this product's own, whoever optimizes. What a package prints goes
to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from importlib.metadata import version

WORKERS = 8
"""Examples that are run at once, where a package leaves that open."""


class Desk:
    """Asks whoever started this program, one question at a time."""

    def __init__(self) -> None:
        self._answers = os.fdopen(os.dup(0), "rb")
        self._questions = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self._lock = threading.Lock()
        self.order = json.loads(self._answers.readline())

    def ask(self, **question):
        """The desk's answer."""
        with self._lock:
            self.tell(**question)
            line = self._answers.readline()
        if not line:
            raise SystemExit("nobody answers")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def tell(self, **said) -> None:
        """Say something that wants no answer."""
        self._questions.write(json.dumps(said).encode() + b"\n")
        self._questions.flush()

    @property
    def texts(self) -> dict[str, str]:
        """The instructions to start from, by parameter."""
        return dict(self.order["parameters"])

    def score(self, example: str, answer: str, reply: str = "") -> tuple[float, str]:
        """The metric, and what is known of the right answer in words."""
        found = self.ask(do="score", example=example, answer=answer, reply=reply)
        return found["score"], found["feedback"]

    def messages(self, node: str, instruction: str, inputs: dict[str, str]) -> list[dict[str, str]]:
        """The forward prompt of a node under this instruction."""
        return self.ask(do="render", node=node, instruction=instruction, inputs=inputs)["messages"]

    def read(self, node: str, reply: str) -> str | None:
        """The node's value in a reply; None if it cannot be read."""
        return self.ask(do="read", node=node, reply=reply)["value"]

    def run(self, node: str, inputs: dict[str, str]) -> str:
        """What a function node gives."""
        return self.ask(do="run", node=node, inputs=inputs)["value"]


def walked(desk: Desk, example: dict, called) -> tuple[str, list[dict]]:
    """One example through the graph: the answer, and what each node was given. `called(node, inputs)` gives a model
    node's value."""
    values = dict(example["inputs"])
    records = []
    for node in desk.order["nodes"]:
        inputs = {slot: values[source] for slot, source in node["inputs"]}
        value = called(node, inputs) if node["model"] else desk.run(node["name"], inputs)
        values[node["name"]] = value
        records.append({"node": node["name"], "parameter": node["instruction"], "inputs": inputs, "output": value})
    return values[desk.order["output"]], records


def main(package: str, optimized) -> None:
    """Run `optimized(desk)`, which gives texts by parameter, and say what came of it. A fault of the package is told,
    with the best texts that are known: the ones to start from, unless the program told better ones before."""
    desk = Desk()
    try:
        texts, failed = optimized(desk), ""
    except Exception as error:  # noqa: BLE001 — whatever a package raises is told
        traceback.print_exc()
        texts, failed = None, f"{type(error).__name__}: {error}"[:500]
    desk.tell(do="end", parameters=texts, failed=failed, version=version(package))
    sys.stderr.flush()
    os._exit(0)  # Threads of a package that still wait for a reply would keep the process.
