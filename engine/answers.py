"""Reading of answers: numbers, choices, plain words. Takes text, gives values or None; pure, guesses nothing.

There are two readings. The *whole* text is the answer and nothing else (strict: what a node passed on); or the text
says the answer somewhere (lenient: a model's whole reply), which is read only where it says one thing.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from decimal import Context, Decimal

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
_CUE = re.compile(
    r"\b(?:answer|choice|option|verdict)(?:\s+(?:is|was|would be|should be|must be))?\s*+[:=]?\s*+"
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
    named = [option for option in options if _core(option) == core]
    return named[0] if len(named) == 1 else None


def choice_in(text: str, options: Sequence[str]) -> str | None:
    """The option that a text names last and alone.

    The whole text, else what follows the last "answer is", "answer:" and the like, else the only option in the last
    sentence that mentions any. None if that place names several options, or denies one ("not valid").
    """
    whole = whole_choice(text, options)
    if whole is not None or not options:
        return whole
    cued = _mention(options, r"(?![\w’'])")
    for cue in reversed(list(_CUE.finditer(text))):
        named = cued.match(text, cue.end())
        if named:
            other = _ALTERNATIVE.match(text, named.end())
            second = cued.match(text, other.end()) if other else None
            return _option(named, options) if second is None or second.lastgroup == named.lastgroup else None
    mentions = list(_mention(options, r"(?=[.):*\"”]|\s*+(?:\n|\Z))").finditer(text))
    if not mentions:
        return None
    start = max((end.end() for end in _SENTENCE_END.finditer(text, 0, mentions[-1].start())), default=0)
    last = [mention for mention in mentions if mention.start() >= start]
    # Twelve characters hold any denial and what may stand between it and the option.
    denied = any(_DENIAL.search(text, max(start, mention.start() - 12), mention.start()) for mention in last)
    is_one = len({mention.lastgroup for mention in last}) == 1
    return _option(last[0], options) if is_one and not denied else None


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


def _mention(options: Sequence[str], after_letter: str) -> re.Pattern[str]:
    """Finds an option as a word of its own, in any case; a bare letter in capitals only, and only before
    `after_letter`, since "A" is also a word. The group `o<index>` says which option."""
    alternatives = []
    for index, option in sorted(enumerate(options), key=lambda item: -len(item[1])):
        letter = _letter(option)
        if letter is None:
            words = r"\s++".join(map(re.escape, option.split()))
            form = rf"(?<!\w)(?i:{words})(?!\w)"
        else:
            form = rf"\((?i:{letter})\)|(?<![\w’'(]){letter.upper()}{after_letter}"
        if option.strip():
            alternatives.append(f"(?P<o{index}>{form})")
    return re.compile("|".join(alternatives) or r"(?!)")


def _option(mention: re.Match[str], options: Sequence[str]) -> str:
    assert mention.lastgroup is not None
    return options[int(mention.lastgroup[1:])]
