"""Bad input gets one clear message with the mend, exit code 2, and nothing half-written; the document says the same."""

from __future__ import annotations

import socket
import sqlite3
import sys
from pathlib import Path

import orjson
import pytest
from aiohttp import web
from commandline import LOOKUP, Command, Said, Serve, check_frame, check_result, completion, refusal

LOOKUP_TOML = """
data = "rows.jsonl"
inputs = ["question"]
expected = "answer"
loss = "exact"
[graph]
shape = "chain"
instructions = ["Answer."]
[defaults]
providers = { forward = "simulated:", backward = "simulated:", update = "simulated:" }
"""


def files() -> list[Path]:
    """Everything in the present directory, but for what SQLite keeps beside a journal that was read."""
    return sorted(path for path in Path().rglob("*") if not path.name.startswith("journal.sqlite-"))


def check_refused(command: Command, *arguments: str, words: tuple[str, ...], code: int = 2) -> Said:
    """The order is refused in words that hold `words`, with and without a document, and leaves nothing behind."""
    before = files()
    plain = command(*arguments)
    assert (plain.code, plain.out) == (code, ""), plain
    last = plain.err.splitlines()[-1]
    assert last.startswith("semprop: "), plain.err
    assert "Traceback" not in plain.err
    for word in words:
        assert word in last, last
    said = command(*arguments, "--json")
    assert said.code == code
    check_frame(said.document)
    assert (said.document["status"], said.document["error"]["exit_code"]) == ("failed", code)
    assert said.document["error"]["message"] == last.removeprefix("semprop: ")
    assert said.err == last + "\n"
    assert files() == before, "something was left behind"
    return said


def test_an_unknown_task_is_answered_with_near_matches(command: Command) -> None:
    check_refused(command, "optimize", "gsm9k", words=("no task 'gsm9k'", "Did you mean gsm8k?"))


def test_an_unknown_provider_kind_is_answered_with_the_kinds(command: Command) -> None:
    words = ("no provider 'opnai:gpt'", "openai:MODEL", "embedded:smollm2", "simulated:")
    check_refused(command, "optimize", LOOKUP, "--forward", "opnai:gpt", words=words)


def test_an_unknown_provider_name_is_answered_with_the_names_of_the_file(command: Command) -> None:
    Path("providers.toml").write_text('[provider.mine]\nspec = "simulated:"\n')
    arguments = ("optimize", LOOKUP, "--providers", "providers.toml", "--update", "yours")
    check_refused(command, *arguments, words=("'yours'", "mine"))


def test_a_missing_key_is_told_once_with_its_variable(command: Command) -> None:
    arguments = ("optimize", LOOKUP, "--forward", "openai:gpt-4o-mini")
    said = check_refused(command, *arguments, words=("needs a key", "OPENAI_API_KEY"))
    assert said.document["error"]["message"].count("OPENAI_API_KEY") == 1


def test_a_refused_key_is_told_once_and_leaves_no_run(command: Command, serve: Serve) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return refusal(401, "Incorrect API key provided")

    arguments = ("optimize", LOOKUP, "--forward", serve(answer), "--run", "deep/run")
    check_refused(command, *arguments, words=("Incorrect API key provided",))


def test_an_evaluation_with_a_refused_key_ends_alike(command: Command, serve: Serve) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return refusal(401, "Incorrect API key provided")

    check_refused(command, "evaluate", LOOKUP, "--forward", serve(answer), words=("Incorrect API key provided",))


def test_a_malformed_row_is_told_with_file_and_line(command: Command) -> None:
    Path("task.toml").write_text(LOOKUP_TOML)
    Path("rows.jsonl").write_text('{"question": "a", "answer": "b"}\n{"question": "a", "answer"\n')
    check_refused(command, "optimize", "task.toml", words=("rows.jsonl:2", "JSON"))


def test_a_file_of_another_sha256_is_refused(command: Command) -> None:
    Path("gsm8k").mkdir()
    Path("gsm8k/train.jsonl").write_text("{}\n")
    arguments = ("optimize", "gsm8k", "--forward", "simulated:", "--data", ".")
    check_refused(command, *arguments, words=("gsm8k/train.jsonl", "sha256", "expected"))


@pytest.mark.parametrize("split", ["train", "gate"])
def test_an_empty_split_is_refused(command: Command, split: str) -> None:
    flag = {"train": "--train", "gate": "--gate-size"}[split]
    check_refused(command, "optimize", LOOKUP, flag, "0", words=(f"the {split} split is empty",))


def test_an_evaluation_without_examples_is_refused(command: Command) -> None:
    check_refused(command, "evaluate", LOOKUP, "--test", "0", words=("the test split is empty",))


@pytest.mark.parametrize("flag", ["--steps", "--minibatch", "--candidates", "--in-flight"])
def test_a_size_of_nothing_is_refused(command: Command, flag: str) -> None:
    check_refused(command, "optimize", LOOKUP, flag, "0", words=(flag,))


@pytest.mark.parametrize("value", ["some", "-1", "1.5"])
def test_examples_per_gradient_are_a_number_or_all(command: Command, value: str) -> None:
    check_refused(command, "optimize", LOOKUP, f"--examples-per-gradient={value}", words=(value, "all"))


@pytest.mark.parametrize(("flag", "names"), [("--method", "semantic-advised"), ("--gate", "strict")])
def test_an_unknown_method_or_gate_is_answered_with_the_known_ones(command: Command, flag: str, names: str) -> None:
    check_refused(command, "optimize", LOOKUP, flag, "magic", words=("'magic'", names))


def test_a_run_directory_that_exists_is_refused_and_left_alone(command: Command) -> None:
    Path("run").mkdir()
    Path("run/precious").write_text("mine")
    check_refused(command, "optimize", LOOKUP, "--run", "run", words=("run directory run exists", "--run"))
    assert Path("run/precious").read_text() == "mine"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", ("start.json is not JSON",)),
        ("[]", ("start.json holds list",)),
        ('{"nope": "text"}', ("'nope'", "key-instruction")),
        ('{"key-instruction": 3}', ("start.json", "not a parameter value")),
        ('{"key-instruction": {"value": 0.5}}', ("key-instruction", "number")),
    ],
)
@pytest.mark.parametrize(("order", "flag"), [("optimize", "--start"), ("evaluate", "--parameters")])
def test_malformed_parameters_are_refused(
    command: Command, content: str, words: tuple[str, ...], order: str, flag: str
) -> None:
    Path("start.json").write_text(content)
    check_refused(command, order, LOOKUP, flag, "start.json", words=words)


def test_parameters_out_of_nowhere_are_refused(command: Command) -> None:
    check_refused(command, "evaluate", LOOKUP, "--parameters", "nope.json", words=("nope.json", "cannot be read"))
    Path("empty").mkdir()
    check_refused(command, "evaluate", LOOKUP, "--parameters", "empty", words=("empty holds no run",))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["optimise"], ("optimise",)),
        (["optimize", "--bogus"], ("--bogus",)),
        (["optimize"], ("TASK",)),
        (["optimize", LOOKUP, "--seed", "many"], ("--seed", "integer")),
        (["--log-level", "loud", "tasks"], ("loud",)),
        ([], ("give a command",)),
    ],
)
def test_a_command_line_that_is_wrong_gets_code_2(
    command: Command, arguments: list[str], words: tuple[str, ...]
) -> None:
    said = command(*arguments)
    assert said.code == 2
    for word in words:
        assert word in said.err
    assert command(*arguments, "--json").code == 2


def test_show_and_export_need_a_run(command: Command) -> None:
    check_refused(command, "show", "nope", words=("nope holds no run",))
    check_refused(command, "export", "nope", "out", words=("nope holds no run",))
    check_refused(command, "runs", "nope", words=("no directory nope",))


def test_show_names_the_parameters_when_asked_for_another(command: Command) -> None:
    assert command("optimize", LOOKUP, "--run", "run", "--steps", "1").code == 0
    check_refused(command, "show", "run", "--why", "nope", words=("'nope'", "key-instruction"))


def test_export_refuses_a_directory_that_holds_something(command: Command) -> None:
    assert command("optimize", LOOKUP, "--run", "run", "--steps", "1").code == 0
    Path("out").mkdir()
    Path("out/precious").write_text("mine")
    check_refused(command, "export", "run", "out", words=("out exists and is not empty",))
    check_refused(command, "export", "run", "out/precious", words=("exists and is not empty",))


def test_an_unknown_model_to_pull_is_answered_with_the_known_ones(command: Command) -> None:
    check_refused(command, "pull", "gpt", words=("'gpt'", "smollm2"))


def test_a_users_file_that_raises_is_told_with_its_line(command: Command) -> None:
    Path("own.py").write_text("x = 1\nraise RuntimeError('oh')\n")
    check_refused(command, "optimize", "own.py:task", words=("own.py", "RuntimeError: oh", "line 2"))


@pytest.mark.parametrize("text", ["import sys\nsys.exit(0)\n", "def task():\n    raise SystemExit(0)\n"])
def test_a_users_file_that_ends_the_process_is_refused_with_its_line(command: Command, text: str) -> None:
    Path("own.py").write_text(text)
    check_refused(command, "optimize", "own.py:task", words=("own.py", "SystemExit: 0", "line 2"))


# Other codes ----------------------------------------------------------------------------------------------------------


def dead_endpoint() -> str:
    """A specification of an endpoint at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"openai:model@http://127.0.0.1:{free.getsockname()[1]}/v1"


def test_an_endpoint_that_is_down_gets_code_3_and_leaves_no_run(command: Command) -> None:
    arguments = ("optimize", LOOKUP, "--forward", dead_endpoint(), "--run", "run")
    check_refused(command, *arguments, words=("calls to openai:model", "none succeeded"), code=3)


def test_a_run_in_which_nothing_held_out_could_be_scored_gets_code_3(command: Command) -> None:
    sizes = ("--train", "1", "--gate-size", "1", "--test", "1", "--steps", "1")
    said = command("optimize", LOOKUP, "--forward", dead_endpoint(), "--run", "run", "--json", *sizes)
    assert said.code == 3, said
    check_result(said.document)
    assert said.document["status"] == "failed"
    assert "no held-out example could be scored" in said.document["error"]["message"]
    assert "semprop show run" in said.document["error"]["message"]
    check_refused(
        command, "evaluate", LOOKUP, "--forward", dead_endpoint(), "--test", "2", words=("2 examples",), code=3
    )


def test_a_key_that_is_refused_later_keeps_what_was_paid_for(command: Command, serve: Serve) -> None:
    asked: list[None] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(None)
        return completion("nothing") if len(asked) <= 20 else refusal(401, "revoked")

    arguments = ("optimize", LOOKUP, "--forward", serve(answer), "--run", "run", "--in-flight", "1")
    said = command(*arguments, "--json")
    assert said.code == 2
    check_result(said.document)
    assert said.document["status"] == "failed"
    assert said.document["run"] == "run"
    assert "revoked" in said.document["error"]["message"]
    assert said.document["telemetry"]["tokens"]["input"] >= 150
    shown = command("show", "run", "--json").document
    assert shown["status"] == "failed"


def test_a_bill_that_is_not_paid_gets_code_3(command: Command, serve: Serve) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        error = {
            "message": "You exceeded your current quota",
            "type": "insufficient_quota",
            "code": "insufficient_quota",
        }
        return web.json_response({"error": error}, status=429)

    check_refused(command, "evaluate", LOOKUP, "--forward", serve(answer), words=("quota",), code=3)


@pytest.mark.skipif(sys.platform == "win32", reason="directories of Windows have no such mode")
def test_a_place_that_cannot_be_written_gets_code_5(command: Command) -> None:
    Path("file").write_text("")
    check_refused(command, "optimize", LOOKUP, "--run", "file/run", words=("run directory", "file/run"), code=5)


def test_a_damaged_journal_gets_code_5(command: Command) -> None:
    Path("run").mkdir()
    connection = sqlite3.connect("run/journal.sqlite")
    connection.execute("PRAGMA user_version=99")
    connection.close()
    check_refused(command, "show", "run", words=("schema 99",), code=5)


def test_an_error_of_ours_gets_code_1_and_a_traceback_only_on_demand(command: Command) -> None:
    Path("own.py").write_text(Path(LOOKUP).read_text() + "\ndef boom(*_):\n    raise ZeroDivisionError('oh')\n")
    with open("own.py", "a") as file:
        file.write("task = replace(task, load=boom)\n")
    check_refused(
        command, "optimize", "own.py:task", words=("internal error: ZeroDivisionError: oh", "--debug"), code=1
    )
    assert "Traceback" in command("--debug", "optimize", "own.py:task").err


def test_no_key_stands_in_a_message_or_a_document(command: Command, serve: Serve) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return refusal(401, f"Incorrect API key provided: {request.headers['Authorization'].split()[1]}")

    spec = serve(answer)
    said = command("optimize", LOOKUP, "--forward", spec, "--json", environment={"OPENAI_API_KEY": "sk-planted"})
    assert said.code == 2
    assert "planted" not in said.out + said.err
    assert orjson.loads(said.out)["status"] == "failed"


@pytest.mark.parametrize("role", ["backward", "update"])
def test_the_missing_key_of_a_later_role_is_told_before_the_first_call_is_paid(
    command: Command, serve: Serve, role: str
) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return completion("north")

    arguments = ("optimize", LOOKUP, "--forward", serve(answer), f"--{role}", "anthropic:model")
    check_refused(command, *arguments, words=("needs a key", "ANTHROPIC_API_KEY"))
    assert asked == []


def test_a_key_is_not_asked_for_where_no_call_needs_it(command: Command) -> None:
    arguments = ("optimize", LOOKUP, "--method", "demonstrations", "--steps", "1", "--update", "anthropic:model")
    assert command(*arguments).code == 0
