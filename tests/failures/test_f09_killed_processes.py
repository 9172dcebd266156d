"""F9: a killed process takes nothing with it: what it had claimed is taken over; a killer message ends up dead, alone.

One process at a time, by SIGKILL from its own consumer or step, and how a relay ends that is asked to.
"""

import signal
from datetime import timedelta

import pytest
from django.utils import timezone

from outbox import operations
from outbox.models import InboxMessage, OutboxMessage
from tests.support import child
from tests.support.drive import drive, time_passes
from tests.support.shop import attempts, outcome, saga_of, step, steps, stock
from tests.support.told import CONSUMER, Ledger, claim, consuming, isolate, make_due, row, states, tell

pytestmark = pytest.mark.django_db(transaction=True)

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
