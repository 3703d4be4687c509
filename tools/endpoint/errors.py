"""What a mock endpoint answers when it refuses: the error of a trouble in a service's own shape. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from semprop.tools.endpoint import errors_native, errors_openai
from semprop.tools.endpoint.dialects import Dialect
from semprop.tools.endpoint.troubles import ErrorAnswer, Trouble

Shape = Callable[[Trouble], ErrorAnswer | None]

SHAPES: Mapping[str, Shape] = {
    "openai": errors_openai.openai,
    "azure": errors_openai.azure,
    "groq": errors_openai.groq,
    "mistral": errors_openai.mistral,
    "vllm": errors_openai.vllm,
    "ollama": errors_openai.ollama,
    "llamacpp": errors_openai.llamacpp,
    "anthropic": errors_native.anthropic,
    "gemini": errors_native.gemini,
}


def error_answer(dialect: Dialect, trouble: Trouble) -> ErrorAnswer:
    """The error that a service of this dialect answers with."""
    return SHAPES[dialect.shape](trouble) or errors_openai.openai(trouble)
