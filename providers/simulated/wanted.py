"""What a gradient in words asks for, and whether a text satisfies it. Pure.

Reads a sentence by what it says ("should be …", "expected … is …", "should state: …"), wherever it stands, and writes
advice in sentences of the same sort, so that what one call advises is understood by the next, one level deeper.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from semprop.providers.simulated.pages import value_lines


class Demand(StrEnum):
    """IS: the text is this. STATES: it is this, or one of its lines is (but
    what was one bare value is then to be this bare value). OMITS: none of its lines is this.
    DIFFERS: it is not what it was. RISES, FALLS: it is a number beyond what it was, in that direction."""

    IS = "is"
    STATES = "states"
    OMITS = "omits"
    DIFFERS = "differs"
    RISES = "rises"
    FALLS = "falls"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One demand on a text."""

    demand: Demand
    text: str = ""


_OUGHT = r"(?:should|must|ought to|needs to|has to)(?: rather| instead)?(?: have)?"
_SUBJECT = r"(?:output|answer|value|result|reply|response|label|text|input)"
_RULES: tuple[tuple[Demand, re.Pattern[str]], ...] = (
    (Demand.OMITS, re.compile(rf"{_OUGHT} (?:leave out|left out|omit(?:ted)?|not (?:state|contain))\b:? *(.+)", re.I)),
    (
        Demand.DIFFERS,
        re.compile(rf"{_OUGHT} (?:be|been|state|say)\w* (?:different|something else|another|otherwise)", re.I),
    ),
    (Demand.RISES, re.compile(rf"{_OUGHT} (?:rise|grow|be (?:raised|higher|larger|greater))", re.I)),
    (Demand.FALLS, re.compile(rf"{_OUGHT} (?:fall|shrink|be (?:lowered|lower|smaller))", re.I)),
    (
        Demand.IS,
        re.compile(
            r"(?:expected|wanted|correct|right|desired|true|target|reference)(?: final)?"
            rf" {_SUBJECT}(?: (?:is|was|would be|would have been|{_OUGHT} be(?:en)?)[:=]?|[:=]) +(.+)",
            re.I,
        ),
    ),
    (
        Demand.STATES,
        re.compile(
            rf"{_OUGHT} (?:state|say|said|contain|include|give|name|read|mention|hold)\w*"
            r"(?: the (?:line|fact|value|entry|sentence|word|words|text))?:? +(.+)",
            re.I,
        ),
    ),
    (Demand.IS, re.compile(rf"{_OUGHT} be(?:en)?:? +(.+)", re.I)),
)
_ITEM = re.compile(r"^\s*\d+\. ")
_QUOTED = re.compile(r"^[\"'“‘`](.+?)[\"'”’`][.!]?$")
_MANNER = re.compile(r"^(?:a |an |much |more |less |as )?(?:shorter|longer|complete|read|clearer|brief|able)\b", re.I)
_LONGEST = 400


def wanted_in(text: str) -> tuple[Wanted, ...]:
    """Every demand that a text makes, one per line at most, in order, without repetition."""
    found = (_line_demand(_ITEM.sub("", line).strip()) for line in text.split("\n"))
    return tuple(dict.fromkeys(wanted for wanted in found if wanted is not None))


def _line_demand(line: str) -> Wanted | None:
    for demand, pattern in _RULES:
        if match := pattern.search(line):
            if demand in (Demand.DIFFERS, Demand.RISES, Demand.FALLS):
                return Wanted(demand)
            value = _bare(match[1])
            if value and len(value) <= _LONGEST and not _MANNER.match(value):
                return Wanted(demand, value)
            return None
    return None


def _bare(value: str) -> str:
    value = value.strip()
    if quoted := _QUOTED.match(value):
        return quoted[1].strip()
    return value[:-1].rstrip() if value.endswith(".") and not value.endswith("..") else value


def is_met(wanted: Wanted, text: str, before: str) -> bool:
    """Whether a text meets a demand that was made of `before`."""
    match wanted.demand:
        case Demand.IS:
            return _plain(text) == _plain(wanted.text)
        case Demand.STATES:
            if _plain(text) == _plain(wanted.text):
                return True
            # What was one value should be another one, not hold it among others.
            return not (_is_bare(wanted.text) and _is_bare(before)) and _plain(wanted.text) in _stated(text)
        case Demand.OMITS:
            return _plain(wanted.text) not in (*_stated(text), _plain(text))
        case Demand.DIFFERS:
            return _plain(text) != _plain(before)
        case Demand.RISES | Demand.FALLS:
            now, then = number_in(text), number_in(before)
            if now is None or then is None:
                return False
            return now > then if wanted.demand is Demand.RISES else now < then


def are_met(demands: Iterable[Wanted], text: str, before: str) -> bool:
    """Whether a text meets all demands."""
    return all(is_met(wanted, text, before) for wanted in demands)


def number_in(text: str) -> float | None:
    """The text as a number, or None."""
    try:
        return float(text.strip().replace(",", ""))
    except ValueError:
        return None


@lru_cache(maxsize=8_192)
def _stated(text: str) -> tuple[str, ...]:
    return tuple(_plain(line.raw) for line in value_lines("", text))


@lru_cache(maxsize=8_192)
def _plain(text: str) -> str:
    """Spacing and the sign between field and value do not matter; letters' case does."""
    return "\n".join(re.sub(r"\s*[:=]\s+", ": ", " ".join(line.split())) for line in text.strip().split("\n"))


def _is_bare(text: str) -> bool:
    """Whether a text is one value, not a fact about a field and not several lines."""
    return "\n" not in text.strip() and not any(line.sign for line in value_lines("", text))


def should_state(text: str) -> str:
    """Advice that a value should be, or have the line, `text`."""
    return f"It should state: {text}"


def should_omit(text: str) -> str:
    """Advice that a value should not have the line `text`."""
    return f"It should leave out: {text}"


SHOULD_DIFFER = "It should state something else; what, cannot be told from what is shown here."
"""Advice that a value is to blame when no one replacement is likely enough."""
