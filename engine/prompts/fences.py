"""Fences: how values stand in a prompt. Pure.

A value stands between tags that occur in none of the values around it, so no value can end its own slot or open
another; what is too long is cut in its middle, in UTF-8 bytes, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


def bounded(text: str, limit: int) -> str:
    """The text if it has at most `limit` UTF-8 bytes, else its beginning and end around a mark of what is gone."""
    data = text.encode()
    if len(data) <= limit:
        return text
    half = max((limit - 40) // 2, 0)
    head, tail = data[:half].decode(errors="ignore"), data[len(data) - half :].decode(errors="ignore")
    return f"{head}\n[… {len(data) - 2 * half} bytes left out …]\n{tail}"


def fence_suffix(texts: Iterable[str]) -> str:
    """What to append to every tag of a prompt so that none of the texts holds such a tag: "" or "-1", "-2", …"""
    opening = [text for text in texts if "<" in text]
    if not opening:
        return ""
    haystack = "\n".join(opening).casefold()
    if not any(f"{slash}{tag}" in haystack for slash in ("<", "</") for tag in _TAGS):
        return ""
    number = 1
    while f"-{number}" in haystack:
        number += 1
    return f"-{number}"


_TAGS = (
    *("instruction", "input", "output", "feedback", "case", "context", "criteria", "expected", "answer>"),
    *("variable", "past"),
)


@dataclass(frozen=True, slots=True)
class Fence:
    """Writes blocks whose tags end in `suffix`."""

    suffix: str

    def block(self, tag: str, text: str, **attributes: str) -> str:
        """A value between an opening and a closing tag, each on a line of its own."""
        before, after = self.around(tag, **attributes)
        return f"{before}{text}{after}"

    def around(self, tag: str, **attributes: str) -> tuple[str, str]:
        """What stands before and after the value of a block."""
        named = "".join([f' {key}="{value}"' for key, value in attributes.items()])
        return f"<{tag}{self.suffix}{named}>\n", f"\n</{tag}{self.suffix}>"
