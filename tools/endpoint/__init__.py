"""A mock endpoint for load and fault tests: `semprop endpoint --config FILE`.

    async with serving(Endpoint(parse(TOML))) as served:
        provider = connect(f"openai:any@{served.url}")

It answers over HTTP as `simulated:` does or with a fixed text, at latencies, limits, headers and faults that a file
describes, and keeps a ledger of every attempt. Importing opens nothing.
"""

from semprop.tools.endpoint.config import ConfigError, load, parse
from semprop.tools.endpoint.endpoint import Endpoint
from semprop.tools.endpoint.server import Served, serving
from semprop.tools.endpoint.settings import Config

__all__ = ["Config", "ConfigError", "Endpoint", "Served", "load", "parse", "serving"]
