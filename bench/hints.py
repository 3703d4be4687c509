"""The paper's graph for GSM8K and BIG-Bench Hard: two hints, then the answer, which sees the question and the hints.

The two hints start with the same instruction on purpose, as in the paper: telling them apart is the optimizer's work.
"""

from __future__ import annotations

from collections.abc import Mapping

from semprop.engine.graph import Graph
from semprop.engine.methods.clauses import ClausePool
from semprop.engine.nodes import ReplyFormat
from semprop.engine.shapes import Style, fan
from semprop.providers.base import Sampling

HINT = "Work out an intermediate step that helps solve the problem."
ANSWER = "Solve the problem."

STYLE = Style(sampling=Sampling(temperature=0.0, max_tokens=1024), reply=ReplyFormat.TAGGED)
"""Greedy; only what stands between the tags is passed on, so that a model may reason first."""


def graph() -> Graph:
    """question → hint_1, hint_2; question, hint_1, hint_2 → answer. Seven variables, three of them parameters."""
    return fan({"hint_1": HINT, "hint_2": HINT}, ANSWER, style=STYLE)


def clauses(answer_form: str) -> Mapping[str, ClausePool]:
    """Clauses for every instruction of the graph; `answer_form` says how an answer is to be written."""
    hint: ClausePool = (
        (
            HINT,
            "List the facts that the problem gives.",
            "Say which method solves the problem.",
            "Restate the problem.",
        ),
        ("", "Be brief.", "Do not give the final answer."),
    )
    answer: ClausePool = (
        (ANSWER, "Answer the question.", "Solve the problem step by step, and check each step."),
        ("", "Trust a hint only if it agrees with the problem."),
        ("", answer_form),
    )
    return {"hint_1_instruction": hint, "hint_2_instruction": hint, "answer_instruction": answer}
