"""The clauses that the simulated model understands, recognised in sentences. Takes text, gives frozen data.

A sentence that is no clause does nothing. A clause is recognised by a pattern over what the sentence says, not by a
list of sentences, so that wordings which stand nowhere in this package are understood as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clause:
    """One thing to do: its kind (a key of `WORDINGS`) and its argument ("" if it has none)."""

    kind: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of an instruction, the clause it is (None: it does nothing), and the white space after it."""

    text: str
    clause: Clause | None
    gap: str = " "


@dataclass(frozen=True, slots=True)
class Program:
    """An instruction as understood."""

    sentences: tuple[Sentence, ...]

    @property
    def clauses(self) -> tuple[Clause, ...]:
        """What is done, in order."""
        return tuple(sentence.clause for sentence in self.sentences if sentence.clause is not None)

    @property
    def text(self) -> str:
        """The instruction as text."""
        return "".join(sentence.text + sentence.gap for sentence in self.sentences).strip()


# Recognising -----------------------------------------------------------------------------------------------------

_GIVE = (
    r"(?:give|extract|take|return|report|output|state|name|copy|repeat|write(?: out| down)?|pick out|read off|find|"
    r"tell|provide|print|show|quote|pass on|reproduce|use|keep|(?:reply|answer|respond)(?: only| just)?(?: with)?|list|"
    r"say)"
)
_F = r"[\"'“`]?(?P<arg>[A-Za-z][\w-]*)[\"'”`]?"
_WHERE = r"(?:of|for|in|under|at|from|beside|after|next to)"
_ITEMS = r"(?:lines?|pairs?|items?|entries|entry|rows?|facts?|names?)"
_N = r"(?P<arg>\d+|one|two|three|four|five|six|seven|eight)"
_NUMBERS = r"(?:numbers?|values?|inputs?|figures?|amounts?|two)"

_RULE = r"(?P<arg>\d+:\d(?: \d+:\d)+)\b"

_PATTERNS: tuple[tuple[str, str], ...] = (
    ("combine", rf"\b(?:combine|join|merge|together|apply)\b.*?{_RULE}"),
    ("choose", r"\boptions?\b.*\bletter\b|\bletter\b.*\boptions?\b"),
    ("greater", r"\byes\b.*\b(?:greater|larger|bigger|higher|exceeds|more than)\b.*\bsecond\b"),
    ("greater", r"\b(?:greater|larger|bigger|higher|exceeds|more than)\b.*\bsecond\b.*\byes\b"),
    ("equal", r"\byes\b.*\b(?:equal|same|identical|agree|match|differ)\b|\b(?:equal|same|identical)\b.*\byes\b"),
    ("all", r"\byes\b.*\b(?:all|both|every|each)\b.*\byes\b"),
    ("all", r"\b(?:all|both|every|each)\b.*\byes\b.*\byes\b"),
    ("always", rf"\b(?:always|no matter what|in every case|whatever the input)\b.*?\b{_GIVE},? {_F}[.!]?$"),
    ("report", rf"\b{_GIVE} (?:the )?(?:whole |entire |full )?{_F} line\b"),
    ("report", rf"\b{_GIVE} (?:the )?(?:whole |entire |full )?line (?:that (?:begins|starts) with|for|of|about) {_F}"),
    ("lookup", r"\bkey\b.*\b(?:table|pairs|mapping)\b|\b(?:table|pairs|mapping)\b.*\bkey\b|\blook(?:s|ed)? up\b"),
    ("lastdigit", r"\blast digit\b|\bmodulo (?:10|ten)\b"),
    ("first", rf"\bfirst {_N} {_ITEMS}\b"),
    ("first", rf"\b{_GIVE} (?:only |just )?the first {_ITEMS}\b"),
    ("last", rf"\blast {_ITEMS}\b"),
    ("reverse", r"\brevers\w+|\bbackwards\b|\blast first\b|\bopposite order\b"),
    ("rank", r"\b(?:sort|order|arrange|rank|list)\w*\b.*\b(?:small\w*|low\w*|least|ascending|increasing|size)\b"),
    ("sort", r"\balphabetical\w*\b|\ba to z\b|\ba-z\b"),
    ("count", rf"\b(?:count|number of|how many)\b.*\b{_ITEMS}\b"),
    ("add", rf"\b(?:add|sum|total)\b.*\b{_NUMBERS}\b|\b{_NUMBERS}.*\b(?:sum|total)\b"),
    ("multiply", rf"\b(?:multiply|product)\b.*\b{_NUMBERS}\b|\b{_NUMBERS}.*\bproduct\b"),
    ("subtract", r"\b(?:subtract|difference|minus)\b.*\b(?:first|second|numbers|values)\b"),
    ("max", rf"\b(?:largest|greatest|biggest|maximum|highest|larger|greater|bigger)\b.*\b{_NUMBERS}\b"),
    ("max", rf"\b{_NUMBERS}\b.*\b(?:largest|greatest|biggest|maximum|highest)\b"),
    ("min", rf"\b(?:smallest|least|minimum|lowest|smaller|lesser)\b.*\b{_NUMBERS}\b"),
    ("min", rf"\b{_NUMBERS}\b.*\b(?:smallest|least|minimum|lowest)\b"),
    ("double", r"\bdoubled?\b.*\b(?:number|value|it|result)\b|\btwice the\b|\btimes two\b"),
    ("upper", r"\bcapital letters\b|\bin capitals\b|\bupper[- ]?case\b|\ball caps\b|\bcapitali[sz]e every\b"),
    ("lower", r"\blower[- ]?case\b|\bsmall letters\b|\bno capitals\b|\bwithout capitals\b"),
    ("number", r"\b(?:only|just|alone|nothing but)\b.*\b(?:number|digits)\b|\b(?:number|digits) (?:only|alone)\b"),
    ("table", rf"\b{_GIVE}\b.*\b(?:all|every|each|whole|entire|full|complete)\b.*\b(?:pairs?|table)\b"),
    ("table", rf"\b{_GIVE}\b.*\b(?:table|pairs)\b.*\b(?:line|completely|entirely|in full)\b"),
    ("copy", r"\b(?:repeat|copy|return|pass on|echo|give back|reproduce)\b.*\b(?:input|text)\b"),
    ("extract", rf"\b{_GIVE} .*?\b(?:value|entry|content|contents|word)\b {_WHERE} (?:the )?(?:field )?{_F}"),
    ("extract", rf"\b(?:what|whatever)(?: \w+){{1,3}} {_WHERE} (?:the )?(?:field )?{_F}"),
    ("extract", rf"\b{_GIVE} (?:what|whatever) (?:the )?{_F}(?: field| entry)? (?:holds|says|states|contains|is)"),
    ("extract", rf"\b{_GIVE} (?:only )?(?:the )?{_F} (?:field|entry|value)\b"),
    ("extract", rf"\b(?:extract|read off|pick out) (?:only )?(?:the )?{_F}"),
)
_RULES = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _PATTERNS)
_NO_FIELD = frozenset(
    (
        *("a", "an", "the", "that", "this", "it", "its", "each", "every", "all", "only", "just"),
        *("whole", "first", "last"),
        *("answer", "result", "output", "reply", "number", "numbers", "value", "key", "table", "pair", "pairs", "line"),
        *("lines", "text", "input", "inputs", "field", "fields", "question", "final", "correct", "right"),
    )
)
WITH_ARGUMENT = ("extract", "report", "first", "always", "combine")
COUNTS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}
_SENTENCE = re.compile(r"(.+?(?:[.!?;](?=\s|$)|(?=\n)|$))(\s*)", re.DOTALL)


def recognised(sentence: str) -> Clause | None:
    """The clause that a sentence is, or None."""
    for kind, pattern in _RULES:
        if match := pattern.search(sentence):
            argument = (match.groupdict().get("arg") or "").lower()
            if kind == "first":
                return Clause(kind, str(COUNTS.get(argument, argument or 1)))
            if kind in ("extract", "report") and argument in _NO_FIELD:
                continue
            return Clause(kind, argument if kind in WITH_ARGUMENT else "")
    return None


def understood(instruction: str) -> Program:
    """An instruction sentence by sentence."""
    return Program(
        tuple(
            Sentence(match[1].strip(), recognised(match[1]), match[2])
            for match in _SENTENCE.finditer(instruction)
            if match[1].strip()
        )
    )
