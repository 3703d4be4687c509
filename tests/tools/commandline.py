"""What the command's tests share: the command's words and documents, and endpoints' replies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from semprop.providers import RetryPolicy, Surroundings
from semprop.tools.preparing import Surrounding

FIXTURES = Path(__file__).parent / "fixtures"
LOOKUP = str(FIXTURES / "lookup.py")

AROUND = Surrounding(
    providers=Surroundings(environment={}, retry=RetryPolicy(tries=1, throttles=1)),
    now=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    token=lambda: "beef",
)


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout; anything beside it fails here."""
        return orjson.loads(self.out)


Command = Callable[..., Said]

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Answer], str]


def completion(text: str) -> web.Response:
    """A chat completion as an OpenAI-compatible endpoint writes it."""
    return web.json_response(
        {
            "id": "c1",
            "model": "model",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
        }
    )


def refusal(status: int, message: str, kind: str = "error") -> web.Response:
    """An error as an OpenAI-compatible endpoint writes it."""
    return web.json_response({"error": {"message": message, "type": kind, "code": kind}}, status=status)


FRAME = ["schema", "status", "error", "run", "simulated", "result", "telemetry"]


def check_frame(document: Any) -> None:
    """The frame of every document of `optimize` and `evaluate`, and the type of each of its parts."""
    assert list(document) == FRAME
    assert document["schema"] == 1
    assert document["status"] in ("done", "no_gain", "undecided", "interrupted", "budget", "failed")
    error = document["error"]
    assert (error is None) == (document["status"] not in ("interrupted", "budget", "failed"))
    if error is not None:
        assert list(error) == ["type", "message", "exit_code"]
        assert isinstance(error["message"], str)
        assert error["message"]
    assert document["run"] is None or isinstance(document["run"], str)
    assert document["simulated"] in (None, True, False)


def check_result(document: Any) -> None:
    """A run's document with a result in it."""
    check_frame(document)
    result = document["result"]
    assert list(result) == [
        "task",
        "method",
        "seed",
        "models",
        "parameters",
        "gate",
        "steps",
        "held_out",
        "approximate",
        "notes",
    ]
    assert list(result["models"]) == ["forward", "backward", "update", "judge"]
    for sides in result["parameters"].values():
        assert list(sides) == ["before", "after"]
    for step in result["steps"]:
        assert {"index", "verdict", "reason", "gate"} <= set(step)
        assert step["gate"] is None or {"before", "after", "n"} <= set(step["gate"])
    held = result["held_out"]
    if held is not None:
        assert {"before", "after", "n", "interval", "test", "lenient", "constrained"} <= set(held)
        assert len(held["interval"]) == 2
    telemetry = document["telemetry"]
    assert {"calls", "attempts", "tokens", "cost", "seconds", "failures", "speculative"} <= set(telemetry)
    assert list(telemetry["cost"]) == ["usd", "unpriced_requests"]
    assert list(telemetry["tokens"]) == ["input", "cached", "output", "reasoning"]
