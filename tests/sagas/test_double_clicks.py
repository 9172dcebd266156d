"""F14: one form is one act. The same POST twice, at once or long after, whatever the saga did in between."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from uuid_utils.compat import uuid7

from orders.models import Order
from outbox.models import OperatorAct, OutboxMessage
from sagas import recovery
from sagas.models import Saga
from tests.support import staff
from tests.support.drive import deliver, drive
from tests.support.shop import Shop, message_of, outcome, saga_of, step, step_of
from tests.support.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)
SAGAS = "sagas/saga"
CHARGE = step("charge_payment")
CLICKS = 3


def attended(shop: Shop) -> Order:
    """Past its deadline, at its shipment."""
    order = shop.up_to("create_shipment")
    Saga.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    assert recovery.attend_overdue() == 1
    return order


def unknown(shop: Shop) -> Order:
    """A charge that nobody can find out about."""
    order = shop.up_to("charge_payment")
    shop.provider.will("charge", "lost")
    shop.provider.always("find_charge", "lost")
    deliver(CHARGE)
    return order


def waiting(shop: Shop) -> Order:
    """A charge that is tried again, later."""
    order = shop.up_to("charge_payment")
    shop.provider.always("charge", "unavailable")
    deliver(CHARGE)
    OutboxMessage.objects.filter(state="open").update(due_at=timezone.now() + timedelta(hours=1))
    return order


def under_way(shop: Shop) -> Order:
    return shop.up_to("create_shipment")


CASES = {
    "retry": (waiting, {}),
    "resume": (attended, {}),
    "skip": (under_way, {"step": "create_shipment"}),
    "compensate": (under_way, {}),
    "cancel": (under_way, {}),
    "resolve": (unknown, {"became": "happened", "reference": "ch_1", "step": "charge_payment"}),
}


def submitted(client: Client, verb: str, order: Order, **answers: Any) -> Any:
    return staff.click(client, SAGAS, verb, saga_of(order).pk, reason="asked to", **answers)


def acts() -> list[str]:
    return list(OperatorAct.objects.order_by("id").values_list("verb", flat=True))


@pytest.mark.parametrize("verb", CASES)
def test_f14_the_same_form_at_once_is_one_act(shop: Shop, verb: str):
    """F14: nobody gets an error; one click did it, and the others say so."""
    make, answers = CASES[verb]
    order, form_id = make(shop), str(uuid7())
    clients = [staff.signed_in(User.objects.create_superuser(f"root-{number}")) for number in range(CLICKS)]
    pages = at_once(
        *[lambda one=one: submitted(one, verb, order, form_id=form_id, **answers) for one in clients]
    )  # fmt: skip

    assert acts() == [verb]
    # By the bytes: a test client's contexts are those of whichever thread rendered last.
    assert sum(b"already done" in page.content for page in pages) == CLICKS - 1


@pytest.mark.parametrize("verb", CASES)
def test_f14_the_same_form_again_is_told_that_it_is_done(shop: Shop, verb: str):
    """F14: as a browser that sends the page again does."""
    make, answers = CASES[verb]
    order, root, form_id = make(shop), staff.root(), str(uuid7())
    submitted(root, verb, order, form_id=form_id, **answers)
    again = submitted(root, verb, order, form_id=form_id, **answers)

    assert acts() == [verb]
    assert "already done" in staff.said(again)[0]


def test_f14_a_retry_that_failed_again_meanwhile_is_not_made_twice_by_one_form(shop: Shop):
    """F14: the first click's attempt failed within milliseconds; the second click finds the saga as the first did."""
    order, root, form_id = waiting(shop), staff.root(), str(uuid7())
    submitted(root, "retry", order, form_id=form_id)
    deliver(CHARGE)
    due_at = timezone.now() + timedelta(hours=1)
    OutboxMessage.objects.filter(state="open").update(due_at=due_at)
    again = submitted(root, "retry", order, form_id=form_id)

    assert "already done" in staff.said(again)[0]
    assert (acts(), shop.provider.asked("charge")) == (["retry"], 2)
    assert (message_of(order).due_at, step_of(order, "charge_payment").attempts) == (due_at, 1)


def test_f14_a_new_form_is_a_new_wish(shop: Shop):
    order, root = waiting(shop), staff.root()
    for _ in range(2):
        question = staff.click(root, SAGAS, "retry", saga_of(order).pk)
        form_id = question.context["form"]["form_id"].value()
        submitted(root, "retry", order, form_id=str(form_id))
        deliver(CHARGE)
        OutboxMessage.objects.filter(state="open").update(due_at=timezone.now() + timedelta(hours=1))

    assert acts() == ["retry", "retry"]


def test_f14_a_resume_that_got_stuck_again_meanwhile_is_not_made_twice_by_one_form(shop: Shop):
    """F14"""
    order, root, form_id = attended(shop), staff.root(), str(uuid7())
    submitted(root, "resume", order, form_id=form_id)
    Saga.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    recovery.attend_overdue()
    submitted(root, "resume", order, form_id=form_id)

    assert (acts(), saga_of(order).status) == (["resume"], "needs_attention")


def test_i13_what_became_of_one_step_is_never_said_of_the_next(shop: Shop):
    """I13: the answer was about the charge; by the second form the parcel is the unknown one."""
    order, root = unknown(shop), staff.root()
    answers = {"became": "happened", "reference": "ch_1", "step": "charge_payment"}
    submitted(root, "resolve", order, **answers)
    shop.provider.will("create", "lost")
    shop.provider.always("find", "lost")
    deliver(step("create_shipment"))
    assert step_of(order, "create_shipment").status == "unknown"
    submitted(root, "resolve", order, **answers)

    assert step_of(order, "create_shipment").status == "unknown"
    assert acts() == ["resolve"]
    question = staff.click(root, SAGAS, "resolve", saga_of(order).pk)
    assert question.context["form"].initial["step"] == "create_shipment"


def test_f14_one_form_for_several_sagas_acts_once_on_each(shop: Shop):
    """F14: an act per row, and the ids of acts stay in the order of time."""
    orders, root, form_id = [under_way(shop), under_way(shop)], staff.root(), str(uuid7())
    ids = [saga_of(order).pk for order in orders]
    for _ in range(2):
        staff.click(root, SAGAS, "cancel", *ids, reason="asked to", form_id=form_id)
    drive()

    assert acts() == ["cancel", "cancel"]
    assert {outcome(order)[0] for order in orders} == {"cancelled"}
    assert all(str(pk) > form_id[:18] for pk in OperatorAct.objects.values_list("pk", flat=True))


def test_a_form_id_that_is_none_is_refused(shop: Shop):
    order = under_way(shop)
    page = submitted(staff.root(), "cancel", order, form_id="x")
    assert page.status_code == 200
    assert acts() == []
