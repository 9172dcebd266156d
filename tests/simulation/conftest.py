"""The stage of the simulation: threads and a database of its own, made once per process."""

from collections.abc import Iterator
from typing import Any

import pytest

from . import install
from .strands import Stage


@pytest.fixture(scope="session")
def stage(django_db_setup: None, django_db_blocker: Any) -> Iterator[Stage]:
    """Everything here happens in a copy of the test database, so that no other test sees the simulated clock."""
    with django_db_blocker.unblock(), install.stage() as threads:
        yield threads
