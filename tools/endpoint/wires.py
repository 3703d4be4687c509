"""Every wire format that a mock endpoint speaks; the path of a request says which."""

from __future__ import annotations

from semprop.tools.endpoint.wire import OpenAIChat, Wire
from semprop.tools.endpoint.wires_native import AnthropicMessages, GeminiGenerate, OpenAIResponses

WIRES: tuple[Wire, ...] = (OpenAIChat(), AnthropicMessages(), GeminiGenerate(), OpenAIResponses())
