"""Reading of answers: numbers, choices, plain words. Takes text, gives values or None; pure, guesses nothing.

There are two readings. The *whole* text is the answer and nothing else (strict: what a node passed on); or the text
says the answer somewhere (lenient: a model's whole reply), which is read only where it says one thing.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from decimal import Context, Decimal
from functools import lru_cache

_CURRENCY = "$€£¥₹"
_SPACES = " \t\r\n\u00a0\u202f\u2009"
_DECORATION = _SPACES + "*_`\"'“”‘’"
_SIGNS = "-−–+"

# A group of three digits follows "," (or "{,}" of LaTeX, or a narrow space), and no digit follows it.
_DIGITS = r"[0-9]{1,3}(?:(?:,|\{,\}|[\u00a0\u202f\u2009])[0-9]{3})++(?![0-9])|[0-9]++"
_NUMBER = re.compile(
    rf"(?<![A-Za-z_0-9])(?<![0-9]\.)(?P<sign>(?<![)\]%])[{_SIGNS}])?+(?:[{_CURRENCY}](?P<inner>[{_SIGNS}])?+)?+"
    rf"(?:(?P<whole>{_DIGITS})(?P<part>\.[0-9]++)?|(?P<only>\.[0-9]++))"
    r"(?:[eE](?P<exponent>[-+]?[0-9]{1,3})(?![0-9A-Za-z]|\.[0-9]))?"
    r"(?:/(?P<below>[0-9]++)(?!/|\.[0-9]))?"
)
_GROUPING = re.compile(r"[,{}\u00a0\u202f\u2009]")
# Wide enough that no text makes the arithmetic overflow.
_ARITHMETIC = Context(prec=40, Emax=999_999_999, Emin=-999_999_999)

_SENTENCE_END = re.compile(r"[.!?](?=\s)|\n")
_CUES = ("answer", "choice", "option", "verdict")
_CUE = re.compile(
    rf"\b(?:{'|'.join(_CUES)})(?:\s+(?:is|was|would be|should be|must be))?\s*+[:=]?\s*+"
    r"[*_`\"'“‘]*+(?:(?:option|choice)\s++)?",
    re.IGNORECASE,
)
_ALTERNATIVE = re.compile(r"[*_`\"'”’)]*+\s*+(?:,|/|\bor\b|\band\b)\s*+[*_`\"'“‘]*+", re.IGNORECASE)
_DENIAL = re.compile(r"(?:\bnot|n[’']t|\bnever)[\s*_`\"'“‘]+\Z", re.IGNORECASE)
_FAMILIES = (("yes", "no"), ("true", "false"), ("valid", "invalid"))


def casefolded(text: str) -> str:
    """Text for comparison: no case, single spaces, no quotes, emphasis or full stop around it."""
    bare = " ".join(text.split()).strip(_DECORATION)
    return bare.removesuffix(".").strip(_DECORATION).casefold()


def numbers_in(text: str) -> tuple[Decimal, ...]:
    """The numbers of a text, in order: `1,080`, `$1,080.00`, `-3`, `.5`, `1.5e3`, `3/4` (as 0.75), `12 %` (as 12).
    Digits of a name (`hint_2`, `x3`) and further parts of `1.2.3` are none; a minus between two numbers is no sign."""
    return tuple(_value(match) for match in _NUMBER.finditer(text))


def last_number(text: str) -> Decimal | None:
    """The last number of a text, which is where answers stand."""
    numbers = numbers_in(text)
    return numbers[-1] if numbers else None


def whole_number(text: str) -> Decimal | None:
    """The number that the whole text is, signs of currency and percent, emphasis and a full stop apart."""
    bare = text.strip(_DECORATION).removesuffix(".").strip(_DECORATION).removesuffix("%").rstrip(_SPACES)
    for currency in _CURRENCY:
        bare = bare.removesuffix(currency).rstrip(_SPACES)
    match = _NUMBER.fullmatch(bare)
    return _value(match) if match else None


def are_equal(left: Decimal, right: Decimal, tolerance: float = 0.0) -> bool:
    """Whether two numbers differ by at most `tolerance`, in absolute terms."""
    return left == right or _ARITHMETIC.subtract(left, right).copy_abs() <= Decimal(tolerance)


def _value(match: re.Match[str]) -> Decimal:
    digits = _GROUPING.sub("", match["whole"] or "") + (match["part"] or match["only"] or "")
    value = Decimal(digits + (f"e{match['exponent']}" if match["exponent"] else ""))
    below = Decimal(match["below"]) if match["below"] else Decimal(1)
    if below > 1:
        value = _ARITHMETIC.divide(value, below)
    is_negative = any(sign and sign != "+" for sign in (match["sign"], match["inner"]))
    return value.copy_negate() if is_negative else value


def rivals(expected: str) -> tuple[str, ...]:
    """The options that an expected answer stands among, as far as its form tells: all of `(A)` … `(Z)`, `A` … `Z`,
    yes and no, true and false, valid and invalid; else itself alone."""
    bare = casefolded(expected)
    for family in _FAMILIES:
        if bare in family:
            return family
    letter = _letter(expected)
    if letter is None:
        return (expected,)
    wrapped = expected.strip().startswith("(")
    return tuple(f"({other})" if wrapped else other for other in string.ascii_uppercase)


def is_same_choice(left: str, right: str) -> bool:
    """Whether two texts are one option: `(A)`, `A`, `a.`, `**(A)**`; `Yes.` and `yes`."""
    return _core(left) == _core(right)


def whole_choice(text: str, options: Sequence[str]) -> str | None:
    """The one option that the whole text is."""
    core = _core(text)
    named = [option for option in options if _core_of(option) == core]
    return named[0] if len(named) == 1 else None


def choice_in(text: str, options: Sequence[str]) -> str | None:
    """The option that a text names last and alone.

    The whole text, else what follows the last "answer is", "answer:" and the like, else the only option in the last
    sentence that mentions any. None if that place names several options, or denies one ("not valid").
    """
    folded = text.lower()
    if not _may_name(folded, options):
        return None
    whole = whole_choice(text, options)
    if whole is not None or not options:
        return whole
    cued, alone = _mentions(tuple(options))
    has_cue = any(word in folded for word in _CUES)
    for cue in reversed(list(_CUE.finditer(text))) if has_cue else ():
        named = cued.match(text, cue.end())
        if named:
            other = _ALTERNATIVE.match(text, named.end())
            second = cued.match(text, other.end()) if other else None
            return _option(named, options) if second is None or _same(second, named) else None
    mentions = list(alone.finditer(text))
    if not mentions:
        return None
    start = max((end.end() for end in _SENTENCE_END.finditer(text, 0, mentions[-1].start())), default=0)
    last = [mention for mention in mentions if mention.start() >= start]
    # Twelve characters hold any denial and what may stand between it and the option.
    denied = any(_DENIAL.search(text, max(start, mention.start() - 12), mention.start()) for mention in last)
    is_one = all(_same(mention, last[0]) for mention in last)
    return _option(last[0], options) if is_one and not denied else None


def _may_name(folded: str, options: Sequence[str]) -> bool:
    """Whether a text (in small letters) may name an option at all: a look that spares most texts the search."""
    return any(all(word in folded for word in (_letter(option) or option).lower().split()) for option in options)


@lru_cache(maxsize=1024)
def _core_of(option: str) -> str:
    return _core(option)


def _core(text: str) -> str:
    bare = casefolded(text)
    if bare.endswith(")") and (bare.startswith("(") or "(" not in bare):
        return casefolded(bare.removeprefix("(").removesuffix(")"))
    return bare


def _letter(option: str) -> str | None:
    """The letter of an option `(A)` or `A`."""
    bare = option.strip()
    letter = bare[1:-1] if len(bare) == 3 and bare[0] == "(" and bare[2] == ")" else bare
    return letter if len(letter) == 1 and letter in string.ascii_letters else None


@lru_cache(maxsize=256)
def _mentions(options: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Finds an option as a word of its own, in any case: after a cue, and anywhere. A bare letter is found in capitals
    only, and without a cue only where a sentence may end after it, since "A" is also a word.

    The group `o<index>` says which option; letters, of which there may be 26, share the groups `inner` and `bare`.
    """
    letters = sorted({letter.upper() for letter in map(_letter, options) if letter is not None})
    words = sorted(enumerate(options), key=lambda item: -len(item[1]))
    forms = [
        rf"(?P<o{index}>(?<!\w)(?i:{spaced})(?!\w))"
        for index, option in words
        if _letter(option) is None and (spaced := r"\s++".join(map(re.escape, option.split())))
    ]
    both = []
    for after in (r"(?![\w’'])", r"(?=[.):*\"”]|\s*+(?:\n|\Z))"):
        capitals = "".join(letters)
        of_letters = [rf"\((?P<inner>(?i:[{capitals}]))\)|(?<![\w’'(])(?P<bare>[{capitals}]){after}"] if letters else []
        both.append(re.compile("|".join(forms + of_letters) or r"(?!)"))
    return both[0], both[1]


def _same(one: re.Match[str], other: re.Match[str]) -> bool:
    """Whether two mentions are of one option."""
    return _named(one) == _named(other)


def _named(mention: re.Match[str]) -> str:
    group = mention.lastgroup
    assert group is not None, "every alternative is a group"
    return mention[group].upper() if group in ("inner", "bare") else group


def _option(mention: re.Match[str], options: Sequence[str]) -> str:
    named = _named(mention)
    if not named.startswith("o"):
        return next(option for option in options if (_letter(option) or "").upper() == named)
    return options[int(named[1:])]
