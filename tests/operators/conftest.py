"""Nothing is remembered from test to test: no snapshot, no counters, no answer of a broker."""

import pytest

from operators import counters
from operators.snapshot import latest


@pytest.fixture(autouse=True)
def _nothing_is_remembered():
    latest.forget()
    counters._samples.clear()
    yield
    latest.forget()
