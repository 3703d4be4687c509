"""Parsers of model text that can fail: advice, proposals, answers, judgements. Takes text, gives frozen data.

A failure says what was expected and what was found; that complaint is sent back to the model once. Law L4: nothing
half is read, and nothing reaches a wrong slot. Two answers that differ, a tag inside of a tag, a name that nobody
asked for: none is guessed at, each is named in the complaint. Both forms are read whatever form was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from semprop.engine.errors import SempropError
from semprop.engine.gradients import Stance
from semprop.engine.replies.markup import (
    Element,
    Json,
    JsonObject,
    constructs,
    is_unicode,
    tag_pattern,
    without_thought,
)

MAX_NOTES = 8
"""How many faults a complaint names: it becomes part of a prompt."""

_REASONING = re.compile(r"_*+reasoning", re.IGNORECASE | re.ASCII)
_DECORATION = " \t\r\n*`\"'“”‘’"
_PROPOSAL_KEY = re.compile(r"proposal(?:[_ -]?([0-9]{1,4}))?", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,4}", re.ASCII)
_SCORE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)\s*(?:/\s*10)?", re.ASCII)


class ReplyError(SempropError):
    """A reply could not be read. `complaint` says to the model what was expected and what was found."""

    def __init__(self, complaint: str) -> None:
        super().__init__(complaint)
        self.complaint = complaint


class ReplyStyle(StrEnum):
    """Which form a reply was asked in: a JSON object where the endpoint can be held to a schema, else tags."""

    JSON = "json"
    TAGS = "tags"


@dataclass(frozen=True, slots=True)
class Advice:
    """The verdict on one slot: keep (no text), or change and how."""

    stance: Stance
    text: str = ""


@dataclass(frozen=True, slots=True)
class AdviceReply:
    """What a backward reply says, slot by slot in the order asked; `missing` are the slots without a readable
    verdict. `complaint` is empty if nothing was wrong."""

    advice: Mapping[str, Advice] = field(hash=False)
    missing: tuple[str, ...] = ()
    complaint: str = ""


@dataclass(frozen=True, slots=True)
class ProposalReply:
    """Whole, distinct proposals in the order of their numbers, and how many fewer they are than asked for."""

    proposals: tuple[str, ...]
    missing: int = 0
    complaint: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judge's score in [0, 1] and what it said."""

    score: float
    feedback: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """One answer in a reply: what it answers, its content (None: unreadable), and the fault, if there is one."""

    key: str | int | None
    content: Advice | str | None
    fault: str = ""


def parse_advice(text: str, slots: Sequence[str], style: ReplyStyle) -> AdviceReply:
    """Read a joint backward reply: for every slot a verdict, keep or change, and for change the advice.

    JSON: `{SLOT: {"verdict": "keep" | "change", "advice": "…"}, …}`. Tags:
    `<advice slot="SLOT" verdict="change">…</advice>`, one for each slot. Slot names are compared exactly (spaces,
    quotes and asterisks around them apart). A slot with two different answers, or with "change" and no advice, is
    missing; whatever stands before a cut is read.

    Raises:
        ReplyError: slots were asked for and none has a readable verdict.
    """
    entries: list[_Entry] = []
    notes: list[str] = []
    asides: list[str] = []
    for construct in constructs(without_thought(text), ("advice",), required="slot"):
        if isinstance(construct, Element):
            entries += _advice_of_element(construct, slots)
            continue
        members = [(key, value) for key, value in construct.members if key in slots or not _REASONING.fullmatch(key)]
        read = [_advice_of_member(key, value, slots) for key, value in members]
        if any(entry.content for entry in read):
            entries += read
        else:
            asides += [entry.fault for entry in read]
        notes += [construct.problem] * bool(construct.problem)
    advice: dict[str, Advice] = {}
    for slot in slots:
        contents = [entry.content for entry in entries if entry.key == slot]
        if contents and isinstance(contents[0], Advice) and contents.count(contents[0]) == len(contents):
            advice[slot] = contents[0]
        elif len(contents) > 1:
            notes.append(f"more than one answer for {_quoted(slot)}, and they differ")
    notes = [entry.fault for entry in entries if entry.fault] + ([] if advice else asides) + notes
    if notes or advice:
        answered = {entry.key for entry in entries}
        notes += [f"nothing for {_quoted(slot)}" for slot in slots if slot not in answered]
    if slots and not advice:
        raise ReplyError(_complaint(_expected_advice(slots, style), notes, text))
    missing = tuple(slot for slot in slots if slot not in advice)
    complaint = _complaint(_expected_advice(slots, style), notes, text) if notes else ""
    return AdviceReply(MappingProxyType(advice), missing, complaint)


def _advice_of_element(element: Element, slots: Sequence[str]) -> Iterable[_Entry]:
    if element.problem:
        named = [attributes.get("slot", "") for attributes in element.inside]
        yield _Entry(None, None, f"{element.problem} ({', '.join(map(_quoted, named[:4]))})")
        yield from (_Entry(_asked(name, slots), None) for name in named)
        return
    attributes = element.attributes or {}
    yield _entry(attributes.get("slot", ""), attributes.get("verdict"), element.text, slots)


def _advice_of_member(key: str, value: Json, slots: Sequence[str]) -> _Entry:
    if not isinstance(value, dict):
        fault = f'{_quoted(key)} is not an object {{"verdict": …, "advice": …}}'
        return _Entry(_asked(key, slots), None, fault if _asked(key, slots) else _unknown(key))
    fields = {name.strip().casefold(): field for name, field in value.items()}
    if len(fields) < len(value):
        return _Entry(_asked(key, slots), None, f"{_quoted(key)} has a field twice")
    return _entry(key, fields.get("verdict"), fields.get("advice", ""), slots)


def _entry(name: str, verdict: Json, text: Json, slots: Sequence[str]) -> _Entry:
    slot = _asked(name, slots)
    if slot is None:
        return _Entry(None, None, _unknown(name))
    word = verdict.strip(_DECORATION).casefold() if isinstance(verdict, str) else verdict
    if word == Stance.KEEP:
        return _Entry(slot, Advice(Stance.KEEP))
    if word != Stance.CHANGE:
        found = "no verdict" if verdict is None else f"the verdict {_quoted(verdict)}"
        return _Entry(slot, None, f'{found} for {_quoted(slot)} (it is "keep" or "change")')
    advice = _content(text)
    if advice is None:
        return _Entry(slot, None, f'the verdict "change" without readable advice for {_quoted(slot)}')
    return _Entry(slot, Advice(Stance.CHANGE, advice))


def _asked(name: str, slots: Sequence[str]) -> str | None:
    """The slot of this name. Case is not forgiven: a graph may hold `Hint` and `hint`, and only one be asked for."""
    if name in slots:
        return name
    bare = name.strip(_DECORATION)
    return bare if bare in slots else None


def _content(text: Json) -> str | None:
    """Text without the space around it; None if it is no text, empty, or cannot be stored."""
    return text.strip() or None if isinstance(text, str) and is_unicode(text) else None


def parse_proposals(text: str, count: int, style: ReplyStyle) -> ProposalReply:
    """Read proposals of a new text. JSON: `{"reasoning": "…", "proposal_1": "…", …}`; tags:
    `<proposal number="1">…</proposal>`.

    A proposal that is cut, empty, a repetition, numbered beyond `count`, or one of two that differ under one number,
    is dropped and named in the complaint.

    Raises:
        ReplyError: no proposal is left.
    """
    entries: list[_Entry] = []
    notes: list[str] = []
    for construct in constructs(without_thought(text), ("proposal",)):
        match construct:
            case Element(problem=problem) if problem:
                notes.append(problem)
                spoiled = (inside.get("number", "") for inside in construct.inside)
                entries += [_Entry(int(number), None) for number in spoiled if _NUMBER.fullmatch(number)]
            case Element(attributes=attributes):
                number = (attributes or {}).get("number", "").strip(_DECORATION)
                entries.append(_proposal(number, construct.text))
            case JsonObject(members, problem=problem):
                keys = ((_PROPOSAL_KEY.fullmatch(key.strip()), value) for key, value in members)
                entries += [_proposal(key[1] or "", value) for key, value in keys if key]
                notes += [problem] * bool(problem)
    notes += [entry.fault for entry in entries if entry.fault]
    kept = _distinct(entries, count, notes)
    if len(kept) < count:
        notes.append(f"{len(kept)} of {count} proposals")
    complaint = _complaint(_expected_proposals(count, style), notes, text) if notes else ""
    if not kept:
        raise ReplyError(complaint)
    return ProposalReply(kept, count - len(kept), complaint)


def _proposal(number: str, value: Json) -> _Entry:
    if number and not _NUMBER.fullmatch(number):
        return _Entry(None, None, f"a proposal with the number {_quoted(number)}")
    key = int(number) if number else None
    content = _content(value)
    if content is None or not any(map(str.isalnum, content)):
        return _Entry(key, None, f"proposal {number} is empty or no text")
    return _Entry(key, content)


def _distinct(entries: Sequence[_Entry], count: int, notes: list[str]) -> tuple[str, ...]:
    """The texts that may be used, in the order of their numbers; what is dropped is added to the notes."""
    groups: dict[int, list[_Entry]] = {}
    for entry in entries:
        if isinstance(entry.key, int):
            groups.setdefault(entry.key, []).append(entry)
    contents = []
    for number, group in sorted(groups.items()):
        if not 1 <= number <= count:
            notes.append(f"a proposal numbered {number}; the numbers are 1 to {count}")
        elif any(entry.content != group[0].content for entry in group):
            notes.append(f"proposal {number} stands there more than once, and differs")
        else:
            contents.append(group[0].content)
    contents += [entry.content for entry in entries if entry.key is None]
    kept: dict[str, None] = {}
    for content in contents:
        if not isinstance(content, str):
            continue
        if content in kept:
            notes.append("a proposal repeats another one")
        elif len(kept) == count:
            notes.append(f"more than {count} proposals")
        else:
            kept[content] = None
    return tuple(kept)


_ANSWER = tag_pattern(("answer",))
_TAG_REST = re.compile(r"[^<>]*+>")


def parse_answer(text: str) -> str:
    """The text inside the last `<answer>` … `</answer>` pair, without the space around it and otherwise verbatim:
    an answer may be code, so entities are not touched. Attributes and other pairs before it do not matter.

    Raises:
        ReplyError: there is no pair, the last one is cut, empty, or inside of or around another tag of that name.
    """
    expected = "Expected the final answer once, at the end, as <answer>…</answer>."
    body = without_thought(text)
    tags = list(_ANSWER.finditer(body))
    is_closing = [bool(tag[1]) for tag in tags]
    fault = ""
    if not tags:
        fault = "no <answer> tag"
    elif not is_closing[-1]:
        fault = "an <answer> tag that is never closed"
    elif len(tags) == 1 or is_closing[-2]:
        fault = "an </answer> that closes nothing"
    elif len(tags) > 2 and not is_closing[-3]:
        fault = "an <answer> tag inside of another"
    if fault:
        raise ReplyError(_complaint(expected, [fault], text))
    rest = _TAG_REST.match(body, tags[-2].end())
    content = body[rest.end() : tags[-1].start()].strip() if rest else ""
    if not content:
        raise ReplyError(_complaint(expected, ["an empty answer"], text))
    return content


def parse_judgement(text: str, style: ReplyStyle) -> Judgement:
    """Read a judge's reply. JSON: `{"feedback": "…", "score": 7}`; tags: `<feedback>…</feedback><score>7</score>`.
    The score on paper runs from 0 to 10; `7/10` is read as 7.

    Raises:
        ReplyError: score or feedback is missing, cut, given twice and different, or out of range.
    """
    scores: list[Json] = []
    feedback: list[Json] = []
    notes: list[str] = []
    for construct in constructs(without_thought(text), ("feedback", "score")):
        match construct:
            case Element(problem=problem) if problem:
                notes.append(problem)
            case Element("score"):
                scores.append(construct.text)
            case Element():
                feedback.append(construct.text)
            case JsonObject(members, problem=problem):
                scores += [value for key, value in members if key.casefold() == "score"]
                feedback += [value for key, value in members if key.casefold() == "feedback"]
                notes += [problem] * bool(problem)
    score = _score(scores, notes)
    said = {entry.strip() if isinstance(entry, str) and is_unicode(entry) else None for entry in feedback}
    words = said.pop() if len(said) == 1 else None
    if words is None:
        notes.append("feedback that is no text, or stands there twice and differs" if feedback else "no feedback")
    if score is None or words is None:
        raise ReplyError(_complaint(_EXPECTED_JUDGEMENT[style], notes, text))
    return Judgement(score, words)


def _score(found: Sequence[Json], notes: list[str]) -> float | None:
    """The one score that was given, in [0, 1]; else None, and the fault is added to the notes."""
    values: list[float] = []
    for entry in found:
        match = _SCORE.fullmatch(entry.strip(_DECORATION)) if isinstance(entry, str) else None
        number = float(match[1]) if match else entry
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 10:
            notes.append(f"the score {_quoted(entry)}; it is a number from 0 to 10")
            return None
        values.append(number / 10)
    if len(set(values)) != 1:
        notes.append("two different scores" if values else "no score")
        return None
    return values[0]


def _expected_advice(slots: Sequence[str], style: ReplyStyle) -> str:
    as_json = 'one JSON object with a member {"verdict": "keep" or "change", "advice": "…"}'
    as_tags = '<advice slot="NAME" verdict="keep or change">…</advice> once'
    form = as_json if style is ReplyStyle.JSON else as_tags
    return f"Expected {form} for each of: {', '.join(map(_quoted, slots))}."


def _expected_proposals(count: int, style: ReplyStyle) -> str:
    as_json = f'one JSON object with the texts "proposal_1" to "proposal_{count}"'
    as_tags = f'<proposal number="1">…</proposal>, {count} in number, each closed and each different'
    return f"Expected {as_json if style is ReplyStyle.JSON else as_tags}."


_EXPECTED_JUDGEMENT = {
    ReplyStyle.JSON: 'Expected one JSON object {"feedback": "…", "score": a number from 0 to 10}.',
    ReplyStyle.TAGS: "Expected <feedback>…</feedback> and then <score>a number from 0 to 10</score>.",
}


def _unknown(name: str) -> str:
    return f"{_quoted(name)}, which was not asked about"


def _quoted(found: Json) -> str:
    text = found if isinstance(found, str) else repr(found)
    return f'"{text[:60]}…"' if len(text) > 60 else f'"{text}"'


def _complaint(expected: str, notes: Sequence[str], text: str) -> str:
    """What is sent back to the model. It holds no half characters, and its length is bounded."""
    distinct = list(dict.fromkeys(note for note in notes if note))
    if not distinct:
        distinct = [f"no such thing in the reply, which begins {_quoted(' '.join(text[:400].split()))}"]
    found = "; ".join(distinct[:MAX_NOTES]) + (" …" if len(distinct) > MAX_NOTES else "")
    return f"{expected} Found: {found}.".encode("utf-8", "replace").decode()
