"""Load shapes: the instants are those that were asked for, and the same for the same seed."""

from itertools import islice, pairwise

import pytest

from semprop.bench.providers.shapes import Form, Shape, dispersion, instants, sweep
from semprop.engine import SpecificationError


def test_a_constant_rate_begins_units_at_equal_distances():
    assert list(islice(instants(Shape(Form.CONSTANT, 4)), 5)) == [0.0, 0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("seed", range(5))
def test_a_poisson_process_has_its_rate_and_an_index_of_dispersion_of_about_one(seed):
    at = list(islice(instants(Shape(Form.POISSON, 50), seed), 20_000))
    assert at == sorted(at)
    assert len(at) / at[-1] == pytest.approx(50, rel=0.03)
    assert 0.9 <= dispersion(at, 0.2) <= 1.1


def test_the_index_of_dispersion_tells_a_constant_rate_from_a_poisson_process():
    assert dispersion([number / 50 for number in range(5_000)], 0.2) < 0.05


def test_a_poisson_process_is_a_function_of_its_key():
    shape = Shape(Form.POISSON, 5)
    one, again, other = (list(islice(instants(shape, *key), 50)) for key in ((1, "a"), (1, "a"), (1, "b")))
    assert one == again != other


def test_a_ramp_begins_as_many_units_as_the_area_under_it_and_gets_denser():
    at = list(instants(Shape(Form.RAMP, 2, to=10, seconds=5)))
    assert len(at) == 30
    assert at[0] == 0.0
    assert at[-1] < 5.0
    gaps = [later - before for before, later in pairwise(at)]
    assert gaps == sorted(gaps, reverse=True)
    assert list(instants(Shape(Form.RAMP, 2, to=2, seconds=2))) == [0.0, 0.5, 1.0, 1.5]


def test_a_sweep_goes_in_equal_steps_from_the_slow_rate_to_the_fast_one():
    assert [shape.at for shape in sweep(1.0, 9.0, 5)] == [1.0, 3.0, 5.0, 7.0, 9.0]
    assert [shape.at for shape in sweep(5.0, 5.0, 4)] == [5.0], "an endpoint that is as fast alone has one rate"


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ({"form": Form.CONSTANT, "at": 0}, "needs `at` above 0"),
        ({"form": Form.CONCURRENCY, "at": 2.5}, "whole number"),
        ({"form": Form.RAMP, "at": 1, "to": 2}, "`from`, `to` and `seconds`"),
    ],
)
def test_a_load_that_is_none_is_refused(shape, words):
    with pytest.raises(SpecificationError, match=words):
        Shape(**shape)


def test_a_closed_load_has_no_instants():
    with pytest.raises(SpecificationError, match="no instants"):
        instants(Shape(Form.CONCURRENCY, 2))
