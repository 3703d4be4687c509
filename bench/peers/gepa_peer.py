"""GEPA on a graph of instructions: every instruction is a component, the trace of its nodes is its reflective record.

Deviations: `max_metric_calls` is ten times the examples, since it has no default and dollars alone would not stop it
once all is right; a call that the budget refuses scores 0, as GEPA wants it, and then the search is stopped.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import gepa
from described import WORKERS, Desk, main, walked
from gepa import EvaluationBatch
from openai import APIStatusError, OpenAI


class GraphAdapter:
    """Runs the graph under a candidate's texts."""

    propose_new_texts = None

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.client = OpenAI(max_retries=3)
        self.spent = False

    def evaluate(self, batch, candidate, capture_traces=False):
        with ThreadPoolExecutor(WORKERS) as pool:
            rows = list(pool.map(lambda example: self._one(example, candidate), batch))
        return EvaluationBatch(
            outputs=[row["answer"] for row in rows],
            scores=[row["score"] for row in rows],
            trajectories=rows if capture_traces else None,
        )

    def _one(self, example, candidate):
        def called(node, inputs):
            instruction = candidate.get(node["instruction"], node["fixed"])
            sent = {"model": node["role"], "temperature": node["temperature"], "max_tokens": node["max_tokens"]}
            messages = self.desk.messages(node["name"], instruction, inputs)
            reply = self.client.chat.completions.create(messages=messages, **sent).choices[0].message.content
            return self.desk.read(node["name"], reply) or ""

        try:
            answer, records = walked(self.desk, example, called)
        except APIStatusError as error:
            self.spent = self.spent or error.status_code == 402
            return {"answer": "", "score": 0.0, "feedback": "no answer", "records": []}
        score, feedback = self.desk.score(example["id"], answer)
        return {"answer": answer, "score": score, "feedback": feedback, "records": records}

    def make_reflective_dataset(self, candidate, eval_batch, components_to_update):
        return {
            name: [
                {"Inputs": record["inputs"], "Generated Outputs": record["output"], "Feedback": row["feedback"]}
                for row in eval_batch.trajectories
                for record in row["records"]
                if record["parameter"] == name
            ]
            for name in components_to_update
        }


def optimized(desk: Desk):
    order = desk.order
    adapter = GraphAdapter(desk)
    result = gepa.optimize(
        seed_candidate=desk.texts,
        trainset=order["train"],
        valset=order["val"],
        adapter=adapter,
        reflection_lm=f"openai/{order['update']}",
        max_metric_calls=10 * (len(order["train"]) + len(order["val"])),
        stop_callbacks=lambda state: adapter.spent,
        seed=order["seed"],
        raise_on_exception=False,
    )
    return dict(result.best_candidate)


if __name__ == "__main__":
    main("gepa", optimized)
