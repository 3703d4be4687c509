"""`semprop bench providers` from the command line: its table, its files, its exit codes."""

from __future__ import annotations

import signal

import orjson
import pytest
from commandline import completion, refusal


def bench(tmp_path, *urls: str, benchmark: str = "", prices: str = "prices = { input = 1, output = 2 }"):
    """A file that compares the endpoints behind these specifications."""
    tables = [f'[provider.p{number}]\nspec = "{url}"\nkey_env = ""\n{prices}' for number, url in enumerate(urls)]
    head = f"[benchmark]\nrequests = 4\nblocks = 2\nwarmup = 0\n{benchmark}\n[[load]]\nform = 'concurrency'\nat = 2"
    file = tmp_path / "bench.toml"
    file.write_text("\n".join([head, *tables]))
    return str(file)


async def fine(request):
    return completion("fine")


def test_endpoints_are_compared_and_everything_is_written(command, serve, tmp_path):
    file = bench(tmp_path, serve(fine), serve(fine))
    names = [tmp_path / f"out{ending}" for ending in (".json", ".jsonl", ".html")]
    said = command("bench", "providers", file, "--json", *(word for name in names for word in ("--write", str(name))))
    assert said.code == 0, said
    told = said.document
    assert (told["status"], told["error"]) == ("done", None)
    assert [cell["answered"] for cell in told["cells"]] == [4, 4]
    assert told["cells"][0]["usd_per_request"] == pytest.approx((10 * 1 + 2 * 2) / 1e6)
    assert "first visible token" in told["formulas"]["first_token"]
    assert orjson.loads(names[0].read_bytes())["cells"] == told["cells"]
    assert [orjson.loads(line)["provider"] for line in names[1].read_bytes().splitlines()] == ["p0", "p1"]
    assert names[2].read_text().startswith("<!doctype html>")


def test_a_task_is_scored_and_the_price_of_the_correct_is_told(command, serve, tmp_path):
    (tmp_path / "own.py").write_text(
        "from semprop.bench.task import Defaults, Sizes, Task\n"
        "from semprop.engine import Example, Exact, Graph, Model, Parameter, Splits\n"
        "examples = tuple(Example(f'e{n}', {'q': f'question {n}'}, 'fine' if n % 2 else 'bad') for n in range(6))\n"
        "graph = Graph(inputs=('q',), parameters=[Parameter('p', 'Answer.')],\n"
        "              nodes=[Model('a', 'p', ('q',))], output='a')\n"
        "load = lambda source, seed, sizes: Splits(examples[:1], examples[1:2], examples[2:])\n"
        "task = Task('own', 'own', graph, Exact(), load, Defaults(Sizes(1, 1, 4)))\n"
    )
    file = bench(tmp_path, serve(fine), benchmark=f'task = "{tmp_path / "own.py"}"\nexamples = 4')
    said = command("bench", "providers", file, "--json")
    assert said.code == 0, said
    quality = said.document["quality"]["p0"]
    assert (quality["n"], quality["score"]["value"]) == (4, 0.5)
    assert quality["usd_per_thousand_correct"]["value"] == pytest.approx(1000 * 4 * 14e-6 / 2)
    shown = command("bench", "providers", file)
    assert "p0: score 50.0 %" in shown.out
    assert "per 1,000 correct" in shown.out


def test_one_dead_endpoint_does_not_end_the_others(command, serve, tmp_path):
    async def broke(request):
        return refusal(401, "no such key", "invalid_api_key")

    said = command("bench", "providers", bench(tmp_path, serve(broke), serve(fine)))
    assert said.code == 0, said
    assert "no such key" in said.out


def test_if_every_endpoint_is_dead_the_exit_code_is_that_of_a_provider(command, serve, tmp_path):
    async def broke(request):
        return refusal(401, "no such key", "invalid_api_key")

    file = bench(tmp_path, serve(broke))
    said = command("bench", "providers", file)
    assert said.code == 3
    assert "no such key" in said.err
    told = command("bench", "providers", file, "--json").document
    assert (told["status"], told["error"]["exit_code"]) == ("failed", 3)


def test_ctrl_c_keeps_what_was_measured(command, serve, tmp_path):
    asked = []

    async def interrupting(request):
        asked.append(None)
        if len(asked) == 3:
            signal.raise_signal(signal.SIGINT)
        return completion("fine")

    file, out = bench(tmp_path, serve(interrupting), benchmark="max_tokens = 10"), tmp_path / "out.json"
    said = command("bench", "providers", file, "--json", "--write", str(out))
    assert said.code == 130
    told = said.document
    assert (told["status"], told["error"]["type"]) == ("interrupted", "Interrupted")
    assert told["cells"][0]["answered"] == len(asked) == told["cells"][0]["units"]
    assert orjson.loads(out.read_bytes())["cells"] == told["cells"]


def test_money_is_a_cap_and_ends_with_its_own_exit_code(command, serve, tmp_path):
    file = bench(tmp_path, serve(fine), benchmark="prompt_bytes = 100\nmax_tokens = 10")
    said = command("bench", "providers", file, "--max-usd", "0.00022", "--json")
    assert said.code == 4
    assert said.document["status"] == "budget"
    assert said.document["error"]["exit_code"] == 4
    # At the worst 180 tokens in and 10 out, $0.0002, each; settled at $0.000014: the third one does not fit.
    assert sum(cell["usd"] for cell in said.document["cells"]) == pytest.approx(2 * 14e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.toml"], "cannot be read"),
        (["bench.toml", "--write", "out.txt"], "ends in none of .json, .jsonl, .html"),
        (["bench.toml", "--write", "nowhere/out.json"], "there is no directory nowhere"),
        (["bench.toml", "--parameters", "p.json"], "those of a task"),
    ],
)
def test_wrong_input_is_refused_with_the_mend(command, serve, tmp_path, arguments, words):
    bench(tmp_path, "openai:m@http://127.0.0.1:9/v1")
    said = command("bench", "providers", *arguments)
    assert said.code == 2
    assert words in said.err


def test_a_cap_of_dollars_without_a_price_is_refused(command, tmp_path):
    said = command("bench", "providers", bench(tmp_path, "openai:m@http://127.0.0.1:9/v1", prices=""), "--max-usd", "1")
    assert said.code == 2
    assert "no price is known" in said.err


@pytest.mark.parametrize("body", ["max_tokens = 9000", "generationConfig = { maxOutputTokens = 9000 }"])
def test_a_body_that_changes_how_long_replies_may_be_is_refused_under_a_cap_of_dollars(command, tmp_path, body):
    body = f"prices = {{ input = 1, output = 2 }}\nbody = {{ {body} }}"
    said = command(
        "bench", "providers", bench(tmp_path, "openai:m@http://127.0.0.1:9/v1", prices=body), "--max-usd", "1"
    )
    assert said.code == 2
    assert "cannot be capped" in said.err


def test_a_pool_is_measured_beside_its_members_and_priced_by_who_answered(command, serve, tmp_path):
    file = bench(tmp_path, serve(fine), serve(fine))
    with open(file, "a") as opened:
        opened.write('\n[pool.both]\nmembers = ["p0", "p1"]\npolicy = "fastest"\npatience = 0')
    said = command("bench", "providers", file, "--json", "--max-usd", "1")
    assert said.code == 0, said
    cells = {cell["provider"]: cell for cell in said.document["cells"]}
    assert list(cells) == ["p0", "p1", "both"]
    assert cells["both"]["answered"] == 4
    assert cells["both"]["usd_per_request"] == pytest.approx(14e-6)


def test_a_pool_of_several_models_measures_none_of_them(command, serve, tmp_path):
    file = bench(tmp_path, serve(fine), serve(fine).replace("openai:model", "openai:other"))
    with open(file, "a") as opened:
        opened.write('\n[pool.both]\nmembers = ["p0", "p1"]')
    said = command("bench", "providers", file)
    assert said.code == 2
    assert "the pool 'both' has several models (model, other)" in said.err
