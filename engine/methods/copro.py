"""COPRO, DSPy's coordinate ascent over instructions: propose many, score them, propose again knowing the scores.

One step is one whole search: `breadth` texts for every instruction, each scored on the step's training examples while
the others stay at their best, and `depth` rounds, of which all but the first are told what was tried and what it
scored. Nothing of an example but its score reaches a proposal. There is no backward pass. Sans-IO.
Source: `dspy.teleprompt.COPRO`; what differs from that package stands in `semprop.engine.methods.differences`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from semprop.engine.gates import Gate, StrictGate
from semprop.engine.method import Dropped, Edit, Method, Proposals, Selection, UpdateContext, candidate
from semprop.engine.methods.rewrite import places
from semprop.engine.methods.searching import UNMEASURED, Texts, measured, new_texts, text_parameters
from semprop.engine.methods.unpropagated import unpropagated
from semprop.engine.parameters import Parameters
from semprop.engine.plans import Ask, Fork, Plan
from semprop.engine.prompts.attempts import Attempt, AttemptView, ascending, attempts_request, basic_request
from semprop.providers.base import Sampling


@dataclass(slots=True)
class _Search:
    """What one search knows: texts by parameter, what the parameters scored so far gain over the present ones on the
    examples that they share, and the best of them."""

    texts: dict[str, list[str]]
    best: Parameters
    attempts: dict[str, dict[str, float]]
    gains: dict[Parameters, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CoordinateUpdate:
    """U: `depth` rounds of `breadth` texts a parameter, the present one among those of the first round."""

    breadth: int = 10
    depth: int = 3
    sampling: Sampling = Sampling(max_tokens=8192)

    def __call__(self, context: UpdateContext) -> Plan[Proposals]:
        names = text_parameters(context.graph)
        dropped: list[Dropped] = []
        texts = {name: [str(context.parameters[name])] for name in names}
        search = _Search(texts, context.parameters, {name: {} for name in names})
        for round_ in range(self.depth):
            plans = tuple(self._texts(context, search, name, round_) for name in names)
            (found,) = yield (Fork(plans),)
            for name, new in zip(names, found, strict=True):
                texts[name] += new.texts
                dropped += new.dropped
            for name in names:
                if not (yield from _ascend(context, search, name)):
                    return Proposals((), (*dropped, Dropped(name, UNMEASURED)))
        ranked = sorted(search.gains.items(), key=lambda entry: -entry[1])
        finalists = [parameters for parameters, gain in ranked if gain > 0 and parameters != context.parameters]
        return Proposals(
            tuple(candidate(context.parameters, _edits(context, each)) for each in finalists[: context.wanted]),
            tuple(dropped),
        )

    def _texts(self, context: UpdateContext, search: _Search, name: str, round_: int) -> Plan[Texts]:
        parameter = context.graph.parameter(name)
        wanted = self.breadth - 1 if round_ == 0 else self.breadth
        tried = [Attempt(text, score) for text, score in search.attempts[name].items()]
        view = AttemptView(
            instruction=str(context.parameters[name]),
            purpose=parameter.purpose,
            places=places(context.graph, name),
            attempts=ascending(tried, self.breadth),
            wanted=wanted,
            max_bytes=parameter.max_bytes,
            constraints=parameter.asked,
        )
        asked_with = attempts_request if view.attempts else basic_request
        ask = Ask("update", asked_with(view, context.style, self.sampling), name, sample=round_)
        return (yield from new_texts(context, ask, name, wanted, search.texts[name]))


def _ascend(context: UpdateContext, search: _Search, name: str) -> Plan[bool]:
    """Score every text of one parameter beside the best of the others, and keep the best; of equals the first found.
    False if nothing can be compared."""
    tried = [search.best.replaced({name: text}) for text in search.texts[name]]
    means = yield from measured(context, tried)
    if not means:
        return False
    for parameters, mean in zip(tried, means[1:], strict=True):
        search.gains[parameters] = mean - means[0]
        text = str(parameters[name])
        search.attempts[name][text] = max(mean, search.attempts[name].get(text, mean))
    place = max(range(len(tried)), key=lambda index: means[index + 1])
    search.best = tried[place]
    return True


def _edits(context: UpdateContext, parameters: Parameters) -> tuple[Edit, ...]:
    return tuple(
        Edit(name, context.parameters[name], value, "the best of its search on training examples")
        for name, value in parameters.items()
        if value != context.parameters[name]
    )


def copro(
    *, update: CoordinateUpdate = CoordinateUpdate(), selection: Selection = Selection(), gate: Gate = StrictGate()
) -> Method:
    """Coordinate ascent over instructions, guided by scores on training examples."""
    return unpropagated("copro", update, selection, gate)
