"""OPRO: a model reads a trajectory of instructions with their scores, and problems, and writes the next ones. Sans-IO.

One step asks for `texts` new instructions of every parameter, scores each on the step's training examples while the
others stay as they are, and scores the best of all together. The trajectory is carried from step to step. There is no
backward pass. Source: Yang et al. 2023 (arXiv 2309.03409) and the code published with it; what differs stands in
`semprop.engine.methods.differences`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from semprop.engine.example import words_of
from semprop.engine.gates import Gate, StrictGate
from semprop.engine.losses import Score
from semprop.engine.method import Dropped, Edit, Method, Proposals, Scored, Selection, UpdateContext, candidate
from semprop.engine.methods.optoprime import feedback_of
from semprop.engine.methods.present import present_scores
from semprop.engine.methods.rewrite import places
from semprop.engine.methods.searching import UNMEASURED, Texts, measured, new_texts, text_parameters
from semprop.engine.methods.unpropagated import unpropagated
from semprop.engine.plans import Ask, Fork, Plan
from semprop.engine.prompts.attempts import Attempt, AttemptView, Exemplar, ascending, trajectory_request
from semprop.engine.prompts.words import target_words
from semprop.providers.base import Sampling


@dataclass(frozen=True, slots=True)
class Trajectory:
    """What the update carries from step to step: by parameter, what was tried, in the order of its trial."""

    attempts: Mapping[str, tuple[Attempt, ...]] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class TrajectoryUpdate:
    """U: `texts` new instructions a parameter and step; a prompt shows the best `shown` attempts and `exemplars`
    problems, those that the present parameters get wrong first."""

    texts: int = 8
    shown: int = 20
    exemplars: int = 3
    sampling: Sampling = Sampling(max_tokens=8192)

    def __call__(self, context: UpdateContext) -> Plan[Proposals]:
        names = text_parameters(context.graph)
        known = context.state.attempts if isinstance(context.state, Trajectory) else {}
        scores = yield from present_scores(context)
        present = [score.value for score in scores if isinstance(score, Score)]
        if not present:
            return Proposals((), (Dropped("", UNMEASURED),), context.state)
        mean = sum(present) / len(present)
        tried = {name: _with(known.get(name, ()), str(context.parameters[name]), mean) for name in names}
        plans = tuple(self._texts(context, name, tried[name]) for name in names)
        (found,) = yield (Fork(plans),)
        dropped = [entry for new in found for entry in new.dropped]
        singles = [(name, text) for name, new in zip(names, found, strict=True) for text in new.texts]
        if not singles:
            return Proposals((), tuple(dropped), Trajectory(tried))
        means = yield from measured(context, [context.parameters.replaced({name: text}) for name, text in singles])
        if not means:
            return Proposals((), (*dropped, Dropped("", UNMEASURED)), Trajectory(tried))
        ranked: list[tuple[float, tuple[tuple[str, str], ...]]] = []
        for (name, text), mean in zip(singles, means[1:], strict=True):
            tried[name] = (*tried[name], Attempt(text, mean))
            if mean > means[0]:
                ranked.append((mean, ((name, text),)))
        ranked.sort(key=lambda entry: -entry[0])
        together = dict(change for _, (change,) in reversed(ranked))
        if len(together) > 1:
            joined = tuple((name, together[name]) for name in names if name in together)
            both = yield from measured(context, [context.parameters.replaced(together)])
            if both and both[1] > both[0]:
                ranked = sorted([(both[1], joined), *ranked], key=lambda entry: -entry[0])
        chosen = [tuple(_edit(context, name, text) for name, text in texts) for _, texts in ranked[: context.wanted]]
        candidates = tuple(candidate(context.parameters, edits) for edits in chosen)
        return Proposals(candidates, tuple(dropped), Trajectory(tried))

    def _texts(self, context: UpdateContext, name: str, tried: tuple[Attempt, ...]) -> Plan[Texts]:
        parameter = context.graph.parameter(name)
        view = AttemptView(
            instruction=str(context.parameters[name]),
            purpose=parameter.purpose,
            places=places(context.graph, name),
            attempts=ascending(tried, self.shown),
            exemplars=_exemplars(context, self.exemplars),
            wanted=self.texts,
            max_bytes=parameter.max_bytes,
            constraints=parameter.asked,
        )
        ask = Ask("update", trajectory_request(view, context.style, self.sampling), name)
        return (yield from new_texts(context, ask, name, self.texts, [each.text for each in tried]))


def _with(tried: tuple[Attempt, ...], text: str, score: float) -> tuple[Attempt, ...]:
    """The trajectory with the present text at its latest score, as the last that was tried."""
    return (*(attempt for attempt in tried if attempt.text != text), Attempt(text, score))


def _exemplars(context: UpdateContext, most: int) -> tuple[Exemplar, ...]:
    """Problems of this step with what is known of their answers: wrong ones first, in example order."""
    wrong = [scored for scored in context.scored if scored.score.value < 1.0]
    right = [scored for scored in context.scored if scored.score.value == 1.0]
    return tuple(_exemplar(context, scored) for scored in (*wrong, *right)[:most])


def _exemplar(context: UpdateContext, scored: Scored) -> Exemplar:
    example = scored.tape.example
    answer = feedback_of(scored) if example.expected is None else target_words(example.expected)
    return Exemplar(tuple((name, words_of(example.inputs[name])) for name in context.graph.inputs), answer)


def _edit(context: UpdateContext, name: str, text: str) -> Edit:
    return Edit(name, context.parameters[name], text, "it scored higher on training examples")


def opro(
    *, update: TrajectoryUpdate = TrajectoryUpdate(), selection: Selection = Selection(), gate: Gate = StrictGate()
) -> Method:
    """Instructions out of a trajectory of scored ones."""
    return unpropagated("opro", update, selection, gate)
