"""What may be spent: calls, tokens and dollars, reserved at their worst before a request is sent, settled afterwards.

Takes caps, requests and what became of them; gives verdicts and sums. Only `Purse.reserve` waits. The rules:

- An attempt is reserved at the most that it can cost: input of at most its UTF-8 bytes and what a template adds, output
  of `max_tokens`, at the dearest price of each. A cap on output, tokens or dollars needs a `max_tokens` therefore.
- It is settled by the usage that the endpoint counted. What failed after it was begun, was cancelled, or has no usage
  stays at the worst case; a refusal (status 4xx, 503, 529) counts as a call and costs nothing.
- A request that does not fit beside what is reserved waits until that is settled; one that cannot fit whatever is
  settled is refused. So no cap is passed, and the budget is spent only when nothing is in flight.

Dollars are counted in whole picodollars (10⁻¹²), rounded up, so that sums are exact.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter

from semprop.providers.base import Choices, Completion, JsonSchema, Request, Usage
from semprop.providers.errors import ErrorClass, ProviderError, StopError
from semprop.providers.layers import Price
from semprop.providers.pictures import UNTOLD, Pictures

PICODOLLARS = 10**12
"""Of one dollar."""

PER_MESSAGE = 16
"""Tokens that a chat template adds to a message, at the most."""

PER_REQUEST = 64
"""Tokens that it adds to a request: its opening, the reply's header, words around a schema."""

_REFUSED = (400, 401, 402, 403, 404, 405, 409, 413, 415, 421, 422, 429, 451, 503, 529)
"""Statuses that refuse a request before anything is computed for it."""

_COMPUTED = (ErrorClass.FILTER, ErrorClass.REFUSAL)
"""Refusals that a model or a filter may have worked for."""


@dataclass(frozen=True, slots=True)
class Amount:
    """What was, or may be, spent. Calls are attempts on the wire; input includes cached tokens."""

    calls: int = 0
    input: int = 0
    output: int = 0
    picodollars: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.calls + other.calls,
            self.input + other.input,
            self.output + other.output,
            self.picodollars + other.picodollars,
        )

    def __sub__(self, other: Amount) -> Amount:
        return Amount(
            self.calls - other.calls,
            self.input - other.input,
            self.output - other.output,
            self.picodollars - other.picodollars,
        )

    @property
    def tokens(self) -> int:
        """Input and output."""
        return self.input + self.output

    @property
    def usd(self) -> float:
        """US dollars."""
        return self.picodollars / PICODOLLARS

    def document(self) -> dict[str, float]:
        """For statistics and journals; `of` is its inverse."""
        return {
            "calls": self.calls,
            "input": self.input,
            "output": self.output,
            "usd": self.usd,
            "picodollars": self.picodollars,
        }

    @classmethod
    def of(cls, document: Mapping[str, float]) -> Amount:
        """From what `document` gave."""
        return cls(*(int(document[name]) for name in ("calls", "input", "output", "picodollars")))


NOTHING = Amount()


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """The most that may be spent; None is no cap.

    Attributes:
        calls: attempts on the wire, retries included.
        tokens: input and output together.
        input, output: each by itself.
        usd: US dollars.

    Raises:
        ValueError: a cap is below 0 or no number.
    """

    calls: int | None = None
    tokens: int | None = None
    input: int | None = None
    output: int | None = None
    usd: float | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            cap = getattr(self, name)
            if cap is not None and not 0 <= cap < math.inf:
                raise ValueError(f"a budget of {cap} {name} is none: give a number of 0 or more")

    @property
    def bounds_output(self) -> bool:
        """Whether every request must say how long its reply may be."""
        return self.tokens is not None or self.output is not None or self.usd is not None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is capped."""
        return all(getattr(self, name) is None for name in self.__slots__)


@dataclass(frozen=True, slots=True)
class Fits:
    """It may be sent."""


@dataclass(frozen=True, slots=True)
class Waits:
    """It fits once enough of what is in flight is settled below its worst case."""

    dimension: str


@dataclass(frozen=True, slots=True)
class Spent:
    """It can never fit: `left` of the cap is less than the `needed`, whatever becomes of what is in flight."""

    dimension: str
    left: float
    needed: float


Verdict = Fits | Waits | Spent


def decide(caps: Caps, spent: Amount, reserved: Amount, worst: Amount) -> Verdict:
    """Whether an attempt of this worst case may be sent beside what is spent and reserved.

    `spent` never shrinks, so what does not fit beside it alone never will; `reserved` only shrinks or becomes spent.
    """
    waits: Waits | None = None
    for name, cap, (gone, held, needed) in _dimensions(caps, spent, reserved, worst):
        if not needed and name != "calls":
            continue
        if gone + needed > cap:
            scale = PICODOLLARS if name == "usd" else 1
            return Spent(name, max(0, cap - gone) / scale, needed / scale)
        if waits is None and gone + held + needed > cap:
            waits = Waits(name)
    return waits or Fits()


_CALLS, _TOKENS, _INPUT = attrgetter("calls"), attrgetter("tokens"), attrgetter("input")
_OUTPUT, _PICODOLLARS = attrgetter("output"), attrgetter("picodollars")


def _dimensions(caps: Caps, *amounts: Amount) -> list[tuple[str, int, list[int]]]:
    """Of each cap its name, the cap, and what each amount has of it."""
    # Down here and up elsewhere, so that no rounding ever passes a cap.
    picodollars = None if caps.usd is None else int(caps.usd * PICODOLLARS)
    rows = (
        ("calls", caps.calls, _CALLS),
        ("tokens", caps.tokens, _TOKENS),
        ("input_tokens", caps.input, _INPUT),
        ("output_tokens", caps.output, _OUTPUT),
        ("usd", picodollars, _PICODOLLARS),
    )
    # Mostly one of them is capped, and only that one is looked at.
    return [(name, cap, [of(amount) for amount in amounts]) for name, cap, of in rows if cap is not None]


def most_input(request: Request, pictures: Pictures = UNTOLD) -> int:
    """Tokens that its input cannot pass: no tokenizer gives a text more tokens than UTF-8 bytes, and a picture takes
    what its service documents, or `pictures.LARGEST`."""
    count = sum([_bytes_of(part.text) for message in request.messages for part in message.parts])
    match request.schema:
        case JsonSchema(name, document):
            count += _bytes_of(name) + _bytes_of(document)
        case Choices(options):
            count += sum([_bytes_of(option) for option in options])
    return count + pictures.most(request) + PER_MESSAGE * len(request.messages) + PER_REQUEST


def _bytes_of(text: str) -> int:
    """Of a text in UTF-8, which is not made to be counted where all of it is ASCII."""
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def worst_case(request: Request, price: Price, pictures: Pictures = UNTOLD) -> Amount:
    """The most that one attempt of a request can cost. Dollars are 0 where the price is unknown.

    Args:
        request: with its `max_tokens`; without one its output counts as 0.
        price: dollars of a usage.
        pictures: what pictures cost at its model.
    """
    given, produced = most_input(request, pictures), request.sampling.max_tokens or 0
    return Amount(1, given, produced, most_picodollars(given, produced, price))


def most_picodollars(given: int, produced: int, price: Price) -> int:
    """The most that a request of at most so many tokens in and out can cost. A price that knows its own tiers and times
    (`dearest`) is asked; of any other the dearest kinds of tokens are tried."""
    dearest = getattr(price, "dearest", None)
    if dearest is not None:
        most = picodollars(dearest(given, produced))
    else:
        usages = [
            Usage(given, read, written, produced, thought)
            for read, written in ((0, 0), (given, 0), (0, given))
            for thought in (0, produced)
        ]
        most = max(picodollars(price(usage)) for usage in usages)
    # Prices are floats: one more, so that no rounding of theirs makes a usage dearer than its worst case.
    return most + 1 if most else 0


def picodollars(usd: float | None) -> int:
    """Dollars, rounded up; 0 where they are unknown."""
    return 0 if usd is None else math.ceil(usd * PICODOLLARS)


def settled(worst: Amount, completion: Completion, price: Price) -> Amount:
    """What an answered try cost: by its usage, and where the endpoint did not count at the worst case."""
    usage, calls = completion.usage, completion.attempts
    if usage.input is None or usage.output is None:
        return Amount(calls, worst.input, worst.output, worst.picodollars)
    usd = price(usage)
    dollars = worst.picodollars if usd is None else picodollars(usd)
    return Amount(calls, usage.input, usage.output, dollars)


def failed(worst: Amount, error: ProviderError) -> Amount:
    """What a failed try cost: nothing where nothing was sent, a call where it was refused, else the worst case."""
    calls = max(0, error.attempts)
    if not calls:
        return NOTHING
    if error.status in _REFUSED and error.error_class not in _COMPUTED:
        return Amount(calls)
    return Amount(calls, worst.input, worst.output, worst.picodollars)


class BudgetSpent(StopError):
    """A cap would be passed. Nothing was sent; what was sent before has been paid for."""


@dataclass(slots=True)
class Reservation:
    """What is held back for one try, until it is settled. `is_open` until then."""

    worst: Amount
    is_open: bool = True


class Purse:
    """Caps, and what is spent and reserved of them. One for everything that a budget covers, in one event loop."""

    def __init__(self, caps: Caps, spent: Amount = NOTHING) -> None:
        """
        Args:
            caps: the most.
            spent: what was spent before, and counts.
        """
        self.caps = caps
        self.spent = spent
        self.reserved = NOTHING
        self.in_flight = 0
        self._waiting: deque[tuple[Amount, asyncio.Future[Reservation]]] = deque()

    def __repr__(self) -> str:
        return f"Purse({self.caps}, spent={self.spent}, in_flight={self.in_flight}, waiting={len(self._waiting)})"

    def refusal(self, worst: Amount) -> BudgetSpent | None:
        """Why a try of this worst case can never be sent, if so."""
        verdict = decide(self.caps, self.spent, self.reserved, worst)
        return _exhausted(verdict) if isinstance(verdict, Spent) else None

    async def reserve(self, worst: Amount) -> Reservation:
        """Hold back the worst case of one try; waits, first come first served, until it fits.

        Raises:
            BudgetSpent: it cannot fit any more (QUOTA).
        """
        if not self._waiting:
            verdict = decide(self.caps, self.spent, self.reserved, worst)
            if isinstance(verdict, Fits):
                return self._granted(worst)
            if isinstance(verdict, Spent):
                raise _exhausted(verdict)
        future: asyncio.Future[Reservation] = asyncio.get_running_loop().create_future()
        self._waiting.append((worst, future))
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.settle(future.result(), NOTHING)
            else:
                # It may have been the one that the others wait behind.
                future.cancel()
                self._pump()
            raise

    def settle(self, reservation: Reservation, amount: Amount) -> None:
        """The try is over and cost this; what waits is looked at again.

        Raises:
            RuntimeError: it was settled before.
        """
        if not reservation.is_open:
            raise RuntimeError("a reservation was settled before: settle each exactly once")
        reservation.is_open = False
        self.in_flight -= 1
        self.reserved -= reservation.worst
        self.spent += amount
        self._pump()

    def reopened(self, worst: Amount) -> Reservation:
        """Hold back once more what was settled at its worst, since what it cost is still to come."""
        self.spent -= worst
        return self._granted(worst)

    def share(self) -> float:
        """Of the cap that is used most, the share that is spent: 0 to 1, and more where usage passed a reservation."""
        rows = _dimensions(self.caps, self.spent)
        return max([gone / cap if cap else 1.0 for _, cap, (gone,) in rows], default=0.0)

    def statistics(self) -> Mapping[str, object]:
        """Caps, what is spent and reserved, and who waits."""
        caps = {name: getattr(self.caps, name) for name in self.caps.__slots__}
        return {
            "caps": {name: cap for name, cap in caps.items() if cap is not None},
            "spent": self.spent.document(),
            "reserved": self.reserved.document(),
            "share_spent": round(self.share(), 4),
            "in_flight": self.in_flight,
            "waiting": len(self._waiting),
        }

    def _granted(self, worst: Amount) -> Reservation:
        self.in_flight += 1
        self.reserved += worst
        return Reservation(worst)

    def _pump(self) -> None:
        """Grant from the head of the queue what fits now, and refuse what never will."""
        while self._waiting:
            worst, future = self._waiting[0]
            if not future.done():
                verdict = decide(self.caps, self.spent, self.reserved, worst)
                if isinstance(verdict, Waits):
                    return
                if isinstance(verdict, Spent):
                    future.set_exception(_exhausted(verdict))
                else:
                    future.set_result(self._granted(worst))
            self._waiting.popleft()


def _exhausted(spent: Spent) -> BudgetSpent:
    unit = "" if spent.dimension == "usd" else f" {spent.dimension.replace('_', ' ')}"
    left, needed = (
        f"{'$' if spent.dimension == 'usd' else ''}{value:.6g}{unit}" for value in (spent.left, spent.needed)
    )
    return BudgetSpent(
        f"the budget is spent: this request may need {needed}, and {left} are left; raise the budget, or ask for less "
        "(max_tokens bounds a reply)",
        ErrorClass.QUOTA,
        dimension=spent.dimension,
        attempts=0,
    )
