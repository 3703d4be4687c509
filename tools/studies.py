"""Commands that study a task or the paper before and beside an optimization: their flags and their help. Parses."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from semprop.bench.diagnosis.order import DELTA, ITEMS
from semprop.bench.diagnosis.results import CHEAP, PARTS
from semprop.bench.reproduction.experiment import EXPERIMENTS
from semprop.bench.reproduction.protocol import ARMS, Protocol
from semprop.tools import diagnosing, reproducing
from semprop.tools.command import Work
from semprop.tools.flags import (
    PROVIDER_PANEL,
    Count,
    Data,
    Forward,
    GateName,
    InFlight,
    Json,
    MethodName,
    Providers,
    Role,
    Seed,
    Size,
    Start,
    Task,
)
from semprop.tools.preparing import order_of


def diagnose(
    task: Task,
    forward: Forward = None,
    backward: Role = None,
    update: Role = None,
    judge: Role = None,
    providers: Providers = None,
    parts: Annotated[
        str | None,
        typer.Option(help=f"of {', '.join(PARTS)}, or all; the first {len(CHEAP)} if not given", metavar="PART,…"),
    ] = None,
    items: Annotated[int, typer.Option(min=2, help="examples to score, out of train and gate")] = ITEMS,
    delta: Annotated[float, typer.Option(help="the smallest gain worth having")] = DELTA,
    max_calls: Annotated[int | None, typer.Option(min=1, help="leave out parts that may take more")] = None,
    max_usd: Annotated[float | None, typer.Option(min=0.0, help="leave out parts that may cost more")] = None,
    method: MethodName = None,
    steps: Count = None,
    gate: GateName = None,
    seed: Seed = 0,
    data: Data = None,
    train: Size = None,
    gate_size: Size = None,
    test: Size = None,
    start: Start = None,
    in_flight: InFlight = None,
    json: Json = False,
) -> Work:
    """Before money is spent: what is there to gain, what can the data show, what to fix first? No test is opened."""
    own = ("parts", "items", "delta", "max_calls", "max_usd")
    flags = locals()
    order = order_of({name: value for name, value in flags.items() if name not in own})
    asked = diagnosing.DiagnoseOrder(order, **{name: flags[name] for name in own})
    return partial(diagnosing.diagnose_task, asked)


def reproduce(
    experiment: Annotated[str, typer.Argument(help=f"one of {', '.join(EXPERIMENTS)}", metavar="EXPERIMENT")],
    arm: Annotated[
        str,
        typer.Option(help=f"of {', '.join(ARMS)}, or the name of a method; several with commas", metavar="ARM,…"),
    ] = "full",
    protocol: Annotated[
        Protocol, typer.Option(help="judge on examples of their own, or on the training examples, as published")
    ] = Protocol.SEMPROP,
    seeds: Annotated[str, typer.Option(help="a run for each", metavar="N,…")] = "0",
    task: Annotated[str | None, typer.Option(help="of bbh: only these, without bbh: before", metavar="NAME,…")] = None,
    forward: Forward = None,
    backward: Role = None,
    update: Role = None,
    providers: Providers = None,
    yes: Annotated[bool, typer.Option("--yes", help="spend what the plan says")] = False,
    steps: Count = None,
    gate: GateName = None,
    data: Data = None,
    train: Size = None,
    gate_size: Size = None,
    test: Size = None,
    in_flight: Annotated[int, typer.Option(min=1, help="requests at once", rich_help_panel=PROVIDER_PANEL)] = 128,
    json: Json = False,
) -> Work:
    """Run the paper's experiment, or an arm of its ablation, and set the table beside the published figures."""
    return partial(reproducing.reproduce_flags, locals())
