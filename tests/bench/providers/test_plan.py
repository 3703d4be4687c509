"""The file of a benchmark of providers: what it says, and what is wrong with it."""

import pytest

from semprop.bench.providers.plan import Plan, Stopping, Sweep, load, plan_of
from semprop.bench.providers.shapes import Form, Shape
from semprop.engine import UsageError
from semprop.providers.errors import StopError

PROVIDER = {"a": {"spec": "openai:m", "stream": True}}


def test_a_file_says_everything(tmp_path):
    file = tmp_path / "bench.toml"
    file.write_text(
        """
        [benchmark]
        requests = 40
        seconds = 60
        blocks = 2
        usd = 0.5
        quota = 0.8
        objectives = { first_token = 0.5, total = 3 }
        [[load]]
        form = "concurrency"
        at = 4
        [[load]]
        form = "ramp"
        from = 1
        to = 5
        seconds = 10
        [[load]]
        form = "sweep"
        points = 3
        most = 16
        [provider.a]
        spec = "openai:m"
        """
    )
    plan = load(file)
    assert plan.loads == (Shape(Form.CONCURRENCY, 4), Shape(Form.RAMP, 1, 5, 10), Sweep(3, 16))
    assert plan.stopping == Stopping(40, 60.0, 50)
    assert (plan.objectives.first_token, plan.objectives.total, plan.objectives.per_token) == (0.5, 3.0, None)
    assert (plan.blocks, plan.usd, plan.quota, plan.providers[0].name) == (2, 0.5, 0.8, "a")


def test_a_file_needs_nothing_but_a_provider():
    plan = plan_of({"provider": PROVIDER}, "here")
    assert plan == Plan(plan.providers, (Shape(Form.CONCURRENCY, 8),))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "no provider"),
        ({"provider": PROVIDER, "bench": {}}, r"\[bench\] is unknown"),
        ({"provider": PROVIDER, "benchmark": {"request": 1}}, "'request' is unknown: it takes task"),
        ({"provider": PROVIDER, "benchmark": {"requests": 0}}, "whole number of 1 or more"),
        ({"provider": PROVIDER, "benchmark": {"seconds": -1}}, "0 or more"),
        ({"provider": PROVIDER, "benchmark": {"quota": 2}}, "quota must be a share"),
        ({"provider": PROVIDER, "benchmark": {"task": "gsm8k", "run": "r"}}, "either `task` or `run`"),
        ({"provider": PROVIDER, "benchmark": {"objectives": {"ttft": 1}}}, "'ttft' is unknown: it takes first_token"),
        ({"provider": PROVIDER, "load": {"form": "constant"}}, "two brackets"),
        ({"provider": PROVIDER, "load": [{"form": "burst"}]}, "form is 'burst'; there are: concurrency"),
        ({"provider": PROVIDER, "load": [{"form": "constant", "rate": 2}]}, "'rate' is unknown"),
        ({"provider": PROVIDER, "load": ["constant"]}, "must be a table"),
    ],
)
def test_what_no_benchmark_takes_is_refused_with_its_place(document, words):
    with pytest.raises(UsageError, match=words):
        plan_of(document, "here")


def test_a_providers_table_is_read_as_everywhere():
    with pytest.raises(StopError, match="`spec` is missing"):
        plan_of({"provider": {"a": {}}}, "here")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        load(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[")
    with pytest.raises(UsageError, match="is not TOML"):
        load(tmp_path / "bad.toml")
