"""The command line as it is written: names, flags and their help. Parses; what is done with it stands elsewhere.

A command gives `Work`, which `semprop.tools.__main__` carries out. Signatures have one argument a flag.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from semprop.engine import __version__
from semprop.engine.training.specification import DEFAULT_ROLES
from semprop.tools import batching, bench, caching, listing, logs, optimizing, recorded, replaying, resuming, verifying
from semprop.tools.endpoint.command import endpoint
from semprop.tools.exits import Ended
from semprop.tools.flags import (
    BUDGET_PANEL,
    METHOD_PANEL,
    RUN_PANEL,
    Alpha,
    AlphaSpending,
    BackwardCalls,
    BackwardStyle,
    Batch,
    Beta,
    Bytes,
    Cache,
    Count,
    Data,
    Delta,
    DryRun,
    Fork,
    Forward,
    GateName,
    GatePool,
    Grace,
    InFlight,
    Json,
    JudgeLabels,
    KeptMessages,
    MethodName,
    Momentum,
    Most,
    MostSeconds,
    MostUsd,
    NoCache,
    Only,
    Providers,
    Rate,
    Role,
    RuleOption,
    RunDirectory,
    RunTo,
    Samples,
    Seed,
    ShownNeighbours,
    Size,
    Start,
    Task,
    Told,
    WholeGate,
    Width,
    WrongExamples,
    WrongLabels,
)
from semprop.tools.interruption import GRACE
from semprop.tools.preparing import RUNS, Surrounding, order_of
from semprop.tools.proxy.command import proxy
from semprop.tools.screen import Screen
from semprop.tools.worlds import worlds

Work = Callable[[Surrounding, Screen], Ended]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Optimize graphs of language-model calls by semantic backpropagation.",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"semprop {__version__}")
        raise typer.Exit


@app.callback()
def semprop(
    log_level: Annotated[logs.Level, typer.Option(help="the least that is logged")] = logs.Level.WARNING,
    log_format: Annotated[logs.Form, typer.Option(help="for people, or a JSON object a line")] = logs.Form.CONSOLE,
    log_file: Annotated[Path | None, typer.Option(help="append log lines to this file, not to stderr")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="show the traceback of an error")] = False,
    otel: Annotated[
        bool,
        typer.Option("--otel", help="send spans and metrics by OTLP (extra `otel`; OTEL_* variables say where)"),
    ] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="say which")] = False,
) -> None:
    logs.configure(logs.Level.DEBUG if debug else log_level, log_format, log_file)


@app.command()
def optimize(
    task: Task,
    forward: Forward = None,
    backward: Role = None,
    update: Role = None,
    judge: Role = None,
    providers: Providers = None,
    method: MethodName = None,
    steps: Count = None,
    minibatch: Count = None,
    examples_per_gradient: WrongExamples = None,
    candidates: Count = None,
    gate: GateName = None,
    alpha: Alpha = None,
    beta: Beta = None,
    delta: Delta = None,
    spending: AlphaSpending = None,
    neighbours: ShownNeighbours = None,
    calls: BackwardCalls = None,
    instruction_message: Told = None,
    backward_style: BackwardStyle = None,
    messages: KeptMessages = None,
    message_bytes: Bytes = None,
    cases_bytes: Bytes = None,
    momentum: Momentum = None,
    only: Only = None,
    wrong_labels: WrongLabels = None,
    rule: RuleOption = None,
    rate: Rate = None,
    width: Width = None,
    samples: Samples = None,
    seed: Seed = 0,
    data: Data = None,
    train: Size = None,
    gate_size: Size = None,
    gate_pool: GatePool = None,
    whole_gate: WholeGate = False,
    test: Size = None,
    judge_labels: JudgeLabels = None,
    start: Start = None,
    run: RunTo = None,
    in_flight: InFlight = None,
    batch: Batch = None,
    max_calls: Most = None,
    max_tokens: Most = None,
    max_input_tokens: Most = None,
    max_output_tokens: Most = None,
    max_usd: MostUsd = None,
    max_seconds: MostSeconds = None,
    grace: Grace = GRACE,
    fork: Fork = None,
    cache: Cache = None,
    no_cache: NoCache = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> Work:
    """Optimize a task's prompts and measure the gain on held-out data."""
    return partial(optimizing.optimize, order_of(locals()))


@app.command()
def resume(
    run: RunDirectory,
    forward: Forward = None,
    backward: Role = None,
    update: Role = None,
    judge: Role = None,
    providers: Providers = None,
    data: Data = None,
    in_flight: InFlight = None,
    batch: Batch = None,
    max_calls: Most = None,
    max_tokens: Most = None,
    max_input_tokens: Most = None,
    max_output_tokens: Most = None,
    max_usd: MostUsd = None,
    max_seconds: MostSeconds = None,
    grace: Annotated[float | None, typer.Option(min=0, rich_help_panel=BUDGET_PANEL)] = None,
    cache: Cache = None,
    no_cache: Annotated[bool | None, typer.Option("--no-cache", rich_help_panel=RUN_PANEL)] = None,
    fork: Fork = None,
    method: MethodName = None,
    steps: Count = None,
    minibatch: Count = None,
    examples_per_gradient: WrongExamples = None,
    candidates: Count = None,
    gate: GateName = None,
    seed: Annotated[int | None, typer.Option(rich_help_panel=METHOD_PANEL)] = None,
    train: Size = None,
    gate_size: Size = None,
    test: Size = None,
    json: Json = False,
) -> Work:
    """Go on with a run that was stopped or killed, repeating no completed call; a finished one is shown. What makes it
    another run (methods, sizes, seed) needs --fork."""
    given = locals()
    roles = {role: given[role] for role in DEFAULT_ROLES if given[role] is not None}
    changes = {name: value for name, value in given.items() if name not in (*DEFAULT_ROLES, "run", "json")}
    return partial(resuming.resume, run, {**changes, "roles": roles})


@app.command()
def replay(run: RunDirectory, data: Data = None, json: Json = False) -> Work:
    """Decide a run again from its journal alone, without any network; the first difference is an error."""
    return partial(replaying.replay, run, data)


@app.command()
def verify(
    run: RunDirectory,
    salvage: Annotated[Path | None, typer.Option(help="write what is whole to this new directory")] = None,
    json: Json = False,
) -> Work:
    """Check every row of a run's journal; keep what is whole of one that is damaged."""
    return partial(verifying.check, run, salvage)


@app.command()
def evaluate(
    task: Task,
    parameters: Annotated[
        Path | None, typer.Option(help="a run's directory, or a JSON file {parameter: value}", metavar="RUN|FILE")
    ] = None,
    forward: Forward = None,
    judge: Role = None,
    providers: Providers = None,
    method: MethodName = None,
    data: Data = None,
    test: Size = None,
    seed: Seed = 0,
    in_flight: InFlight = None,
    max_calls: Most = None,
    max_tokens: Most = None,
    max_input_tokens: Most = None,
    max_output_tokens: Most = None,
    max_usd: MostUsd = None,
    max_seconds: MostSeconds = None,
    grace: Grace = GRACE,
    cache: Cache = None,
    no_cache: NoCache = False,
    json: Json = False,
) -> Work:
    """Score one set of parameters on a task's test split; name the method if it has a graph of its own."""
    order = replace(order_of(locals()), start=parameters)
    return partial(optimizing.evaluate_task, order)


@app.command()
def tasks(json: Json = False) -> Work:
    """List the tasks, with their default sizes and providers."""
    return lambda _, screen: listing.tasks(screen)


@app.command()
def pull(
    model: Annotated[str, typer.Argument(help="an embedded model's name: smollm2", metavar="MODEL")], json: Json = False
) -> Work:
    """Fetch an embedded model's weights into the user's cache."""
    return lambda _, screen: listing.pull(model, screen)


@app.command()
def show(
    run: RunDirectory,
    why: Annotated[
        str | None, typer.Option(help="examples, messages, edits and verdicts of a parameter", metavar="PARAMETER")
    ] = None,
    prompts: Annotated[bool, typer.Option("--prompts", help="one request of every kind, as it was sent")] = False,
    json: Json = False,
) -> Work:
    """Show a run: steps, verdicts, differences; or why a parameter has its value."""
    return lambda _, screen: recorded.show(recorded.ShowOrder(run, why, prompts), screen)


@app.command()
def export(
    run: RunDirectory,
    directory: Annotated[Path, typer.Argument(help="a directory that is not there yet", metavar="DIR")],
    json: Json = False,
) -> Work:
    """Write a run's prompts and graph as plain files."""
    return lambda _, screen: recorded.export(run, directory, screen)


@app.command()
def batches(
    run: RunDirectory,
    cancel: Annotated[bool, typer.Option("--cancel", help="stop those that run; what was answered is charged")] = False,
    json: Json = False,
) -> Work:
    """Show the batches that a run sent, as the provider has them now; or stop them."""
    return partial(batching.batches, run, cancel)


@app.command()
def runs(
    directory: Annotated[Path, typer.Argument(help="a directory of runs", metavar="DIR")] = RUNS, json: Json = False
) -> Work:
    """List the runs in a directory."""
    return lambda _, screen: recorded.list_runs(directory, screen)


app.add_typer(caching.app, name="cache")
app.command()(endpoint)
app.command()(proxy)
app.command()(worlds)
app.add_typer(bench.app, name="bench")
