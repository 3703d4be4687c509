"""Where the tests of `bench` find data: the committed fixtures, and the published files if there are any."""

import os
from pathlib import Path

import pytest

from semprop.bench.data import ENVIRONMENT, DataSource, data_source

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def fixtures():
    """Rows written for these tests, in the published forms."""
    return DataSource(directory=FIXTURES)


@pytest.fixture
def own():
    """The directory of tasks as a user writes them."""
    return FIXTURES / "own"


@pytest.fixture
def published():
    """The published files, where `SEMPROP_DATA` names them."""
    if not os.environ.get(ENVIRONMENT):
        pytest.skip(f"the published question sets are not here ({ENVIRONMENT} is not set)")
    return data_source(None, os.environ)
