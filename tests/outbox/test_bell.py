"""The bell: rings are counted, never needed."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from outbox import bell, consumer
from outbox.models import Destination, OutboxMessage
from tests.support.told import CONSUMER, consuming, states, tell

pytestmark = pytest.mark.django_db


def slots(settings, count):
    settings.OUTBOX = {**settings.OUTBOX, "QUEUE_SLOTS": {"default": count}}


def nothing_moved_for_a_second():
    with connection.cursor() as cursor:
        cursor.execute("UPDATE outbox_destination SET rings_moved_at = rings_moved_at - interval '1.1 seconds'")


class TestRing:
    def test_only_destinations_with_due_messages_are_rung(self, ledger, rings):
        consuming(lambda messages: None, "test.idle")
        tell("later", scheduled_for=timezone.now() + timedelta(hours=1))
        OutboxMessage.objects.filter(destination="test.idle").delete()
        assert bell.ring_all() == 0

        tell("now")
        OutboxMessage.objects.filter(destination="test.idle").delete()
        assert bell.ring_all() == 1

        assert rings == [CONSUMER]

    def test_unknown_names_are_left_to_the_code_that_knows_them(self, ledger, rings):
        assert bell.ring(["of.another.version"]) == 0
        assert rings == []

    def test_no_more_rings_are_under_way_than_the_queue_has_slots(self, ledger, rings, settings):
        slots(settings, 2)
        tell("a")

        assert [bell.ring_all() for _ in range(4)] == [1, 1, 0, 0]
        assert Destination.objects.get().rings == 2

    def test_an_answer_takes_a_ring_off(self, ledger, rings, settings):
        slots(settings, 1)
        tell("a")
        bell.ring_all()

        consumer.deliver(CONSUMER)

        assert Destination.objects.get().rings == 0
        tell("b")
        assert bell.ring_all() == 1

    def test_a_count_that_nothing_moved_for_a_second_starts_again(self, ledger, rings, settings):
        """Rings that the broker lost: the count would keep the destination silent for ever."""
        slots(settings, 1)
        tell("a")
        bell.ring_all()
        assert bell.ring_all() == 0

        nothing_moved_for_a_second()

        assert bell.ring_all() == 1
        assert Destination.objects.get().rings == 1

    def test_a_paused_destination_is_not_rung_until_its_pause_ends(self, ledger, rings):
        Destination.objects.create(name=CONSUMER, paused_until=timezone.now() + timedelta(minutes=1))
        tell("a")
        assert bell.ring_all() == 0

        Destination.objects.update(paused_until=timezone.now() - timedelta(seconds=1))

        assert bell.ring_all() == 1

    def test_a_worker_rings_for_itself_after_its_batch(self, ledger, rings, settings):
        settings.OUTBOX = {**settings.OUTBOX, "CLAIM_BATCH_SIZE": 1}
        tell("a")
        tell("b")

        consumer.deliver(CONSUMER)
        assert rings == [CONSUMER]
        consumer.deliver(CONSUMER)

        assert rings == [CONSUMER]
        assert states() == {"a": "done", "b": "done"}

    def test_a_stray_ring_does_no_harm(self, ledger, rings):
        """Lost, doubled, forged or years old: there is work or none."""
        tell("a")

        assert [consumer.deliver(CONSUMER) for _ in range(3)] == [1, 0, 0]
        assert ledger.texts == ["a"]
