"""A provider that follows rules in place of a language model: text in, text out, the same reply in every process.

It executes clauses on facts (forward), finds the input to blame by enumeration (backward) and searches instructions
that fit the shown cases (update). It knows no prompt template: what shape a reply has is read from the request's
constraint or from the form that the prompt asks for, facts and clauses are recognised by value. It shows that
information reaches the right place, never that a method helps language models. On questions that hold no clause of
its library it answers something that fits the form: it holds no labels, so its score there may be 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import anyio.lowlevel
import orjson

from semprop.providers.base import (
    Capabilities,
    Choices,
    Completion,
    JsonSchema,
    Message,
    Provider,
    Request,
    Sampling,
    Stop,
    TokenLogprob,
    Usage,
)
from semprop.providers.errors import ErrorClass, classified
from semprop.providers.pictures import Pictures, anthropic
from semprop.providers.simulated import pages
from semprop.providers.simulated.backward import Advice, backward
from semprop.providers.simulated.clauses import Program, understood
from semprop.providers.simulated.execution import UNKNOWN, MissingOperand, carried_out
from semprop.providers.simulated.pages import CLEAR, Sight
from semprop.providers.simulated.program import suggested
from semprop.providers.simulated.update import update

RULES = "rules-3"
"""Raised whenever a reply could differ, since it is part of every content key."""

TIES = ("seeded", "lexicographic")


@dataclass(frozen=True, slots=True)
class Settings:
    """How well it reads. `scale` is L0: a fact in a prompt of L tokens is misread with probability 1 − exp(−L/L0)."""

    scale: float = math.inf
    ties: str = "seeded"


def connect(model: str = "") -> Provider:
    """A simulated model. `model` is empty or settings joined by `&`: `L0=1000` (tokens), `ties=lexicographic`.

    Raises:
        StopError: a setting is unknown or malformed.
    """
    return Simulated(settings_of(model))


def settings_of(model: str) -> Settings:
    """Settings from the text after `simulated:`.

    Raises:
        StopError: a setting is unknown or malformed.
    """
    scale, ties = math.inf, TIES[0]
    for part in filter(None, re.split(r"[?&,]", model.removeprefix(RULES))):
        name, _, value = part.partition("=")
        number = _positive(value) if name == "L0" else None
        if name == "L0" and number is not None:
            scale = number
        elif name == "ties" and value in TIES:
            ties = value
        else:
            raise classified(
                f"simulated model: {part!r} is no setting; write L0=NUMBER (tokens, above 0) or ties={'|'.join(TIES)}, "
                "joined by &, or nothing",
                ErrorClass.CONFIGURATION,
                attempts=0,
            )
    return Settings(scale, ties)


def _positive(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number > 0 else None


class Simulated:
    """The provider; see the module. Usage is counted as UTF-8 bytes / 4, not by a tokenizer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._requests = 0

    @property
    def identity(self) -> str:
        scale = "" if math.isinf(self._settings.scale) else f"&L0={self._settings.scale:g}"
        ties = "" if self._settings.ties == TIES[0] else f"&ties={self._settings.ties}"
        return f"simulated:{RULES}{scale}{ties}"

    @property
    def model(self) -> str:
        return RULES

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(schema=True, choices=True, logprobs=True, simulated=True, images=True)

    async def complete(self, request: Request) -> Completion:
        """Answer by the rules, at once. Raises nothing but cancellation."""
        await anyio.lowlevel.checkpoint()
        self._requests += 1
        return completion_of(request, self._settings)

    def statistics(self) -> Mapping[str, object]:
        return {"requests": self._requests, "simulated": True}

    def __repr__(self) -> str:
        return f"<{self.identity}: rules in place of a language model, {self._requests} requests>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def completion_of(request: Request, settings: Settings = Settings()) -> Completion:
    """The whole completion of a request, a function of the request and the settings alone."""
    text, stop = _cut(reply(request, settings), request.sampling)
    usage = Usage(
        input=input_tokens(request),
        cached_read=0,
        output=pages.tokens(text),
        reasoning=0,
    )
    return Completion(text, stop, usage, RULES, logprobs=_logprobs(text, request))


def input_tokens(request: Request) -> int:
    """Tokens of a request's messages; the rules read a picture's words, and it takes what Anthropic's formula gives."""
    return sum(pages.tokens(message.text) for message in request.messages) + _SEEN.expected(request)


_SEEN = Pictures(anthropic)


def reply(request: Request, settings: Settings = Settings()) -> str:
    """What the model writes: in the shape of the constraint, else in the form that the prompt asks for, else plain."""
    prompt = "\n".join(message.text for message in request.messages)
    draw = "" if request.sampling.is_greedy else f"\n{request.draw} {request.sample}"
    sight = Sight.of(prompt + draw, settings.scale)
    asked = _question(request.messages)
    match request.schema:
        case Choices(options):
            return _choice(forward(_steering(request.messages), asked, sight), options, prompt)
        case JsonSchema(document=document):
            return _json_reply(orjson.loads(document), request, asked, sight, settings)
        case None:
            return _tagged_reply(request, asked, sight, settings)


def _cut(text: str, sampling: Sampling) -> tuple[str, Stop]:
    places = [place for stop in sampling.stop if stop and (place := text.find(stop)) >= 0]
    text = text[: min(places)] if places else text
    data = text.encode()
    if sampling.max_tokens is None or pages.tokens(text) <= sampling.max_tokens:
        return text, Stop.END
    return data[: sampling.max_tokens * pages.BYTES_PER_TOKEN].decode(errors="ignore"), Stop.LENGTH


def _logprobs(text: str, request: Request) -> tuple[TokenLogprob, ...]:
    """Words as tokens. It is sure of itself (p = 0.9); other allowed texts share what is left."""
    if request.sampling.top_logprobs is None:
        return ()
    options = request.schema.options if isinstance(request.schema, Choices) else ()
    others = [option for option in options if option != text]
    if not others:
        return tuple(TokenLogprob(word, 0.0, ((word, 0.0),)) for word in re.findall(r"\s*\S+", text))
    rest = [(option, math.log(0.1 / len(others))) for option in others]
    alternatives = ((text, math.log(0.9)), *rest)[: max(request.sampling.top_logprobs, 1)]
    return (TokenLogprob(text, math.log(0.9), alternatives),)


# What is asked ---------------------------------------------------------------------------------------------------

_AGAIN = re.compile(r"\b(?:reply|answer|respond|write|try)\b.{0,20}\bagain\b", re.IGNORECASE)


def _question(turns: Sequence[Message]) -> str:
    """The user's turn that is to be answered: the last one, or the one that the last asks to answer again."""
    users = [turn.text for turn in turns if turn.role == "user"]
    while len(users) > 1 and _AGAIN.search(pages.blocks(users[-1])[1]):
        users.pop()
    return users[-1] if users else ""


def _steering(turns: Sequence[Message]) -> str:
    return "\n".join(turn.text for turn in turns if turn.role == "system")


_JUDGED = re.compile(r"<([\w-]+) ([\w-]+)=\"([^\"<>]+)\" ([\w-]+)=\"keep or change\">[^<>]*</\1>")
_NUMBERED = re.compile(r"<([\w-]+) ([\w-]+)=\"(\d+)\">[^<>]*</\1>")
_NAMED = re.compile(r"<([\w-]+) ([\w-]+)=\"([^\"<>]*[^\d\"<>][^\"<>]*)\">[^<>]*</\1>")
_GRADED = re.compile(r"<([\w-]+)>[^<>]*</\1>\s*<([\w-]+)>0 to (\d+)</\2>")
_BETWEEN = re.compile(r"<([\w-]+)>\s*(?:and|to|…|\.\.\.)\s*</\1>")


def _tagged_reply(request: Request, asked: str, sight: Sight, settings: Settings) -> str:
    _, outside = pages.blocks(asked)
    if judged := list(_JUDGED.finditer(outside)):
        advice = backward(asked, [form[3] for form in judged], sight, settings.ties)
        return "\n".join(
            f'<{form[1]} {form[2]}="{form[3]}" {form[4]}="{_verdict(each)}">{each.text}</{form[1]}>'
            for form, each in zip(judged, advice, strict=True)
        )
    if numbered := list(_NUMBERED.finditer(outside)):
        return "\n".join(
            f'<{form[1]} {form[2]}="{form[3]}">{text}</{form[1]}>'
            for form, text in zip(numbered, update(asked, len(numbered), sight), strict=True)
        )
    if named := list(_NAMED.finditer(outside)):
        texts = suggested(asked, [form[3] for form in named], sight)
        return "\n".join(f'<{form[1]} {form[2]}="{form[3]}">{texts[form[3]]}</{form[1]}>' for form in named)
    if graded := _GRADED.search(outside):
        right = judge(asked)
        feedback, score = _REMARK[right], int(graded[3]) if right else 0
        return f"<{graded[1]}>{feedback}</{graded[1]}><{graded[2]}>{score}</{graded[2]}>"
    steering = _steering(request.messages)
    answer = forward(steering, asked, sight)
    tag = _BETWEEN.search(steering) or _BETWEEN.search(outside)
    return f"<{tag[1]}>{answer}</{tag[1]}>" if tag else answer


def _verdict(advice: Advice) -> str:
    return "change" if advice.change else "keep"


ASIDE = "By the facts in view."
"""What stands where a reply has room for reasons."""

_REMARK = {True: "It is right.", False: "It is not what the criteria ask for."}


def _json_reply(schema: Any, request: Request, asked: str, sight: Sight, settings: Settings) -> str:
    properties: dict[str, Any] = schema.get("properties", {}) if isinstance(schema, dict) else {}
    document: dict[str, object]
    if slots := [name for name, each in properties.items() if _asks_a_verdict(each)]:
        verdicts = {each.slot: each for each in backward(asked, slots, sight, settings.ties)}
        document = {
            name: {"verdict": _verdict(verdicts[name]), "advice": verdicts[name].text} if name in verdicts else ASIDE
            for name in properties
        }
    elif sets := {name: names for name, each in properties.items() if (names := _names_of_texts(each))}:
        document = {name: suggested(asked, sets[name], sight) if name in sets else ASIDE for name in properties}
    elif numbered := [name for name, each in properties.items() if re.search(r"\d$", name) and _is_text(each)]:
        proposals = dict(zip(numbered, update(asked, len(numbered), sight), strict=True))
        document = {name: proposals.get(name, ASIDE) for name in properties}
    elif "score" in properties:
        right = judge(asked)
        most = properties["score"].get("maximum", 10)
        document = {name: _REMARK[right] if _is_text(each) else most * right for name, each in properties.items()}
    else:
        answer = forward(_steering(request.messages), asked, sight)
        document = {name: _filled(each, answer) for name, each in properties.items()}
    return orjson.dumps(document).decode()


def _asks_a_verdict(schema: Any) -> bool:
    return isinstance(schema, dict) and {"verdict", "advice"} <= set(schema.get("properties", {}))


def _names_of_texts(schema: Any) -> list[str]:
    """The names in an object of texts; none if the schema is of something else."""
    properties = schema.get("properties", {}) if isinstance(schema, dict) else {}
    return list(properties) if all(map(_is_text, properties.values())) else []


def _is_text(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "string" and "enum" not in schema


def _filled(schema: Any, answer: str) -> object:
    """A value of a simple schema that is not one of ours."""
    match schema:
        case {"enum": [*options]} if options:
            return answer if answer in options else options[0]
        case {"type": "integer" | "number"}:
            return pages.tokens(answer)
        case {"type": "boolean"}:
            return answer.casefold() in ("yes", "true")
        case _:
            return answer


# Forward ---------------------------------------------------------------------------------------------------------


def forward(steering: str, asked: str, sight: Sight = CLEAR) -> str:
    """Carry out the clauses of the instruction on the facts of the question.

    Without a system text the instruction is the paragraphs of the question up to the last that holds a clause.
    """
    program = understood(steering)
    if not steering.strip():
        program, asked = _split(asked)
    if not program.clauses:
        return plumbing(steering, asked)
    try:
        return carried_out(program.clauses, pages.seen(pages.page_of(asked), sight))
    except MissingOperand:
        return UNKNOWN


def _split(text: str) -> tuple[Program, str]:
    paragraphs = text.split("\n\n")
    for index in range(min(len(paragraphs), 20), 0, -1):
        head = "\n\n".join(paragraphs[index - 1 : index])
        if not pages.blocks(head)[0] and understood(head).clauses:
            return understood("\n\n".join(paragraphs[:index])), "\n\n".join(paragraphs[index:])
    return Program(()), text


_LETTERED = re.compile(r"^\s*(\([A-Z]\)|[A-Z][).])\s", re.MULTILINE)
_LISTED = re.compile(r"^\s*options?:\s*\n((?:\s*[-*•] .+\n?)+)", re.IGNORECASE | re.MULTILINE)
_PAIRS = (
    ("yes", "no"),
    ("true", "false"),
    ("valid", "invalid"),
    ("plausible", "implausible"),
    ("positive", "negative"),
)


def plumbing(steering: str, asked: str) -> str:
    """A reply to a question that holds no known clause: one of its options, else one of its numbers, else its first
    words, drawn by the text alone. It knows no answers."""
    seed = pages.digest(steering, asked)
    if lettered := tuple(dict.fromkeys(_LETTERED.findall(asked))):
        return pages.pick(lettered, "option", seed)
    if listed := _LISTED.search(asked):
        return pages.pick([item.strip(" -*•\t") for item in listed[1].strip().split("\n")], "option", seed)
    for text in (steering, asked):
        words = {word.casefold(): word for word in re.findall(r"[A-Za-z]+", text)}
        for pair in _PAIRS:
            if words.keys() >= set(pair):
                return pages.pick([words[word] for word in pair], "option", seed)
    if numbers := tuple(re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", asked)):
        return pages.pick(numbers, "number", seed)
    return " ".join(asked.split()[:12]) or UNKNOWN


def _choice(answer: str, options: Sequence[str], prompt: str) -> str:
    for option in options:
        if option.casefold().strip() == answer.casefold().strip():
            return option
    return pages.pick(options, "choice", prompt)


def judge(prompt: str) -> bool:
    """Whether an answer is right: it stands in the prompt twice, as the answer and as the reference, or it is what the
    clauses of the criteria make of the inputs."""
    found, _ = pages.blocks(prompt)
    loose = [" ".join(block.text.split()) for block in found if not block.labels]
    if len(set(loose)) < len(loose):
        return True
    page = tuple(line for block in found if block.labels for line in pages.value_lines(block.labels[0], block.text))
    for text in loose:
        clauses = understood(text).clauses
        try:
            if clauses and carried_out(clauses, page) in loose:
                return True
        except MissingOperand:
            continue
    return False
