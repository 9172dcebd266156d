"""`manage.py sagas` and `purge_sagas`: what they print, what they do, and their exit codes."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone

from outbox.models import OperatorAct
from sagas import groups, recovery, verbs
from sagas.admin import DANGEROUS
from sagas.models import Saga, SagaStep
from tests.support.drive import deliver, drive
from tests.support.shop import Shop, message_of, outcome, saga_of, step

pytestmark = pytest.mark.django_db(transaction=True)


def run(*words: object) -> str:
    out = StringIO()
    call_command(*[str(word) for word in words], stdout=out)
    return out.getvalue()


def fails(*words: object) -> tuple[int, str]:
    with pytest.raises(CommandError) as caught:
        run(*words)
    return caught.value.returncode, str(caught.value)


class TestReading:
    def test_list_shows_newest_first_and_filters(self, shop: Shop):
        ended, moving = shop.driven(), shop.started()
        Saga.objects.filter(subject_id=moving.pk).update(last_error="charge_payment: 503")

        head, *ids = [line.split()[0] for line in run("sagas", "list").splitlines()]
        assert head == "saga"
        assert ids == [str(saga_of(moving).pk), str(saga_of(ended).pk)]
        assert str(saga_of(ended).pk) in run("sagas", "list", "--status", "completed")
        assert run("sagas", "list", "--stuck").splitlines()[1].split()[0] == str(saga_of(moving).pk)
        assert run("sagas", "list", "--status", "compensated") == "No saga matches.\n"
        assert len(run("sagas", "list", "--limit", "1").splitlines()) == 2

    def test_list_and_show_speak_json(self, shop: Shop):
        order = shop.up_to("charge_payment")
        [listed] = json.loads(run("sagas", "list", "--json"))
        assert listed["id"] == str(saga_of(order).pk)
        shown = json.loads(run("sagas", "show", saga_of(order).pk, "--json"))
        assert shown["steps"][0]["name"] == "reserve_stock"
        assert shown["waits_for"]["message_id"] == str(saga_of(order).waiting_for)
        assert "tok_ok" not in str(shown)

    def test_show_draws_the_steps_their_undo_and_the_message_it_waits_for(self, shop: Shop):
        order = shop.up_to("create_shipment")
        shop.provider.always("create", "refuse")
        deliver(step("create_shipment"))

        text = run("sagas", "show", order.pk)

        lines = [line.split() for line in text.splitlines()]
        assert ["reserve_stock", "action", "done", "1"] in [line[:4] for line in lines]
        assert [">", "charge_payment", "action", "done", "1"] in [line[:5] for line in lines]
        assert ["confirm_order", "pivot", "not", "yet"] in [line[:4] for line in lines]
        assert f"Waits for message {message_of(order).message_id} at {step('charge_payment', undo=True)}: due" in text
        drive()
        text = run("sagas", "show", saga_of(order).pk)
        assert "Waits for nothing: it has ended." in text
        assert [line[1:3] for line in [row.split() for row in text.splitlines()] if line[1:2] == ["undo"]] == [
            ["undo", "done"], ["undo", "done"],
        ]  # fmt: skip

    def test_show_of_nothing_is_a_clear_error(self):
        unknown = uuid4()
        assert fails("sagas", "show", unknown) == (1, f"There is no saga {unknown}, nor one of a subject of that id.")


class TestVerbs:
    def test_a_verb_is_done_once_and_leaves_one_act(self, shop: Shop):
        order = shop.up_to("create_shipment")

        assert run("sagas", "cancel", order.pk, "--reason", "called us") == "cancel: done.\n"
        assert run("sagas", "cancel", order.pk, "--reason", "called us") == "cancel: already done, nothing changed.\n"
        drive()

        assert outcome(order) == ("cancelled", "customer", "compensated")
        act = OperatorAct.objects.get()
        assert (act.who, act.verb, act.reason, act.target_id) == (None, "cancel", "called us", str(saga_of(order).pk))

    @pytest.mark.parametrize("verb", ["retry", "resume", "skip", "compensate", "cancel", "resolve"])
    def test_a_verb_on_a_saga_that_has_ended_is_not_applicable_and_does_not_claim_to_be_done(self, shop: Shop, verb):
        order = shop.driven()
        more = ["--nothing-happened"] if verb == "resolve" else []
        assert fails("sagas", verb, order.pk, "--reason", "x", *more) == (
            1, f"{verb}: not applicable: the saga is completed.",
        )  # fmt: skip
        assert outcome(order)[0] == "confirmed"
        assert OperatorAct.objects.count() == 0

    def test_a_verb_that_finds_nothing_to_do_on_a_moving_saga_says_why(self, shop: Shop):
        order = shop.up_to("create_shipment")
        assert fails("sagas", "resume", order.pk, "--reason", "x") == (
            1, "resume: not applicable: the saga is running at create_shipment.",
        )  # fmt: skip
        assert "due, or under way" in fails("sagas", "retry", order.pk, "--reason", "x")[1]
        run("sagas", "cancel", order.pk, "--reason", "x")
        assert "its cancel is asked for already" in fails("sagas", "compensate", order.pk, "--reason", "x")[1]

    @pytest.mark.parametrize("verb", ["retry", "resume", "skip", "compensate", "cancel"])
    def test_every_verb_wants_a_reason(self, shop: Shop, verb):
        order = shop.up_to("create_shipment")
        assert "--reason" in fails("sagas", verb, order.pk)[1]
        assert "--reason: say why: it must not be blank." in fails("sagas", verb, order.pk, "--reason", " ")[1]
        assert OperatorAct.objects.count() == 0

    def test_a_refused_verb_says_why_with_exit_code_1(self, shop: Shop):
        order = shop.up_to("confirm_order")
        code, text = fails("sagas", "skip", order.pk, "--reason", "x")
        assert code == 1
        assert text.startswith("skip refused: confirm_order is the pivot")

    def test_resolve_wants_to_know_what_happened(self, shop: Shop):
        order = shop.up_to("charge_payment")
        shop.provider.will("charge", "lost")
        shop.provider.always("find_charge", "lost")
        deliver(step("charge_payment"))

        assert "--happened" in fails("sagas", "resolve", order.pk, "--reason", "x")[1]
        run("sagas", "resolve", order.pk, "--happened", "ch_1", "--reason", "seen in their books")
        drive()

        assert outcome(order)[0] == "confirmed"
        assert shop.provider.asked("charge") == 1


class TestAllAtOneStep:
    @pytest.fixture
    def stuck(self, shop: Shop) -> list[Any]:
        """Three that wait for a person at one step; one that waits at another, and one that is on its way."""
        *orders, elsewhere, moving = [shop.up_to("create_shipment") for _ in range(5)]
        Saga.objects.exclude(subject_id=moving.pk).update(deadline_at=timezone.now())
        assert recovery.attend_overdue() == 4
        Saga.objects.filter(subject_id=elsewhere.pk).update(current_step="confirm_order")
        return [*orders, elsewhere, moving]

    def test_resumes_each_of_them_once_and_no_other(self, shop: Shop, stuck: list[Any]):
        words = ("sagas", "resume", "--all-at", "create_shipment", "--reason", "the carrier is back")
        assert run(*words, "--dry-run") == "resume: would be done to 3.\n"
        assert OperatorAct.objects.count() == 0

        assert run(*words, "--rate", "1000") == "resume: done to 3 of 3.\n"
        assert run(*words) == "resume: done to 0 of 0.\n"
        drive()

        assert [outcome(order)[2] for order in stuck] == [*["completed"] * 3, "needs_attention", "completed"]
        told = OperatorAct.objects.order_by("target_id").values_list("target_id", "verb", "reason")
        ids = sorted(str(saga_of(order).pk) for order in stuck[:3])
        assert list(told) == [(identity, "resume", "the carrier is back") for identity in ids]

    def test_one_that_refuses_costs_only_itself_and_ends_with_exit_code_1(self, stuck: list[Any]):
        Saga.objects.filter(subject_id=stuck[1].pk).update(version=7)

        words = ("sagas", "resume", "--all-at", "create_shipment", "--reason", "x", "--rate", "1000")
        assert fails(*words) == (1, "1 refused, or moved on meanwhile.")

        assert [saga_of(order).status for order in stuck[:3]] == ["running", "needs_attention", "running"]

    def test_a_row_that_somebody_holds_costs_only_itself(self, stuck: list[Any], monkeypatch: pytest.MonkeyPatch):
        held, done = saga_of(stuck[0]).pk, verbs.perform

        def perform(name: str, saga_id: Any, **answers: Any) -> bool:
            if saga_id == held:
                raise OperationalError("canceling statement due to lock timeout")
            return done(name, saga_id, **answers)

        monkeypatch.setattr(verbs, "perform", perform)
        words = ("sagas", "resume", "--all-at", "create_shipment", "--reason", "x", "--rate", "1000")
        assert fails(*words)[0] == 1

        assert [saga_of(order).status for order in stuck[:3]] == ["needs_attention", "running", "running"]

    def test_a_database_that_is_gone_ends_it(self, stuck: list[Any], monkeypatch: pytest.MonkeyPatch):
        asked = []

        def perform(name: str, saga_id: Any, **answers: Any) -> bool:
            asked.append(saga_id)
            raise OperationalError("the connection is lost")

        monkeypatch.setattr(verbs, "perform", perform)
        monkeypatch.setattr("sagas.groups.ERRORS_IN_A_ROW_MAX", 2)
        with pytest.raises(OperationalError, match="the connection is lost"):
            run("sagas", "resume", "--all-at", "create_shipment", "--reason", "x", "--rate", "1000")

        assert len(asked) == 2

    def test_more_than_one_call_takes_are_told(self, stuck: list[Any], monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("sagas.groups.SAGAS_MAX", 2)
        words = ("sagas", "resume", "--all-at", "create_shipment", "--reason", "x", "--rate", "1000")
        more = " There are more: call it again for them."

        assert run(*words, "--dry-run") == f"resume: would be done to 2.{more}\n"
        assert run(*words) == f"resume: done to 2 of 2.{more}\n"
        assert run(*words) == "resume: done to 1 of 1.\n"

    def test_interrupted_it_says_what_is_done_and_the_rest_still_waits(
        self, stuck: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ):
        done = verbs.perform

        def perform(name: str, saga_id: Any, **answers: Any) -> bool:
            if saga_id == saga_of(stuck[1]).pk:
                raise KeyboardInterrupt
            return done(name, saga_id, **answers)

        monkeypatch.setattr(verbs, "perform", perform)
        with pytest.raises(SystemExit) as ended:
            call_command("sagas", "resume", "--all-at", "create_shipment", "--reason", "x", "--rate", "1000")

        assert (ended.value.code, capsys.readouterr().out) == (130, "resume: done to 1 of 3, then interrupted.\n")
        assert [saga_of(order).status for order in stuck[:3]] == ["running", "needs_attention", "needs_attention"]

    def test_no_verb_that_takes_two_persons_is_done_to_a_group(self):
        assert not set(groups.VERBS) & set(DANGEROUS)

    def test_an_unknown_step_is_misuse_and_other_verbs_look_at_each(self):
        code, text = fails("sagas", "resume", "--all-at", "ship", "--reason", "x")
        assert code == 2
        assert "There are reserve_stock, charge_payment, create_shipment, confirm_order" in text
        assert "argument id" in fails("sagas", "compensate", "--all-at", "create_shipment", "--reason", "x")[1]


class TestCheck:
    def test_passes_when_this_code_knows_every_live_saga(self, shop: Shop):
        shop.started()
        assert run("sagas", "check") == "This code knows every live saga.\n"

    @pytest.mark.parametrize("change", [{"version": 7}, {"name": "gone"}, {"current_step": "gone"}])
    def test_fails_the_deploy_with_exit_code_1_when_it_does_not(self, shop: Shop, change: dict[str, Any]):
        shop.driven()
        order = shop.started()
        Saga.objects.filter(subject_id=order.pk).update(**change)
        assert fails("sagas", "check") == (1, "This code does not know them: deploy code that does.")

    def test_ended_sagas_stop_no_deploy(self, shop: Shop):
        shop.driven()
        Saga.objects.update(version=7)
        assert run("sagas", "check").startswith("This code knows")


class TestPurge:
    def test_removes_ended_sagas_past_their_age_and_no_live_one(self, shop: Shop):
        """I14"""
        old, young, live = shop.driven(), shop.driven(), shop.started()
        long_ago = timezone.now() - timedelta(days=8)
        Saga.objects.filter(subject_id=old.pk).update(ended_at=long_ago)
        Saga.objects.filter(subject_id=live.pk).update(started_at=long_ago)

        assert run("purge_sagas", "--dry-run") == "Would purge 1 sagas that ended more than 7 d ago.\n"
        assert Saga.objects.count() == 3
        assert run("purge_sagas", "--batch-size", "1") == "Purged 1 sagas that ended more than 7 d ago.\n"

        assert set(Saga.objects.values_list("subject_id", flat=True)) == {young.pk, live.pk}
        assert not SagaStep.objects.exclude(saga__subject_id__in=[young.pk, live.pk]).exists()
        assert run("purge_sagas", "--older-than", "1d") == "Purged 0 sagas that ended more than 1 d ago.\n"
