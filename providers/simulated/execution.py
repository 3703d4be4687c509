"""Carrying out clauses on facts. Pure: takes clauses and a page of facts, gives text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from semprop.providers.simulated.clauses import Clause
from semprop.providers.simulated.pages import Line
from semprop.providers.simulated.wanted import number_in

UNKNOWN = "unknown"
"""What a clause gives that finds nothing to work on."""


class MissingOperand(Exception):
    """A clause needs what is not visible: a `table`, or `count` values, out of `domain` if that is known."""

    def __init__(self, what: str, count: int = 1, domain: tuple[str, ...] = ()) -> None:
        super().__init__(f"{count} {what} not visible")
        self.what = what
        self.count = count
        self.domain = domain


Items = tuple[str, ...]
_Work = Callable[[Sequence[Line], Items | None, str], Items]


def carried_out(clauses: Sequence[Clause], page: Sequence[Line]) -> str:
    """What the clauses make of the facts, in order; selections add to what was selected, the others change it.

    Raises:
        MissingOperand: a clause needs a table or a second number that is not visible.
    """
    items: Items | None = None
    for clause in clauses:
        items = one_more(clause, page, items)
    return said(items)


def one_more(clause: Clause, page: Sequence[Line], items: Items | None) -> Items:
    """What is selected after one more clause; `items` is what was before, None at the beginning.

    Raises:
        MissingOperand: as above.
    """
    return _WORK[clause.kind](page, items, clause.argument)


def said(items: Items | None) -> str:
    """What is selected, as text."""
    return "\n".join(items) if items else UNKNOWN


def _subject(page: Sequence[Line], items: Items | None) -> Items:
    """What a change works on: what was selected, else the one visible value, else all lines."""
    if items is not None:
        return items
    return (page[0].value,) if len(page) == 1 else tuple(line.raw for line in page)


def _extract(page: Sequence[Line], items: Items | None, argument: str) -> Items:
    found = next((line.value for line in page if line.field.casefold() == argument), UNKNOWN)
    return (*(items or ()), found)


def _report(page: Sequence[Line], items: Items | None, argument: str) -> Items:
    found = next((f"{line.field}: {line.value}" for line in page if line.field.casefold() == argument), None)
    return (*(items or ()), *(() if found is None else (found,)))


def _lookup(page: Sequence[Line], items: Items | None, argument: str) -> Items:
    table = {line.field: line.value for line in reversed(page) if line.sign == "="}
    if not table:
        raise MissingOperand("table")
    keys = items if items is not None else tuple(line.value for line in page if line.sign != "=")
    if not keys:
        raise MissingOperand("value", 1, tuple(table))
    return (next((table[key] for key in keys if key in table), UNKNOWN),)


def _table(page: Sequence[Line], items: Items | None, argument: str) -> Items:
    return (*(items or ()), *(line.raw for line in page if line.sign == "="))


def _numbers(page: Sequence[Line], items: Items | None, least: int) -> tuple[float, ...]:
    """At least so many numbers of what was selected, or else of the page; () if the selection has fewer.

    Raises:
        MissingOperand: nothing was selected, and the page has fewer.
    """
    texts = items if items is not None else tuple(line.value for line in page if line.sign != "=")
    found = tuple(number for number in map(number_in, texts) if number is not None)
    if len(found) >= least:
        return found
    if items is None:
        raise MissingOperand("value")
    return ()


def _figure(value: float) -> str:
    return f"{value:.12g}"


def _over(work: Callable[[tuple[float, ...]], float], least: int = 2) -> _Work:
    def figured(page: Sequence[Line], items: Items | None, argument: str) -> Items:
        numbers = _numbers(page, items, least)
        return (_figure(work(numbers)) if numbers else UNKNOWN,)

    return figured


def _test(work: Callable[[Items], bool]) -> _Work:
    def judged(page: Sequence[Line], items: Items | None, argument: str) -> Items:
        values = items if items is not None else tuple(line.value for line in page)
        if len(values) < 2:
            if items is None:
                raise MissingOperand("value")
            return (UNKNOWN,)
        return ("yes" if work(values) else "no",)

    return judged


def _each(work: Callable[[str], str]) -> _Work:
    return lambda page, items, argument: tuple(work(item) for item in _subject(page, items))


def _whole(work: Callable[[Items], Items]) -> _Work:
    return lambda page, items, argument: work(_subject(page, items))


def _first(page: Sequence[Line], items: Items | None, argument: str) -> Items:
    return _subject(page, items)[: int(argument)]


def _product(values: tuple[float, ...]) -> float:
    product = 1.0
    for value in values:
        product *= value
    return product


def _is_greater(values: Items) -> bool:
    first, second = number_in(values[0]), number_in(values[1])
    return first is not None and second is not None and first > second


def _ranked(items: Items) -> Items:
    return tuple(sorted(items, key=lambda item: (number_in(item) is None, number_in(item) or 0.0)))


def _combine(page: Sequence[Line], items: Items | None, argument: str) -> Items:
    """One digit a value makes the left side of a rule; its right side is the result."""
    rules = dict(rule.split(":") for rule in argument.split())
    width = len(next(iter(rules)))
    values = items if items is not None else tuple(line.value for line in page if line.sign != "=")
    digits = [value for value in values if len(value) == 1 and value.isdigit()]
    if len(digits) < width and items is None:
        raise MissingOperand("value", width - len(digits), tuple(dict.fromkeys(rule[-1] for rule in rules)))
    return (rules.get("".join(digits[:width]), UNKNOWN),)


_FIGURE = re.compile(r"-?\d+(?:[.,]\d+)*")


def _only_number(item: str) -> str:
    found = _FIGURE.search(item)
    return found[0] if found else item


def _doubled(item: str) -> str:
    number = number_in(item)
    return item if number is None else _figure(2 * number)


_OPTION = re.compile(r"^\(?([A-Z])\)[ .:]*(.+)$")


def _choose(page: Sequence[Line], items: Items | None, argument: str) -> Items:
    options = {match[2].strip(): match[1] for line in page if (match := _OPTION.match(line.raw))}
    values = items if items is not None else tuple(line.value for line in page)
    return (next((options[value] for value in values if value in options), UNKNOWN),)


_WORK: dict[str, _Work] = {
    "extract": _extract,
    "report": _report,
    "lookup": _lookup,
    "table": _table,
    "first": _first,
    "last": _whole(lambda items: items[-1:]),
    "sort": _whole(lambda items: tuple(sorted(items))),
    "rank": _whole(_ranked),
    "reverse": _whole(lambda items: items[::-1]),
    "count": _whole(lambda items: (str(len(items)),)),
    "add": _over(sum),
    "multiply": _over(_product),
    "subtract": _over(lambda values: values[0] - values[1]),
    "combine": _combine,
    "max": _over(max),
    "min": _over(min),
    "greater": _test(_is_greater),
    "equal": _test(lambda values: len(set(values)) == 1),
    "all": _test(lambda values: all(value.casefold() == "yes" for value in values)),
    "always": lambda page, items, argument: (argument,),
    "choose": _choose,
    "upper": _each(str.upper),
    "lower": _each(str.lower),
    "number": _each(_only_number),
    "lastdigit": _each(lambda item: item[-1:]),
    "double": _each(_doubled),
    "copy": lambda page, items, argument: _subject(page, None),
}
FORMATS = tuple(
    Clause(kind, argument)
    for kind in ("upper", "lower", "number", "lastdigit", "double", "sort", "rank", "reverse", "first", "last", "count")
    for argument in (("1", "2", "3", "4") if kind == "first" else ("",))
)
"""The clauses that change what others selected."""
