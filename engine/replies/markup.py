"""JSON objects and tags in model text, found by one scan from left to right. Takes text, gives frozen data.

Never guesses and never repairs: what is inside an object or an element is text to whatever stands outside of it, so
a tag quoted in a JSON string, or an object quoted in an element, is never read as an answer. Every loop moves forward
and every pattern is possessive or bounded by the next delimiter, so the work is linear in the length of the text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]

MAX_DEPTH = 32
"""Objects and arrays nested deeper than this are unreadable."""

_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_SPACE = re.compile(r"\s*+")
_STRUCTURE = re.compile(r'[{}\[\]"]')
_SCALAR = re.compile(r"[-+.\w]++")
_ATTRIBUTE = re.compile(r"([^\s=<>/\"']++)(?:\s*+=\s*+(?:\"([^\"<]*+)\"|'([^'<]*+)'|((?:[^\s<>\"'/]|/(?!>))++)))?+")
_ENTITY = re.compile(r"&(?:(lt|gt|amp|quot|apos)|#([0-9]{1,7})|#[xX]([0-9a-fA-F]{1,6}));")
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}
_SURROGATE = re.compile("[\ud800-\udfff]")
_THOUGHT = re.compile(r"\s*+<think(?:ing)?>", re.IGNORECASE | re.ASCII)
_THOUGHT_END = re.compile(r"</think(?:ing)?>", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class JsonObject:
    """A JSON object: its members in order, a key as often as it stands there. `problem` says where it is cut or
    broken; the members before that place are complete."""

    members: tuple[tuple[str, Json], ...]
    end: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Element:
    """A tag pair. `attributes` have lower-case names, and are None where they cannot be read; `text` has its
    entities resolved once. If `problem` is not empty there is no text, and `inside` holds the attributes of all tags
    of the unreadable stretch, which spoils the answers that they name."""

    name: str
    attributes: Mapping[str, str] | None
    text: str
    end: int
    problem: str = ""
    inside: tuple[Mapping[str, str], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class _Opening:
    """An opening tag: None as `attributes` if unreadable, None as `end` if it is never closed by a `>`."""

    attributes: Mapping[str, str] | None
    end: int | None
    is_empty: bool = False


def is_unicode(text: str) -> bool:
    """Whether text can be stored and sent: a lone half of a surrogate pair cannot."""
    return _SURROGATE.search(text) is None


def without_thought(text: str) -> str:
    """Text without a leading `<think>` … `</think>`, where models draft what they may not mean; nothing of it is
    left if the thought was cut."""
    opening = _THOUGHT.match(text)
    if opening is None:
        return text
    closing = _THOUGHT_END.search(text, opening.end())
    return text[closing.end() :] if closing else ""


def unescaped(text: str) -> str:
    """The five entities of XML and numeric ones, resolved once: `&amp;lt;` is `&lt;`."""

    def character(match: re.Match[str]) -> str:
        name, decimal, hexadecimal = match.groups()
        if name:
            return _NAMED[name]
        code = int(decimal) if decimal else int(hexadecimal, 16)
        return chr(code) if 0 < code < 0xD800 or 0xDFFF < code <= 0x10FFFF else match[0]

    return _ENTITY.sub(character, text)


def tag_pattern(names: Iterable[str]) -> re.Pattern[str]:
    """Finds `<name` and `</name` of the given names, in any case, up to the end of the name. Groups: the slash, the
    name."""
    return re.compile(rf"<(/?)({'|'.join(map(re.escape, names))})(?=[\s/>])", re.IGNORECASE | re.ASCII)


def constructs(text: str, names: Iterable[str], required: str = "") -> tuple[JsonObject | Element, ...]:
    """The outermost JSON objects and elements of the given names, in order.

    A tag that lacks the attribute `required` and stands outside of every element is prose ("I write <advice> for
    each") or a wrapper, and is passed over. What follows an object that is cut is inside of it, and is not read.
    """
    tags = tag_pattern(names)
    start = re.compile(rf'\{{(?=\s*+["}}])|{tags.pattern}', re.IGNORECASE | re.ASCII)
    found: list[JsonObject | Element] = []
    wrappers: dict[str, int] = {}
    position = 0
    while match := start.search(text, position):
        position = match.end()
        if match[0] == "{":
            document = _object(text, match.start())
            if document is not None:
                found.append(document)
                position = document.end
            continue
        name = match[2].lower()
        if match[1]:
            if wrappers.get(name):
                wrappers[name] -= 1
            else:
                _spoil_last(found, name)
            continue
        opening = _opening(text, match.end())
        if opening.end is None:
            continue
        if required and opening.attributes is not None and required not in opening.attributes:
            position = opening.end
            if text.startswith("<", _after_space(text, position)):
                wrappers[name] = wrappers.get(name, 0) + 1
            continue
        element = _element(text, name, opening, tags)
        found.append(element)
        position = element.end
    return tuple(found)


def _spoil_last(found: list[JsonObject | Element], name: str) -> None:
    last = found[-1] if found else None
    if isinstance(last, Element) and last.name == name and not last.problem:
        inside = () if last.attributes is None else (last.attributes,)
        found[-1] = replace(last, text="", problem=f"more than one </{name}> after one <{name}>", inside=inside)


def _after_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    assert match is not None
    return match.end()


def _opening(text: str, position: int) -> _Opening:
    attributes: dict[str, str] = {}
    while True:
        position = _after_space(text, position)
        if text.startswith(">", position):
            return _Opening(attributes, position + 1)
        if text.startswith("/>", position):
            return _Opening(attributes, position + 2, is_empty=True)
        match = _ATTRIBUTE.match(text, position)
        if match is None or match[1].lower() in attributes:
            return _Opening(None, _tag_end(text, position))
        quoted = next((value for value in match.groups()[1:] if value is not None), "")
        attributes[match[1].lower()] = unescaped(quoted)
        position = match.end()


_TAG_END = re.compile(r"[^<>]*+>")


def _tag_end(text: str, position: int) -> int | None:
    match = _TAG_END.match(text, position)
    return match.end() if match else None


def _element(text: str, name: str, opening: _Opening, tags: re.Pattern[str]) -> Element:
    """The element whose opening tag was just read; runs to the closing tag, or to the end of the text."""
    assert opening.end is not None
    if opening.is_empty:
        return Element(name, opening.attributes, "", opening.end)
    inside = [] if opening.attributes is None else [opening.attributes]
    token = re.compile(rf"<!\[CDATA\[|{tags.pattern}", re.IGNORECASE | re.ASCII)
    open_names = [name]
    pieces: list[str] = []
    position = mark = opening.end
    nested = False
    while match := token.search(text, position):
        position = match.end()
        if match[2] is None:
            closing = text.find("]]>", position)
            if closing < 0:
                break
            pieces += [unescaped(text[mark : match.start()]), text[position:closing]]
            position = mark = closing + 3
        elif match[1]:
            if match[2].lower() != open_names[-1]:
                nested = True
                continue
            open_names.pop()
            if not open_names:
                pieces.append(unescaped(text[mark : match.start()]))
                end = _tag_end(text, position) or position
                if nested or opening.attributes is None:
                    problem = f"a tag inside of <{name}>" if nested else f"unreadable attributes in <{name}>"
                    return Element(name, opening.attributes, "", end, problem, tuple(inside))
                return Element(name, opening.attributes, "".join(pieces), end)
        else:
            nested = True
            inner = _opening(text, position)
            if inner.attributes is not None:
                inside.append(inner.attributes)
            if not inner.is_empty:
                open_names.append(match[2].lower())
    return Element(name, opening.attributes, "", len(text), f"<{name}> is never closed", tuple(inside))


def _object(text: str, start: int) -> JsonObject | None:
    """The object that begins at `start`, or None if not even a first key stands there: a brace in prose."""
    members: list[tuple[str, Json]] = []
    position = _after_space(text, start + 1)
    if text.startswith("}", position):
        return JsonObject((), position + 1)
    while True:
        key = _STRING.match(text, position)
        colon = _after_space(text, key.end()) if key else position
        if key is None or not text.startswith(":", colon):
            if not members:
                return None
            return JsonObject(tuple(members), len(text), "the JSON object is cut or broken after " + _last(members))
        value_start = _after_space(text, colon + 1)
        end = _value_end(text, value_start)
        try:
            if end is None:
                raise ValueError("the value is cut or broken")
            name = _READER.decode(key[0])
            members.append((name, _loaded(text[value_start:end])))
        except ValueError as error:
            return JsonObject(tuple(members), len(text), f"the JSON object is not readable at {key[0][:60]}: {error}")
        position = _after_space(text, end)
        if text.startswith("}", position):
            return JsonObject(tuple(members), position + 1)
        if not text.startswith(",", position):
            return JsonObject(tuple(members), len(text), "the JSON object is cut or broken after " + _last(members))
        position = _after_space(text, position + 1)


def _last(members: list[tuple[str, Json]]) -> str:
    return json.dumps(members[-1][0][:60])


def _value_end(text: str, position: int) -> int | None:
    """Where the JSON value that begins at `position` ends; None if it is cut, too deep or no value."""
    if text.startswith('"', position):
        string = _STRING.match(text, position)
        return string.end() if string else None
    if text.startswith(("{", "["), position):
        return _balanced_end(text, position)
    scalar = _SCALAR.match(text, position)
    # A bare number at the very end may be the beginning of a longer one.
    return scalar.end() if scalar and scalar.end() < len(text) else None


def _balanced_end(text: str, position: int) -> int | None:
    depth = 0
    while match := _STRUCTURE.search(text, position):
        position = match.end()
        if match[0] == '"':
            string = _STRING.match(text, match.start())
            if string is None:
                return None
            position = string.end()
        elif match[0] in "{[":
            depth += 1
            if depth > MAX_DEPTH:
                return None
        else:
            depth -= 1
            if not depth:
                return position
    return None


def _loaded(document: str) -> Json:
    """JSON text as data.

    Raises:
        ValueError: not JSON, a key that stands twice in one object, a number that is not finite.
    """
    value: Json = _READER.decode(document)
    return value


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError(f"a key stands twice in one object: {', '.join(key[:40] for key, _ in pairs[:10])}")
    return members


def _refused(constant: str) -> Json:
    raise ValueError(f"{constant} is not a number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is not a finite number")
    return number


# strict=False: a line break inside of a string is what models write, and means one thing only.
_READER = json.JSONDecoder(strict=False, object_pairs_hook=_unique, parse_constant=_refused, parse_float=_finite)
