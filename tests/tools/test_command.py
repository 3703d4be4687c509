"""Every command, from its arguments to its exit code, on a simulated world."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from aiohttp import web
from commandline import LOOKUP, Command, Serve, check_frame, check_result, completion

from semprop.engine import __version__, load
from semprop.tools import listing
from semprop.tools.screen import screen

RIGHT = "Give the value of the field primary."


@pytest.fixture
def run(command: Command) -> Path:
    """A finished run."""
    assert command("optimize", LOOKUP, "--run", "run").code == 0
    return Path("run")


# optimize -------------------------------------------------------------------------------------------------------------


def test_optimize_prints_one_document_of_the_promised_form(command: Command) -> None:
    said = command("optimize", LOOKUP, "--json")
    assert (said.code, said.err) == (0, "")
    document = said.document
    check_result(document)
    assert document["status"] == "done"
    assert document["simulated"] is True
    assert document["result"]["held_out"]["n"] == 32
    assert document["result"]["parameters"]["key-instruction"]["after"].count("primary") == 1
    assert any(note.startswith("simulated:") for note in document["result"]["notes"])


def test_two_runs_of_one_seed_have_the_same_result_byte_for_byte(command: Command) -> None:
    results = [
        orjson.dumps(command("optimize", LOOKUP, "--json", "--run", name, "--in-flight", bound).document["result"])
        for name, bound in (("one", "1"), ("other", "64"))
    ]
    assert results[0] == results[1]


def test_the_run_is_named_after_task_and_time(command: Command) -> None:
    document = command("optimize", LOOKUP, "--json").document
    assert document["run"] == "semprop-runs/lookup-20260102T030405Z-beef"
    assert Path(document["run"], "journal.sqlite").is_file()


def test_optimize_tells_the_defaults_before_and_the_claim_after(command: Command) -> None:
    said = command("optimize", LOOKUP)
    assert said.code == 0
    for words in ("task: lookup", "providers: simulated:", "train 8, gate 12, test 32", "method: semantic", "2 steps"):
        assert words in said.err
    for words in ("0.0 %", "100.0 %", "reliable gain", "95 % interval", "n = 32", "lenient", "$0"):
        assert words in said.out
    assert re.search(r"^  - Give the value of the field previous\.\n  \+ .*\bprimary\b", said.out, re.MULTILINE)


def test_a_simulated_result_says_so_first(command: Command) -> None:
    assert command("optimize", LOOKUP).out.lstrip().startswith("simulated:")


def test_without_a_terminal_progress_is_plain_lines(command: Command) -> None:
    said = command("optimize", LOOKUP)
    assert "\x1b" not in said.err + said.out
    assert re.search(r"^step 1: \d+ of \d+ wrong", said.err, re.MULTILINE)
    assert re.search(r"^test 0 of 32 · ", said.err, re.MULTILINE)


def test_flags_win_over_the_tasks_defaults(command: Command) -> None:
    flags = "--steps 1 --minibatch 4 --examples-per-gradient all --candidates 2 --gate none --seed 3 --train 5"
    sizes = "--gate-size 4 --test 6 --method semantic-advised --in-flight 3"
    said = command("optimize", LOOKUP, *flags.split(), *sizes.split())
    assert said.code == 0, said.err
    for words in (
        "train 5, gate 4, test 6",
        "method: semantic, gate none",
        "1 steps",
        "minibatch 4",
        "the whole minibatch a gradient",
        "2 candidates",
        "seed 3",
        "3 in flight",
    ):
        assert words in said.err


def test_nothing_is_claimed_from_few_held_out_examples(command: Command) -> None:
    document = command("optimize", LOOKUP, "--test", "5", "--json").document
    assert document["status"] == "undecided"
    assert document["result"]["held_out"]["word"] == "too few to say"


def test_a_named_provider_comes_from_the_providers_file(command: Command) -> None:
    Path("providers.toml").write_text('[provider.mine]\nspec = "simulated:ties=lexicographic"\n')
    said = command("optimize", LOOKUP, "--providers", "providers.toml", "--forward", "mine", "--json")
    assert said.code == 0, said.err
    assert said.document["result"]["models"]["judge"] == "simulated:rules-3&ties=lexicographic"


def test_naming_the_forward_provider_leaves_no_role_to_the_tasks_defaults(command: Command) -> None:
    # gsm8k's own providers cost money; whoever names another one must not pay by surprise.
    Path("gsm8k").mkdir()
    said = command("optimize", "gsm8k", "--data", ".", "--forward", "simulated:", "--json")
    assert said.code == 2
    assert "train.jsonl is absent" in said.document["error"]["message"]
    text = Path(LOOKUP).read_text().replace('{"forward": "simulated:"}', 'dict.fromkeys(("backward",), "openai:dear")')
    Path("own.py").write_text(text)
    models = command("optimize", "own.py:task", "--forward", "simulated:", "--json").document["result"]["models"]
    assert set(models.values()) == {"simulated:rules-3"}


def test_a_run_starts_from_the_parameters_in_a_file(command: Command) -> None:
    Path("start.json").write_bytes(orjson.dumps({"key-instruction": RIGHT}))
    document = command("optimize", LOOKUP, "--start", "start.json", "--json").document
    assert document["status"] == "no_gain"
    assert document["result"]["held_out"]["before"] == 1.0


def test_an_unknown_price_is_unknown_and_never_zero(command: Command, serve: Serve) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return completion("Poole")

    spec = serve(answer)
    document = command("evaluate", LOOKUP, "--forward", spec, "--test", "2", "--json").document
    assert document["telemetry"]["cost"] == {"usd": None, "unpriced_requests": 5}  # one is a twin
    assert "price unknown" in command("evaluate", LOOKUP, "--forward", spec, "--test", "2").out


def test_prices_of_the_providers_file_are_counted(command: Command, serve: Serve) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return completion("Poole")

    table = f'[provider.mine]\nspec = "{serve(answer)}"\nprices = {{ input = 1000000, output = 0 }}\n'
    Path("providers.toml").write_text(table)
    arguments = ("evaluate", LOOKUP, "--providers", "providers.toml", "--forward", "mine", "--test", "2", "--json")
    assert command(*arguments).document["telemetry"]["cost"] == {"usd": 50.0, "unpriced_requests": 0}


# evaluate -------------------------------------------------------------------------------------------------------------


def test_evaluate_scores_the_tasks_own_parameters(command: Command) -> None:
    said = command("evaluate", LOOKUP, "--json")
    assert (said.code, said.err) == (0, "")
    check_frame(said.document)
    held = said.document["result"]["held_out"]
    assert (held["score"], held["n"], held["missing"], held["interval"][0]) == (0.0, 32, 0, 0.0)
    assert 0.05 < held["interval"][1] < 0.2


def test_evaluate_takes_the_parameters_of_a_run_or_of_a_file(command: Command, run: Path) -> None:
    assert command("export", str(run), "out").code == 0
    for source in ("run", "out/parameters.json"):
        held = command("evaluate", LOOKUP, "--parameters", source, "--test", "20", "--json").document["result"]
        assert (held["held_out"]["score"], held["held_out"]["n"]) == (1.0, 20)


def test_evaluate_takes_a_run_whose_method_added_demonstrations_if_it_is_named(command: Command) -> None:
    flags = "--method demonstrations --gate none --steps 1 --run shots --test 3"
    assert command("optimize", LOOKUP, *flags.split()).code == 0
    said = command("evaluate", LOOKUP, "--parameters", "shots", "--test", "3")
    assert (said.code, "name it with --method" in said.err) == (2, True)
    said = command("evaluate", LOOKUP, "--method", "demonstrations", "--parameters", "shots", "--test", "3", "--json")
    assert said.document["result"]["held_out"]["n"] == 3


def test_one_parameter_is_optimized_and_wrong_labels_are_told(command: Command) -> None:
    flags = "--only table-instruction --wrong-labels 0.5 --steps 1 --test 3 --json"
    result = command("optimize", LOOKUP, *flags.split()).document["result"]
    changed = [name for name, sides in result["parameters"].items() if sides["before"] != sides["after"]]
    assert changed in ([], ["table-instruction"])
    assert any("training labels were wrong" in note for note in result["notes"])
    said = command("optimize", LOOKUP, "--only", "nothing")
    assert (said.code, "trainable are: key-instruction" in said.err) == (2, True)


def test_evaluate_shows_score_interval_and_label(command: Command) -> None:
    said = command("evaluate", LOOKUP)
    assert said.out.lstrip().startswith("simulated:")
    for words in ("strict", "0.0 %", "95 % interval", "32 held-out examples", "Wilson"):
        assert words in said.out


# show, export, runs ---------------------------------------------------------------------------------------------------


def test_show_gives_the_document_that_the_run_gave(command: Command, run: Path) -> None:
    shown = command("show", str(run), "--json").document
    check_result(shown)
    assert shown == command("show", str(run), "--json").document
    assert shown["result"]["steps"][0]["verdict"] == "accept"
    assert re.search(r"^  \+ .*\bprimary\b", command("show", str(run)).out, re.MULTILINE)


def test_why_tells_examples_messages_edit_and_verdict_in_this_order(command: Command, run: Path) -> None:
    said = command("show", str(run), "--why", "key-instruction")
    assert said.code == 0
    places = [
        said.out.index(words)
        for words in (
            "example lookup-",
            "expected:",
            "change, says key",
            "It should state",
            "edit (candidate",
            "verdict",
        )
    ]
    assert places == sorted(places)
    assert ": accepted" in said.out
    (link,) = command("show", str(run), "--why", "key-instruction", "--json").document["why"]
    assert link["edits"][0]["accepted"] is True
    assert "primary" in link["edits"][0]["after"]
    assert link["verdict"]["gate"]["after"] == 1.0
    assert {message["stance"] for message in link["examples"][0]["messages"]} == {"change"}


def test_why_says_when_nothing_was_tried(command: Command, run: Path) -> None:
    assert "no step tried to change table-instruction" in command("show", "run", "--why", "table-instruction").out


def test_prompts_shows_one_request_of_every_kind_as_it_was_sent(command: Command, run: Path) -> None:
    prompts = command("show", str(run), "--prompts", "--json").document["prompts"]
    kinds = [(entry["pass"], entry["node"]) for entry in prompts]
    assert kinds[0][0] == "forward"
    assert {"forward", "backward", "update", "gate", "test"} <= {phase for phase, _ in kinds}
    assert len({(entry["pass"], entry["node"], entry["slot"]) for entry in prompts}) == len(prompts)
    assert "You trace an error back" in command("show", str(run), "--prompts").out


def test_export_writes_prompts_as_plain_files_and_a_graph_that_loads(command: Command, run: Path) -> None:
    assert command("export", str(run), "deep/out").code == 0
    out = Path("deep/out")
    assert sorted(path.name for path in out.iterdir()) == [
        "graph.json",
        "graph.mmd",
        "key-instruction.txt",
        "parameters.json",
        "place-instruction.txt",
        "table-instruction.txt",
    ]
    edited = load(run).parameters["key-instruction"]
    assert isinstance(edited, str)
    assert "primary" in edited
    assert (out / "key-instruction.txt").read_text() == edited
    assert orjson.loads((out / "parameters.json").read_bytes())["key-instruction"] == edited
    assert orjson.loads((out / "graph.json").read_bytes())["parameters"][0]["value"] == edited
    assert (out / "graph.mmd").read_text().startswith("flowchart")


def test_a_parameter_that_is_called_as_a_file_of_an_export_is_has_a_file_of_its_own(command: Command) -> None:
    Path("rows.jsonl").write_text("".join(f'{{"question": "q{n}", "answer": "a"}}\n' for n in range(40)))
    Path("mine.toml").write_text(
        'data = "rows.jsonl"\ninputs = ["question"]\nexpected = "answer"\nloss = "exact"\n'
        '[[parameter]]\nname = "graph"\nnumber = 0.5\nlow = 0\nhigh = 1\n'
        '[[node]]\nname = "answer"\ninstruction = "Answer."\ninputs = ["question"]\n'
        'numbers = { temperature = "graph" }\n'
        '[sizes]\ntrain = 4\ngate = 4\ntest = 4\n[defaults]\nsteps = 1\nproviders = { forward = "simulated:" }\n'
    )
    assert command("optimize", "mine.toml", "--run", "run").code == 0
    assert command("export", "run", "out").code == 0
    assert orjson.loads(Path("out/graph.value.json").read_bytes())["value"] == 0.5
    assert orjson.loads(Path("out/graph.json").read_bytes())["output"] == "answer"


def test_a_graph_with_functions_can_be_exported_without_its_code(command: Command) -> None:
    Path("own.py").write_text(
        "from semprop.bench.task import *\nfrom semprop.engine import *\n"
        "def first(reply):\n    'The first line.'\n    return reply\n"
        "def load(source, seed, sizes):\n"
        "    rows = [Example(str(n), {'question': f'always {n}'}, 'yes') for n in range(40)]\n"
        "    return split(rows, seed, train=4, gate=4, test=4)\n"
        "graph = Graph(inputs=('question',), parameters=[Parameter('ask', 'In every case write no.')],\n"
        "    nodes=[Model('reply', 'ask', ('question',)), Function('top', first, ('reply',))], output='top')\n"
        "defaults = Defaults(Sizes(4, 4, 4), providers={'forward': 'simulated:'})\n"
        "task = Task('own', 'own', graph, Exact(), load, defaults)\n"
    )
    assert command("optimize", "own.py:task", "--run", "run", "--steps", "1").code == 0
    assert command("export", "run", "out").code == 0
    assert '[["top"]]' in Path("out/graph.mmd").read_text()


def test_runs_lists_what_came_of_each(command: Command, run: Path) -> None:
    Path("notes").mkdir()
    said = command("runs", ".")
    assert said.code == 0
    assert re.search(r"^run +lookup +done +\+100\.0 points +\$0 +20\d\d-", said.out, re.MULTILINE)
    assert "notes" not in said.out
    (row,) = command("runs", ".", "--json").document["runs"]
    assert (row["task"], row["status"], row["gain"]) == ("lookup", "done", 1.0)


def test_a_run_that_cannot_be_read_does_not_hide_the_others(command: Command, run: Path) -> None:
    Path("broken").mkdir()
    Path("broken/journal.sqlite").write_bytes(b"not a database, but long enough to look at" * 40)
    said = command("runs", ".")
    assert said.code == 0
    assert "unreadable" in said.out
    assert "+100.0 points" in said.out


# tasks, pull, version -------------------------------------------------------------------------------------------------


def test_tasks_names_every_task_with_sizes_and_provider(command: Command) -> None:
    said = command("tasks")
    assert said.code == 0
    for words in ("gsm8k", "liar", "bbh:web_of_lies", "64/64/128", "openai:gpt-4o-mini", "path.py:task"):
        assert words in said.out


def test_pull_tells_path_and_hash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = tmp_path / "model.gguf"
    weights.write_bytes(b"weights")
    ended = listing.pull("smollm2", screen(json=False), fetch=lambda model: weights)
    said = capsys.readouterr()
    assert ended.code == 0
    assert said.out.splitlines() == [str(weights), f"sha256 {hashlib.sha256(b'weights').hexdigest()}"]
    assert "93 MB" in said.err


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["optimize", "--help"]])
def test_version_and_help_end_well(command: Command, arguments: list[str]) -> None:
    assert command(*arguments).code == 0


def test_python_minus_m_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "semprop.tools", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"semprop {__version__}\n")


@pytest.mark.parametrize("flags", [[], ["--json"], ["--help"]])
def test_a_reader_that_has_gone_is_no_reason_to_complain(flags: list[str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "semprop.tools", "tasks", *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141, "as a shell says it: ended by SIGPIPE"


def test_what_a_users_task_prints_does_not_spoil_the_document(command: Command) -> None:
    Path("loud.py").write_text("print('hello')\n" + Path(LOOKUP).read_text())
    said = command("optimize", "loud.py:task", "--json")
    assert said.document["status"] == "done"
    assert "hello" in said.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_output_that_finds_no_room_is_a_storage_error_and_a_closed_one_is_none() -> None:
    command_line = f"{shlex.quote(sys.executable)} -m semprop.tools tasks"
    for flags in ("", "--json"):
        full = subprocess.run(["sh", "-c", f"{command_line} {flags} > /dev/full"], capture_output=True, text=True)
        assert (full.returncode, full.stderr.count("no space is left")) == (5, 1)
        assert "Traceback" not in full.stderr
    assert subprocess.run(["sh", "-c", f"{command_line} >&-"], capture_output=True).returncode == 0
    assert subprocess.run(["sh", "-c", f"{command_line} 2>&-"], capture_output=True).returncode == 0


def test_letters_that_stdout_does_not_have_are_written_out_and_a_document_is_utf_8() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    line = [sys.executable, "-m", "semprop.tools", "optimize"]
    helped = subprocess.run([*line, "--help"], capture_output=True, env=environment)
    assert (helped.returncode, helped.stderr) == (0, b"")
    assert b"\\u2026" in helped.stdout
    refused = subprocess.run([*line, "größe.toml", "--json"], capture_output=True, env=environment)
    assert refused.returncode == 2
    assert "größe.toml" in orjson.loads(refused.stdout)["error"]["message"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are text")
def test_a_file_whose_name_is_no_text_is_named_in_the_document() -> None:
    line = [sys.executable, "-m", "semprop.tools", "optimize", b"\xff.toml", "--json"]
    refused = subprocess.run(line, capture_output=True)
    assert refused.returncode == 2
    assert "\udcff.toml" in json.loads(refused.stdout)["error"]["message"]
