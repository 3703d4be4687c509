"""Servers that others wrote, each in a process of its own: llama.cpp's, and LiteLLM's proxy in front of it."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

SERVER = """
import sys, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.hostnames, p.port, p.n_ctx, p.n_parallel = sys.argv[1], ["127.0.0.1"], 0, 1024, 2
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
p.verbosity, p.ui = -1, False
server = xllamacpp.Server(p)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def llamacpp_server(model: str) -> Iterator[str]:
    """The address of a server of these weights that listens."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, model],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().decode().strip()
        process.kill()


LITELLM = os.environ.get("SEMPROP_LITELLM", "")
"""The `litellm` command of an environment of its own; empty: none is there, and what needs it is skipped."""

PATIENCE = 120.0
"""Seconds until the proxy must answer; it imports for half a minute on a busy machine."""

CONFIG = """
model_list:
  - model_name: small
    litellm_params: {model: openai/small, api_base: "UPSTREAM/v1", api_key: none}
  - model_name: nowhere
    litellm_params: {model: openai/small, api_base: "http://127.0.0.1:9/v1", api_key: none}
litellm_settings: {num_retries: 0, telemetry: false, use_chat_completions_url_for_anthropic_messages: true}
general_settings: {master_key: "KEY"}
"""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that listens, and the key that it asks for."""

    url: str
    key: str


@contextlib.contextmanager
def litellm_proxy(upstream: str, place: Path) -> Iterator[Proxy]:
    """LiteLLM's proxy in front of an OpenAI-compatible server, with the models `small` and `nowhere`."""
    key = f"sk-{secrets.token_hex(16)}"
    (place / "config.yaml").write_text(CONFIG.replace("UPSTREAM", upstream).replace("KEY", key))
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(place),
        # Prices of its own: it asks no other host.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    command = [LITELLM, "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    with (
        (place / "proxy.log").open("wb") as log,
        subprocess.Popen(command, cwd=place, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            _wait_for(f"http://127.0.0.1:{port}/health/liveliness", process, place / "proxy.log")
            yield Proxy(f"http://127.0.0.1:{port}/v1", key)
        finally:
            process.kill()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(URLError, OSError), urlopen(url, timeout=5):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
    raise RuntimeError(f"the proxy does not answer: {log.read_text(errors='replace')[-2000:]}")
