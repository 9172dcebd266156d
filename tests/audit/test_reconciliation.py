"""Reconciliation: one row per difference however often it is seen; a tick that reads only what is new; a metric."""

import json
from datetime import timedelta
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from audit import comparison, consumers, operations, reconciliation
from audit.models import Difference, Position
from audit.report import audit_now
from audit.telemetry import collect
from outbox import operations as outbox
from outbox import proposals
from outbox.exceptions import VerbRefused
from outbox.models import OperatorAct, OutboxMessage, Proposal
from payments.models import Payment
from tests.support.drive import deliver, deliver_due, drive
from tests.support.shop import outcome
from tests.support.staff import click, operator, root, said, signed_in

pytestmark = pytest.mark.django_db
PAYMENTS, SHIPPING = "audit.reconcile_payments", "audit.reconcile_shipping"


@pytest.fixture(autouse=True)
def nothing_is_too_young(settings):
    settings.RECONCILIATION = {"SETTLED_SECONDS": 0.0}


def tick():
    consumers.go_on()
    drive()


def lose_charge(shop):
    """The provider forgets a charge: nothing here proves what is right."""
    order = shop.driven()
    [key] = [key for key in shop.provider.happened("charge") if str(order.pk) == str(charge_of(shop, key).order_id)]
    shop.provider.lost = shop.provider.ledger.pop(("charge", key))
    return key


def charge_of(shop, key):
    return shop.provider.intents["charge", key]


def states():
    return list(Difference.objects.order_by("pk").values_list("kind", "state"))


def listings(shop):
    return [(call, key) for call, key in shop.provider.calls if call.startswith("list_")]


class TestRows:
    def test_a_difference_is_one_row_however_often_it_is_seen(self, shop):
        key = lose_charge(shop)
        for _ in range(3):
            tick()
        one = Difference.objects.get()
        assert (one.object, one.kind, one.provider_key, one.state) == ("charge", "ours_only", key, "open")
        assert one.order_id == Payment.objects.get().order_id
        assert (one.ours["status"], one.ours["amount_minor"], one.theirs) == ("captured", 999, None)
        assert one.first_seen_at < one.last_seen_at

    def test_one_that_is_gone_has_vanished(self, shop):
        key = lose_charge(shop)
        tick()
        shop.provider.ledger["charge", key] = shop.provider.lost
        tick()
        assert states() == [("ours_only", "vanished")]
        assert Difference.objects.get().ended_at is not None

    def test_one_that_comes_back_is_another_row(self, shop):
        key = lose_charge(shop)
        tick()
        shop.provider.ledger["charge", key] = shop.provider.lost
        tick()
        del shop.provider.ledger["charge", key]
        reconciliation.reconcile(at_rest=True)
        assert states() == [("ours_only", "vanished"), ("ours_only", "open")]

    def test_two_standing_rows_of_one_key_are_refused_by_postgres(self):
        def stands(**changes):
            Difference.objects.create(provider="payments", object="charge", kind="amount", provider_key="k", **changes)

        stands()
        stands(state="vanished", ended_at=timezone.now())
        with pytest.raises(IntegrityError, match="one_standing_difference_per_object_and_key"), transaction.atomic():
            stands(state="resolved", resolution="seen", ended_at=timezone.now())
        for name, changes in {
            "a_difference_has_ended_unless_it_is_open": {"state": "repaired"},
            "a_resolved_difference_and_no_other_says_why": {"state": "resolved", "ended_at": timezone.now()},
            "an_asked_repair_has_its_time": {"repairs": 1},
        }.items():
            with pytest.raises(IntegrityError, match=name), transaction.atomic():
                Difference.objects.update(**changes)


class TestTick:
    def test_a_tick_reads_what_is_new_and_nothing_twice(self, shop, monkeypatch):
        monkeypatch.setattr("audit.consumers.SLICE_ENTRIES", 2)
        for _ in range(5):
            shop.driven()
        tick()
        positions = dict(Position.objects.values_list("object", "theirs"))
        assert positions["charge"] == f"charge-{shop.provider.happened('charge')[-1]}"
        assert positions["shipment"] == f"create-{shop.provider.happened('create')[-1]}"
        before = len(listings(shop))
        tick()
        assert len(listings(shop)) - before == 4
        assert states() == []

    def test_a_tick_beside_one_that_is_still_under_way_does_nothing(self, shop):
        consumers.go_on()
        consumers.go_on()
        assert OutboxMessage.objects.filter(state="open").count() == 4

    def test_a_provider_that_is_away_costs_no_attempt_and_holds_up_no_other(self, shop):
        lose_charge(shop)
        shop.provider.always("list_charge", "unavailable")
        shop.provider.always("list_refund", "unavailable")
        consumers.go_on()
        deliver_due()
        waiting = OutboxMessage.objects.filter(destination=PAYMENTS)
        assert set(waiting.values_list("state", "attempts")) == {("open", 0)}
        assert not OutboxMessage.objects.filter(destination=SHIPPING, state="open").exists()
        assert states() == []

        shop.provider.calls_off("list_charge")
        shop.provider.calls_off("list_refund")
        drive()
        assert states() == [("ours_only", "open")]

    def test_what_is_under_way_holds_the_position_and_is_found_by_a_later_tick(self, shop, settings):
        order = shop.driven()
        settings.RECONCILIATION = {"SETTLED_SECONDS": 60.0}
        Payment.objects.filter(order_id=order.pk).update(
            status="absent", captured_minor=0, provider_reference="", updated_at=timezone.now()
        )
        consumers.go_on()
        deliver(PAYMENTS)
        assert (states(), Position.objects.get(object="charge").theirs) == ([], "")

        Payment.objects.update(updated_at=timezone.now() - timedelta(minutes=2))
        consumers.go_on()
        deliver(PAYMENTS)
        assert states() == [("late_capture", "open")]

    def test_a_position_that_somebody_else_moved_is_not_moved_back(self, shop):
        shop.driven()
        consumers.go_on()
        of = reconciliation.BOOKS[0]
        entries = list(of.entries())
        drive()
        slice_, _ = comparison.compare_settled(
            of, entries, since=comparison.Position(), is_last=True, settled=timedelta(0)
        )
        assert reconciliation.store_slice(slice_, since=comparison.Position(), of=of) is False

    def test_many_doubted_keys_travel_in_several_messages(self, shop, monkeypatch):
        monkeypatch.setattr("audit.consumers.KEYS_PER_MESSAGE", 2)
        for _ in range(5):
            shop.driven()
        shop.provider.ledger.clear()
        tick()
        assert states() == [("ours_only", "open")] * 10


class TestResolve:
    def test_a_person_answers_once_and_is_not_asked_again(self, shop):
        """F14"""
        lose_charge(shop)
        tick()
        one = Difference.objects.get()
        [violation] = audit_now(at_rest=True, with_ledgers=True).violations
        assert violation.check == "provider_ledger_charge_ours_only"
        assert operations.resolve(one.pk, who=None, reason="their archive has it") is True
        assert operations.resolve(one.pk, who=None, reason="their archive has it") is False
        tick()
        reconciliation.reconcile(at_rest=True)
        assert states() == [("ours_only", "resolved")]
        assert audit_now(at_rest=True, with_ledgers=True).violations == []
        assert OperatorAct.objects.filter(verb="resolve", target_type="difference", target_id=str(one.pk)).count() == 1

    def test_another_difference_under_the_same_key_is_open_again(self, shop):
        key = lose_charge(shop)
        tick()
        operations.resolve(Difference.objects.get().pk, who=None, reason="their archive has it")
        shop.provider.ledger["charge", key] = shop.provider.lost
        Payment.objects.update(provider_reference="another")
        reconciliation.reconcile(at_rest=True)
        one = Difference.objects.get()
        assert (one.kind, one.state, one.resolution) == ("state", "open", "")

    def test_it_needs_a_reason_and_an_open_difference(self, shop):
        key = lose_charge(shop)
        tick()
        one = Difference.objects.get()
        with pytest.raises(ValueError, match="reason"):
            operations.resolve(one.pk, who=None, reason=" ")
        shop.provider.ledger["charge", key] = shop.provider.lost
        tick()
        with pytest.raises(VerbRefused):
            operations.resolve(one.pk, who=None, reason="seen")
        assert not OperatorAct.objects.exists()

    def test_f14_a_double_click_in_the_admin_acts_once(self, shop):
        """F14"""
        lose_charge(shop)
        tick()
        one, staff = Difference.objects.get(), root()
        page = staff.get(f"/admin/audit/difference/{one.pk}/change/")
        assert "waits for a person" in page.content.decode()
        first = click(staff, "audit/difference", "resolve", one.pk, reason="their archive has it")
        second = click(staff, "audit/difference", "resolve", one.pk, reason="their archive has it")
        assert (len(said(first)), "already done" in said(second)[0]) == (1, True)
        assert OperatorAct.objects.filter(verb="resolve").count() == 1

    def test_who_may_only_look_is_offered_no_verb(self, shop):
        lose_charge(shop)
        tick()
        one = Difference.objects.get()
        click(signed_in(operator("audit.view_difference")), "audit/difference", "resolve", one.pk, reason="mine")
        assert states() == [("ours_only", "open")]


class TestCommand:
    def run(self, *arguments):
        out = StringIO()
        call_command("reconcile", *arguments, stdout=out)
        return out.getvalue()

    def test_books_that_agree_end_well(self, shop):
        shop.driven()
        assert self.run() == "The books agree.\n"

    def test_a_dry_run_says_what_differs_and_keeps_nothing(self, shop):
        key = lose_charge(shop)
        with pytest.raises(CommandError) as ended:
            self.run("--dry-run")
        assert (ended.value.returncode, states()) == (1, [])
        out = StringIO()
        with pytest.raises(CommandError):
            call_command("reconcile", "--json", stdout=out)
        [one] = json.loads(out.getvalue())["differences"]
        assert (one["object"], one["kind"], one["provider_key"]) == ("charge", "ours_only", key)
        assert states() == [("ours_only", "open")]

    def test_a_provider_that_cannot_be_asked_is_no_verdict(self, shop):
        shop.provider.always("list_create", "unavailable")
        with pytest.raises(CommandError) as ended:
            self.run()
        assert ended.value.returncode == 2

    def test_it_closes_what_has_vanished_and_resolves(self, shop):
        key = lose_charge(shop)
        with pytest.raises(CommandError):
            self.run()
        shop.provider.ledger["charge", key] = shop.provider.lost
        assert self.run() == "The books agree.\n"
        assert states() == [("ours_only", "vanished")]
        with pytest.raises(CommandError, match="not open"):
            self.run("--resolve", str(Difference.objects.get().pk), "--reason", "seen")
        with pytest.raises(CommandError):
            self.run("--resolve", str(uuid4()), "--reason", "seen")
        with pytest.raises(CommandError, match="needs a --reason"):
            self.run("--resolve", str(Difference.objects.get().pk))

    def test_a_resolve_takes_a_second_person_while_that_rule_is_on(self, shop, settings):
        lose_charge(shop)
        tick()
        words = ("--resolve", str(Difference.objects.get().pk), "--reason", "seen")
        assert self.run(*words, "--dry-run") == "resolve: would be done.\n"
        settings.OPERATOR_TWO_PERSON_RULE = True
        people = [operator("audit.resolve_difference", "outbox.decide_proposal") for _ in range(2)]
        with pytest.raises(SystemExit) as ended:
            self.run(*words, "--as", people[0].username)
        assert (ended.value.code, states()) == (3, [("ours_only", "open")])

        proposals.approve(Proposal.objects.get().pk, who=people[1], reason="seen too")

        assert states() == [("ours_only", "resolved")]
        act = OperatorAct.objects.get()
        assert (act.verb, act.who, act.approved_by) == ("resolve", *people)
        settings.OPERATOR_TWO_PERSON_RULE = False
        assert self.run(*words) == "resolve: already done, nothing changed.\n"


def test_an_order_whose_start_was_skipped_is_named_by_the_audit_and_requeue_takes_the_skip_back(shop):
    order = shop.order()
    start = OutboxMessage.objects.get(destination="orders.start_fulfilment")
    outbox.skip([start.key], who=None, reason="by mistake")
    drive()
    [violation] = audit_now(at_rest=False, with_ledgers=False).violations
    assert (violation.check, violation.rows[0]["order_id"]) == ("no_order_is_lost", order.pk)

    outbox.requeue([start.key], who=None, reason="it was a mistake", sent=True)
    drive()
    assert outcome(order) == ("confirmed", "", "completed")


def test_open_differences_are_counted_by_kind_and_object_with_the_age_of_the_oldest(shop):
    lose_charge(shop)
    tick()
    Difference.objects.update(first_seen_at=timezone.now() - timedelta(hours=1))
    count, oldest = [metric for metric in collect() if "_difference" in metric.name]
    [sample] = count.samples
    assert (sample.labels, sample.value) == ({"kind": "ours_only", "object": "charge"}, 1)
    assert 3_600 <= oldest.samples[0].value < 3_700
    with connection.cursor() as cursor:
        cursor.execute("UPDATE audit_difference SET state = 'vanished', ended_at = now()")
    assert [metric.samples for metric in collect() if "_difference" in metric.name] == [[], []]
