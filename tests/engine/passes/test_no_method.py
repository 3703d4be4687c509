"""The passes and the step know no method: reverse mode and its kin may be deleted, and no pass changes."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import semprop.engine

ENGINE = Path(semprop.engine.__file__).parent
PASSES = Path(__file__).parent
NUMERIC = ("reverse_mode", "numerical", "descent", "mixed")


def imports_of(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("semprop.engine"):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def file_of(module):
    place = ENGINE.joinpath(*module.split(".")[2:])
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def reached(*modules):
    """Every module that these import, however far away, without the package's front door."""
    seen, left = {}, [*modules]
    while left:
        module = left.pop()
        path = file_of(module)
        if module not in seen and path is not None:
            seen[module] = None
            left += imports_of(path)
    return tuple(seen)


PIPELINE = [f"semprop.engine.passes.{path.stem}" for path in (ENGINE / "passes").glob("[a-z]*.py")]


@pytest.mark.parametrize("module", [*sorted(PIPELINE), "semprop.engine.training.step"])
def test_no_pass_nor_the_step_reaches_a_method(module):
    assert len(reached(module)) > 5
    assert not [name for name in reached(module) if name.startswith("semprop.engine.methods")]


def test_the_search_itself_finds_methods():
    assert "semprop.engine.methods.descent" in reached("semprop.engine.methods.reverse_mode")


WITHOUT = """
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec

class Empty(Loader):
    def create_module(self, spec):
        return None

    def exec_module(self, module):
        # The front door and the catalogue name what stood there: all such names are one thing that does nothing.
        def named(name):
            if name.startswith("__"):
                raise AttributeError(name)
            return HELD

        module.__getattr__ = named

class Finder(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        return ModuleSpec(name, Empty()) if name in DELETED else None

HELD = type("Held", (), {})
DELETED = %r
sys.meta_path.insert(0, Finder())

class Check:
    def pytest_collection_finish(self, session):
        import semprop.engine
        assert semprop.engine.reverse_mode is HELD

import pytest
raise SystemExit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *%r], [Check()]))
"""


def test_with_reverse_mode_deleted_every_test_of_the_passes_still_holds():
    deleted = tuple(f"semprop.engine.methods.{name}" for name in NUMERIC)
    files = [str(path) for path in sorted(PASSES.glob("test_*.py")) if path.name != Path(__file__).name]
    files.append(str(PASSES.parent / "training" / "test_step.py"))
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT % (deleted, files)],
        cwd=PASSES.parents[2],
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    assert "passed" in ended.stdout or "100%" in ended.stdout
