"""Every list, probe and sweep reads a bounded part of five million messages and a million orders and sagas."""

import pytest

from . import grown, reads

pytestmark = [pytest.mark.nightly, pytest.mark.django_db, pytest.mark.xdist_group("five million")]


@pytest.fixture(scope="module", autouse=True)
def _grown_tables(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), grown.grown(messages=5_000_000, others=1_000_000):
        yield


@pytest.mark.parametrize("name", reads.ALL)
def test_a_bounded_part_is_read(name, monkeypatch):
    monkeypatch.setattr("outbox.bell._send", lambda destination: True)

    reads.assert_bounded(name)
