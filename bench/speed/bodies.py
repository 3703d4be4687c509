"""What is sent and answered in measurements of cost: texts of a given size that look like prose. Pure.

Bodies of about 3 kB, as in the claim: one prompt of so many bytes in each request, one text of about as many in each
reply. Words, figures, quotation marks and line breaks are mixed, so that escaping and compression cost what they cost
on prose; all is drawn from a seed.
"""

from __future__ import annotations

from random import Random

BYTES = 2_900
"""Of the text in a body. Instruction, names and JSON around it make 3.0 to 3.2 kB of a request, and the reply's frame
as much of a reply."""

_VOCABULARY = (
    "the of and a to in is that it was for on are as with they at be this from have or by one had not but what all "
    "were when we there can an your which their said if do will each about how up out them then she many some so "
    "these would other into has more her two like him see time could no make than first been its who now people my "
    "made over did down only way find use may water long little very after words called just where most know answer "
    "question table number example because therefore however between account invoice shipment delivery customer "
    "passenger railway harbour mountain temperature pressure velocity triangle fraction remainder naïve café"
)
_WORDS = tuple(_VOCABULARY.split())


def prose(seed: int, size: int = BYTES) -> str:
    """Text of `size` bytes in UTF-8, or up to three fewer where a letter would be cut; a function of its arguments."""
    random = Random(seed)
    parts: list[str] = []
    length = 0
    while length < size:
        sentence = [random.choice(_WORDS) for _ in range(random.randrange(6, 18))]
        if not random.randrange(4):
            sentence[0] = f'"{sentence[0]}"'
        if not random.randrange(3):
            sentence.append(str(random.randrange(10_000)))
        end = ".\n" if not random.randrange(5) else ". "
        parts.append(" ".join(sentence).capitalize() + end)
        length += len(parts[-1].encode())
    return "".join(parts).encode()[:size].decode(errors="ignore")
