"""Judges: frozen by a digest, checked by the user's labels, and named in the claim when nobody checked."""

import json
import re

import pytest
import worlds

from semprop.engine import Judge, JudgeLabel, SpecificationError, optimize
from semprop.engine.training.claim import AS_SEEN
from semprop.engine.training.judges import digest_of


def script(request):
    """The judge likes 31 and no other number above 30."""
    if "score" in worlds.keys(request):
        answer = re.search(r"<output[^>]*>\s*(.*?)\s*</output", request.messages[-1].text, re.DOTALL)
        return json.dumps({"feedback": "f", "score": 0 if "dunno" in answer.group(1) else 10})
    return worlds.script(request)


def labels(count, right=True):
    return tuple(JudgeLabel(worlds.example(place), "7" if right else "dunno", 1.0) for place in range(count))


async def held_out(**changes):
    spec = worlds.specification(
        loss=Judge(), splits=worlds.splits(test=40), providers={"forward": worlds.scripted(script)}, steps=2, **changes
    )
    return (await optimize(spec)).held_out


async def test_without_labels_a_gain_is_one_as_seen_by_the_judge():
    found = await held_out()
    assert found.strict.difference == 1.0
    assert found.word == AS_SEEN == "gain as seen by the judge"
    assert (found.judge.labels, found.judge.agreed) == (0, 0)


async def test_thirty_labels_of_the_users_make_it_a_reliable_gain_with_the_agreement_beside():
    found = await held_out(judge_labels=(*labels(27), *labels(3, right=False)))
    assert found.word == "reliable gain"
    assert (found.judge.labels, found.judge.agreed) == (30, 27)


async def test_fewer_labels_do_not():
    assert (await held_out(judge_labels=labels(29))).word == AS_SEEN


def test_the_digest_is_of_everything_that_makes_a_judge():
    digests = {
        digest_of(Judge(), "m"),
        digest_of(Judge(), "n"),
        digest_of(Judge(criteria="Be strict."), "m"),
        digest_of(Judge(reference=False), "m"),
    }
    assert len(digests) == 4
    assert digest_of(Judge(), "m") == digest_of(Judge(), "m")


def test_labels_are_for_judges_and_lie_in_the_unit_interval():
    with pytest.raises(SpecificationError, match="no judge"):
        worlds.specification(judge_labels=labels(1))
    with pytest.raises(SpecificationError, match="outside of"):
        JudgeLabel(worlds.example(0), "7", 7.0)
