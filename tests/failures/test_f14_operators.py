"""F14: an operator clicks twice, two operators at once, retry while it runs: one act, one audit row."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from outbox import operations
from outbox.models import OperatorAct, OutboxMessage
from providers import operations as providers
from sagas import operations as sagas
from sagas import recovery
from sagas.exceptions import VerbRefused
from sagas.models import Saga
from tests.support import staff
from tests.support.drive import deliver, drive
from tests.support.shop import message_of, money, outcome, saga_of, step, steps, stock
from tests.support.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)
CHARGE = step("charge_payment")
CLICKS = 6


@pytest.fixture
def people():
    """Two operators, three clicks each."""
    return [User.objects.create(username=f"operator-{number % 2}-{number}") for number in range(CLICKS)]


def attended(shop):
    """An order that needs a person on its way forward."""
    order = shop.up_to("create_shipment")
    Saga.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    assert recovery.attend_overdue() == 1
    return order


def unknown(shop):
    """An order whose charge nobody can find out about."""
    order = shop.up_to("charge_payment")
    shop.provider.will("charge", "lost")
    shop.provider.always("find_charge", "lost")
    deliver(CHARGE)
    return order


def all_at_once(people, verb):
    return at_once(*[lambda who=who: verb(who) for who in people])


def acts():
    return list(OperatorAct.objects.values_list("verb", "target_type"))


class TestMessages:
    @pytest.mark.parametrize("verb", ["requeue", "skip"])
    def test_f14_a_dead_message_clicked_on_by_two_people_at_once(self, shop, people, verb):
        """F14: of six clicks one is the act."""
        order = shop.order()
        OutboxMessage.objects.update(state="dead", attempts=10, last_error="broken")
        [key] = OutboxMessage.objects.values_list("key", flat=True)

        counts = all_at_once(people, lambda who: getattr(operations, verb)([key], who=who, reason="mended"))
        drive()

        assert sorted(counts) == [0] * (CLICKS - 1) + [1]
        assert acts() == [(verb, "outboxmessage")]
        assert Saga.objects.count() == (verb == "requeue")
        order.refresh_from_db()
        assert order.status == ("confirmed" if verb == "requeue" else "pending")

    def test_f14_one_requeues_while_another_skips(self, shop, people):
        """F14: whoever was first; what both did stands in the acts, one row for each act that was one."""
        shop.order()
        OutboxMessage.objects.update(state="dead", attempts=10)
        [key] = OutboxMessage.objects.values_list("key", flat=True)

        requeued, skipped = at_once(
            lambda: operations.requeue([key], who=people[0], reason="mended"),
            lambda: operations.skip([key], who=people[1], reason="useless"),
        )

        assert skipped == 1
        assert len(acts()) == requeued + skipped
        assert OutboxMessage.objects.get().state == "skipped"

    def test_f14_a_paused_destination_is_resumed_once(self, shop, people):
        """F14"""
        providers.open_breaker("payments", seconds=60, reason="maintenance")
        order = shop.up_to("charge_payment")
        assert deliver(CHARGE) == [0]

        answers = all_at_once(people, lambda who: operations.resume_destination(CHARGE, who=who, reason="ready"))

        assert sorted(answers) == [False] * (CLICKS - 1) + [True]
        assert acts() == [("resume", "destination")]
        assert outcome(order)[0] == "pending"


class TestSagas:
    @pytest.mark.parametrize("verb", ["retry", "resume", "compensate", "skip"])
    def test_f14_a_saga_that_needs_attention_clicked_on_by_two_people_at_once(self, shop, people, verb):
        """F14: one act, one row, and the saga went one step and not two."""
        order = attended(shop)
        options = {"step": "create_shipment"} if verb == "skip" else {}

        answers = all_at_once(
            people, lambda who: getattr(sagas, verb)(saga_of(order).pk, who=who, reason="asked to", **options)
        )

        assert answers.count(True) == 1
        assert acts() == [(verb, "saga")]
        drive()
        assert outcome(order)[0] == ("rejected" if verb == "compensate" else "confirmed")
        assert OutboxMessage.objects.filter(state__in=["open", "dead"]).count() == 0
        assert shop.provider.asked("create") == (verb in {"retry", "resume"})

    def test_f14_cancelled_by_two_people_at_once(self, shop, people):
        """F14, F16"""
        order = shop.up_to("create_shipment")

        answers = all_at_once(people, lambda who: sagas.cancel(saga_of(order).pk, who=who, reason="asked to"))
        drive()

        assert answers.count(True) == 1
        assert acts() == [("cancel", "saga")]
        assert outcome(order) == ("cancelled", "customer", "compensated")
        assert (money(order), stock()) == (("refunded", 0), (10, 0))

    def test_f14_resolved_by_two_people_at_once(self, shop, people):
        """F14, I13: the second finds nothing unknown any more."""
        order = unknown(shop)

        def resolve(who):
            try:
                return sagas.resolve(saga_of(order).pk, happened="ref-1", who=who, reason="the provider says so")
            except VerbRefused:
                return "nothing to resolve"

        answers = all_at_once(people, resolve)
        shop.provider.always("find_charge", "ok")
        drive()

        assert answers.count(True) == 1
        assert set(answers) == {True, "nothing to resolve"}
        assert acts() == [("resolve", "saga")]
        assert steps(order)["charge_payment"] == ("done", "")
        assert outcome(order) == ("confirmed", "", "completed")
        assert shop.provider.asked("charge") == 1

    def test_f14_one_says_go_on_and_another_says_back(self, shop, people):
        """F14, I7: whoever was first, the saga ends whole; back is never followed by on."""
        order = attended(shop)

        def quietly(verb, who):
            try:
                return verb(saga_of(order).pk, who=who, reason="asked to")
            except VerbRefused:
                return False

        answers = at_once(
            *[lambda who=who: quietly(sagas.resume, who) for who in people[:3]],
            *[lambda who=who: quietly(sagas.compensate, who) for who in people[3:]],
        )
        drive()

        assert len(acts()) == answers.count(True)
        assert answers[:3].count(True) <= 1
        assert answers[3:].count(True) == 1
        assert outcome(order) == ("rejected", "operator", "compensated")
        assert (money(order), stock()) == (("refunded", 0), (10, 0))


class TestWhileItRuns:
    def test_f14_retry_while_the_call_is_under_way_does_nothing_and_says_so(self, shop, people):
        """F14: no second call, no act; the attempt that runs is the one that counts."""
        order = shop.up_to("charge_payment")
        answers = []
        shop.provider.before["charge"] = lambda: answers.extend(
            all_at_once(people, lambda who: sagas.retry(saga_of(order).pk, who=who, reason="it takes long"))
        )

        deliver(CHARGE)
        shop.provider.before.clear()
        drive()

        assert answers == [False] * CLICKS
        assert acts() == []
        assert (shop.provider.asked("charge"), shop.provider.asked("find_charge")) == (1, 0)
        assert outcome(order) == ("confirmed", "", "completed")

    def test_f14_requeue_and_skip_of_what_a_saga_is_at_do_nothing(self, shop, people):
        """F14, I6: a saga's message is its own verbs' business, whoever clicks in the other list."""
        order = shop.up_to("charge_payment")
        shop.provider.before["charge"] = lambda: counts.extend(
            all_at_once(
                people,
                lambda who: (
                    operations.requeue([message_of(order).key], who=who, reason="?", sent=True)
                    + operations.skip([message_of(order).key], who=who, reason="?")
                ),
            )
        )
        counts = []

        deliver(CHARGE)
        shop.provider.before.clear()
        drive()

        assert counts == [0] * CLICKS
        assert acts() == []
        assert outcome(order) == ("confirmed", "", "completed")


def test_f14_the_same_form_posted_twice_at_once_in_the_admin_is_one_act(shop):
    """F14: the browser's second click arrives before the first one's answer."""
    order = attended(shop)
    clients = [staff.signed_in(User.objects.create_superuser(f"root-{number}")) for number in range(2)]

    at_once(
        *[
            lambda client=client: staff.click(client, "sagas/saga", "resume", saga_of(order).pk, reason="go on")
            for client in clients
        ]
    )
    drive()

    assert acts() == [("resume", "saga")]
    assert outcome(order) == ("confirmed", "", "completed")
