"""F6: clock skew between processes: due times and claims use the database's clock; no tick is lost to it.

Each process is started with a wall clock of its own, hours away from the others' (skewed_clock.c). That a purge is told
ages by the database alone is proved in tests/outbox/test_operations.py.
"""

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.db import connection

from orders_project.celery import app
from outbox import bell, routing
from tests.support import child
from tests.support.told import consuming, tell

from .plain_orders import attempts, confirmed, place, statuses
from .rest import assert_all_is_well, come_to_rest

HOUR = 3600
SOURCE = Path(__file__).with_name("skewed_clock.c")


@pytest.fixture(scope="module")
def skewed(tmp_path_factory):
    """The environment of a process whose clock is so many seconds ahead."""
    compiler = shutil.which("cc")
    if compiler is None:
        if os.environ.get("CI") == "true":
            pytest.fail("there is no C compiler, and CI must prove that clocks may differ")
        pytest.skip("there is no C compiler to make a wrong clock with")
    library = tmp_path_factory.mktemp("clock") / "skewed_clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return lambda seconds: {"LD_PRELOAD": str(library), "CLOCK_SKEW_SECONDS": str(seconds)}


@pytest.mark.django_db(transaction=True)
def test_f6_a_process_can_be_given_another_time(skewed):
    """F6: the fault itself, or the other tests would prove nothing."""
    told = child.script("from django.utils import timezone\nprint(timezone.now().isoformat())", **skewed(2 * HOUR))

    ahead = datetime.fromisoformat(told.stdout.strip()) - datetime.now(UTC)
    assert 2 * HOUR - 60 < ahead.total_seconds() < 2 * HOUR + 60


@pytest.mark.django_db
def test_f6_neither_a_ring_nor_a_tick_expires_by_a_workers_clock(monkeypatch):
    """F6: Celery's own expiry would let a worker whose clock is ahead discard all of them; the broker may drop them."""
    sent = []
    monkeypatch.setattr(routing, "_inside", {})
    monkeypatch.setattr("outbox.bell.current_app.send_task", lambda *_, **options: sent.append(options), raising=False)
    consuming(lambda messages: None)
    tell("a")

    assert bell.ring_all() == 1
    app.finalize()

    options = [*sent, *[entry["options"] for entry in app.conf.beat_schedule.values()]]
    assert len(options) > 5
    assert {("expires" in each, each["expiration"]) for each in options} == {(False, 60)}


@pytest.mark.proof
def test_f6_orders_end_in_their_first_attempt_whatever_time_each_process_believes_it_is(service, skewed):
    """F6, S21: with the ticks of beat alone, then with the relay alone; no claim is taken over, no ring expires."""
    hours = {"sandbox": 0, "web": 1, "worker": 2, "remote-worker": -2, "beat": -1}
    for name, ahead in hours.items():
        service.stack.start(name, environment=skewed(ahead * HOUR))
    service.stack.wait_until_ready()
    assert statuses(place(service, 4)) == {201}
    come_to_rest(service)

    service.kill("beat")
    service.start("relay", environment=skewed(-3 * HOUR))
    assert statuses(place(service, 12)) == {201}

    assert_all_is_well(service)
    assert (confirmed(), attempts()) == (16, {1})
    assert was_last_told_by_the_database()


def was_last_told_by_the_database():
    """Every time that a process wrote is within this run, by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT bool_and(greatest(created_at, claimed_at, finished_at) <= now()"
            " AND created_at > now() - interval '10 minutes') FROM outbox_outboxmessage"
        )
        return cursor.fetchone()[0]
