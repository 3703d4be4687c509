"""A task of pictures, from its files to a report, over HTTP in every format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from commandline import check_result
from pictures import gif, picture, png
from proxying import mocked, proxied

from semprop.tools.endpoint import Endpoint, Served, parse, serving

TASK = """
data = "shades.csv"
inputs = ["photo", "question"]
pictures = ["photo"]
expected = "answer"
loss = "casefold"
output = "answer"
[[node]]
name = "look"
instruction = "Say what you see."
inputs = ["photo"]
[[node]]
name = "answer"
instruction = "Answer."
inputs = ["question", "photo", "look"]
reply = "tagged"
[sizes]
train = 4
gate = 3
test = 3
[defaults]
steps = 1
minibatch = 4
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Served]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving(Endpoint(parse("")))) as served:
        yield served


def shades(place: Path, write=png) -> Path:
    """A task of twenty pictures in files beside its table."""
    (place / "shots").mkdir()
    rows = ["photo,question,answer"]
    for number in range(20):
        (place / "shots" / f"{number}.img").write_bytes(write(100 + number, 100))
        rows.append(f"shots/{number}.img,How dark is it ({number})?,{'dark' if number < 10 else 'light'}")
    (place / "shades.csv").write_text("\n".join(rows))
    (place / "shades.toml").write_text(TASK)
    return place / "shades.toml"


@pytest.mark.parametrize("kind", ["openai", "openai-responses", "anthropic", "gemini"])
def test_a_task_of_pictures_runs_and_every_forward_call_shows_one(command, endpoint, tmp_path, kind):
    ledger = endpoint.endpoint.ledger
    before = ledger.summary()
    asked = ("--forward", f"{kind}:m@{endpoint.url}", "--run", "run", "--json")
    said = command("optimize", str(shades(tmp_path)), *asked)
    assert said.code == 0, said.err
    check_result(said.document)
    calls = said.document["telemetry"]["calls"]
    seen = ledger.summary()["images"] - before["images"]
    assert seen >= 2 * said.document["result"]["held_out"]["n"]
    assert seen <= sum(calls.values())
    told = command("show", "run", "--prompts").out
    assert "[a picture, not shown here: image/png, " in " ".join(told.split())
    assert "iVBORw0KGgo" not in told


def test_a_budget_counts_a_picture_at_what_its_service_documents(command, endpoint, tmp_path):
    (tmp_path / "p.toml").write_text(
        f'[provider.priced]\nspec = "openai:gpt-4o@{endpoint.url}"\nprices = {{ input = 1000, output = 0 }}\n'
    )
    asked = ("--providers", "p.toml", "--forward", "priced", "--json")
    task = str(shades(tmp_path))
    # One call: 85 + 170 tokens for a picture, and the words around it; never the largest picture there is.
    said = command("optimize", task, *asked, "--max-usd", "1.2")
    assert said.code == 4
    assert said.document["telemetry"]["attempts"] > 0
    before = endpoint.endpoint.ledger.summary()["attempts"]
    assert command("optimize", task, *asked, "--max-usd", "0.2", "--run", "poor").code == 4
    assert endpoint.endpoint.ledger.summary()["attempts"] == before


def test_a_form_that_a_service_does_not_take_ends_the_run_with_the_mend(command, endpoint, tmp_path):
    said = command("optimize", str(shades(tmp_path, gif)), "--forward", f"gemini:m@{endpoint.url}")
    assert said.code == 2
    words = " ".join(said.err.replace("│", " ").split())
    assert "has no place for a picture of the form image/gif: give it as png, jpeg, webp" in words


def test_a_kind_without_pictures_is_refused_before_a_call(command, tmp_path):
    said = command("optimize", str(shades(tmp_path)), "--forward", "deepseek:m@http://127.0.0.1:1/v1")
    assert said.code == 2
    assert "has no place for pictures: choose another provider" in " ".join(said.err.replace("│", " ").split())


@pytest.mark.parametrize("kind", ["openai", "anthropic", "gemini"])
async def test_the_proxy_passes_pictures_on_in_the_upstreams_format_and_pays_equal_ones_once(tmp_path, kind):
    def shown(shade: int) -> list[dict[str, object]]:
        url = {"url": picture(300, 300, shade).url}
        return [
            {"role": "user", "content": [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": url}]}
        ]

    async with mocked() as mock, proxied(f"{kind}:m@{mock.url}", store=tmp_path / "store") as world:
        said = [await world.ask(messages=shown(shade), max_tokens=9) for shade in (1, 1, 2)]
        ledger = mock.endpoint.ledger.summary()
    assert [each.status for each in said] == [200, 200, 200]
    assert (ledger["images"], ledger["attempts"]) == (2, 2)
    assert said[0].json["usage"]["prompt_tokens"] > 300 * 300 / 750


def test_a_file_that_is_no_picture_is_told_with_its_row(command, tmp_path):
    task = shades(tmp_path)
    (tmp_path / "shots" / "3.img").write_text("no picture")
    said = command("optimize", str(task), "--forward", "simulated:")
    assert said.code == 2
    assert "shades.csv:5: 'photo' names 'shots/3.img'" in " ".join(said.err.replace("│", " ").split())


def test_a_column_of_pictures_that_is_no_input_is_told(command, tmp_path):
    task = shades(tmp_path)
    task.write_text(TASK.replace('pictures = ["photo"]', 'pictures = ["phto"]'))
    said = command("optimize", str(task), "--forward", "simulated:")
    assert said.code == 2
    assert "'pictures'" in said.err
