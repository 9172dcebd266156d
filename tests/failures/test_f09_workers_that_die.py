"""F9: a worker out of memory, one that segfaults, loops for ever or is frozen: work resumes elsewhere within the claim
time; attempts are counted before the work, so a killer message ends up dead, alone.

First one process at a time, killed by its own consumer or step; then real prefork workers of the real service, with a
consumer of tests only among the others (tests.failures.wild).
"""

import os
import signal
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone
from uuid_utils.compat import uuid7

from outbox import operations
from outbox.models import InboxMessage, OutboxMessage
from tests.acceptance import books, crowd
from tests.support import child
from tests.support.drive import drive, time_passes
from tests.support.shop import attempts, outcome, saga_of, step, steps, stock
from tests.support.told import CONSUMER, Ledger, claim, consuming, isolate, make_due, row, states, tell

from .rest import assert_all_is_well
from .wild.consumers import DEEDS, NAME, Wild

pytestmark = pytest.mark.django_db(transaction=True)
WILD = {"DJANGO_SETTINGS_MODULE": "tests.failures.wild.settings"}
KILLERS = sorted(set(DEEDS) - {"freeze"})
ATTEMPTS = 3
KILLED = -signal.SIGKILL
# A consumer that the kernel kills while it works: after finish and inbox row, in the middle of its effect.
KILLER = """
from outbox import consumer
from tests.support.told import CONSUMER, Told
@consumer.consumer(CONSUMER, event=Told)
def effect(messages):
    os.kill(os.getpid(), signal.SIGKILL)
consumer.deliver(CONSUMER)
"""
# A worker that dies in the third step, when the carrier has been asked and nothing is written down yet.
DIES_IN_STEP = """
from django.conf import settings
from outbox import bell, consumer
from sagas import runner
from shipping.services import provider
from tests.support import provider as fake
settings.CARRIER = settings.PAYMENT_GATEWAY = {"BACKEND": "tests.support.provider.current"}
fake._current.append(fake.Provider())
bell._send = lambda destination: True
runner.RemoteStepWork.record = lambda work, answers: os.kill(os.getpid(), signal.SIGKILL)
consumer.deliver("fulfil_order.create_shipment")
"""


class TestKilled:
    def test_s8_a_consumer_killed_after_its_inbox_row_loses_nothing(self, monkeypatch):
        """S8, I4, I5: neither done nor handled; the claim runs out, and the next worker has the effect."""
        isolate(monkeypatch)
        ledger = consuming(Ledger())
        tell("a")

        assert child.script(KILLER).returncode == KILLED

        assert (states(), row("a").attempts, InboxMessage.objects.count()) == ({"a": "open"}, 1, 0)
        make_due()
        drive()
        assert (ledger.texts, states()) == (["a"], {"a": "done"})

    def test_f9_a_message_that_kills_its_process_ends_dead_alone(self, monkeypatch):
        """F9: the attempt was counted before the work, so the tenth is the last."""
        isolate(monkeypatch)
        ledger = consuming(Ledger())
        tell("killer")
        OutboxMessage.objects.update(attempts=9)
        tell("neighbour")

        assert child.script(KILLER).returncode == KILLED
        make_due()
        assert operations.bury_spent() == 1
        drive()

        assert states() == {"killer": "dead", "neighbour": "done"}
        assert ledger.texts == ["neighbour"]

    def test_s20_a_worker_killed_in_step_three_leaves_steps_one_and_two_alone(self, shop):
        """S20: after restart only step 3 runs, and it asks first."""
        order = shop.up_to("create_shipment")

        assert child.script(DIES_IN_STEP).returncode == KILLED

        assert steps(order)["create_shipment"] == ("running", "")
        assert saga_of(order).current_step == "create_shipment"
        time_passes()
        drive()
        assert outcome(order) == ("confirmed", "", "completed")
        assert attempts(order) == {"reserve_stock": 1, "charge_payment": 1, "create_shipment": 2, "confirm_order": 1}
        assert [operation for operation, _ in shop.provider.calls] == ["charge", "find", "create"]
        assert (stock(), step("create_shipment")) == ((9, 0), "fulfil_order.create_shipment")


class TestAskedToStop:
    def test_a_relay_sends_what_was_committed_and_ends_cleanly_on_the_first_signal(self, rings_and_console):
        """S21: the relay alone; the first SIGTERM finishes the batch in hand and ends."""
        relay = child.manage("relay_outbox", OUTBOX_CONSOLE="1")
        child.read_until(relay, "The relay listens")
        tell("hello from the test")
        assert "eventId" in child.read_until(relay, "hello from the test")

        relay.send_signal(signal.SIGTERM)
        child.read_until(relay, "The relay has ended")

        assert relay.wait(30) == 0
        assert states() == {"hello from the test": "done"}

    def test_a_killed_relays_work_is_taken_over(self, rings_and_console):
        """S6: nothing is marooned: what it had claimed is due again when its claim has run out."""
        tell("left behind")
        assert len(claim(name="console", types=None)) == 1
        OutboxMessage.objects.update(due_at=timezone.now() + timedelta(seconds=1))

        relay = child.manage("relay_outbox", OUTBOX_CONSOLE="1")
        child.read_until(relay, "left behind")
        relay.send_signal(signal.SIGINT)

        child.read_until(relay, "The relay has ended")
        assert relay.wait(30) == 0
        assert (states(), row("left behind").attempts) == ({"left behind": "done"}, 2)


@pytest.fixture
def rings_and_console(monkeypatch, settings):
    """Nothing inside; the console outside, as in the process."""
    isolate(monkeypatch)
    console = {"BACKEND": "outbox.transports.console.ConsoleTransport"}
    settings.OUTBOX = {**settings.OUTBOX, "DESTINATIONS": {"console": console}}
    return CONSUMER


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


def happen(what, **payload):
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


def wild_state(what):
    return OutboxMessage.objects.get(destination=NAME, payload__what=what).state


@pytest.mark.proof
def test_f9_killer_messages_end_dead_alone_and_everything_around_them_is_done(service, effects):
    """F9: segfault, out of memory in two ways, a loop deaf to the soft limit: three attempts each, then dead."""
    service.start("sandbox", "web", "relay", "worker", "remote-worker", environment=WILD)
    for what in KILLERS:
        happen(what)
        happen(f"after {what}")

    placed = crowd.place_all(service, 8)
    service.wait_until(lambda: books.still_under_way() == 0, within_seconds=90, what="the end of every order")
    service.wait_until(
        lambda: all(wild_state(what) == "dead" for what in KILLERS), within_seconds=90, what="the death of every killer"
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


@pytest.mark.proof
def test_f9_a_frozen_worker_is_taken_over_and_changes_nothing_when_it_wakes(service, effects, tmp_path):
    """F9, I6: SIGSTOP to a whole worker in the middle of an effect; another one does its work, once."""
    pid_file = tmp_path / "pid"
    service.start("sandbox", "web", "relay", "worker", "remote-worker", environment=WILD)
    happen("freeze", pidFile=str(pid_file))
    service.wait_until(lambda: pid_file.exists() and pid_file.read_text(), within_seconds=30, what="the claim")
    frozen = service.stack.programs["worker"].pid
    os.killpg(frozen, signal.SIGSTOP)
    try:
        service.start("worker-2", environment=WILD)
        placed = crowd.place_all(service, 8)
        service.wait_until(lambda: wild_state("freeze") == "done", within_seconds=60, what="the work of another worker")
        assert [what for what, _ in effects()] == ["freeze"]
        assert effects()[0][1] != int(pid_file.read_text())
        service.wait_until(lambda: books.still_under_way() == 0, within_seconds=60, what="the end of every order")
    finally:
        os.killpg(frozen, signal.SIGCONT)

    happen("after freeze")
    service.kill("worker-2")  # so that the one that woke up has to do it
    service.wait_until(lambda: wild_state("after freeze") == "done", within_seconds=60, what="the woken worker at work")

    assert [what for what, _ in effects()] == ["freeze", "after freeze"]
    assert OutboxMessage.objects.get(payload__what="freeze").attempts == 2
    assert len(set(placed)) == 8
    assert books.ends() == crowd.expected_ends(8)
    assert_all_is_well(service)
