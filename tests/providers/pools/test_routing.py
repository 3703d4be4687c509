"""Which member of a pool a request goes to: tables, and what holds for every standing."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semprop.providers.base import Capabilities, Choices, Image, JsonSchema, Message, Request, Sampling
from semprop.providers.budget import BudgetSpent
from semprop.providers.errors import ErrorClass, ItemError, ProviderError, ProviderFailure, RetryError, StopError
from semprop.providers.pools.routing import (
    Fate,
    Go,
    Line,
    Policy,
    Rules,
    Standing,
    beginning,
    choose,
    fate,
    lacking,
    ranked,
    weight,
)
from semprop.providers.wire.refusals import NoPlace

FREE, FULL = Standing(), Standing(wait=math.inf)
FAILING, TRIAL = Standing(wait=20.0, is_failing=True), Standing(is_failing=True)
FAILOVER, CHEAPEST = Rules(Policy.FAILOVER, patience=10.0), Rules(Policy.CHEAPEST, patience=10.0)
FASTEST = Rules(Policy.FASTEST)


def priced(usd: float | None, wait: float = 0.0, affinity: float = 0.0) -> Standing:
    return Standing(wait, price=usd, affinity=affinity)


def paced(seconds: float | None, wait: float = 0.0, load: int = 0, affinity: float = 0.0) -> Standing:
    return Standing(wait, seconds=seconds, load=load, affinity=affinity)


@pytest.mark.parametrize(
    ("rules", "standings", "waited", "wanted"),
    [
        (FAILOVER, [FREE, FREE], 0.0, Go(0)),
        (FAILOVER, [FULL, FREE], 0.0, Line((0,), 10.0)),
        (FAILOVER, [FULL, FREE], 4.0, Line((0,), 6.0)),
        (FAILOVER, [FULL, FREE], 10.0, Go(1)),
        (FAILOVER, [FULL, FULL, FREE], 10.0, Line((0, 1), 10.0)),
        (FAILOVER, [FULL, FULL], 10.0, Line((0, 1))),
        (FAILOVER, [Standing(wait=3.0), FREE], 0.0, Line((0,), 10.0)),
        (FAILOVER, [Standing(wait=60.0), FREE], 0.0, Go(1)),
        (FAILOVER, [Standing(wait=60.0), FULL], 0.0, Line((0, 1))),
        (FAILOVER, [FAILING, FREE], 0.0, Go(1)),
        (FAILOVER, [TRIAL, FREE], 0.0, Go(0)),
        (FAILOVER, [FAILING, FULL], 0.0, Line((1,), 20.0)),
        (FAILOVER, [FAILING, FAILING], 0.0, Line((0, 1))),
        (Rules(patience=0.0), [FULL, FREE], 0.0, Go(1)),
        (FAILOVER, [], 0.0, None),
        (CHEAPEST, [priced(2.0), priced(1.0)], 0.0, Go(1)),
        (CHEAPEST, [priced(None), priced(9.0)], 0.0, Go(1)),
        (CHEAPEST, [priced(None), priced(None)], 0.0, Go(0)),
        (CHEAPEST, [priced(2.0), priced(1.0, math.inf)], 0.0, Line((1,), 10.0)),
        (CHEAPEST, [priced(2.0), priced(1.0, math.inf)], 10.0, Go(0)),
        (CHEAPEST, [priced(1.0), priced(1.0, math.inf, affinity=0.5)], 0.0, Go(0)),
        (CHEAPEST, [priced(1.0), priced(1.0, affinity=0.5)], 0.0, Go(1)),
        (CHEAPEST, [priced(1.0), priced(1.1, affinity=0.5)], 0.0, Go(0)),
        (FASTEST, [paced(2.0), paced(1.0)], 0.0, Go(1)),
        (FASTEST, [paced(1.5, affinity=0.5), paced(1.0)], 0.0, Go(0)),
        (FASTEST, [paced(2.5, affinity=0.5), paced(1.0)], 0.0, Go(1)),
        (Rules(Policy.FASTEST, affinity=False), [paced(1.5, affinity=0.5), paced(1.0)], 0.0, Go(1)),
        (FASTEST, [paced(1.0), paced(None)], 0.0, Go(1)),
        (FASTEST, [paced(1.0), paced(None, load=1)], 0.0, Go(0)),
        (FASTEST, [paced(None, load=3), paced(None, load=1)], 0.0, Go(1)),
        (FASTEST, [paced(1.0, math.inf), paced(9.0)], 0.0, Go(1)),
        (FASTEST, [paced(1.0, math.inf), paced(9.0, math.inf)], 0.0, Line((0, 1))),
    ],
)
def test_a_request_goes_where_the_table_says(
    rules: Rules, standings: list[Standing], waited: float, wanted: Go | Line | None
) -> None:
    assert choose(dict(enumerate(standings)), rules, waited) == wanted


waits = st.sampled_from([0.0, 0.0, 0.5, 7.0, 100.0, math.inf])
some = st.none() | st.sampled_from([0.1, 0.2, 1.0, 5.0])
standing = st.builds(Standing, waits, st.booleans(), some, some, st.integers(0, 3), st.sampled_from([0.1, 0.5, 0.9]))
everybody = st.dictionaries(st.integers(0, 5), standing, min_size=1, max_size=5)
all_rules = st.builds(Rules, st.sampled_from(Policy), st.none() | st.sampled_from([0.0, 3.0, 30.0]), st.booleans())
ages = st.sampled_from([0.0, 1.0, 9.0, 29.0, 1e6])


@given(everybody, all_rules, ages)
def test_only_members_that_may_be_asked_are_chosen_and_those_with_room_are_sent_to(
    standings: dict[int, Standing], rules: Rules, waited: float
) -> None:
    match choose(standings, rules, waited):
        case Go(member):
            assert not standings[member].wait
        case Line(members, seconds):
            assert members
            assert all(standings[member].wait for member in members)
            assert len(dict.fromkeys(members)) == len(members)
            assert seconds is None or seconds > 0
        case nothing:
            raise AssertionError(nothing)


@given(everybody, all_rules)
def test_whoever_has_waited_long_enough_goes_wherever_there_is_room(
    standings: dict[int, Standing], rules: Rules
) -> None:
    decision = choose(standings, rules, 1e6)
    assert isinstance(decision, Go) == any(not each.wait for each in standings.values())


@given(everybody, all_rules)
def test_a_request_that_stays_in_line_for_good_stands_in_all_lines_that_move(
    standings: dict[int, Standing], rules: Rules
) -> None:
    decision = choose(standings, rules, 1e6)
    if isinstance(decision, Line) and decision.seconds is None:
        healthy = [member for member, each in standings.items() if not each.is_failing]
        assert sorted(decision.members) == sorted(healthy or standings)


@given(everybody, all_rules, ages)
def test_a_member_that_fails_holds_nobody_up(standings: dict[int, Standing], rules: Rules, waited: float) -> None:
    others = {member: each for member, each in standings.items() if not each.is_failing}
    trials = [member for member, each in standings.items() if each.is_failing and not each.wait]
    if others and not trials:
        with_it, without = choose(standings, rules, waited), choose(others, rules, waited)
        # What is known of its pace may move where the limit of affinity lies; nothing else of it counts.
        if rules.policy is not Policy.FASTEST:
            assert isinstance(with_it, Go) == isinstance(without, Go)
            assert with_it == without or isinstance(with_it, Line)


@given(everybody, ages)
def test_the_cheapest_that_has_room_is_taken(standings: dict[int, Standing], waited: float) -> None:
    decision = choose(standings, Rules(Policy.CHEAPEST, patience=0.0), waited)
    if isinstance(decision, Go):
        free = [math.inf if each.price is None else each.price for each in standings.values() if not each.wait]
        chosen = standings[decision.member].price
        assert (math.inf if chosen is None else chosen) == min(free)


@given(st.dictionaries(st.integers(0, 5), st.builds(paced, st.just(1.0), affinity=st.floats(0, 1)), min_size=1))
def test_the_owner_of_a_prefix_is_asked_while_it_is_healthy_and_has_room(standings: dict[int, Standing]) -> None:
    decision = choose(standings, FASTEST)
    assert isinstance(decision, Go)
    assert standings[decision.member].affinity == max(each.affinity for each in standings.values())


@given(everybody, all_rules)
def test_every_member_has_a_rank(standings: dict[int, Standing], rules: Rules) -> None:
    assert sorted(ranked(standings, rules)) == sorted(standings)


def of(kind: type[ProviderError], error_class: ErrorClass) -> ProviderError:
    return kind("so it is", error_class)


STRICT, PASSING = Rules(), Rules(passes_refusals=True)


@pytest.mark.parametrize(
    ("error", "strict", "passing"),
    [
        (of(RetryError, ErrorClass.RATE), Fate.NEXT, Fate.NEXT),
        (of(RetryError, ErrorClass.OVERLOAD), Fate.NEXT, Fate.NEXT),
        (of(RetryError, ErrorClass.TRANSIENT), Fate.NEXT, Fate.NEXT),
        (of(RetryError, ErrorClass.DAILY), Fate.NEXT, Fate.NEXT),
        (of(ItemError, ErrorClass.FILTER), Fate.END, Fate.UNABLE),
        (of(ItemError, ErrorClass.REFUSAL), Fate.END, Fate.UNABLE),
        (of(ItemError, ErrorClass.CONTEXT), Fate.UNABLE, Fate.UNABLE),
        (of(ItemError, ErrorClass.TOO_LARGE_FOR_QUOTA), Fate.UNABLE, Fate.UNABLE),
        (of(ItemError, ErrorClass.BAD_REQUEST), Fate.UNABLE, Fate.UNABLE),
        (of(ProviderFailure, ErrorClass.DAILY), Fate.UNABLE, Fate.UNABLE),
        (of(ProviderFailure, ErrorClass.RATE), Fate.END, Fate.END),
        (of(ItemError, ErrorClass.QUOTA), Fate.END, Fate.END),
        (of(StopError, ErrorClass.AUTH), Fate.OUT, Fate.OUT),
        (of(StopError, ErrorClass.QUOTA), Fate.OUT, Fate.OUT),
        (of(NoPlace, ErrorClass.CONFIGURATION), Fate.UNABLE, Fate.UNABLE),
        (of(BudgetSpent, ErrorClass.QUOTA), Fate.END, Fate.END),
    ],
)
def test_what_an_error_of_one_member_means(error: ProviderError, strict: Fate, passing: Fate) -> None:
    assert (fate(error, STRICT), fate(error, PASSING)) == (strict, passing)


PICTURE = Image.of(b"\x89PNG\r\n\x1a\n" + b"\0" * 32)


def asked(text: str = "hello", **changes: object) -> Request:
    return Request((Message.of("user", text),), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        (asked(), None),
        (asked(schema=JsonSchema.of("answer", {})), "JSON-schema output"),
        (asked(schema=Choices(("a",))), "output constrained to given texts"),
        (asked(sampling=Sampling(seed=3)), "seed"),
        (Request((Message("user", (PICTURE,)),)), "place for pictures"),
        (asked(sampling=Sampling(stop=("x",))), None),
    ],
)
def test_what_a_request_asks_for_that_a_member_cannot_do(request_: Request, wanted: str | None) -> None:
    assert lacking(request_, Capabilities(schema=False), ("seed",)) == wanted


def test_requests_that_begin_alike_share_a_prefix_and_others_do_not() -> None:
    def chat(system: str, user: str) -> Request:
        return Request((Message.of("system", system), Message.of("user", user)))

    assert beginning(chat("s", "one")) == beginning(chat("s", "two")) != beginning(chat("t", "one"))
    assert beginning(asked("x" * 300)) == beginning(asked("x" * 400)) != beginning(asked("y" * 300))


def test_owners_are_spread_evenly_and_a_member_that_leaves_moves_only_its_own() -> None:
    names, prefixes = ("a", "b", "c"), [f"prefix {number}" for number in range(3000)]
    owners = {each: max(names, key=lambda name: weight(name, each)) for each in prefixes}
    counts = Counter(owners.values())
    # Binomial(3000, 1/3): four standard deviations.
    assert all(abs(count - 1000) < 4 * math.sqrt(3000 * 2 / 9) for count in counts.values())
    without = {each: max(names[:2], key=lambda name: weight(name, each)) for each in prefixes}
    assert all(without[each] == owner for each, owner in owners.items() if owner != "c")
