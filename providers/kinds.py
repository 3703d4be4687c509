"""The kinds of provider that a specification can name, as data: how each is written, spoken to, and where it is.

A service that speaks OpenAI's chat completions is a preset of that format: an address, the variable of its key, its
habits. What a kind promises (`capabilities`) and what has no place in its format is the table of the README.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from semprop.providers import pictures
from semprop.providers.base import Capabilities
from semprop.providers.pictures import Rule
from semprop.providers.wire.refusals import PICTURES


class Speaks(StrEnum):
    """The wire format of a kind; INSIDE: none, it answers in this process."""

    CHAT = "chat"
    RESPONSES = "responses"
    MESSAGES = "messages"
    GENERATE = "generate"
    INSIDE = "inside"


HOSTED = Capabilities(schema=True, choices=True, logprobs=True, images=True)
NO_LOGPROBS = Capabilities(schema=True, choices=True, images=True)
NO_SCHEMA = Capabilities(schema=False, logprobs=True)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind.

    Attributes:
        name: what stands before the colon.
        written: how a specification of it is written, with a word on what it is.
        speaks: its wire format.
        base: its base address; "" where the user must give one.
        key_env: the variable of its key; "" if it asks for none.
        profile: its habits with limits (`profiles.PROFILES`); None: by the host.
        capabilities: what it promises.
        lacks: fields of `Sampling` that it has no place for: asked for, they are refused.
        sees: forms of pictures that it takes; any other is refused.
        pictures: how many tokens a picture costs there; None: that is the model's, and not told.
        names: fields of OpenAI's format that it calls otherwise.
        cut_above: bytes of a prompt for each token it counted beyond which it must have cut the prompt in silence;
            infinite where it never does.
        moves: whether a specification may give another address.
    """

    name: str
    written: str
    speaks: Speaks = Speaks.CHAT
    base: str = ""
    key_env: str = ""
    profile: str | None = None
    capabilities: Capabilities = NO_LOGPROBS
    lacks: tuple[str, ...] = ()
    sees: tuple[str, ...] = PICTURES
    pictures: Rule | None = None
    names: tuple[tuple[str, str], ...] = ()
    cut_above: float = math.inf
    moves: bool = True

    @property
    def is_http(self) -> bool:
        """Whether it is reached over the network."""
        return self.speaks is not Speaks.INSIDE


SILENT_CUT = 8.0
"""Ollama cuts a prompt that its window does not hold, and says nothing. Prose has 4 to 5 bytes a token, code fewer."""


def _preset(name: str, what: str, base: str, key_env: str = "", profile: str | None = None) -> Kind:
    return Kind(name, f"{name}:MODEL[@BASE] ({what})", base=base, key_env=key_env, profile=profile)


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "openai",
            "openai:MODEL[@https://BASE] (any OpenAI-compatible chat endpoint)",
            base="https://api.openai.com/v1",
            key_env="OPENAI_API_KEY",
            capabilities=HOSTED,
            pictures=pictures.openai,
        ),
        Kind(
            "openai-responses",
            "openai-responses:MODEL[@BASE] (OpenAI's responses)",
            Speaks.RESPONSES,
            "https://api.openai.com/v1",
            "OPENAI_API_KEY",
            capabilities=HOSTED,
            lacks=("seed", "stop"),
            pictures=pictures.openai,
        ),
        Kind(
            "azure",
            "azure:DEPLOYMENT@https://RESOURCE.openai.azure.com",
            key_env="AZURE_OPENAI_API_KEY",
            profile="azure",
            capabilities=HOSTED,
            pictures=pictures.openai,
        ),
        Kind(
            "anthropic",
            "anthropic:MODEL[@BASE] (Anthropic's messages)",
            Speaks.MESSAGES,
            "https://api.anthropic.com/v1",
            "ANTHROPIC_API_KEY",
            "anthropic",
            lacks=("seed", "top_logprobs"),
            pictures=pictures.anthropic,
        ),
        Kind(
            "gemini",
            "gemini:MODEL[@BASE] (Gemini's generateContent)",
            Speaks.GENERATE,
            "https://generativelanguage.googleapis.com/v1beta",
            "GEMINI_API_KEY",
            "gemini",
            capabilities=HOSTED,
            sees=("image/png", "image/jpeg", "image/webp"),
            pictures=pictures.gemini,
        ),
        replace(
            _preset("vllm", "a vLLM server", "http://localhost:8000/v1", "VLLM_API_KEY", "vllm"), capabilities=HOSTED
        ),
        replace(_preset("ollama", "an Ollama server", "http://localhost:11434/v1", "", "ollama"), cut_above=SILENT_CUT),
        replace(
            _preset("llamacpp", "a llama.cpp server", "http://localhost:8080/v1", "", "llamacpp"), capabilities=HOSTED
        ),
        _preset("lmstudio", "LM Studio's server", "http://localhost:1234/v1", "", "local"),
        _preset("openrouter", "OpenRouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
        _preset("groq", "Groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "groq"),
        _preset("together", "Together", "https://api.together.xyz/v1", "TOGETHER_API_KEY", "together"),
        replace(
            _preset("mistral", "Mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", "mistral"),
            names=(("seed", "random_seed"),),
        ),
        replace(
            _preset("deepseek", "DeepSeek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
            capabilities=NO_SCHEMA,
            sees=(),
        ),
        _preset("fireworks", "Fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
        Kind(
            "embedded",
            "embedded:smollm2 or embedded:FILE.gguf (a model inside this process)",
            Speaks.INSIDE,
            profile="local",
            sees=(),
            moves=False,
        ),
        Kind(
            "simulated",
            "simulated:[SETTINGS] (no language model, only rules: for trials and tests)",
            Speaks.INSIDE,
            profile="local",
            sees=(),
            moves=False,
        ),
    )
}
"""Name → kind, in the order in which they are listed."""
