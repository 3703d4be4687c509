"""The shape of the source tree: which way imports point, who starts tasks, how long things are. Read, not run."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("engine", "providers", "bench", "tools")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}

LAYERS = ("tools", "bench", "engine.training", "engine.passes", "engine.methods", "engine")
"""From the top: each may import what stands below it, and never what stands above."""

SEAMS = ("base", "errors", "clock")
"""What the engine may know of the providers."""

SPAWNING = ("create_task_group", "TaskGroup", "create_task", "ensure_future", "gather", "start_blocking_portal")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def name_of(path):
    """A module's dotted name below `semprop`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def inside(module, package):
    return module == package or module.startswith(f"{package}.")


def imported(tree):
    """(node, module below `semprop`) for every import of a module of ours."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [node.module or ""]
            # `from semprop.engine import graph` may name a module.
            names += [f"{node.module}.{alias.name}" for alias in node.names if is_module(f"{node.module}.{alias.name}")]
        else:
            continue
        for name in names:
            if name.startswith("semprop."):
                yield node, name.removeprefix("semprop.")


def is_module(name):
    path = ROOT.joinpath(*name.split(".")[1:])
    return name.startswith("semprop.") and (path.with_suffix(".py").is_file() or (path / "__init__.py").is_file())


def imports_of(path):
    return [module for _, module in imported(TREES[path])]


def rank(module):
    """How high a module stands; None for the providers, which stand beside."""
    return next((place for place, layer in enumerate(LAYERS) if inside(module, layer)), None)


def called(tree):
    """(line, name) of everything that is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            yield node.lineno, function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def of(*packages):
    return [path for path in FILES if any(inside(name_of(path), package) for package in packages)]


each_file = pytest.mark.parametrize("path", FILES, ids=name_of)


def test_there_is_something_to_check():
    assert len(FILES) > 50
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(PACKAGES)


def test_the_check_itself_sees_what_it_forbids():
    lines = ["from semprop.engine import graph", "import semprop.providers.base", "gather()", "a.create_task()"]
    tree = ast.parse("\n    ".join(["def f():", *lines]))
    assert [module for _, module in imported(tree)] == ["engine", "engine.graph", "providers.base"]
    assert {name for _, name in called(tree)} == {"gather", "create_task"}
    assert [rank(name) for name in ("tools.main", "engine.passes.loss", "engine.graph", "providers.base")] == [
        0,
        3,
        5,
        None,
    ]


# Directions ----------------------------------------------------------------------------------------------------------


@each_file
def test_arrows_go_one_way(path):
    here = rank(name_of(path))
    # The package's own front door lists what is public, from every layer below it.
    if here is None or name_of(path) == "engine":
        return
    above = [module for module in imports_of(path) if (other := rank(module)) is not None and other < here]
    assert not above


@pytest.mark.parametrize("path", of("engine"), ids=name_of)
def test_the_engine_never_goes_through_its_own_front_door(path):
    assert "engine" not in imports_of(path)


@pytest.mark.parametrize("path", of("engine.passes"), ids=name_of)
def test_no_pass_imports_a_pass(path):
    assert not [module for module in imports_of(path) if inside(module, "engine.passes")]


@pytest.mark.parametrize("path", of("providers"), ids=name_of)
def test_providers_know_nothing_of_anybody_else(path):
    assert all(inside(module, "providers") for module in imports_of(path))


@pytest.mark.parametrize("path", of("engine"), ids=name_of)
def test_the_engine_knows_only_the_seams_of_the_providers(path):
    allowed = [f"providers.{name}" for name in SEAMS]
    assert not [module for module in imports_of(path) if inside(module, "providers") and module not in allowed]


def test_there_is_no_cycle_of_imports():
    # A package's front door lists what is public; its modules do not go through it.
    graph = {name_of(path): imports_of(path) for path in FILES if path.name != "__init__.py"}
    left = {name: {module for module in modules if module in graph} for name, modules in graph.items()}
    while free := [name for name, modules in left.items() if not modules]:
        for name in free:
            del left[name]
        for modules in left.values():
            modules.difference_update(free)
    assert not left


@each_file
def test_modules_of_ours_are_imported_at_the_top(path):
    top = TREES[path].body
    guarded = [node for entry in top if isinstance(entry, ast.If | ast.Try) for node in ast.walk(entry)]
    assert not [node.lineno for node, _ in imported(TREES[path]) if node not in top and node not in guarded]


# Concurrency and determinism -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", of("engine"), ids=name_of)
def test_only_the_scheduler_of_the_engine_starts_tasks(path):
    if name_of(path) != "engine.scheduler":
        assert not [entry for entry in called(TREES[path]) if entry[1] in SPAWNING]


def test_at_most_one_module_of_the_providers_starts_tasks():
    starting = [name_of(path) for path in of("providers") if any(name in SPAWNING for _, name in called(TREES[path]))]
    assert len(starting) <= 1


@pytest.mark.parametrize("path", of("engine", "providers"), ids=name_of)
def test_the_library_never_starts_an_event_loop(path):
    runs = [
        node.lineno
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.Attribute)
        and node.attr in ("run", "new_event_loop", "run_until_complete")
        and getattr(node.value, "id", "") in ("asyncio", "anyio", "loop", "uvloop")
    ]
    assert not runs


@pytest.mark.parametrize("path", of("engine"), ids=name_of)
def test_nothing_random_and_no_clock_enters_a_decision(path):
    if inside(name_of(path), "engine.training"):
        return
    modules = {alias.name for node in ast.walk(TREES[path]) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in ast.walk(TREES[path]) if isinstance(node, ast.ImportFrom)}
    assert not modules & {"time", "random", "secrets", "uuid", "datetime", "numpy.random"}


# Sizes and words -----------------------------------------------------------------------------------------------------


@each_file
def test_a_module_has_at_most_400_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@each_file
def test_a_function_has_at_most_60_lines_and_8_parameters(path):
    for node in ast.walk(TREES[path]):
        if not isinstance(node, FUNCTIONS):
            continue
        assert node.end_lineno - node.lineno + 1 <= 60, node.name
        given = node.args
        count = len([*given.posonlyargs, *given.args, *given.kwonlyargs])
        # A command's parameters are its flags.
        assert inside(name_of(path), "tools") or count - ("self" in [entry.arg for entry in given.args]) <= 8, node.name


@each_file
def test_a_module_opens_by_saying_what_it_is(path):
    tree = TREES[path]
    assert ast.get_docstring(tree) or (path.name == "__init__.py" and not tree.body)


@each_file
def test_nothing_is_put_off_and_nothing_is_swallowed(path):
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"a bare except in line {node.lineno}"
            only = node.body[0]
            assert not (len(node.body) == 1 and isinstance(only, ast.Pass)), (
                f"an error is swallowed in line {node.lineno}"
            )
        assert not (isinstance(node, ast.Raise) and "NotImplementedError" in ast.unparse(node))
    assert "TODO" not in path.read_text(encoding="utf-8")


@each_file
def test_model_text_is_never_evaluated(path):
    assert not [entry for entry in called(TREES[path]) if entry[1] in ("eval", "exec") and entry[1]]
