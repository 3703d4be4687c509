"""How the simulated model writes its clauses: four sentences for each kind. Takes clauses, gives text.

Worlds are written with these; tests hold two more wordings of every clause, which stand nowhere in this package.
"""

from __future__ import annotations

from collections.abc import Sequence

from semprop.providers.simulated.clauses import COUNTS, Clause

_ORDINALS = {str(number): word for word, number in COUNTS.items()}

WORDINGS: dict[str, tuple[str, ...]] = {
    "extract": (
        "Give the value of the field {}.",
        "Reply with what stands under {}.",
        "Extract the {} entry.",
        "Take the entry for {} and write only that.",
    ),
    "report": (
        "Copy the whole {} line.",
        "Repeat the line that begins with {}.",
        "Write the {} line.",
        "Give the line for {}.",
    ),
    "lookup": (
        "Find the key in the table and answer with the value beside it.",
        "Look up the key in the table and give its value.",
        "Search the table for the key and reply with what it maps to.",
        "Give the value which the table has for the key.",
    ),
    "table": (
        "Write out the whole table, one pair to a line.",
        "Copy every pair of the table.",
        "List all the pairs.",
        "Repeat the complete table.",
    ),
    "first": (
        "Keep only the first {} lines.",
        "Write no more than the first {} lines.",
        "Stop after the first {} lines.",
        "Leave out all but the first {} lines.",
    ),
    "last": (
        "Keep only the last line.",
        "Use just the last line.",
        "Give the last line.",
        "Answer with the last line.",
    ),
    "sort": (
        "Sort the lines alphabetically.",
        "Put the lines in alphabetical order.",
        "Order the lines from A to Z.",
        "Arrange everything alphabetically.",
    ),
    "rank": (
        "Sort the numbers from small to large.",
        "Arrange the numbers in ascending order.",
        "Order the numbers by size.",
        "Rank the numbers, smallest first.",
    ),
    "reverse": (
        "Reverse the order of the lines.",
        "Write the lines backwards.",
        "Put the lines in the opposite order.",
        "List the lines last first.",
    ),
    "count": (
        "Count the lines.",
        "Give the number of lines.",
        "Say how many lines there are.",
        "Answer with the count of the lines.",
    ),
    "add": (
        "Add the numbers.",
        "Give the sum of the numbers.",
        "Sum up the numbers.",
        "Answer with the total of the values.",
    ),
    "multiply": (
        "Multiply the numbers.",
        "Give the product of the numbers.",
        "Answer with the product of the values.",
        "Multiply the values with one another.",
    ),
    "subtract": (
        "Subtract the second number from the first.",
        "Give the difference of the numbers.",
        "Answer with the first number minus the second.",
        "State the difference between the values.",
    ),
    "combine": (
        "Combine the values by the rules {}.",
        "Join the values and apply these rules: {}.",
        "Take the values together and answer by {}.",
        "Merge the values according to {}.",
    ),
    "max": (
        "Give the largest number.",
        "Answer with the greatest of the numbers.",
        "Pick the biggest number.",
        "Report the maximum of the values.",
    ),
    "min": (
        "Give the smallest number.",
        "Answer with the least of the numbers.",
        "Pick the lowest number.",
        "Report the minimum of the values.",
    ),
    "greater": (
        "Answer yes if the first number is greater than the second, otherwise no.",
        "Say yes when the first number exceeds the second, else no.",
        "If the first number is larger than the second write yes, otherwise no.",
        "Reply yes if the first is more than the second and no if it is not.",
    ),
    "equal": (
        "Answer yes if the values are equal, otherwise no.",
        "Say yes when the values are the same, else no.",
        "If the values are identical write yes, otherwise no.",
        "Reply yes if the values agree and no if they do not.",
    ),
    "all": (
        "Answer yes if all values are yes, otherwise no.",
        "Say yes when both values are yes, else no.",
        "Write yes if every value is yes, otherwise no.",
        "Reply yes only if each value says yes.",
    ),
    "always": (
        "Always answer {}.",
        "In every case reply {}.",
        "No matter what is given, say {}.",
        "Whatever the input, answer with {}.",
    ),
    "choose": (
        "Choose the option that names the value and give its letter.",
        "Give the letter of the option that equals the value.",
        "Pick the fitting option and answer with its letter.",
        "Answer with the letter of the option that is meant.",
    ),
    "upper": (
        "Write the answer in capital letters.",
        "Use upper case.",
        "Answer in capitals.",
        "Capitalise every letter of the answer.",
    ),
    "lower": (
        "Write the answer in small letters.",
        "Use lower case.",
        "Answer without capitals.",
        "Write everything in lower-case letters.",
    ),
    "number": (
        "Give only the number.",
        "Answer with the number alone.",
        "Write nothing but digits.",
        "Reply with just the number.",
    ),
    "lastdigit": (
        "Keep only the last digit.",
        "Answer with the last digit.",
        "Take the result modulo ten.",
        "Write just the last digit of the number.",
    ),
    "double": (
        "Double the number.",
        "Give twice the number.",
        "Take the number times two.",
        "Write the doubled value.",
    ),
    "copy": (
        "Repeat the input unchanged.",
        "Copy the input word for word.",
        "Return the input as it is.",
        "Pass on the text unchanged.",
    ),
}


def written(clause: Clause, variant: int = 0) -> str:
    """A sentence that says the clause."""
    wordings = WORDINGS[clause.kind]
    argument = _ORDINALS.get(clause.argument, clause.argument) if clause.kind == "first" else clause.argument
    return wordings[variant % len(wordings)].replace("{}", argument)


def library(fields: Sequence[str]) -> tuple[Clause, ...]:
    """Every clause, with each of the fields, the first one to four lines, and the labels yes and no as arguments; no
    table of rules is made up."""
    arguments: dict[str, Sequence[str]] = {
        "extract": fields,
        "report": fields,
        "first": ("1", "2", "3", "4"),
        "always": ("yes", "no"),
        "combine": (),
    }
    return tuple(Clause(kind, argument) for kind in WORDINGS for argument in arguments.get(kind, ("",)))
