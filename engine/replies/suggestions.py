"""Replies that set many parameters at once: a parser that can fail. Takes text, gives frozen data.

A name that is left out, or whose text is empty, stays as it is (law L4). Two texts that differ under one name, a name
that nobody asked about, a text that is cut: none is guessed at, each is named in the complaint.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from semprop.engine.replies.markup import Element, Json, JsonObject, constructs, is_unicode, without_thought
from semprop.engine.replies.parsers import MAX_NOTES, ReplyError, ReplyStyle

_DECORATION = " \t\r\n*`\"'"


@dataclass(frozen=True, slots=True)
class SuggestionReply:
    """New texts by name, in the order asked; what is not in it stays as it is. `complaint` is empty if nothing was
    wrong with the reply."""

    texts: Mapping[str, str] = field(hash=False)
    complaint: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    """One answer: whose, its text (None: unreadable), and the fault if there is one."""

    name: str
    text: str | None
    fault: str = ""


def parse_suggestions(text: str, names: Sequence[str], style: ReplyStyle) -> SuggestionReply:
    """Read new texts. JSON: `{"reasoning": "…", "suggestion": {NAME: "…", …}}`; tags:
    `<suggestion name="NAME">…</suggestion>`. Both forms are read whatever form was asked for.

    Raises:
        ReplyError: not one of the names has an answer that can be read.
    """
    found: list[_Found] = []
    notes: list[str] = []
    for construct in constructs(without_thought(text), ("suggestion",), required="name"):
        if isinstance(construct, Element):
            found += _of_element(construct, names)
        else:
            found += _of_object(construct, names)
            notes += [construct.problem] * bool(construct.problem)
    notes = [entry.fault for entry in found if entry.fault] + notes
    texts: dict[str, str] = {}
    answered = False
    for name in names:
        answers = [entry.text for entry in found if entry.name == name]
        if len(set(answers)) > 1:
            notes.append(f'more than one text for "{name}", and they differ')
        elif answers and answers[0] is not None:
            answered = True
            if answers[0]:
                texts[name] = answers[0]
    complaint = _complaint(names, style, notes) if notes or not answered else ""
    if not answered:
        raise ReplyError(complaint)
    return SuggestionReply(MappingProxyType(texts), complaint)


def _of_element(element: Element, names: Sequence[str]) -> Iterable[_Found]:
    if element.problem:
        spoiled = [attributes.get("name", "") for attributes in element.inside]
        yield _Found("", None, f"{element.problem} ({', '.join(spoiled[:4])})")
        yield from (_Found(name.strip(_DECORATION), None) for name in spoiled)
        return
    yield _answer((element.attributes or {}).get("name", ""), element.text, names)


def _of_object(construct: JsonObject, names: Sequence[str]) -> Iterable[_Found]:
    for key, value in construct.members:
        if key.strip().casefold() != "suggestion":
            continue
        if isinstance(value, dict):
            yield from (_answer(name, text, names) for name, text in value.items())
        else:
            yield _Found("", None, '"suggestion" is not an object of texts')


def _answer(name: str, text: Json, names: Sequence[str]) -> _Found:
    bare = name if name in names else name.strip(_DECORATION)
    if bare not in names:
        return _Found("", None, f'"{name[:60]}", which is not one of the values to set')
    if not isinstance(text, str) or not is_unicode(text):
        return _Found(bare, None, f'the value of "{bare}" is no text')
    return _Found(bare, text.strip())


def _complaint(names: Sequence[str], style: ReplyStyle, notes: Sequence[str]) -> str:
    wanted = ", ".join(names)
    form = (
        f'one JSON object {{"reasoning": "…", "suggestion": {{…}}}} with a text for each of: {wanted}'
        if style is ReplyStyle.JSON
        else f'<suggestion name="NAME">…</suggestion> for each of: {wanted}'
    )
    distinct = list(dict.fromkeys(notes)) or ["no such thing in the reply"]
    more = " …" if len(distinct) > MAX_NOTES else ""
    return f"Expected {form}. Found: {'; '.join(distinct[:MAX_NOTES])}{more}.".encode("utf-8", "replace").decode()
