"""Constraints on parameters: what they ask, what they find, and that their work is bounded."""

import json
import math
import re
import time
from dataclasses import replace

import pytest
import worlds
from hypothesis import given
from hypothesis import strategies as st

from semprop.engine import (
    Demonstrations,
    Graph,
    JsonDocument,
    MaxWords,
    Model,
    Parameter,
    Pattern,
    Placeholders,
    SpecificationError,
    from_json,
    optimize,
    to_json,
)
from semprop.engine.constraints import FIELDS, constraints_of, document_of, fault_of
from semprop.engine.json_shape import fault_in, schema_of
from semprop.engine.patterns import MOST_WAYS, check, ways

SHAPE = json.dumps({"type": "object", "properties": {"task": {"type": "string"}}, "required": ["task"]})
ALL = (MaxWords(5), Placeholders(("{question}", "<end>")), Pattern(r"[A-Z][^\n]*\.", "a sentence"), JsonDocument(SHAPE))


@pytest.mark.parametrize(
    ("constraint", "good", "bad", "fault"),
    [
        (MaxWords(2), "two words", "three words now", "3 words, more than the 2 allowed"),
        (Placeholders(("{a}", "{b}")), "say {a} and {b}", "say {a} and {B}", "does not contain '{b}'"),
        (Pattern("[A-Z].*"), "Yes", "no", "does not match"),
        (Pattern("[A-Z].*"), "Yes", "Yes\nno", "does not match"),
        (JsonDocument(SHAPE), '{"task": "x"}', '{"task": 1}', "$.task is int"),
        (JsonDocument(SHAPE), ' {"task": "x"}\n', 'Here: {"task": "x"}', "no JSON document"),
    ],
)
def test_a_constraint_lets_good_texts_through_and_says_what_is_wrong_with_others(constraint, good, bad, fault):
    assert constraint.fault(good) == ""
    assert fault in constraint.fault(bad)


def test_every_constraint_says_what_it_asks():
    words = Parameter("p", "Say {question}<end>", constraints=ALL[:2]).asked
    assert words == ("it has at most 5 words", "it contains, exactly as written here: {question}, <end>")
    assert "(a sentence)" in ALL[2].asked
    assert '"required":["task"]' in ALL[3].asked


def test_the_first_fault_is_told():
    assert fault_of(ALL, "a b c d e f").startswith("it has 6 words")
    assert fault_of((), "x") == ""


def test_constraints_are_data_that_comes_back_as_it_was():
    documents = json.loads(json.dumps(document_of(ALL)))
    assert tuple(each for document in documents for each in constraints_of(document)) == ALL
    assert {key for document in documents for key in document} == set(FIELDS)


@pytest.mark.parametrize(
    "fields",
    [
        {"max_words": "3"},
        {"max_words": True},
        {"max_words": 0},
        {"placeholders": "x"},
        {"placeholders": []},
        {"placeholders": [1]},
        {"pattern": 3},
        {"pattern_words": "alone"},
        {"json_schema": "{}"},
        {"other": 1},
    ],
)
def test_fields_that_are_no_constraint_are_refused(fields):
    with pytest.raises(SpecificationError):
        constraints_of(fields)


# Patterns ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("abc", 1),
        ("a?", 2),
        ("a*", 101),
        ("a+b", 100),
        ("a*b*", 101 * 101),
        ("a*+b*", 101),
        ("a{3}", 1),
        ("a{3,5}", 3),
        ("a{,2}", 3),
        ("a{98,}", 3),
        ("a{x}", 1),
        ("a|b|c", 3),
        ("(a|b)c", 2),
        ("(?:ab)*", 101),
        ("(?P<name>a?)", 2),
        ("(?>a?)b", 2),
        ("(?i)a?", 2),
        ("(?i:a?)b", 2),
        ("a{}?", 2),
        (r"\*\+\?", 1),
        ("[*+?(|]", 1),
        ("[]*]*", 101),
        (r"[^]\]]?", 2),
        ("((a))?", 2),
    ],
)
def test_the_ways_of_a_pattern_are_the_product_of_its_choices(pattern, count):
    assert ways(pattern, 100) == count


@pytest.mark.parametrize(
    "pattern",
    [
        "(a*)*",
        "(a|b)*",
        "(a?){50}",
        "((a|b)c)+",
        "(?:x(?:a+))+",
        "(a)\\1",
        "(?=a)a",
        "(?<!b)a",
        "(?P<x>a)(?P=x)",
        "(a)?(?(1)b|c)",
        "(?x) a",
        "(?:a+)(?#)+b",
        "(((){60000}){60000}){60000}",
        "a*a*a{900}b",
        "a*a*a*+b",
        "a*b*c*d*",
        "[",
    ],
)
def test_a_pattern_whose_work_is_not_bounded_is_refused_with_the_mend(pattern):
    with pytest.raises(SpecificationError, match=r"could take too long: .*;|no regular expression"):
        check(pattern, 8_000)


def test_a_long_parameter_allows_fewer_choices():
    assert ways("a*b*", 8_000) <= MOST_WAYS < ways("a*b*", 20_000)
    with pytest.raises(SpecificationError, match="lower max_bytes"):
        Parameter("p", "aab", max_bytes=20_000, constraints=(Pattern("a*b*"),))


def test_the_worst_pattern_that_is_let_through_ends():
    began = time.process_time()
    assert re.fullmatch("[a-z]*[a-z]*!", "a" * 8_000) is None
    assert time.process_time() - began < 20


PIECES = ("a", "b", "a*", "a?", "(a|b)", "(ab)*", "b+", "[ab]{1,3}", "a*+", "(?:a?b)")


@given(st.lists(st.sampled_from(PIECES), max_size=6))
def test_ways_multiply_where_patterns_stand_one_behind_the_other(pieces):
    assert ways("".join(pieces), 12) == math.prod(ways(piece, 12) for piece in pieces)


# JSON ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "string"}, '"x"', "1"),
        ({"type": "integer"}, "2.0", "2.5"),
        ({"type": "integer"}, "3", "true"),
        ({"type": "number"}, "2.5", '"2"'),
        ({"type": "boolean"}, "true", "1"),
        ({"type": "null"}, "null", "0"),
        ({"type": ["string", "null"]}, "null", "[]"),
        ({"enum": [1, "a"]}, '"a"', "true"),
        ({"const": True}, "true", "1"),
        ({"enum": [[1], {"a": [0]}]}, '{"a": [0.0]}', '{"a": [false]}'),
        ({"const": [1]}, "[1]", "[true]"),
        ({"anyOf": [{"type": "string"}, {"minimum": 3, "type": "number"}]}, "4", "2"),
        ({"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2}, '["a"]', '["a", 1]'),
        ({"type": "array", "minItems": 1}, "[1]", "[]"),
        ({"type": "string", "minLength": 2, "maxLength": 3}, '"ab"', '"abcd"'),
        ({"type": "number", "minimum": 1, "maximum": 2}, "1", "2.01"),
        ({"type": "object", "properties": {"a": {}}, "additionalProperties": False}, '{"a": 1}', '{"b": 1}'),
        ({"type": "object", "required": ["a"]}, '{"a": 1, "b": 2}', "{}"),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, "{}", '{"a": 1}'),
        ({"description": "anything"}, "[1, {}]", "nothing"),
    ],
)
def test_documents_are_held_to_the_schema(schema, good, bad):
    checked = schema_of(json.dumps(schema))
    assert fault_in(good, checked) == ""
    assert fault_in(bad, checked)


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        ("{", "no JSON"),
        ("[]", "write an object"),
        ('{"pattern": "a"}', "'pattern', which is not checked"),
        ('{"$ref": "#"}', "not checked"),
        ('{"type": "text"}', "types are: object"),
        ('{"additionalProperties": {}}', "true or false"),
        ('{"properties": {"a": 1}}', r"\$.a is int"),
        ('{"properties": []}', "properties is .*write an object"),
        ('{"required": "ab"}', "required is 'ab'; write a list of texts"),
        ('{"items": {"enum": 3}}', r"\$\[\]: enum is 3; write a list of one or more"),
        ('{"anyOf": []}', "a list of one or more"),
        ('{"maxLength": "9"}', "a whole number from 0"),
        ('{"minimum": true}', "write a number"),
        ('{"type": [["string"]]}', "a text, or a list of texts"),
        (json.dumps({"items": {"anyOf": [{"format": "date"}]}}), r"\$\[\]\|0 uses 'format'"),
        ('{"items": ' * 40 + "{}" + "}" * 40, "nested deeper"),
    ],
)
def test_a_schema_that_cannot_be_checked_whole_is_refused(schema, complaint):
    with pytest.raises(SpecificationError, match=complaint):
        JsonDocument(schema)


# Parameters ----------------------------------------------------------------------------------------------------------


def test_a_parameter_that_breaks_its_constraint_from_the_start_is_refused():
    with pytest.raises(SpecificationError, match=r"'p' breaks its own constraint from the start: .*'\{x\}'"):
        Parameter("p", "no place", constraints=(Placeholders(("{x}",)),))
    with pytest.raises(SpecificationError, match="only texts have constraints"):
        Parameter("p", Demonstrations(), constraints=(MaxWords(3),))


def test_too_many_words_to_begin_with_are_allowed_since_they_may_be_made_fewer():
    assert Parameter("p", "one two three", constraints=(MaxWords(2),)).constraints == (MaxWords(2),)


def constrained():
    graph = worlds.graph(hints=0)
    kept = replace(graph.parameters[0], value="Solve <it>.", constraints=(MaxWords(6), Placeholders(("<it>",))))
    return Graph(inputs=graph.inputs, parameters=[kept], nodes=graph.nodes, output=graph.output)


def test_constraints_go_through_the_graphs_document():
    graph = constrained()
    assert from_json(to_json(graph)) == graph
    document = json.loads(to_json(graph))
    document["parameters"][0]["constraints"] = [{"placeholders": ["<that>"]}]
    with pytest.raises(SpecificationError.__mro__[1], match="'<that>'"):
        from_json(json.dumps(document))


def test_a_graph_without_constraints_is_written_as_before():
    assert "constraints" not in to_json(worlds.graph())


@pytest.mark.parametrize(
    ("proposal", "reason"),
    [
        ("Say the sum of <it>.", ""),
        ("Say the sum.", "it does not contain '<it>'"),
        ("Say the sum of it, that is of <it>.", "it has 9 words, more than the 6 allowed"),
    ],
)
async def test_a_proposal_that_breaks_a_constraint_is_asked_for_dropped_and_reported(proposal, reason):
    prompts = []

    def script(request):
        if worlds.is_update(request):
            prompts.append(request.messages[1].text)
            return worlds.propose(request, proposal)
        return worlds.script(request)

    spec = worlds.specification(graph=constrained(), providers={"forward": worlds.scripted(script)})
    result = await optimize(spec)
    (step,) = result.steps
    assert [entry.reason for entry in step.proposals.dropped] == ([reason] if reason else [])
    assert result.parameters["s"] == ("Solve <it>." if reason else proposal)
    asked = (
        "What you write must keep to this:\n- it has at most 6 words\n- it contains, exactly as written here: <it>\n"
    )
    assert asked in prompts[0]


def test_a_constrained_parameter_is_a_value_like_any_other():
    graph = constrained()
    assert hash(graph.parameters[0]) == hash(constrained().parameters[0])
    assert isinstance(graph.nodes[0], Model)
