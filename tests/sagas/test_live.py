"""Sagas by state and the times of their steps, as the live page has them, of orders that were really driven."""

from datetime import timedelta

import pytest
from django.utils import timezone

from sagas import live, recovery
from sagas.models import Saga, SagaStep
from tests.support.drive import deliver
from tests.support.shop import step

pytestmark = pytest.mark.django_db


def standing() -> list[tuple[str, str, str, int, int]]:
    return [(one.status, one.direction, one.step, one.count, one.with_error) for one in live.standing()]


def times() -> dict[tuple[str, bool], live.StepTimes]:
    return {(one.step, one.is_undo): one for one in live.step_times()}


class TestStanding:
    def test_live_sagas_are_counted_by_where_they_stand_and_ended_ones_not_at_all(self, shop):
        shop.driven()
        shop.up_to("create_shipment")
        shop.up_to("charge_payment")
        shop.up_to("charge_payment")

        assert standing() == [
            ("running", "forward", "charge_payment", 2, 0),
            ("running", "forward", "create_shipment", 1, 0),
        ]

    def test_one_that_waits_for_a_person_comes_first(self, shop):
        shop.up_to("charge_payment")
        Saga.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
        recovery.attend_overdue()
        shop.up_to("charge_payment")

        assert [row[0] for row in standing()] == ["needs_attention", "running"]

    def test_one_that_runs_with_an_error_says_so(self, shop):
        shop.up_to("charge_payment")
        shop.up_to("charge_payment")
        Saga.objects.filter(pk=Saga.objects.first().pk).update(last_error="the provider answered 503")

        assert standing() == [("running", "forward", "charge_payment", 2, 1)]

    def test_a_count_ends_at_its_bound(self, shop, monkeypatch):
        monkeypatch.setattr(live, "COUNTED_MAX", 1)
        shop.up_to("charge_payment")
        shop.up_to("charge_payment")

        assert standing() == [("running", "forward", "charge_payment", 1, 0)]


class TestStepTimes:
    def test_half_and_nearly_all_of_a_step_end_within_their_times(self, shop):
        shop.driven()
        [charged] = SagaStep.objects.filter(name="charge_payment")
        began = timezone.now() - timedelta(minutes=5)
        for number in range(1, 21):
            charged.pk, charged.saga = (
                None,
                Saga.objects.create(
                    name=f"n{number}",
                    subject_id=charged.saga.subject_id,
                    waiting_for=charged.saga_id,
                    deadline_at=began,
                ),
            )
            charged.started_at, charged.finished_at = began, began + timedelta(seconds=number)
            charged.save(force_insert=True)
        SagaStep.objects.filter(saga__name="fulfil_order").delete()

        one = times()["charge_payment", False]

        assert (one.runs, one.ended) == (20, 20)
        assert (one.p50_seconds, one.p95_seconds) == (pytest.approx(10.5), pytest.approx(19.05))

    def test_retries_are_counted_and_what_waits_for_one(self, shop):
        shop.up_to("charge_payment")
        shop.provider.always("charge", "unavailable")
        deliver(step("charge_payment"))
        SagaStep.objects.filter(name="charge_payment").update(attempts=3)

        one = times()["charge_payment", False]

        assert (one.retries, one.waiting, one.ended, one.p50_seconds) == (2, 1, 0, None)

    def test_compensations_stand_by_themselves_after_the_steps(self, shop):
        shop.provider.will("create", "refuse")
        shop.driven()

        found = [(one.step, one.is_undo) for one in live.step_times()]

        assert found[:3] == [("reserve_stock", False), ("charge_payment", False), ("create_shipment", False)]
        assert ("charge_payment", True) in found[3:]
        assert times()["create_shipment", False].failed == 1

    def test_what_began_more_than_an_hour_ago_is_left_out(self, shop):
        shop.driven()
        assert len(times()) == 4
        SagaStep.objects.update(started_at=timezone.now() - timedelta(minutes=61))

        assert times() == {}


def test_each_figure_takes_one_statement(shop, django_assert_num_queries):
    shop.driven()
    for read in (live.standing, live.step_times):
        with django_assert_num_queries(1):
            read()
