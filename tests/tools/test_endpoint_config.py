"""Settings out of TOML."""

from __future__ import annotations

import pytest

from semprop.tools.endpoint.config import ConfigError, load, parse
from semprop.tools.endpoint.settings import (
    Change,
    Charge,
    Config,
    Counted,
    Distribution,
    Fault,
    FaultKind,
    Foreign,
    HeaderSettings,
    Latency,
    Limit,
    ReplySettings,
    Slots,
    Told,
    WaitForm,
    When,
)

WHOLE = """
seed = 3
charge = "produced"
charge_refused = true
context = 4096
refuses = ["temperature"]
ledger_rows = 1000

[reply]
simulated = "L0=500"

[latency]
first = { median = 0.2, sigma = 0.3 }
gap = 0.01
per_input_token = 0.0001

[headers]
dialect = "anthropic"
told = "stale"
age = 2
retry_after = "date"

[slots]
parallel = 4
queue = 512

[[limit]]
of = "requests"
most = 600

[[limit]]
of = "input_tokens"
most = 1e5
seconds = 86400
per = "model"
models = ["m-*"]

[[fault]]
kind = "throttle"
begin = 10
end = 20
retry_after = 89

[[fault]]
kind = "reset_before_headers"
share = 0.01

[[change]]
factor = 0.5
begin = 30

[[foreign]]
rate = 5
input = 100
"""


def test_a_file_says_everything():
    assert parse(WHOLE) == Config(
        seed=3,
        reply=ReplySettings(settings="L0=500"),
        latency=Latency(Distribution(0.2, 0.3), Distribution(0.01), 0.0001),
        headers=HeaderSettings("anthropic", Told.STALE, age=2.0, retry_after=WaitForm.DATE),
        limits=(Limit(Counted.REQUESTS, 600), Limit(Counted.INPUT, 1e5, 86_400.0, models=("m-*",), per="model")),
        charge=Charge.PRODUCED,
        charge_refused=True,
        changes=(Change(0.5, when=When(begin=30.0)),),
        foreign=(Foreign(5.0, input=100),),
        faults=(
            Fault(FaultKind.THROTTLE, When(begin=10.0, end=20.0), retry_after=89.0),
            Fault(FaultKind.RESET_BEFORE, When(share=0.01)),
        ),
        slots=Slots(4, 512),
        context=4096,
        refuses=("temperature",),
        ledger_rows=1000,
    )


def test_an_empty_file_is_an_endpoint_without_limits():
    assert parse("") == Config()


def test_a_number_of_bytes_makes_a_text():
    assert parse("[reply]\nbytes = 5").reply.text == "xxxxx"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nonsense", "is not TOML"),
        ("sed = 1", "unknown fields 'sed'"),
        ("[reply]\ntext = 'a'\nbytes = 3", "give one of"),
        ("[reply]\nsimulated = 'L0=0'", "is no setting"),
        ("[latency]\nfirst = -1", "not a number of 0 or more"),
        ("[latency]\nfirst = nan", "not a number of 0 or more"),
        ("[latency]\nfirst = 'slow'", "expected a number"),
        ("[latency]\nfirst = { sigma = 1 }", "'median' is missing"),
        ("[headers]\ndialect = 'klingon'", "none of openai, azure"),
        ("[headers]\ntold = 'maybe'", "none of true, none, wrong, stale"),
        ("[[limit]]\nof = 'cents'\nmost = 1", r"\[\[limit\]\] 1, field 'of'"),
        ("[[limit]]\nof = 'requests'", "'most' is missing"),
        ("[[limit]]\nof = 'requests'\nmost = 0", "above 0"),
        ("[[limit]]\nof = 'requests'\nmost = 1\nseconds = 30", "none of 1, 10, 60, 86400"),
        ("[[fault]]\nkind = 'sabotage'", "none of throttle"),
        ("[[fault]]\nkind = 'hang'\nshare = 1.5", "above 1"),
        ("[[fault]]\nkind = 'hang'\nevery = 0", "less than 1"),
        ("[[fault]]\nkind = 'slow'\nrate = 0", "above 0"),
        ("[[change]]\nfactor = 0.5\nshare = 0.5", "unknown fields 'share'"),
        ("context = true", "expected int"),
    ],
)
def test_a_fault_of_the_file_names_the_place(text, complaint):
    with pytest.raises(ConfigError, match=complaint):
        parse(text, "mock.toml")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"missing\.toml cannot be read"):
        load(tmp_path / "missing.toml")
