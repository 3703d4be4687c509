"""Wrong labels for what learns, true ones for what judges: whether a gain needs labels that are right. Pure.

The loss, the gate and the held-out report never see these labels; F and U do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from semprop.engine.errors import SpecificationError
from semprop.engine.example import Example, draw
from semprop.engine.method import Method, Proposals, Scored, Seed, SeedRule, UpdateContext, UpdateRule
from semprop.engine.methods.mixed import mixed_seed
from semprop.engine.methods.reverse_mode import objective_seed
from semprop.engine.plans import Plan


def permuted_labels(examples: Sequence[Example], share: float, seed: int) -> dict[str, str]:
    """Example → label, for a share of the labelled examples, drawn by the seed: their labels, permuted among them.

    As many of them become wrong as the labels allow: all, unless one label makes up more than half.

    Raises:
        SpecificationError: the share is not in (0, 1], or fewer than two different labels are there.
    """
    if not 0 < share <= 1:
        raise SpecificationError(f"the share of wrong labels is {share}: give more than 0 and at most 1")
    labelled = sorted(
        (example for example in examples if example.expected is not None),
        key=lambda example: (draw(seed, "wrong labels", example.id), example.id),
    )
    chosen = labelled[: max(2, round(share * len(labelled)))]
    labels = Counter(str(example.expected) for example in chosen)
    if len(labels) < 2:
        raise SpecificationError(
            f"{len(labels)} different labels among {len(chosen)} training examples: wrong labels need two or more"
        )
    # Sorted by label and shifted by the largest group, no label that makes up half or less meets itself.
    grouped = sorted(chosen, key=lambda example: str(example.expected))
    shift = max(labels.values())
    return {example.id: str(grouped[(index + shift) % len(grouped)].expected) for index, example in enumerate(grouped)}


def mislabelled(scored: Scored, labels: Mapping[str, str]) -> Scored:
    """The same tape with the wrong label; the loss's own words and its derivative go, since they tell the true one."""
    label = labels.get(scored.tape.example.id)
    if label is None:
        return scored
    example = replace(scored.tape.example, expected=label)
    return Scored(replace(scored.tape, example=example), replace(scored.score, feedback="", objective=None))


@dataclass(frozen=True, slots=True)
class MisledSeed:
    """F that is told wrong labels."""

    seed: SeedRule
    labels: Mapping[str, str] = field(hash=False)

    def __call__(self, scored: Scored) -> tuple[Seed, ...]:
        return self.seed(mislabelled(scored, self.labels))


@dataclass(frozen=True, slots=True)
class MisledUpdate:
    """U that is told wrong labels, for methods that read examples themselves (demonstrations, trajectories)."""

    update: UpdateRule
    labels: Mapping[str, str] = field(hash=False)

    def __call__(self, context: UpdateContext) -> Plan[Proposals]:
        scored, solved = (
            tuple(mislabelled(entry, self.labels) for entry in entries) for entries in (context.scored, context.solved)
        )
        return self.update(replace(context, scored=scored, solved=solved, relabelled=True))


def with_wrong_labels(method: Method, examples: Sequence[Example], share: float, seed: int) -> Method:
    """A method that learns from wrong labels on a share of these examples. Scores stay true, so that selection, gate
    and report judge as before; what an update probes is scored by the wrong labels on both sides.

    Raises:
        SpecificationError: the share is not in (0, 1], fewer than two different labels are there, or the method reads
            the derivative of the loss, which is that of the true label.
    """
    if method.seed in (objective_seed, mixed_seed):
        raise SpecificationError(
            f"wrong labels do not apply to the method {method.name!r}: it learns from the derivative of the loss, "
            "which is that of the true label; leave them out, or choose a method that is told labels, or spsa-joint"
        )
    labels = permuted_labels(examples, share, seed)
    true = {example.id: example.expected for example in examples}
    wrong = sum(true[name] != label for name, label in labels.items())
    return replace(
        method,
        seed=MisledSeed(method.seed, labels),
        update=MisledUpdate(method.update, labels),
        notes=(*method.notes, f"control: {wrong} of {len(true)} training labels were wrong for all that learned"),
    )
