"""The simulated update reader: the edit that explains the cases, and nothing where none does."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from semprop.providers.simulated.clauses import Clause, understood
from semprop.providers.simulated.model import forward
from semprop.providers.simulated.update import update
from semprop.providers.simulated.wanted import Demand, Wanted, is_met

RECORDS = (
    ("primary: kite\nbackup: tern\nprevious: swift", "kite"),
    ("backup: heron\nprimary: finch\nprevious: merlin", "finch"),
    ("primary: grebe\nprevious: gannet\nbackup: knot", "grebe"),
    ("previous: oriole\nbackup: puffin\nprimary: linnet", "linnet"),
)
WRONG = "You keep the log. Give the value of the field previous. Be kind."


def block(tag: str, text: str, label: str = "") -> str:
    named = f' name="{label}"' if label else ""
    return f"<{tag}{named}>\n{text}\n</{tag}>"


def case(instruction: str, given: str, feedback: str, tags: Sequence[str] = ("input", "output", "feedback")) -> str:
    parts = [block(tags[0], given, "record"), block(tags[1], forward(instruction, given))]
    return block("case", "\n".join([*parts, block(tags[2], feedback)] if feedback else parts))


def page(instruction: str, cases: Sequence[str], rejected: Sequence[str] = ()) -> str:
    refused = [block("instruction", text) for text in rejected]
    return "\n\n".join(["The present instruction:", block("instruction", instruction), *cases, *refused, "Write."])


def record_cases(instruction: str = WRONG, words: str = "(from the step place) It should state: {}") -> list[str]:
    return [case(instruction, given, words.replace("{}", right)) for given, right in RECORDS]


def test_the_field_that_all_cases_want_is_proposed_first() -> None:
    (proposal,) = update(page(WRONG, record_cases()), 1)
    assert understood(proposal).clauses == (Clause("extract", "primary"),)


def test_sentences_that_are_no_clause_stay_where_they_are() -> None:
    (proposal,) = update(page(WRONG, record_cases()), 1)
    assert proposal.startswith("You keep the log. ")
    assert proposal.endswith(" Be kind.")


def test_as_many_different_proposals_as_asked_for() -> None:
    proposals = update(page(WRONG, record_cases()), 9)
    assert len(set(proposals)) == 9


def test_other_headings_tags_and_order_give_the_same_clauses() -> None:
    cases = [
        case(WRONG, given, f"The right answer was {right}.", ("remark", "given", "written")) for given, right in RECORDS
    ]
    shuffled = "\n".join([*cases[:2], "Now in use:", block("text", WRONG), *cases[2:]])
    (proposal,) = update(shuffled, 1)
    assert understood(proposal).clauses == (Clause("extract", "primary"),)


def test_two_clauses_may_change_at_once() -> None:
    cases = [case(WRONG, given, f"The expected output is: {right.upper()}") for given, right in RECORDS]
    (proposal,) = update(page(WRONG, cases), 1)
    assert understood(proposal).clauses == (Clause("extract", "primary"), Clause("upper"))


def test_an_instruction_that_no_edit_makes_better_comes_back_unchanged() -> None:
    cases = [case(WRONG, given, f"The expected output is: nonsense {right}") for given, right in RECORDS]
    first, second = update(page(WRONG, cases), 2)
    assert first == WRONG
    assert second != first
    assert understood(second).clauses == understood(first).clauses


def test_shuffled_gradients_teach_nothing() -> None:
    rights = [right for _, right in RECORDS]
    cases = [
        case(WRONG, given, f"It should state: {right}")
        for (given, _), right in zip(RECORDS, [*rights[1:], rights[0]], strict=True)
    ]
    assert update(page(WRONG, cases), 1) == (WRONG,)


def test_one_chance_hit_among_four_cases_is_not_believed() -> None:
    cases = record_cases(words="It should state: nonsense {}")[:3] + record_cases()[3:]
    assert update(page(WRONG, cases), 1) == (WRONG,)


def test_a_field_that_few_cases_have_is_not_proposed() -> None:
    cases = [
        case("Count the lines.", f"{name}: {name}-1\nother: {name}-2", f"It should be {name}-1.")
        for name in ("kite", "tern", "swift", "heron", "finch", "knot")
    ]
    (proposal,) = update(page("Count the lines.", cases), 1)
    assert all(clause.kind not in ("extract", "report") for clause in understood(proposal).clauses)


def test_what_was_tried_before_is_not_proposed_again() -> None:
    refused = "Extract the primary entry."
    proposals = update(page(WRONG, record_cases(), [refused]), 3)
    assert all(understood(text).clauses != (Clause("extract", "primary"),) for text in proposals)


def test_solved_cases_must_come_out_the_same() -> None:
    right = "Give the value of the field primary."
    cases = [case(right, given, "") for given, _ in RECORDS]
    assert update(page(right, cases), 1) == (right,)


def test_advice_on_the_instruction_itself_is_followed() -> None:
    advised = [block("case", block("feedback", "It should state: Extract the primary entry.")) for _ in range(3)]
    (proposal,) = update(page(WRONG, advised), 1)
    assert Clause("extract", "primary") in understood(proposal).clauses


@pytest.mark.parametrize("count", [1, 3])
def test_an_instruction_without_known_clauses_still_gets_a_proposal(count: int) -> None:
    present = "Think hard about the question."
    cases = [block("case", block("input", "some prose", "question") + "\n" + block("output", "3"))]
    proposals = update(page(present, cases), count)
    assert len(set(proposals)) == count
    assert present not in proposals
    assert all(text.startswith(present) for text in proposals)


def test_of_instructions_with_scores_the_best_is_edited_and_none_that_was_tried_comes_again():
    tried = ("Add the numbers. Use upper case.", "Add the numbers.")
    prompt = "\n".join(
        f'<instruction score="{score}">\n{text}\n</instruction>' for score, text in zip((10, 50), tried, strict=True)
    )
    found = update(prompt, 4)
    assert len(set(found)) == 4
    assert not set(found) & set(tried)
    clauses = [understood(text).clauses for text in (*tried, *found)]
    assert len(set(clauses)) == 6, "each differs in what it does, not in a remark"


def test_a_clause_that_gives_the_wanted_value_among_others_does_not_give_it() -> None:
    """Of four digits' lines, the last digits are four lines: the one wanted stands among them."""
    assert is_met(Wanted(Demand.STATES, "7"), "7", "4")
    assert not is_met(Wanted(Demand.STATES, "7"), "4\n7\n0", "4")
    assert is_met(Wanted(Demand.STATES, "7"), "4\n7\n0", "4\n5\n0")
    assert is_met(Wanted(Demand.STATES, "b = 7"), "a = 4\nb = 7", "a = 4")
