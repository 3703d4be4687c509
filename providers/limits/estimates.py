"""How many tokens a request will take, guessed from its length and learned from usage.

Takes lengths in characters and usages; gives tokens for reservations. Pure but for its own averages. What it gives
never reaches a prompt, a key or a decision of a run: only the limiter reads it.
"""

from __future__ import annotations

from collections.abc import Mapping

from semprop.providers.base import Request, Usage

PRIOR = 0.25
"""Tokens per character before anything is learned: four characters a token, as in English text."""

OVERHEAD = 4.0
"""Tokens that a message costs beside its text."""

OUTPUT_PRIOR = 200.0
"""Tokens of a reply before anything is learned, where no `max_tokens` bounds it."""

KEEP = 0.1
"""Weight of the newest observation in an average."""

NODES = 4096
"""Nodes that are told apart; further ones share the model's own averages."""


class Average:
    """An exponential average of amounts of 0 or more, and the 90th percentile by stochastic approximation."""

    __slots__ = ("count", "mean", "p90")

    def __init__(self, start: float) -> None:
        self.mean = start
        self.p90 = start
        self.count = 0

    def observe(self, value: float) -> None:
        """Count one observation."""
        count = self.count = self.count + 1
        if count == 1:
            self.mean = self.p90 = value
            return
        # The first few count alike, so that one odd reply does not stand for all.
        weight = KEEP if count * KEEP >= 1.0 else 1.0 / count
        mean = self.mean = self.mean + weight * (value - self.mean)
        p90 = self.p90
        if value > p90:
            self.p90 = p90 + 0.9 * KEEP * mean
        else:
            p90 -= 0.1 * KEEP * mean
            self.p90 = p90 if p90 > 0.0 else 0.0


class _Node:
    __slots__ = ("output", "ratio")

    def __init__(self) -> None:
        self.ratio = Average(PRIOR)
        self.output = Average(OUTPUT_PRIOR)


class Estimator:
    """The averages of one model: tokens per character of input, and tokens of output, by node."""

    def __init__(self) -> None:
        self._all = _Node()
        self._nodes: dict[str, _Node] = {}

    def input_tokens(self, request: Request) -> float:
        """Tokens of the request's messages."""
        return self.of_length(length(request), len(request.messages), request.admission.node)

    def of_length(self, characters: int, messages: int, node: str = "") -> float:
        """Tokens of so many characters in so many messages."""
        found = self._nodes.get(node, self._all)
        if not found.ratio.count:
            found = self._all
        overhead = 0.0 if found.ratio.count else OVERHEAD * messages
        return found.ratio.mean * characters + overhead

    def output_tokens(self, request: Request) -> float:
        """Tokens that the reply will have: the average of its node, its 90th percentile while little is known."""
        found = self._nodes.get(request.admission.node, self._all)
        if not found.output.count:
            found = self._all
        tokens = found.output.mean if found.output.count >= 8 else max(found.output.mean, found.output.p90)
        bound = request.sampling.max_tokens
        return tokens if bound is None else min(tokens, float(bound))

    def observe(self, request: Request, usage: Usage, characters: int | None = None, pictures: int = 0) -> None:
        """Learn from what the endpoint counted. `characters`: its length, where that is known already; `pictures`: the
        tokens that its pictures are known to take."""
        name = request.admission.node
        node = self._nodes.get(name)
        if node is None and name and len(self._nodes) < NODES:
            node = self._nodes[name] = _Node()
        given, produced = usage.input, usage.output
        if given is not None:
            if characters is None:
                characters = length(request)
            if characters:
                ratio = max(0, given - pictures) / characters
                self._all.ratio.observe(ratio)
                if node is not None:
                    node.ratio.observe(ratio)
        if produced is not None:
            self._all.output.observe(produced)
            if node is not None:
                node.output.observe(produced)

    def statistics(self) -> Mapping[str, object]:
        """What was learned over all nodes."""
        return {
            "tokens_per_character": round(self._all.ratio.mean, 4),
            "tokens_per_character_p90": round(self._all.ratio.p90, 4),
            "output_tokens": round(self._all.output.mean, 1),
            "output_tokens_p90": round(self._all.output.p90, 1),
            "observed": self._all.ratio.count,
        }


def length(request: Request) -> int:
    """Characters of all messages."""
    total = 0
    for message in request.messages:
        for part in message.parts:
            total += len(part.text)
    return total
