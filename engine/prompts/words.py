"""What prompts of every kind say of a gradient, a failure, a wanted value: pure functions into plain words."""

from __future__ import annotations

from semprop.engine.gradients import Evidence, Gradient, Message
from semprop.engine.outcomes import FailureKind
from semprop.engine.prompts.fences import bounded
from semprop.engine.tape import shown

FORMAT_REMINDER = "the answer between <answer> and </answer>."


def target_words(expected: str) -> str:
    """The seed of the answer's gradient when the right answer is known."""
    return f"The expected output is: {expected}"


def failure_words(kind: FailureKind) -> str:
    """The seed of the gradient of a node whose model call failed because of content."""
    match kind:
        case FailureKind.TRUNCATED:
            return "The output was cut off at its length limit before it was complete: it must be shorter."
        case FailureKind.UNPARSEABLE:
            return f"The output could not be read. It must end with {FORMAT_REMINDER}"
        case FailureKind.CONTEXT:
            return "The inputs were too long for the model: they must be shorter."
        case FailureKind.FILTER | FailureKind.REFUSAL:
            return "The model did not answer: what it was asked looked like something it must not do."
        case _:
            return "The output could not be used by the function that read it."


def number_words(direction: float, value: float) -> str:
    """A derivative of the loss as advice in words; a positive one asks for a smaller value."""
    verb = "fall" if direction > 0 else "rise"
    return f"It should {verb} by about {abs(direction):.3g}; it is {value:g} now."


def gradient_words(gradient: Gradient, limit: int) -> str:
    """The changes a gradient asks for as a numbered list, in its own order, within `limit` bytes. What does not fit
    is counted, not silently dropped; the first message always stands, shortened if it must be."""
    messages = gradient.changes
    if not messages:
        return "Nothing is known to be wrong with it."
    lines: list[str] = []
    left = limit
    for index, message in enumerate(messages):
        line = _message_words(message, bounded_to=left if index == 0 else None)
        size = len(line.encode()) + 4
        if index and size > left:
            lines.append(f"({len(messages) - index} more left out)")
            break
        lines.append(line if len(messages) == 1 else f"{index + 1}. {line}")
        left -= size
    return "\n".join(lines)


def gathered_words(gradient: Gradient, limit: int) -> str:
    """The changes a gradient asks for as different lines, without who said them, within `limit` bytes: what is passed
    on word for word must not grow where the same words come back on two ways. What does not fit is counted."""
    contents = (shown(message.content) for message in gradient.changes if not isinstance(message.content, Evidence))
    lines = list(dict.fromkeys(line for content in contents for line in content.split("\n") if line.strip()))
    if not lines:
        return gradient_words(gradient, limit)
    kept, left = [bounded(lines[0], limit)], limit - len(lines[0].encode())
    for line in lines[1:]:
        left -= len(line.encode()) + 1
        if left < 0:
            break
        kept.append(line)
    return "\n".join([*kept, f"({len(lines) - len(kept)} more left out)"] if len(kept) < len(lines) else kept)


def _message_words(message: Message, bounded_to: int | None) -> str:
    content = message.content
    words = content if isinstance(content, str) else "" if isinstance(content, Evidence) else shown(content)
    if message.source.successor:
        words = f"(from the step {message.source.successor}) {words}"
    return words if bounded_to is None else bounded(words, bounded_to)
