"""The relay: rings inside, sends outside, each row by one at a time."""

from datetime import timedelta

import pytest
from django.db import connection

from outbox import heartbeat, operations, pause, relay, routing
from outbox.exceptions import DestinationUnavailable, MessageRejected
from outbox.models import Destination, OutboxMessage
from tests.support.told import CONSUMER, consuming, make_due, row, states, tell

OUTSIDE = {"BACKEND": "tests.outbox.test_relay.Outside", "TYPES": ["test.*"]}


class Broken:
    """A transport that cannot be made."""

    asked = 0

    def __init__(self):
        type(self).asked += 1
        raise OSError("connection refused")


class Outside:
    """A destination outside with a memory, as bad as a test wants it."""

    sent: list[str] = []
    batches: list[list[str]] = []
    trouble: dict[str, Exception] = {}
    rejects_all: MessageRejected | None = None
    closed = 0

    def send(self, messages):
        texts = [message.payload.get("text") for message in messages]
        self.batches.append(texts)
        if self.rejects_all:
            return [self.rejects_all for _ in messages]
        if error := self.trouble.get("*"):
            raise error
        self.sent.extend(text for text in texts if text not in self.trouble)
        return [self.trouble.get(text) for text in texts]

    def close(self):
        type(self).closed += 1


@pytest.fixture
def broker(rings, outside):
    outside(broker=OUTSIDE)
    Outside.sent, Outside.batches, Outside.trouble, Outside.closed = [], [], {}, 0
    return Outside


def moment():
    """By the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def pause_ends():
    with connection.cursor() as cursor:
        cursor.execute("UPDATE outbox_destination SET paused_until = now() - interval '1 second'")


@pytest.mark.django_db
class TestRunOnce:
    def test_rings_what_is_due_inside_and_sends_what_is_due_outside(self, broker, rings):
        consuming(lambda messages: None)
        for text in "abc":
            tell(text)

        assert relay.run_once() == 3

        assert rings == [CONSUMER]
        assert (broker.sent, broker.closed) == (["a", "b", "c"], 1)
        assert set(OutboxMessage.objects.filter(destination="broker").values_list("state", flat=True)) == {"done"}

    def test_through_the_console_transport(self, rings, outside, capsys):
        outside(console={"BACKEND": "outbox.transports.console.ConsoleTransport"})
        tell("hello")

        assert relay.run_once() == 1

        assert '"text": "hello"' in capsys.readouterr().out
        assert states() == {"hello": "done"}

    def test_i12_one_aggregate_goes_out_in_order_one_batch_after_the_other(self, broker):
        """I12: messages of one aggregate are applied in order."""
        from uuid import uuid4

        order = uuid4()
        for number in (1, 2, 3):
            tell(str(number), aggregate_id=order, sequence=number)

        relay.run_once()

        assert broker.batches == [["1"], ["2"], ["3"]]

    def test_sent_and_not_finished_is_sent_again_under_the_same_id(self, broker, monkeypatch):
        from tests.support.crash import Crash, crash_before

        message_id = tell("a")
        monkeypatch.setattr("outbox.relay._finish", crash_before(relay._finish))
        with pytest.raises(Crash):
            relay.run_once()
        make_due()

        relay.run_once()

        assert broker.sent == ["a", "a"]
        assert (row("a").message_id, row("a").state) == (message_id, "done")

    def test_what_can_never_be_sent_is_dead_at_once_and_the_rest_is_done(self, broker):
        """S16: a hopeless message never loops."""
        broker.trouble["bad"] = MessageRejected("too large")
        for text in ("a", "bad", "b"):
            tell(text)

        relay.run_once()
        relay.run_once()

        assert states() == {"a": "done", "bad": "dead", "b": "done"}
        assert row("bad").last_error == "MessageRejected: too large"
        assert len(broker.batches) == 1

    def test_f4_what_was_answered_before_the_trouble_is_settled_and_only_the_rest_waits(self, broker, monkeypatch):
        """F4: a broker that confirmed half of a batch does not get that half again."""

        def send(transport, messages):
            sent, bad, _ = messages
            raise DestinationUnavailable("gone", answers={sent.key: None, bad.key: MessageRejected("too large")})

        monkeypatch.setattr(broker, "send", send)
        for text in ("sent", "bad", "waits"):
            tell(text)

        relay.run_once()

        assert states() == {"sent": "done", "bad": "dead", "waits": "open"}
        assert (row("waits").attempts, row("waits").last_error) == (0, "DestinationUnavailable: gone")
        assert pause.is_paused("broker")

    def test_s16_nothing_is_told_about_a_dead_message_dead(self, broker, outside):
        """S16: a destination that rejects it would make each the cause of the next, without end."""
        outside(broker={**OUTSIDE, "TYPES": ["test.*", "message.*"]})
        broker.rejects_all = MessageRejected("never")
        tell("a")

        for _ in range(5):
            relay.run_once()

        broker.rejects_all = None
        assert dict(OutboxMessage.objects.values_list("type", "state")) == {
            "test.told.v1": "dead",
            "message.dead.v1": "dead",
        }
        assert OutboxMessage.objects.count() == 2

    def test_a_turn_is_bounded_however_much_is_due(self, broker, settings, monkeypatch):
        settings.OUTBOX = {**settings.OUTBOX, "RELAY_BATCH_SIZE": 1}
        monkeypatch.setattr(relay, "BATCHES_PER_TURN", 3)
        for text in "abcde":
            tell(text)

        assert [relay.run_once(), relay.run_once()] == [3, 2]

    def test_an_unexplained_error_counts_against_each_and_sorts_out_the_bad_one(self, broker):
        broker.trouble["*"] = RuntimeError("odd")
        for text in ("a", "b"):
            tell(text)
        relay.run_once()
        assert set(OutboxMessage.objects.values_list("attempts", "state")) == {(1, "open")}

        for _ in range(25):
            make_due()
            relay.run_once()

        assert states() == {"a": "dead", "b": "dead"}
        assert set(OutboxMessage.objects.values_list("attempts", flat=True)) == {10}
        assert broker.batches[0] == ["a", "b"]
        assert all(len(batch) == 1 for batch in broker.batches[1:])


@pytest.mark.django_db
class TestPause:
    def test_the_pause_doubles_while_it_lasts_and_ends_with_the_first_success(self, broker):
        broker.trouble["*"] = DestinationUnavailable("down")
        tell("a")
        for seconds in (1, 2, 4, 8, 16, 32, 60, 60):
            began = moment()
            relay.run_once()
            paused_until = Destination.objects.get().paused_until
            assert began <= paused_until - timedelta(seconds=seconds) <= moment()
            pause_ends()

        broker.trouble.clear()
        relay.run_once()

        healed = Destination.objects.get()
        assert (broker.sent, healed.pauses, healed.paused_until) == (["a"], 0, None)

    def test_another_destination_flows_meanwhile(self, broker, outside):
        outside(broker=OUTSIDE, console={"BACKEND": "outbox.transports.console.ConsoleTransport"})
        broker.trouble["*"] = DestinationUnavailable("down")
        tell("a")

        relay.run_once()

        assert dict(OutboxMessage.objects.values_list("destination", "state")) == {"broker": "open", "console": "done"}

    def test_a_transport_that_cannot_be_made_pauses_its_destination_and_no_other(self, broker, outside):
        outside(bad={"BACKEND": "tests.outbox.test_relay.Broken", "TYPES": ["test.*"]}, broker=OUTSIDE)
        Broken.asked = 0
        tell("a")

        assert [relay.run_once(), relay.run_once()] == [1, 0]

        assert dict(OutboxMessage.objects.values_list("destination", "state")) == {"bad": "open", "broker": "done"}
        assert OutboxMessage.objects.get(destination="bad").attempts == 0
        assert Broken.asked == 1
        assert Destination.objects.get(name="bad").pause_reason == "OSError: connection refused"

    def test_an_operator_ends_a_pause(self, broker):
        pause.pause_after_failure("broker", reason="down")

        operations.resume_destination("broker", who=None, reason="it is back")

        assert not pause.is_paused("broker")


@pytest.mark.django_db
def test_a_relay_that_was_asked_to_stop_gives_its_claims_back(broker):
    tell("a")
    heartbeat.stop()

    assert relay.send_due(routing.all_outside()[0], Outside()) == 0

    assert (broker.batches, row("a").attempts, row("a").claimed_at) == ([], 0, None)
    heartbeat._stopping.clear()
    assert relay.run_once() == 1


@pytest.mark.django_db(transaction=True)
class TestProcess:
    def test_the_relay_rings_sends_ticks_and_ends_when_asked(self, broker, rings, monkeypatch):
        """S21: a relay alone does everything that beat would."""
        from outbox import periodic
        from tests.support.threads import in_thread

        ticked = []

        def purge():
            ticked.append("purge")
            heartbeat.wait(30)  # a long one: nothing else waits for it

        monkeypatch.setattr(periodic, "_registered", {})
        periodic.tick("test.long", every=timedelta(hours=1))(purge)
        periodic.tick(relay.OWN_TICK, every=timedelta(hours=1))(lambda: ticked.append("relay"))
        consuming(lambda messages: None)
        process = relay.Relay()
        running = in_thread(process.run)
        tell("a")

        waited = connection.cursor()
        for _ in range(1_000):
            if rings and broker.sent and ticked:
                break
            waited.execute("SELECT pg_sleep(0.01)")
        process.stop()
        running.result(10)

        assert (set(rings), broker.sent, ticked) == ({CONSUMER}, ["a"], ["purge"])
        assert broker.closed == 1

    def test_an_error_on_the_way_to_one_destination_leaves_the_others_alone(self, broker, outside, monkeypatch):
        outside(bad=OUTSIDE, broker=OUTSIDE)
        send_due = relay.send_due
        monkeypatch.setattr(relay, "send_due", lambda to, through: 1 / 0 if to.name == "bad" else send_due(to, through))
        tell("a")

        assert relay.run_once() == 1

        assert dict(OutboxMessage.objects.values_list("destination", "state")) == {"bad": "open", "broker": "done"}
