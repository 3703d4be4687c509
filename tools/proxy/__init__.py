"""Limits, retries, single flight and a reply store in front of real upstreams: `semprop proxy --upstream SPEC`.

    async with serving(Settings(upstreams=("openai:gpt-4o-mini",))) as served:
        ...  # any OpenAI client, with served.url as its base address

It speaks OpenAI's chat completions over HTTP. Importing opens nothing.
"""

from semprop.tools.proxy.server import Served, serving
from semprop.tools.proxy.settings import Settings

__all__ = ["Served", "Settings", "serving"]
