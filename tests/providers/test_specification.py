"""How a provider is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from semprop.providers.base import Sampling
from semprop.providers.errors import ErrorClass, StopError
from semprop.providers.hedging import Hedge
from semprop.providers.kinds import KINDS
from semprop.providers.prices import Prices
from semprop.providers.specification import Specification, load, parse, resolve, tables

models = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=30
)
hosts = st.from_regex(r"[a-z][a-z0-9]{0,10}(\.[a-z]{2,5})?(:[1-9][0-9]{1,3})?", fullmatch=True)
paths = st.from_regex(r"(/[a-zA-Z0-9._-]{1,8}){0,3}/?", fullmatch=True)
bases = st.builds(
    lambda scheme, host, path: f"{scheme}://{host}{path}", st.sampled_from(["http", "https"]), hosts, paths
)


@given(models, st.none() | bases)
def test_what_is_written_is_read_back(model: str, base: str | None) -> None:
    assume("@http://" not in model and "@https://" not in model)
    specification = Specification("openai", model, base)
    assert parse(specification.text) == specification


@given(models, bases, bases)
def test_the_base_begins_at_the_last_address(model: str, first: str, last: str) -> None:
    assume("@http://" not in model and "@https://" not in model)
    parsed = parse(f"openai:{model}@{first}@{last}")
    assert (parsed.model, parsed.base) == (f"{model}@{first}", last)


@given(st.text(max_size=60))
def test_no_text_breaks_the_parser_in_another_way(text: str) -> None:
    try:
        parsed = parse(text)
    except StopError as error:
        assert error.error_class is ErrorClass.CONFIGURATION
        assert error.attempts == 0
    else:
        assert parsed.kind in KINDS


@pytest.mark.parametrize(
    ("text", "kind", "model", "base"),
    [
        ("openai:gpt-4o-mini", "openai", "gpt-4o-mini", None),
        ("openai:ft:gpt-4o:team::id", "openai", "ft:gpt-4o:team::id", None),
        ("openai:qwen3:8b@http://localhost:11434/v1", "openai", "qwen3:8b", "http://localhost:11434/v1"),
        ("openai:a/b@main@https://[::1]:8000/v1", "openai", "a/b@main", "https://[::1]:8000/v1"),
        ("openai:m@httpserver", "openai", "m@httpserver", None),
        ("embedded:smollm2", "embedded", "smollm2", None),
        ("simulated:", "simulated", "", None),
        ("  simulated:L0=100  ", "simulated", "L0=100", None),
    ],
)
def test_the_kind_ends_at_the_first_colon(text: str, kind: str, model: str, base: str | None) -> None:
    parsed = parse(text)
    assert (parsed.kind, parsed.model, parsed.base) == (kind, model, base)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gpt-4o", "the kinds are: openai:MODEL"),
        ("opnai:gpt-4o", "no provider 'opnai:gpt-4o'"),
        ("", "the kinds are"),
        ("openai:", "names no model"),
        ("openai:@https://h/v1", "names no model"),
        ("embedded:smollm2@http://h/v1", "takes no address"),
        ("openai:m@https://user:pass@h/v1", "user or a password"),
        ("openai:m@https://h/v1?key=1", "`query`"),
        ("openai:m@https://", "base address"),
        ("openai:m@https://h:port/v1", "base address"),
        ("openai:m@https://h o/v1", "base address"),
    ],
)
def test_a_specification_that_is_none_is_refused_with_the_mend(text: str, words: str) -> None:
    with pytest.raises(StopError, match=words.replace("(", r"\(")) as caught:
        parse(text)
    assert "pass" not in str(caught.value).replace("password", "")


TABLE = """
[provider.fast]
spec = "openai:gpt-4o-mini@https://gateway.test/v1"
key_env = "GATEWAY_KEY"
headers = {x-team = "blue", api-key = "env:OTHER"}
query = {api-version = "2024-10-21"}
body = {reasoning_effort = "low"}
sampling = {top_p = 0.9, max_tokens = 300, stop = ["END"]}
timeout = 30
in_flight = 8
ca = "company.pem"
identity = "gateway"
prices = {input = 0.15, output = 0.6, cached_read = 0.075}
capabilities = {schema = false}
hedge = {after = 2.5, extra = 0.1}

[provider.small]
spec = "embedded:smollm2"
"""


def test_a_table_holds_everything_else(tmp_path: Path) -> None:
    file = tmp_path / "providers.toml"
    file.write_text(TABLE)
    named = load(file)
    assert list(named) == ["fast", "small"]
    assert named["fast"] == Specification(
        "openai",
        "gpt-4o-mini",
        "https://gateway.test/v1",
        name="fast",
        key_env="GATEWAY_KEY",
        headers=(("x-team", "blue"), ("api-key", "env:OTHER")),
        query=(("api-version", "2024-10-21"),),
        body='{"reasoning_effort":"low"}',
        sampling=Sampling(temperature=None, top_p=0.9, max_tokens=300, stop=("END",)),
        timeout=30.0,
        in_flight=8,
        ca="company.pem",
        identity="gateway",
        prices=Prices(0.15, 0.6, 0.075),
        capabilities=(("schema", False),),
        hedge=Hedge(2.5, 0.1),
    )
    assert named["small"] == Specification("embedded", "smollm2", name="small")
    assert resolve("small", named) is named["small"]
    assert resolve("openai:m", named) == Specification("openai", "m")


def test_a_hedge_is_sent_after_the_slowest_twentieth_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "providers.toml"
    file.write_text('[provider.a]\nspec = "openai:m"\nhedge = {}\n[provider.b]\nspec = "openai:m"\n')
    named = load(file)
    assert named["a"].hedge == Hedge("p95", 0.05)
    assert named["b"].hedge is None


def test_settings_that_change_replies_are_in_the_identity_and_others_are_not(tmp_path: Path) -> None:
    file = tmp_path / "providers.toml"
    file.write_text(TABLE)
    shown = load(file)["fast"].shown("openai:gpt-4o-mini@https://gateway.test/v1")
    assert shown == (
        'gateway#{"body":{"reasoning_effort":"low"},"sampling":{"max_tokens":300,"stop":["END"],"top_p":0.9}}'
    )
    assert Specification("openai", "m", timeout=3.0, in_flight=1).shown("openai:m") == "openai:m"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('spek = "openai:m"', "'spek' is unknown: it takes spec, key_env"),
        ('key_env = "K"', "`spec` is missing"),
        ('spec = "what:ever"', "the kinds are"),
        ('spec = "openai:m"\ntimeout = "long"', "'timeout' must be a number"),
        ('spec = "openai:m"\ntimeout = nan', "'timeout' must be a number"),
        ('spec = "openai:m"\nin_flight = 1.5', "'in_flight' must be a whole number"),
        ('spec = "openai:m"\nin_flight = true', "'in_flight' must be a whole number"),
        ('spec = "openai:m"\nheaders = {a = 1}', "headers: 'a' must be a text"),
        ('spec = "openai:m"\nheaders = "a"', "'headers' must be a table"),
        ('spec = "openai:m"\nsampling = {heat = 1}', "sampling: 'heat' is unknown"),
        ('spec = "openai:m"\nsampling = {stop = "x"}', "'stop' must be a list"),
        ('spec = "openai:m"\nprices = {input = 1}', "both `input` and `output`"),
        ('spec = "openai:m"\ncapabilities = {schema = 1}', "'schema' must be true or false"),
        ('spec = "openai:m"\nhedge = 0.05', "'hedge' must be a table"),
        ('spec = "openai:m"\nhedge = {before = 1}', "hedge: 'before' is unknown: it takes after, extra"),
        ('spec = "openai:m"\nhedge = {after = "p99"}', "hedge: 'after' must be"),
        ('spec = "openai:m"\nhedge = {after = 0}', "'after' must be seconds above 0"),
        ('spec = "openai:m"\nhedge = {extra = 1.5}', "'extra' must be a share above 0 and at most 1"),
        ('spec = "openai:m"\ncapabilities = {simulated = false}', "'simulated' is unknown"),
    ],
)
def test_a_fault_in_a_file_names_the_table_the_key_and_what_is_right(tmp_path: Path, line: str, words: str) -> None:
    file = tmp_path / "providers.toml"
    file.write_text(f"[provider.mine]\n{line}\n")
    with pytest.raises(StopError) as caught:
        load(file)
    assert words in str(caught.value)
    assert "providers.toml, [provider.mine]" in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(StopError, match="cannot be read"):
        load(tmp_path / "absent.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[provider")
    with pytest.raises(StopError, match="is not TOML"):
        load(broken)


@pytest.mark.parametrize(
    "document", [{"providers": {}}, {"provider": 3}, {"provider": {"x": 3}}, {"provider": {"a:b": {}}}]
)
def test_other_tables_are_refused(document: dict[str, object]) -> None:
    with pytest.raises(StopError):
        tables(document, "file")


def test_an_unknown_name_lists_the_names_that_exist(tmp_path: Path) -> None:
    file = tmp_path / "providers.toml"
    file.write_text(TABLE)
    with pytest.raises(StopError, match="names fast, small; the kinds are"):
        resolve("quick", load(file))


def test_headers_are_not_shown() -> None:
    assert "s3cret" not in repr(Specification("openai", "m", headers=(("authorization", "s3cret"),)))
