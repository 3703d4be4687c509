"""Documents as text for people: results, steps, costs, differences. Pure; takes JSON data, gives renderables.

Scores are shown in percent, differences in points. What is unknown is called unknown, never 0.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from semprop.engine.parameters import rendered, value_of
from semprop.engine.training.claim import AS_SEEN, LABELS_NEEDED
from semprop.engine.training.report import Status
from semprop.tools.screen import plain

Document = Mapping[str, Any]

SIMULATED = "simulated: rules answered in place of a language model; these figures say nothing about one"

_WORDS = {
    Status.DONE: ("a reliable gain on held-out data", "green"),
    Status.NO_GAIN: ("no reliable gain on held-out data", "yellow"),
    Status.UNDECIDED: ("undecided: too few held-out data to say", "yellow"),
    Status.INTERRUPTED: ("interrupted; not measured on held-out data", "yellow"),
    Status.BUDGET: ("the budget is spent", "yellow"),
    Status.FAILED: ("failed", "red"),
    "killed": ("killed before its end; semprop resume goes on with it", "yellow"),
    "running": ("running", "green"),
}


def result(document: Document) -> Iterator[RenderableType]:
    """What a run did, and whether it helped."""
    found = document["result"]
    if document["simulated"]:
        yield simulated()
    word, colour = _WORDS.get(document["status"], (str(document["status"]), "yellow"))
    if found["held_out"] is not None and found["held_out"]["word"] == AS_SEEN:
        word = f"{AS_SEEN}, on held-out data"
    yield ""
    yield Text(f"{plain(found['task'])}: {word}", style=f"bold {colour}")
    if found["held_out"] is not None:
        yield from held_out(found["held_out"])
        yield from openings(document["telemetry"])
    if found.get("approximate") is not None:
        yield approximate(found["approximate"])
    yield ""
    yield from notes(found.get("notes", ()))
    yield models(found["models"])
    yield from map(step, found["steps"])
    if document["telemetry"] is not None:
        yield cost(document["telemetry"])
        yield from waste(document["telemetry"])
    yield ""
    yield from changes(found["parameters"])


def evaluation(document: Document) -> Iterator[RenderableType]:
    """What one set of parameters scored."""
    found, held = document["result"], document["result"]["held_out"]
    if document["simulated"]:
        yield simulated()
    table = _table("held out", "score")
    low, high = held["interval"]
    table.add_row("strict", f"{percent(held['score'])}  (95 % interval {percent(low)} to {percent(high)})")
    for name in ("lenient", "constrained"):
        if held[name] is not None:
            table.add_row(name, percent(held[name]))
    yield ""
    yield Text(plain(f"{found['task']}: {held['n']} held-out examples; {held['method']}"), style="bold")
    yield table
    if held["missing"]:
        yield missing(held["missing"])
    yield from notes(found["notes"])
    yield models(found["models"])
    yield cost(document["telemetry"])
    yield from waste(document["telemetry"])


def models(identities: Mapping[str, str]) -> str:
    """Who answered, by role; one name if it was the same for all."""
    alike = len(set(identities.values())) == 1
    words = [next(iter(identities.values()))] if alike else [f"{role} {name}" for role, name in identities.items()]
    return plain(f"models: {', '.join(words)}")


def simulated() -> Text:
    """The label of every result in which no language model answered."""
    return Text(f" {SIMULATED} ", style="bold black on yellow")


def missing(count: int) -> str:
    """What was left out of a comparison, and why."""
    return f"{count} examples are left out on both sides: a provider failed on them"


def held_out(held: Document) -> Iterator[RenderableType]:
    """Before and after, with the interval and the word for it."""
    table = _table("held out", "before", "after", "difference")
    table.add_row("strict", percent(held["before"]), percent(held["after"]), points(held["difference"]))
    for name in ("lenient", "constrained"):
        pair = held[name]
        if pair is not None:
            gain = points(pair["after"] - pair["before"])
            table.add_row(name, percent(pair["before"]), percent(pair["after"]), gain)
    yield table
    if held.get("strata") is not None:
        yield from strata(held["strata"])
    if held.get("classes") is not None:
        yield from classes(held["classes"])
    low, high = held["interval"]
    yield f"{held['word']}: 95 % interval {points(low)} to {points(high)}, {_chance(held['p'])} ({held['test']})"
    yield f"n = {held['n']} examples that neither training nor gate has seen"
    if held["missing"]:
        yield missing(held["missing"])
    if held.get("tokens") is not None:
        yield tokens(held["tokens"])
    if held.get("judge") is not None:
        yield judge(held["judge"])
    yield from map(finding, held.get("findings", ()))


def finding(found: Document) -> Text:
    """A trap, by its name."""
    return Text(plain(f"finding: {found['words']}"), style="bold magenta")


def tokens(used: Document) -> str:
    """What an answer takes, before and after."""
    before, after = used["before"], used["after"]
    return f"tokens an answer: {before:,.0f} before, {after:,.0f} after ({after / before:.1f} times)"


def judge(found: Document) -> str:
    """Who gave the scores, and whether somebody checked."""
    labels = found["labels"]
    told = f"judged by {found['model']}, frozen as {found['digest']}; "
    if not labels:
        return plain(told + "no labels of yours to check it by (give 30 or more)")
    share = f"agrees with {found['agreed']} of {labels} labels of yours ({percent(found['agreed'] / labels)})"
    return plain(told + share + ("" if labels >= LABELS_NEEDED else "; 30 or more are needed"))


def strata(found: Document) -> Iterator[RenderableType]:
    """The stratified mean, and every stratum."""
    table = _table("stratum", "n", "before", "after", "difference", "p (Holm)", "")
    for row in found["strata"]:
        sides = (percent(row["before"]), percent(row["after"]), points(row["difference"]))
        table.add_row(plain(row["name"] or "(none)"), str(row["n"]), *sides, f"{row['holm']:.4f}", row["word"])
    yield table
    low, high = found["interval"]
    yield (
        f"stratified over {len(found['strata'])}, each with the same weight: {percent(found['before'])} → "
        f"{percent(found['after'])}, {points(found['difference'])}; {found['word']}: 95 % interval {points(low)} to "
        f"{points(high)}, {_chance(found['p'])} (bootstrap inside strata, sign flips)"
    )


def classes(found: Document) -> Iterator[RenderableType]:
    """Accuracy by class, and how often each is said; what always saying one cannot raise."""
    table = _table("class", "n", "before", "after", "said before", "said after")
    for row in found["classes"]:
        sides = (percent(row["before"]), percent(row["after"]))
        table.add_row(plain(row["name"]), str(row["n"]), *sides, str(row["said"]["before"]), str(row["said"]["after"]))
    yield table
    balanced = found["balanced"]
    low, high = balanced["interval"]
    yield (
        f"balanced accuracy: {percent(balanced['before'])} → {percent(balanced['after'])} "
        f"({balanced['word']}; 95 % interval {points(low)} to {points(high)})"
    )


def openings(telemetry: Document | None) -> Iterator[RenderableType]:
    """How often the test was opened before, as far as the directory of runs can tell."""
    found = None if telemetry is None else telemetry.get("test")
    if found is None:
        return
    if not found["reused"]:
        yield "the test was opened once, as far as this directory of runs can tell"
        return
    words = (
        f"test reused {found['reused']} times: {found['items']} of its {found['n']} examples were opened before by "
        "runs of this directory, so this is no untouched test any more"
    )
    yield Text(words, style="bold yellow")


def approximate(found: Document) -> str:
    """The gain of a run without a test split."""
    low, high = found["interval"]
    return (
        f"approximate: {points(found['difference'])} (95 % interval {points(low)} to {points(high)}) over {found['n']} "
        f"gate items and {found['contenders']} contenders; {found['method']}"
    )


def _chance(p: float) -> str:
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.4f}"


def notes(lines: Sequence[str]) -> Iterator[Text]:
    """What must be said beside the figures; the label of a simulated result stands above them already."""
    for line in lines:
        if not line.startswith("simulated:"):
            yield Text(f"note: {plain(line)}", style="italic")


def step(row: Document) -> Text:
    """One step in a line: what was wrong, what was tried, what became of it."""
    text = Text(f"step {row['index'] + 1}: {row['wrong']} of {row['seen']} wrong, {row['candidates']} candidates")
    if row["dropped"]:
        text.append(f" ({row['dropped']} dropped)")
    if row.get("lost"):
        text.append(f", {row['lost']} messages lost")
    gate = row["gate"]
    if gate is not None and gate["n"]:
        # Not the means: those at the stop overstate, and would be read as the gain (statistics reference, 10).
        text.append(f"; gate n = {gate['n']}")
    text.append("; ")
    if row["gate"] is not None:
        text.append(row["verdict"], style="bold green" if row["verdict"] == "accept" else "bold")
        text.append(": ")
    return text.append(plain(row["reason"]))


def cost(telemetry: Document) -> str:
    """Calls, tokens, dollars and seconds in one line."""
    calls, tokens, paid = telemetry["calls"], telemetry["tokens"], telemetry["cost"]
    phases = ", ".join(f"{name} {count:,}" for name, count in calls.items())
    parts = [
        f"{sum(calls.values()):,} calls" + (f" ({phases})" if phases else ""),
        f"tokens {tokens['input']:,} in, {tokens['output']:,} out",
        dollars(paid["usd"], paid["unpriced_requests"]),
        duration(telemetry["seconds"]),
    ]
    if telemetry["speculative"]:
        parts.append(f"{telemetry['speculative']:,} calls ran ahead and were not used")
    if served := telemetry.get("served"):
        parts.append("answered by " + ", ".join(f"{name} {count:,}" for name, count in served.items()))
    parts += [f"{count:,} × {kind}" for kind, count in telemetry["failures"].items()]
    return "cost: " + " · ".join(parts)


WASTE = {
    "retried": "failed and made again",
    "failed": "failed and given up",
    "cancelled": "cancelled",
    "truncated": "cut at the limit of tokens",
    "filtered": "filtered or refused",
    "unreadable": "not readable",
    "ahead": "ran ahead for nothing",
}
"""What each kind of waste is called."""


def waste(telemetry: Document | None) -> Iterator[str]:
    """What was paid for nothing, by kind; nothing if there was none."""
    found = None if telemetry is None else telemetry.get("waste")
    if not found or not found["total"]["attempts"]:
        return
    parts = [f"{_wasted(found[kind])} {words}" for kind, words in WASTE.items() if found[kind]["attempts"]]
    yield f"wasted: {_wasted(found['total'])} of {telemetry['attempts']:,} attempts: " + "; ".join(parts)  # type: ignore[index]


def _wasted(tally: Document) -> str:
    """Attempts, tokens and dollars of a kind; at most where nobody said what an attempt took."""
    words = f"{tally['attempts']:,}"
    tokens = tally["tokens"]["input"] + tally["tokens"]["output"]
    bound = "at most " if tally["at_most"] else ""
    if tokens or tally["unpriced"]:
        usd = dollars(tally["usd"], tally["unpriced"])
        words += f" ({bound}{tokens:,} tokens, {usd})" if tokens else f" ({usd})"
    return words


def dollars(usd: float | None, unpriced: int) -> str:
    """A price; unknown where nothing is known, and a lower bound where some calls have no price."""
    if usd is None:
        return "price unknown" if unpriced else "no charge known"
    words = "$0" if usd == 0 else f"${usd:.4f}"
    return f"{words} and {unpriced:,} calls of unknown price" if unpriced else words


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min {rest:02d} s"


def changes(parameters: Mapping[str, Document]) -> Iterator[RenderableType]:
    """A difference for each parameter that changed."""
    changed = {name: sides for name, sides in parameters.items() if sides["before"] != sides["after"]}
    if not changed:
        yield "no parameter changed"
    for name, sides in changed.items():
        yield Text(plain(name), style="bold")
        yield difference(sides["before"], sides["after"])


def difference(before: object, after: object) -> Text:
    """Two parameter values as a coloured difference by lines, all lines shown."""
    old, new = (rendered(value_of(value)).splitlines() for value in (before, after))
    text = Text()
    for line in difflib.ndiff(old, new):
        if line.startswith("?"):
            continue
        style = {"+": "green", "-": "red"}.get(line[0], "dim")
        text.append(f"  {line[0]} {plain(line[2:])}\n", style=style)
    return text


def percent(score: float) -> str:
    """A score in [0, 1]."""
    return f"{100 * score:.1f} %"


def points(gain: float) -> str:
    """A difference of scores."""
    return f"{100 * gain:+.1f} points"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
