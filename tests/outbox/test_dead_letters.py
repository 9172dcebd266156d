"""What dead messages have in common, what a requeue of them would run, and who waits behind whom."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone

from outbox import consumer, dead_letters, inbox, operations
from outbox.choice import Choice
from outbox.error_text import fingerprint_of
from outbox.models import OutboxMessage
from tests.support import dead, told

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ledger")]
ALL = Choice()
OTHER = "test.other"


def no_order() -> str:
    return f"Hopeless: no such order: {uuid4()}"


@pytest.fixture
def two_consumers(ledger):
    told.consuming(told.Ledger(), OTHER)


class TestBury:
    def test_a_buried_message_carries_its_fingerprint_and_when_it_died(self, ledger):
        ledger.raises["a"] = ValueError("broken 7 times")
        told.tell("a")
        OutboxMessage.objects.update(attempts=9)

        consumer.deliver(told.CONSUMER)

        row = told.row("a")
        assert (row.state, row.error_fingerprint) == ("dead", fingerprint_of("ValueError: broken 8 times"))
        assert timedelta(0) <= timezone.now() - row.died_at < timedelta(minutes=1)

    def test_what_older_code_buried_is_marked_once(self):
        told.tell("old")
        told.tell("open")
        ended = timezone.now() - timedelta(hours=1)
        OutboxMessage.objects.filter(payload__text="old").update(state="dead", last_error="broken", due_at=ended)

        assert (dead_letters.mark_unmarked(), dead_letters.mark_unmarked()) == (1, 0)

        row = told.row("old")
        assert (row.error_fingerprint, row.died_at) == (fingerprint_of("broken"), ended)
        assert told.row("open").error_fingerprint == ""


class TestGroups:
    def test_nothing_dead_is_no_group(self):
        told.tell("open")
        found = dead_letters.groups(ALL)
        assert (found.in_all, list(found.shown)) == (0, [])

    def test_dead_messages_are_counted_by_what_they_died_of(self):
        first = dead.bury("a", no_order())
        last = dead.bury("b", no_order())
        dead.bury("c", "KeyError: 'x'")
        told.tell("open")

        found = dead_letters.groups(ALL)

        assert (found.in_all, found.messages) == (2, 3)
        orders, keys = found.shown
        assert (orders.count, orders.pattern, orders.destinations) == (
            2,
            "Hopeless: no such order: <id>",
            [told.CONSUMER],
        )
        assert (orders.first_seen, orders.last_seen) == (first.died_at, last.died_at)
        assert (orders.example_key, orders.example_error) == (last.key, last.last_error)
        assert (keys.count, keys.pattern) == (1, "KeyError: <value>")

    @pytest.mark.usefixtures("two_consumers")
    def test_one_error_at_two_destinations_is_one_group_and_a_filter_shows_its_part(self):
        told.tell("a")
        for name in (told.CONSUMER, OTHER):
            OutboxMessage.objects.all().bury(told.claim(name=name), error=dead.BROKEN)
        dead.bury("b")

        [group] = dead_letters.groups(ALL).shown
        assert (group.count, group.destinations) == (3, [told.CONSUMER, OTHER])
        [part] = dead_letters.groups(Choice(destination=OTHER)).shown
        assert (part.count, part.destinations) == (1, [OTHER])
        assert dead_letters.groups(Choice(type="other.type.v1")).in_all == 0

    def test_what_is_requeued_or_skipped_is_in_no_group_any_more(self):
        keys = [dead.bury(text).key for text in "abc"]

        operations.requeue(keys[:1], who=None, reason="x")
        operations.skip(keys[1:2], who=None, reason="x")

        [group] = dead_letters.groups(ALL).shown
        assert (group.count, group.example_key) == (1, keys[2])

    def test_a_sagas_messages_are_counted_apart(self):
        for text in "ab":
            dead.bury(text)
        OutboxMessage.objects.filter(payload__text="a").update(order_free=True)

        [group] = dead_letters.groups(ALL).shown
        assert (group.count, group.steps) == (2, 1)

    def test_the_list_is_bounded_and_says_how_many_there_are(self, monkeypatch):
        for number, word in enumerate(["one", "two", "three"]):
            for text in range(number + 1):
                dead.bury(f"{word}{text}", f"broken by {word}")
        monkeypatch.setattr(dead_letters, "GROUPS", dead_letters.GROUPS.replace("LIMIT 100", "LIMIT 2"))

        found = dead_letters.groups(ALL)

        assert [group.pattern for group in found.shown] == ["broken by three", "broken by two"]
        assert found.in_all == 3


class TestPreview:
    def test_i5_what_a_consumer_has_in_its_inbox_it_would_drop(self):
        """I5: a requeue of what was handled has no second effect, and says so beforehand."""
        handled = dead.bury("handled")
        dead.bury("fresh")
        with transaction.atomic():
            inbox.record(told.CONSUMER, [handled.message_id])
            inbox.record("somebody.else", [handled.message_id, told.row("fresh").message_id])

        [effect] = dead_letters.preview(ALL)

        assert (effect.destination, effect.count, effect.handled, effect.runs) == (told.CONSUMER, 2, 1, 1)
        assert effect.runs_at == "this service's consumer, on queue default"
        assert dead_letters.handled_by(handled.message_id) == ["test.consumer", "somebody.else"]

    def test_a_preview_counts_as_the_requeue_does(self, ledger):
        keys = [dead.bury(text).key for text in "abc"]
        OutboxMessage.objects.filter(key=keys[0]).update(order_free=True)
        with transaction.atomic():
            inbox.record(told.CONSUMER, [told.row("b").message_id])
        [effect] = dead_letters.preview_of(keys)

        requeued = operations.requeue(keys, who=None, reason="x")
        while consumer.deliver(told.CONSUMER):
            pass

        assert (requeued, effect.requeued) == (2, 2)
        assert (ledger.texts, effect.runs) == (["c"], 1)
        assert (effect.count, effect.steps, effect.handled) == (3, 1, 1)

    @pytest.mark.usefixtures("two_consumers")
    def test_each_destination_is_told_who_gets_it(self, outside):
        for name in (told.CONSUMER, "broker", "gone.consumer"):
            OutboxMessage.objects.filter(key=dead.bury(name).key).update(destination=name)
        outside(broker={"BACKEND": "outbox.transports.console.ConsoleTransport"})

        told_of = {effect.destination: effect.runs_at for effect in dead_letters.preview(ALL)}

        assert told_of["gone.consumer"].startswith("no code here knows it")
        assert told_of["broker"].startswith("a system outside")
        assert told_of[told.CONSUMER].startswith("this service's consumer")


class TestWaiting:
    def test_an_order_with_messages_behind_a_dead_one_is_told_with_their_number(self):
        order = uuid4()
        head = dead.bury("head", aggregate_id=order)
        for number in (2, 3, 4):
            told.tell(str(number), aggregate_id=order, sequence=number)
        dead.bury("alone")

        [waiting] = dead_letters.waiting()

        assert (waiting.key, waiting.aggregate_id, waiting.behind, waiting.state) == (head.key, order, 3, "dead")
        assert dead_letters.ahead_of(told.row("3").key).key == head.key
        assert dead_letters.ahead_of(head.key) is None
        assert dead_letters.waiting(told.row("alone").key) == []

    def test_those_behind_a_failing_one_wait_too_and_the_longest_line_comes_first(self):
        for name, length in (("short", 1), ("long", 2)):
            order = uuid4()
            told.tell(name, aggregate_id=order)
            for number in range(length):
                told.tell(f"{name} {number}", aggregate_id=order, sequence=number + 2)
        told.tell("untried", aggregate_id=(untried := uuid4()))
        told.tell("behind untried", aggregate_id=untried, sequence=2)
        OutboxMessage.objects.filter(payload__text__in=["short", "long"]).update(attempts=1, last_error="no answer")

        assert [(head.key, head.behind, head.state) for head in dead_letters.waiting()] == [
            (told.row("long").key, 2, "open"),
            (told.row("short").key, 1, "open"),
        ]

    def test_whoever_waits_behind_nobody_is_told_so(self):
        told.tell("a")
        assert dead_letters.ahead_of(told.row("a").key) is None
