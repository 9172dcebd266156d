"""Requeue orders: each message once, at the rate, through crashes and doubled ticks, until it is done or ended."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from uuid_utils.compat import uuid7

from outbox import consumer, once, operations, periodic, requeue_orders
from outbox.choice import Choice
from outbox.error_text import fingerprint_of
from outbox.exceptions import AlreadyActed, VerbRefused
from outbox.models import OperatorAct, OutboxMessage, RequeueOrder
from tests.support import dead, staff, told
from tests.support.crash import Crash, crash_after, crash_before
from tests.support.dead import work
from tests.support.threads import at_once

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ledger")]
ALL = Choice()


@pytest.fixture(autouse=True)
def _own_clock(monkeypatch):
    dead.own_clock(monkeypatch)


def place(choice=ALL, *, rate=1_000, who=None):
    return requeue_orders.place(choice, rate_per_second=rate, who=who, reason="the cause is mended")


def bury(*texts, error=dead.BROKEN):
    return [dead.bury(text, error).key for text in texts]


def requeues():
    """{key: how often an act says that it was requeued}"""
    told_of = list(OperatorAct.objects.filter(verb="requeue").values_list("target_id", flat=True))
    return {key: told_of.count(key) for key in told_of}


class TestPlace:
    def test_an_order_says_what_it_found_and_leaves_an_act_and_touches_no_message(self):
        bury("a", "b")
        bury("c", error="KeyError: 'x'")
        person = staff.operator()

        order = place(Choice(error_fingerprint=fingerprint_of(dead.BROKEN)), rate=5, who=person)

        assert (order.found, order.requeued, order.status, order.rate_per_second) == (2, 0, "open", 5)
        assert told.states() == dict.fromkeys("abc", "dead")
        act = OperatorAct.objects.get()
        assert (act.who, act.verb, act.target_type, act.target_id) == (
            person,
            "order requeue",
            "requeueorder",
            str(order.pk),
        )
        assert (act.detail["found"], act.detail["rate_per_second"]) == (2, 5)

    def test_there_is_nothing_to_order_where_nothing_is_dead_or_all_belongs_to_sagas(self):
        told.tell("open")
        bury("a")
        OutboxMessage.objects.filter(payload__text="a").update(order_free=True)

        with pytest.raises(VerbRefused, match="no such dead message"):
            place()
        assert (RequeueOrder.objects.count(), OperatorAct.objects.count()) == (0, 0)

    def test_a_second_click_finds_the_same_order_under_way(self):
        bury("a")
        first = place()

        with pytest.raises(VerbRefused, match=str(first.pk)):
            place()

        assert requeue_orders.under_way(ALL) == first.pk
        assert (RequeueOrder.objects.count(), OperatorAct.objects.count()) == (1, 1)

    @pytest.mark.parametrize("rate", [0, -1, 1_001])
    def test_a_rate_that_is_none_is_refused(self, rate):
        bury("a")
        with pytest.raises(VerbRefused, match="the rate is"):
            place(rate=rate)

    @pytest.mark.parametrize(
        ("changes", "guard"),
        [
            ({"reason": ""}, "a_requeue_order_has_a_reason"),
            ({"rate_per_second": 0}, "a_requeue_order_has_a_rate"),
            ({"requeued": -1}, "a_requeue_orders_counts_are_not_negative"),
            ({"status": "done"}, "a_requeue_order_has_ended_if_and_only_if_it_is_over"),
            ({"status": "lost"}, "a_requeue_order_has_ended_if_and_only_if_it_is_over"),
        ],
    )
    def test_postgres_refuses_an_order_that_makes_no_sense(self, changes, guard):
        bury("a")
        order = place()
        with pytest.raises(IntegrityError, match=guard), transaction.atomic():
            RequeueOrder.objects.filter(pk=order.pk).update(**changes)

    def test_postgres_refuses_a_second_order_for_the_same_messages_while_one_is_under_way(self):
        same = {"reason": "x", "rate_per_second": 1, "found": 1}
        first = RequeueOrder.objects.create(**same)
        with pytest.raises(IntegrityError, match="one_requeue_order_under_way_per_choice"), transaction.atomic():
            RequeueOrder.objects.create(**same)
        RequeueOrder.objects.create(**same, destination="another")

        requeue_orders.cancel(first.pk, who=None, reason="x")
        RequeueOrder.objects.create(**same)


class TestWork:
    def test_it_makes_its_messages_due_and_no_others_then_is_done(self, ledger):
        bury("a", "b")
        bury("c", error="KeyError: 'x'")
        order = place(Choice(error_fingerprint=fingerprint_of(dead.BROKEN)))

        assert work(order) == 2

        order.refresh_from_db()
        assert (order.requeued, order.status, order.ended_at is None) == (2, "done", False)
        assert told.states() == {"a": "open", "b": "open", "c": "dead"}
        assert told.row("a").requeued_by == order.pk
        acts = OperatorAct.objects.filter(verb="requeue")
        assert [(act.reason, act.detail["requeue_order"]) for act in acts] == [
            ("the cause is mended", str(order.pk))
        ] * 2
        consumer.deliver(told.CONSUMER)
        assert ledger.texts == ["a", "b"]
        assert requeue_orders.outcome(order) == {"done": 2}

    def test_a_destination_and_a_type_choose_too(self):
        bury("here", "elsewhere", "of another type")
        OutboxMessage.objects.filter(payload__text="elsewhere").update(destination="somewhere.else")
        OutboxMessage.objects.filter(payload__text="of another type").update(type="other.told.v1")

        work(place(Choice(destination=told.CONSUMER, type=told.Told.type)))

        open_now = OutboxMessage.objects.filter(state="open").values_list("payload__text", flat=True)
        assert list(open_now) == ["here"]

    def test_a_sagas_message_is_left_alone(self):
        bury("a", "saga")
        OutboxMessage.objects.filter(payload__text="saga").update(order_free=True)
        order = place()

        assert work(order) == 1

        assert told.states() == {"a": "open", "saga": "dead"}
        assert RequeueOrder.objects.get().status == "done"

    def test_what_dies_again_or_later_is_left_to_a_next_order(self):
        """Each message at most once per order, or an unmended cause would turn round for ever."""
        bury("a", "b")
        order = place(rate=1)
        assert work(order) == 1
        dead.bury_again("a")
        bury("died later")

        assert [work(order), work(order)] == [1, 0]

        assert told.states() == {"a": "dead", "b": "open", "died later": "dead"}
        order.refresh_from_db()
        assert (order.requeued, order.status, requeue_orders.outcome(order)) == (2, "done", {"dead": 1, "open": 1})
        assert set(requeues().values()) == {1}
        assert work(place()) == 2

    def test_the_reason_and_the_person_of_the_order_stand_in_each_act(self):
        bury("a")
        person = staff.operator()
        work(place(who=person))
        assert OperatorAct.objects.get(verb="requeue").who == person

    def test_the_tick_works_it_off(self):
        bury("a")
        dead.let_pass(place(), 1)
        assert periodic.run("outbox.requeue")
        assert told.states() == {"a": "open"}


class TestRate:
    def test_f6_as_many_as_the_time_by_the_databases_clock_allows(self):
        """F6: no host's clock is asked."""
        bury(*"abcdefghij")
        order = place(rate=2)

        assert [work(order, seconds=seconds) for seconds in (0, 0.4, 1.6, 2)] == [0, 0, 3, 4]

    def test_what_the_rate_allowed_and_was_not_a_whole_message_is_kept(self):
        bury(*"abcd")
        order = place(rate=2)

        assert work(order, seconds=1.25) == 2

        order.refresh_from_db()
        assert order.paced_until == dead.EPOCH + timedelta(seconds=1)
        assert requeue_orders.work() == 0

    def test_a_tick_that_comes_late_makes_up_for_a_burst_only(self):
        bury(*"abcdefgh")
        order = place(rate=1)

        assert work(order, seconds=3_600) == 5
        assert requeue_orders.work() == 0

    def test_a_large_allowance_is_taken_in_batches(self, monkeypatch):
        monkeypatch.setattr(requeue_orders, "BATCH_MAX", 2)
        bury(*"abcde")
        order = place()

        assert work(order) == 5

        assert RequeueOrder.objects.get().status == "done"
        assert (set(told.states().values()), set(requeues().values()), len(requeues())) == ({"open"}, {1}, 5)


class TestCrashes:
    def test_a_crash_between_two_batches_goes_on_where_it_stopped(self, monkeypatch):
        """I4: nothing is lost, and nothing is requeued twice."""
        monkeypatch.setattr(requeue_orders, "BATCH_MAX", 2)
        keys = bury(*"abcde")
        order = place()
        with monkeypatch.context() as once:
            once.setattr(requeue_orders, "_take_batch", crash_after(requeue_orders._take_batch))
            with pytest.raises(Crash):
                work(order)
        order.refresh_from_db()
        assert (order.requeued, order.status) == (2, "open")

        assert work(order) == 3

        order.refresh_from_db()
        assert (order.requeued, order.status) == (5, "done")
        assert requeues() == {str(key): 1 for key in keys}
        assert set(OutboxMessage.objects.values_list("state", flat=True)) == {"open"}

    @pytest.mark.parametrize("dying", [crash_before, crash_after])
    def test_a_crash_within_a_batch_undoes_all_of_it(self, monkeypatch, dying):
        keys = bury(*"abc")
        order = place()
        with monkeypatch.context() as once:
            once.setattr(operations, "requeue", dying(operations.requeue))
            with pytest.raises(Crash):
                work(order)
        assert set(told.states().values()) == {"dead"}
        assert requeues() == {}

        assert work(order) == 3

        assert requeues() == {str(key): 1 for key in keys}
        assert RequeueOrder.objects.get().requeued == 3


class TestVerbs:
    def test_a_paused_order_stands_still_and_a_resumed_one_goes_on_without_making_up(self):
        bury(*"abcdef")
        order = place(rate=1)
        work(order)

        assert requeue_orders.pause(order.pk, who=None, reason="the consumer is slow")
        assert work(order, seconds=3) == 0
        assert requeue_orders.resume(order.pk, who=None, reason="it is well again")
        order.refresh_from_db()
        assert order.paced_until > order.ordered_at
        assert work(order, seconds=3) == 3

        acts = OperatorAct.objects.filter(target_type="requeueorder").order_by("pk")
        assert [act.verb for act in acts] == ["order requeue", "pause", "resume"]

    def test_a_cancelled_order_leaves_what_it_did_not_reach(self):
        bury(*"abc")
        order = place(rate=1)
        work(order)

        assert requeue_orders.cancel(order.pk, who=None, reason="wrong group")

        assert work(order, seconds=3) == 0
        assert sorted(told.states().values()) == ["dead", "dead", "open"]
        order.refresh_from_db()
        assert (order.status, order.ended_at is None) == ("cancelled", False)

    @pytest.mark.parametrize("verb", [requeue_orders.pause, requeue_orders.cancel])
    def test_a_second_click_changes_nothing_and_leaves_no_second_act(self, verb):
        bury("a")
        order = place()
        assert [verb(order.pk, who=None, reason="x") for _ in range(2)] == [True, False]
        assert OperatorAct.objects.filter(target_type="requeueorder").count() == 2

    def test_what_has_ended_neither_pauses_nor_goes_on(self):
        bury("a")
        order = place()
        work(order)
        for verb in (requeue_orders.pause, requeue_orders.resume, requeue_orders.cancel):
            with pytest.raises(VerbRefused, match="the requeue order is done"):
                verb(order.pk, who=None, reason="x")

    def test_without_a_reason_nothing_changes(self):
        bury("a")
        order = place()
        with pytest.raises(ValueError, match="reason"), transaction.atomic():
            requeue_orders.pause(order.pk, who=None, reason=" ")
        order.refresh_from_db()
        assert order.status == "open"


@pytest.mark.django_db(transaction=True)
def test_two_ticks_at_the_same_moment_requeue_each_message_once(monkeypatch):
    monkeypatch.setattr(requeue_orders, "BATCH_MAX", 3)
    keys = bury(*"abcdefghijkl")
    order = place()
    dead.let_pass(order, 4)

    made_due = at_once(*[requeue_orders.work] * 4)
    while RequeueOrder.objects.get().status == "open":
        made_due.append(requeue_orders.work())

    assert sum(made_due) == len(keys)
    assert requeues() == {str(key): 1 for key in keys}
    assert set(OutboxMessage.objects.values_list("epoch", flat=True)) == {2}
    assert RequeueOrder.objects.get().requeued == len(keys)


@pytest.mark.django_db(transaction=True)
def test_two_people_who_order_the_same_at_the_same_moment_give_one_order():
    bury("a")

    def order():
        try:
            return str(place().pk)
        except VerbRefused as refusal:
            return str(refusal)

    answers = at_once(order, order)

    assert RequeueOrder.objects.count() == OperatorAct.objects.count() == 1
    assert sorted("under way already" in answer for answer in answers) == [False, True]


@pytest.mark.django_db(transaction=True)
def test_f14_one_form_that_is_sent_twice_at_the_same_moment_gives_one_order():
    bury("a")
    form_id = uuid7()

    def order():
        with once.from_form(form_id):
            try:
                return place().pk
            except AlreadyActed:
                return None

    answers = at_once(order, order, order)

    assert [answer for answer in answers if answer] == [RequeueOrder.objects.get().pk]
    assert OperatorAct.objects.count() == 1
