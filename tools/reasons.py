"""Why a parameter has the value it has: examples → messages → edit → verdict, out of a run's decisions.

Takes a recorded run; gives JSON data, and the same in words. Shows rejected edits as well as accepted ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from rich.console import RenderableType
from rich.text import Text

from semprop.engine.errors import UsageError
from semprop.engine.outcomes import Failure, Outcome, Returned
from semprop.engine.training.runs import Run
from semprop.providers.base import Completion
from semprop.tools.render import difference, percent
from semprop.tools.screen import plain

Document = dict[str, Any]


def why(run: Run, parameter: str) -> list[Document]:
    """For each step that tried to change the parameter: the examples, what they said, the edits, the verdict.

    Raises:
        UsageError: the run has no such parameter.
    """
    if parameter not in run.initial:
        raise UsageError(f"the run has no parameter {parameter!r}; it has: {', '.join(run.initial)}")
    chain = []
    for proposals in run.decisions("proposals"):
        edits = list(_edits(proposals.body, parameter))
        dropped = [entry for entry in proposals.body["dropped"] if entry["parameter"] == parameter]
        if not edits and not dropped:
            continue
        verdicts = run.decisions("verdict", proposals.step)
        verdict = verdicts[0].body if verdicts else None
        for edit in edits:
            edit["accepted"] = verdict is not None and verdict["accepted"] == edit["candidate"]
        chain.append(
            {
                "step": proposals.step,
                "examples": list(_examples(run, proposals.step, parameter)),
                "edits": edits,
                "dropped": dropped,
                "verdict": verdict,
            }
        )
    return chain


def _edits(proposals: Mapping[str, Any], parameter: str) -> Iterator[Document]:
    for candidate in proposals["candidates"]:
        for edit in candidate["edits"]:
            if edit["parameter"] == parameter:
                others = [other["parameter"] for other in candidate["edits"] if other["parameter"] != parameter]
                yield {"candidate": candidate["id"], "together_with": others, **edit}


def _examples(run: Run, step: int, parameter: str) -> Iterator[Document]:
    """The wrong examples of a step, each with its question, its answer and what it said to the parameter."""
    gradients = {entry.name: entry.body for entry in run.decisions("gradients", step)}
    tapes = {entry.name: entry.body for entry in run.decisions("tape", step)}
    for selection in run.decisions("selection", step):
        scored = {entry["example"]: entry for entry in selection.body["scored"]}
        for name in selection.body["wrong"]:
            gradient = gradients.get(name, {}).get(parameter)
            yield {
                "example": name,
                "inputs": tapes[name]["inputs"] if name in tapes else {},
                "expected": tapes[name]["expected"] if name in tapes else None,
                "answer": scored[name]["answer"],
                "score": scored[name]["score"],
                "messages": [] if gradient is None else gradient["messages"],
            }


# In words -------------------------------------------------------------------------------------------------------------


def why_words(parameter: str, chain: Sequence[Document]) -> Iterator[RenderableType]:
    """The chain for people."""
    if not chain:
        yield f"no step tried to change {parameter}"
    for link in chain:
        yield Text(f"step {link['step'] + 1}", style="bold underline")
        for example in link["examples"]:
            yield from _example_words(example)
        for edit in link["edits"]:
            state = "accepted" if edit["accepted"] else "not accepted"
            others = f", together with {', '.join(edit['together_with'])}" if edit["together_with"] else ""
            style = "bold green" if edit["accepted"] else "bold yellow"
            yield Text(plain(f"edit (candidate {edit['candidate']}{others}): {state}"), style=style)
            if edit["reason"]:
                yield Text(plain(f"  because: {edit['reason']}"))
            yield difference(edit["before"], edit["after"])
        for entry in link["dropped"]:
            yield Text(plain(f"dropped before the gate: {entry['reason']}"), style="yellow")
            if entry["text"]:
                yield _indented(entry["text"], "  ")
        yield _verdict_words(link["verdict"])


def _example_words(example: Document) -> Iterator[Text]:
    yield Text(plain(f"example {example['example']}: scored {percent(example['score'])}"), style="bold")
    for name, value in example["inputs"].items():
        yield _field(name, value, "  ")
    yield _field("answer", example["answer"], "  ")
    if example["expected"] is not None:
        yield _field("expected", example["expected"], "  ")
    if not example["messages"]:
        yield Text("  no message to this parameter", style="dim")
    for message in example["messages"]:
        yield from _message_words(message, "  ")


def _message_words(message: Document, margin: str) -> Iterator[Text]:
    """A message with what it rests on. Evidence nests as deep as a worked case holds a gradient: an explicit stack,
    since a chain may be long."""
    stack: list[tuple[Document, str]] = [(message, margin)]
    while stack:
        entry, margin = stack.pop()
        source = entry["from"][0] or "the loss"
        content = entry["content"]
        head = f"{margin}{entry['stance']}, says {source}"
        if not isinstance(content, dict):
            yield Text(plain(head + ("" if content is None else ":")))
            if content is not None:
                yield _indented(str(content), margin + "  ")
            continue
        yield Text(plain(f"{head}, by this case of {content['node']}:"))
        for name, value in content["inputs"]:
            yield _field(name, value, margin + "  ")
        yield _field("output", content["output"], margin + "  ")
        stack.extend((inner, margin + "  ") for inner in reversed(content["gradient"]))


def _verdict_words(verdict: Mapping[str, Any] | None) -> Text:
    if verdict is None:
        return Text("verdict: none yet")
    words = f"verdict: {verdict['decision']}: {verdict['reason']}"
    gate = verdict["gate"]
    if gate is not None and gate["before"] is not None and gate["after"] is not None:
        pair = f"{percent(gate['before'])} → {percent(gate['after'])}"
        words += f" (figures of the search, no claim: {pair} on n = {gate['n']} gate items)"
    return Text(plain(words + "\n"), style="bold")


def _field(name: str, value: object, margin: str) -> Text:
    """A named value; one of several lines stands below its name."""
    text = str(value)
    if "\n" in text:
        text = "".join(f"\n  {line}" for line in text.splitlines())
        return _indented(f"{name}:{text}", margin)
    return _indented(f"{name}: {text}", margin)


def _indented(text: str, margin: str) -> Text:
    return Text("\n".join(margin + line for line in plain(text).splitlines()))


# Prompts --------------------------------------------------------------------------------------------------------------


def prompts(run: Run) -> Iterator[Document]:
    """The first request of every kind, as it was sent, with what came of it: one for each pass, node and slot."""
    seen: dict[tuple[str, str, str], None] = {}
    for exchange in run.exchanges():
        _, phase, _, _, node, slot, *_ = orjson.loads(exchange.position)
        kind = (phase, node, slot)
        if kind in seen or exchange.outcome is None:
            continue
        seen[kind] = None
        yield {
            "pass": phase,
            "node": node,
            "slot": slot,
            "role": exchange.role,
            "messages": exchange.request["messages"],
            "reply": _reply(exchange.outcome),
            "member": exchange.outcome.usage.member if isinstance(exchange.outcome, Completion) else "",
        }


def _reply(outcome: Outcome) -> str:
    match outcome:
        case Failure(kind, message):
            return f"[{kind}: {message}]"
        case Returned(value):
            return str(value)
        case completion:
            return completion.text


def prompt_words(found: Iterable[Document]) -> Iterator[Text]:
    """Requests and replies for people."""
    for entry in found:
        where = " / ".join(filter(None, (entry["pass"], entry["node"], entry["slot"])))
        who = f", answered by {entry['member']}" if entry["member"] else ""
        yield Text(plain(f"{where}, asked of {entry['role']}{who}"), style="bold underline")
        for message in entry["messages"]:
            yield Text(plain(f"{message['role']}:"), style="bold")
            yield Text(plain(message["content"]))
        yield Text("reply:", style="bold")
        yield Text(plain(entry["reply"]) + "\n")
