"""F9: a worker out of memory, one that segfaults, loops for ever or is frozen: work resumes elsewhere within the claim
time; attempts are counted before the work, so a killer message ends up dead, alone.

Real prefork workers of the real service, with a consumer of tests only among the others (tests.failures.wild).
"""

import os
import signal
from uuid import uuid4

import pytest
from django.db import connection
from uuid_utils.compat import uuid7

from outbox import operations
from outbox.models import OutboxMessage
from tests.acceptance import books, crowd

from .rest import assert_all_is_well
from .wild.consumers import DEEDS, NAME, Wild

pytestmark = pytest.mark.proof
WILD = {"DJANGO_SETTINGS_MODULE": "tests.failures.wild.settings"}
KILLERS = sorted(set(DEEDS) - {"freeze"})
ATTEMPTS = 3


@pytest.fixture
def effects(transactional_db):
    """The table that the wild consumer writes to; [(what, pid)] of what it did."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS wild_effect")
        cursor.execute("CREATE TABLE wild_effect (what text NOT NULL, pid int NOT NULL)")

    def so_far():
        with connection.cursor() as cursor:
            cursor.execute("SELECT what, pid FROM wild_effect")
            return cursor.fetchall()

    yield so_far
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE wild_effect")


def tell(what, **payload):
    """A message to the wild consumer; nobody in this process knows it."""
    return OutboxMessage.objects.create(
        message_id=uuid7(),
        destination=NAME,
        type=Wild.type,
        aggregate_type="wild",
        aggregate_id=uuid4(),
        correlation_id=uuid4(),
        payload={"what": what, **payload},
    )


def state(what):
    return OutboxMessage.objects.get(destination=NAME, payload__what=what).state


def test_f9_killer_messages_end_dead_alone_and_everything_around_them_is_done(service, effects):
    """F9: segfault, out of memory in two ways, a loop that is deaf to the soft limit: three attempts each, then dead."""
    service.start("sandbox", "web", "relay", "worker", "remote-worker", environment=WILD)
    for what in KILLERS:
        tell(what)
        tell(f"after {what}")

    placed = crowd.place_all(service, 8)
    service.wait_until(lambda: books.still_under_way() == 0, within_seconds=90, what="the end of every order")
    service.wait_until(
        lambda: all(state(what) == "dead" for what in KILLERS), within_seconds=90, what="the death of every killer"
    )

    assert sorted(what for what, _ in effects()) == sorted(f"after {what}" for what in KILLERS)
    dead = OutboxMessage.objects.filter(state="dead")
    assert sorted(dead.values_list("payload__what", flat=True)) == KILLERS
    assert set(dead.values_list("attempts", flat=True)) == {ATTEMPTS}
    reasons = dict(dead.values_list("payload__what", "last_error"))
    assert reasons["hog"].startswith("MemoryError")
    for what in ("segfault", "oom", "loop"):
        assert "ended without an answer" in reasons[what]
    assert len(set(placed)) == 8
    assert books.ends() == crowd.expected_ends(8)
    # A person looks at them and ends them.
    operations.skip(list(dead.values_list("key", flat=True)), who=None, reason="they kill whoever touches them")
    assert_all_is_well(service)


def test_f9_a_frozen_worker_is_taken_over_and_changes_nothing_when_it_wakes(service, effects, tmp_path):
    """F9, I6: SIGSTOP to a whole worker in the middle of an effect; another one does its work, once."""
    pid_file = tmp_path / "pid"
    service.start("sandbox", "web", "relay", "worker", "remote-worker", environment=WILD)
    tell("freeze", pidFile=str(pid_file))
    service.wait_until(lambda: pid_file.exists() and pid_file.read_text(), within_seconds=30, what="the claim")
    frozen = service.stack.programs["worker"].pid
    os.killpg(frozen, signal.SIGSTOP)
    try:
        service.start("worker-2", environment=WILD)
        placed = crowd.place_all(service, 8)
        service.wait_until(lambda: state("freeze") == "done", within_seconds=60, what="the work of another worker")
        assert [what for what, _ in effects()] == ["freeze"]
        assert effects()[0][1] != int(pid_file.read_text())
        service.wait_until(lambda: books.still_under_way() == 0, within_seconds=60, what="the end of every order")
    finally:
        os.killpg(frozen, signal.SIGCONT)

    tell("after freeze")
    service.kill("worker-2")  # so that the one that woke up has to do it
    service.wait_until(lambda: state("after freeze") == "done", within_seconds=60, what="the woken worker at work")

    assert [what for what, _ in effects()] == ["freeze", "after freeze"]
    assert OutboxMessage.objects.get(payload__what="freeze").attempts == 2
    assert len(set(placed)) == 8
    assert books.ends() == crowd.expected_ends(8)
    assert_all_is_well(service)
