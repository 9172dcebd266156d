"""A purged saga leaves one line with its order, in the purge's own transaction."""

from datetime import timedelta

import pytest
from django.utils import timezone

from orders.models import Order
from sagas import lifecycle, summary
from sagas.models import Saga, SagaStep
from tests.support.shop import Shop, saga_of

pytestmark = pytest.mark.django_db
ANY_AGE = timedelta(seconds=-60)


def test_each_purged_saga_leaves_its_line_with_its_own_order(shop: Shop):
    shop.provider.will("create", "refuse")
    undone, done, live = shop.driven(), shop.driven(), shop.up_to("charge_payment")
    assert lifecycle.purge(older_than=ANY_AGE) == 2
    for order in (undone, done, live):
        order.refresh_from_db()

    assert undone.fulfilment_summary.endswith(
        ", shipping_unavailable: reserve_stock done and undone, charge_payment done and undone, create_shipment refused"
    )
    assert done.fulfilment_summary.startswith("completed in ")
    assert done.fulfilment_summary.endswith(
        ": reserve_stock done, charge_payment done, create_shipment done, confirm_order done"
    )
    assert (live.fulfilment_summary, saga_of(live).status) == ("", "running")


def test_a_dry_run_leaves_no_line(shop: Shop):
    order = shop.driven()
    assert lifecycle.purge(older_than=ANY_AGE, dry_run=True) == 1
    order.refresh_from_db()
    assert order.fulfilment_summary == ""


def test_a_saga_of_a_version_that_this_code_does_not_know_is_purged_without_a_line(shop: Shop):
    order = shop.driven()
    Saga.objects.update(version=99)
    assert lifecycle.purge(older_than=ANY_AGE) == 1
    order.refresh_from_db()
    assert (Saga.objects.count(), order.fulfilment_summary) == (0, "")


def test_when_the_line_cannot_be_written_nothing_is_purged(shop: Shop, monkeypatch):
    order = shop.driven()
    monkeypatch.setattr(summary, "LINE_MAX_CHARACTERS", 1_000)
    monkeypatch.setattr(summary, "line", lambda *_: "x" * 501)
    with pytest.raises(Exception, match="too long"):
        lifecycle.purge(older_than=ANY_AGE)
    assert saga_of(order).steps.count() == 4


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({"status": "skipped"}, "a skipped"),
        ({"status": "given_up", "attempts": 8}, "a given up (8 attempts)"),
        ({"status": "done", "undo_status": "done", "undo_attempts": 3}, "a done and undone (3 attempts)"),
        ({"status": "done", "undo_status": "skipped"}, "a done and compensation skipped"),
    ],
)
def test_a_step_is_told_with_what_it_took(step, told):
    began = timezone.now()
    saga = Saga(status="compensated", reason="cancelled", started_at=began, ended_at=began + timedelta(seconds=3))
    assert summary.line(saga, [SagaStep(name="a", **step)]) == f"compensated in 3 s, cancelled: {told}"


def test_a_line_is_no_longer_than_its_column():
    saga = Saga(status="completed", started_at=timezone.now(), ended_at=timezone.now())
    steps = [SagaStep(name="a" * 50, status="done") for _ in range(20)]
    assert len(summary.line(saga, steps)) == Order._meta.get_field("fulfilment_summary").max_length
