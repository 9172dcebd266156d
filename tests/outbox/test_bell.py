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


def nothing_moved_for(seconds):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE outbox_destination SET rings_moved_at = rings_moved_at - %s * interval '1 second'", [seconds]
        )


def rings_under_way():
    return Destination.objects.get().rings


def rings_in_ten_minutes_without_answers(every):
    """Polls at the interval, and counts what goes out; the clock is the row's, moved instead of waited for."""
    sent = 0
    for _ in range(int(600 / every)):
        nothing_moved_for(every)
        sent += bell.ring_all()
    return sent


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

    def test_a_full_count_that_nothing_moved_for_a_second_does_not_silence_its_destination(
        self, ledger, rings, settings
    ):
        """Rings that the broker lost: the count would keep the destination silent for ever."""
        slots(settings, 1)
        tell("a")
        bell.ring_all()
        assert bell.ring_all() == 0

        nothing_moved_for(1.1)

        assert [bell.ring_all() for _ in range(2)] == [1, 0]
        assert rings_under_way() == 2

    def test_a_count_below_its_slots_that_nothing_moved_for_a_second_starts_again(self, ledger, rings, settings):
        """Some rings of several were lost: they do not take slots away for good."""
        slots(settings, 4)
        tell("a")
        assert [bell.ring_all() for _ in range(3)] == [1, 1, 1]

        nothing_moved_for(1.1)

        assert bell.ring_all() == 1
        assert rings_under_way() == 1

    def test_while_nobody_answers_each_ring_waits_longer_than_the_one_before_up_to_five_seconds(
        self, ledger, rings, settings
    ):
        slots(settings, 2)
        tell("a")
        assert [bell.ring_all() for _ in range(3)] == [1, 1, 0]

        for silence in (1, 2, 3, 4, 5, 5, 5):
            nothing_moved_for(silence - 0.5)
            assert bell.ring_all() == 0
            nothing_moved_for(0.6)
            assert [bell.ring_all() for _ in range(2)] == [1, 0]

        assert rings_under_way() == 7

    def test_ten_minutes_without_answers_are_some_hundred_and_twenty_rings(self, ledger, rings, settings):
        """They lie in the broker until somebody comes: nothing there lets them expire but RabbitMQ's clock."""
        slots(settings, 2)
        tell("a")

        assert 100 <= rings_in_ten_minutes_without_answers(0.5) <= 125

    @pytest.mark.parametrize("count", [1, 2, 20])
    def test_the_first_answer_after_a_silence_brings_full_speed_back(self, ledger, rings, settings, count):
        """Whatever was lost before it: as many rings as there are slots may be under way again."""
        slots(settings, count)
        tell("a")
        for _ in range(count + 4):
            nothing_moved_for(0.1)
            bell.ring_all()
        nothing_moved_for(5.1)
        assert bell.ring_all() == 1
        assert rings_under_way() > count

        bell.answered(CONSUMER)

        assert [bell.ring_all() for _ in range(count + 1)] == [1] * count + [0]

    def test_who_answers_and_dies_delays_the_next_ring_by_nothing(self, ledger, rings, settings):
        slots(settings, 1)
        tell("a")
        bell.ring_all()
        nothing_moved_for(1.1)
        bell.ring_all()

        # Its process ends here: nothing is claimed.
        bell.answered(CONSUMER)

        assert bell.ring_all() == 1
        assert states() == {"a": "open"}

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
