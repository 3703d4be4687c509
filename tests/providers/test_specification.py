"""How a provider is named."""

from __future__ import annotations

import tomllib
from pathlib import Path

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from semprop.providers.base import Image, Mixture, Sampling
from semprop.providers.errors import ErrorClass, StopError
from semprop.providers.hedging import Hedge
from semprop.providers.kinds import KINDS
from semprop.providers.pools.routing import Policy, Rules
from semprop.providers.prices import Prices
from semprop.providers.specification import POOL, Specification, check_one_model, load, parse, resolve, tables
from semprop.providers.stack import connect

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
    assume(base is not None or not model.endswith("@"))
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
        assert parsed.kind in (*KINDS, POOL)


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
        ("openai:m@", "no address follows"),
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


# Pools ----------------------------------------------------------------------------------------------------------------

POOLED = """
[provider.groq]
spec = "groq:llama-3.1-8b-instant"
limits = {"requests/minute" = 30}

[provider.together]
spec = "together:meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo"

[pool.llama]
members = ["groq", "together", "openai:llama@http://127.0.0.1:8000/v1"]
model = "llama-3.1-8b"
policy = "cheapest"
patience = 2.5
affinity = false
on_refusal = "next"
sampling = {max_tokens = 100}
"""


def test_a_table_of_a_pool_names_members_of_the_file_and_others(tmp_path: Path) -> None:
    (tmp_path / "providers.toml").write_text(POOLED)
    named = load(tmp_path / "providers.toml")
    pool = named["llama"]
    assert list(named) == ["groq", "together", "llama"]
    assert (pool.kind, pool.model, pool.name, pool.called) == ("pool", "llama-3.1-8b", "llama", "llama")
    assert pool.members == (named["groq"], named["together"], parse("openai:llama@http://127.0.0.1:8000/v1"))
    assert pool.rules == Rules(Policy.CHEAPEST, 2.5, affinity=False, passes_refusals=True)
    assert pool.sampling == Sampling(None, max_tokens=100)
    assert pool.mixture is Mixture.ONE


def test_the_same_file_may_be_json(tmp_path: Path) -> None:
    (tmp_path / "providers.toml").write_text(POOLED)
    (tmp_path / "providers.json").write_bytes(orjson.dumps(tomllib.loads(POOLED)))
    assert load(tmp_path / "providers.json") == load(tmp_path / "providers.toml")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(StopError, match="is not JSON"):
        load(tmp_path / "broken.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(StopError, match="must hold one object"):
        load(tmp_path / "list.json")


def test_a_pool_is_written_out_with_its_settings() -> None:
    named = tables({"provider": {"mine": {"spec": "openai:m@http://h:1/v1"}}}, "file")
    text = "pool:mine, openai:m@http://h:2/v1 ;policy=fastest;patience=3;affinity=false;name=two;mixed=pinned;"
    with pytest.raises(StopError, match="'' is unknown"):
        resolve(text, named)
    with pytest.raises(StopError, match="nothing to pin"):
        resolve(text.removesuffix(";"), named)
    pool = resolve(text.removesuffix(";mixed=pinned;"), named)
    assert [member.called for member in pool.members] == ["mine", "openai:m@http://h:2/v1"]
    assert (pool.name, pool.rules) == ("two", Rules(Policy.FASTEST, 3.0, affinity=False))
    assert resolve(pool.text, named).members == pool.members


def test_a_comma_that_begins_no_member_belongs_to_the_one_before_it() -> None:
    pool = parse("pool:simulated:L0=10,ties=lexicographic,simulated:")
    assert [member.model for member in pool.members] == ["L0=10,ties=lexicographic", ""]


@pytest.mark.parametrize(
    ("settings", "mixture"),
    [("", Mixture.ANY), (";mixed=pinned", Mixture.PINNED), (";model=one", Mixture.ONE)],
)
def test_members_of_several_models_are_a_mixture_unless_the_user_says_that_they_are_one(
    settings: str, mixture: Mixture
) -> None:
    pool = parse(f"pool:openai:large,openai:small{settings}")
    assert pool.mixture is mixture
    assert connect(pool).capabilities.mixture is mixture
    if mixture is Mixture.ANY:
        with pytest.raises(StopError, match=r"several models \(large, small\): say"):
            check_one_model(pool)
    else:
        check_one_model(pool)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "'members' must be a list"),
        ({"members": []}, "'members' must be a list"),
        ({"members": ["nobody"]}, "there is no provider 'nobody'"),
        ({"members": ["openai:a", "openai:a"]}, "'openai:a' is a member twice"),
        ({"members": ["pool:openai:a,openai:a@http://h/v1", "openai:a"]}, "is a pool itself"),
        ({"members": ["openai:a"], "policy": "random"}, "'policy' must be one of cheapest, fastest, failover"),
        ({"members": ["openai:a"], "on_refusal": "maybe"}, "'on_refusal' must be one of stop, next"),
        ({"members": ["openai:a"], "mixed": "any"}, "'mixed' must be one of pinned"),
        ({"members": ["openai:a"], "patience": -1}, "'patience' must be a number of 0 or more"),
        ({"members": ["openai:a"], "limits": {}}, "'limits' is unknown"),
    ],
)
def test_a_fault_of_a_pool_is_named_with_its_place(table: dict[str, object], said: str) -> None:
    with pytest.raises(StopError, match=rf"file, \[pool.p\]: .*{said}") as caught:
        tables({"pool": {"p": table}}, "file")
    assert caught.value.error_class is ErrorClass.CONFIGURATION


def test_members_that_hedge_or_draw_in_their_own_way_are_refused() -> None:
    def named(**settings: object) -> dict[str, object]:
        providers = {"a": {"spec": "openai:m", **settings}, "b": {"spec": "openai:m@http://h/v1"}}
        return {"provider": providers, "pool": {"p": {"members": ["a", "b"]}}}

    with pytest.raises(StopError, match="has a `hedge`: give that to the pool"):
        tables(named(hedge={}), "file")
    with pytest.raises(StopError, match="draw in different ways: give `sampling` to the pool"):
        tables(named(sampling={"temperature": 1.0}), "file")


def test_a_provider_and_a_pool_cannot_have_one_name() -> None:
    with pytest.raises(StopError, match="a provider has the same name"):
        tables({"provider": {"a": {"spec": "openai:m"}}, "pool": {"a": {"members": ["openai:m"]}}}, "file")


def test_what_a_pool_is_called_and_whose_members_it_has_make_its_identity_and_nothing_else() -> None:
    def identity(text: str) -> str:
        return connect(parse(text)).identity

    pool = "pool:openai:m,openai:m@http://h/v1;name=p"
    same = [pool, f"{pool};policy=fastest;patience=9;on_refusal=next;affinity=false"]
    others = [pool.replace("name=p", "name=q"), "pool:openai:m@http://h/v1,openai:m;name=p", "pool:openai:m;name=p"]
    assert len({identity(text) for text in same}) == 1
    assert len({identity(text) for text in (*others, pool)}) == 4


def test_a_price_that_is_unknown_is_said_where_the_cheapest_is_wanted() -> None:
    with capture_logs() as logs:
        connect(parse("pool:openai:gpt-4o-mini,openai:gpt-4o-mini@http://127.0.0.1:1/v1;policy=cheapest;name=p"))
    assert [(log["event"], log["pool"], log["member"]) for log in logs] == [
        ("pool_price_unknown", "p", "openai:gpt-4o-mini@http://127.0.0.1:1/v1")
    ]


def test_a_picture_costs_at_a_pool_what_it_costs_where_it_is_dearest_and_is_unknown_where_it_is_of_any() -> None:
    picture = Image.of(b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (1024).to_bytes(4, "big") * 2 + b"\0" * 16)
    one, two = connect("openai:gpt-4o"), connect("anthropic:claude")
    both = connect("pool:openai:gpt-4o,anthropic:claude;model=m")
    alone = [each.pictures.tokens(picture) for each in (one, two)]
    assert both.pictures.tokens(picture) == max(tokens for tokens in alone if tokens is not None)
    assert connect("pool:openai:gpt-4o,vllm:gpt-4o").pictures.tokens(picture) is None
