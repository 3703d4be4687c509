"""The page: everything in one file, nothing from elsewhere, and text of others is shown and never obeyed."""

import re
from html.parser import HTMLParser

import pytest

from semprop.bench.providers.metrics import Figures
from semprop.bench.providers.page import Axis, Curve, chart, page
from semprop.bench.providers.plan import Plan
from semprop.bench.providers.quality import quality_of
from semprop.bench.providers.report import document, lines, quality_words
from semprop.bench.providers.runner import Cell, Measured
from semprop.bench.providers.samples import Call, Outcome, Unit
from semprop.bench.providers.shapes import Form, Shape
from semprop.bench.providers.workload import Workload
from semprop.providers.base import Usage


def call(seconds, usd=0.001):
    return Call(0.0, 0.0, seconds, Outcome.ANSWERED, Usage(input=10, output=5), first=seconds / 2, usd=usd)


def measured(identity="openai:m", usd=0.001, simulated=()):
    shapes = [Shape(Form.CONSTANT, 1), Shape(Form.CONSTANT, 5)]
    cells = []
    for name in ("a", "b"):
        for number, shape in enumerate(shapes):
            cell = Cell(name, shape.name, shape, Figures(seconds=10.0))
            for step in range(20):
                one = call(0.1 * (number + 1) + 0.01 * step, usd)
                cell.figures.add(one)
                cell.units.append(Unit(f"item-{step}", (one,), float(step % 2)))
            cells.append(cell)
    identities = {"a": identity, "b": "gemini:n"}
    return Measured(Plan((), tuple(shapes)), Workload("task x", (), scored=True), identities, simulated, cells)


class Checker(HTMLParser):
    """Collects tags, and checks that they are closed in order."""

    VOID = ("meta", "link", "br", "line", "circle", "polyline")

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.links = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def checked(text):
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    return checker


def test_the_page_is_whole_and_asks_nobody():
    text = page(measured())
    found = checked(text)
    assert found.links == ["data:,"]
    assert "script" not in found.seen
    assert not re.search(r"https?://(?!www\.w3\.org)", text)
    assert found.seen.count("svg") == 4, "two distributions, saturation, and quality against price"


def test_a_name_from_outside_is_text():
    text = page(measured(identity="<script>alert(1)</script>"))
    assert "script" not in checked(text).seen
    assert "&lt;script&gt;" in text


def test_without_a_price_there_is_no_front_and_no_zero():
    text = page(measured(usd=None))
    assert "No price is known" in text
    assert "$0" not in text
    told = document(measured(usd=None))
    assert {cell["usd_per_request"] for cell in told["cells"]} == {None}
    assert [line.cells["$ / request"] for line in lines(measured(usd=None))] == ["?"] * 4


def test_a_simulated_endpoint_is_said_to_be_one():
    assert "rules answered in place of a language model" in page(measured(simulated=("a",)))


def test_the_price_of_the_correct_is_said_with_its_interval():
    words = quality_words("a", quality_of(measured().cells[0].units, 0))
    assert words.startswith("a: score 50.0 % (")
    assert "$2 per 1,000 correct ($" in words


@pytest.mark.parametrize(("value", "place"), [(1.0, 0.0), (10.0, 0.5), (100.0, 1.0), (1000.0, 1.0)])
def test_a_logarithmic_axis_spaces_powers_alike(value, place):
    assert Axis("", 1.0, 100.0, str, log=True).place(value) == pytest.approx(place)


def test_a_chart_says_what_it_is_to_whoever_cannot_see_it():
    drawn = chart("A & B", Axis("x", 0, 1, str), Axis("y", 0, 1, str), [Curve("a", ((0.5, 0.5),))], {"a": "#000"})
    assert 'aria-label="A &amp; B"' in drawn
    checked(drawn)
