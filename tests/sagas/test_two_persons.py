"""Sagas under the two-person rule, from the admin and from the command line; and what each group is offered."""

from io import StringIO

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command

from outbox.models import OperatorAct, Proposal
from sagas import telemetry
from tests.support import staff
from tests.support.drive import deliver, drive
from tests.support.shop import Shop, outcome, saga_of, step, step_of

pytestmark = pytest.mark.django_db(transaction=True)

SAGAS, PROPOSALS = "sagas/saga", "outbox/proposal"


@pytest.fixture
def people(settings) -> tuple[User, User]:
    settings.OPERATOR_TWO_PERSON_RULE = True
    call_command("create_groups", verbosity=0, stdout=StringIO())
    return member("supervisor", "amy"), member("supervisor", "bob")


def member(group: str, name: str) -> User:
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    return user


def run(*words: object) -> tuple[int, str]:
    """(exit code, what was printed)"""
    out = StringIO()
    try:
        call_command("sagas", *map(str, words), stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


def unknown_charge(shop: Shop):
    order = shop.up_to("charge_payment")
    shop.provider.will("charge", "lost")
    shop.provider.always("find_charge", "lost")
    deliver(step("charge_payment"))
    return order


def approve(who: User) -> list[str]:
    proposal = Proposal.objects.get(state="open")
    return staff.said(staff.click(staff.signed_in(who), PROPOSALS, "approve", proposal.pk, reason="seen it too"))


def acts() -> list[tuple[str, str | None, str | None]]:
    rows = OperatorAct.objects.order_by("id").values_list("verb", "who__username", "approved_by__username")
    return list(rows)


def test_a_resolve_from_the_admin_waits_for_a_second_person_and_then_goes_on(shop: Shop, people):
    amy, bob = people
    order = unknown_charge(shop)
    answers = {
        "reason": "seen in their books",
        "became": "happened",
        "reference": "ch_1",
        "step": "charge_payment",
    }
    staff.click(staff.signed_in(amy), SAGAS, "resolve", saga_of(order).pk, **answers)
    assert (step_of(order, "charge_payment").status, acts()) == ("unknown", [])
    assert Proposal.objects.get().answers == {"happened": "ch_1", "step": "charge_payment"}

    approve(bob)
    drive()

    assert outcome(order)[0] == "confirmed"
    assert shop.provider.asked("charge") == 1
    assert acts() == [("resolve", "amy", "bob")]


def test_a_skip_from_the_command_line_is_a_proposal_with_an_exit_code_of_its_own(shop: Shop, people):
    order = shop.up_to("create_shipment")
    words = ("skip", order.pk, "--reason", "picked up in the shop")
    with pytest.raises(CommandError, match="say who you are, with --as"):
        run(*words)

    code, text = run(*words, "--as", "amy")
    assert (code, text.startswith("skip: proposed; it is done when a second person approves it")) == (3, True)
    assert run(*words, "--as", "amy") == (3, "skip: already proposed, and waits for a second person.\n")
    assert (step_of(order, "create_shipment") if _has_run(order) else None, acts()) == (None, [])
    assert approve(people[0])[0].endswith("you proposed it yourself: a second person approves it.")
    approve(people[1])
    drive()

    assert step_of(order, "create_shipment").status == "skipped"
    assert outcome(order)[0] == "confirmed"
    assert acts() == [("skip", "amy", "bob")]


def _has_run(order) -> bool:
    return saga_of(order).steps.filter(name="create_shipment").exists()


def test_whoever_may_not_do_it_may_not_propose_it_either(shop: Shop, people):
    order = shop.up_to("create_shipment")
    member("operator", "otto")
    with pytest.raises(CommandError, match=r"otto has no permission for it \(sagas.overrule_saga\)"):
        run("skip", order.pk, "--reason", "x", "--as", "otto")
    assert Proposal.objects.count() == 0


def test_a_saga_that_has_moved_on_is_not_skipped(shop: Shop, people):
    order = shop.up_to("charge_payment")
    run("skip", order.pk, "--reason", "paid in cash", "--as", "amy")
    deliver(step("charge_payment"))
    assert saga_of(order).current_step == "create_shipment"

    assert "it has moved on since it was proposed" in approve(people[1])[0]
    drive()

    assert step_of(order, "create_shipment").status == "done"
    assert acts() == []


def test_one_that_the_verb_refuses_by_now_says_so_and_stays_open(shop: Shop, people, monkeypatch):
    order = shop.up_to("create_shipment")
    run("skip", order.pk, "--reason", "x", "--as", "amy")
    drive()
    monkeypatch.setattr("outbox.proposals._seen", lambda verb, row: Proposal.objects.get().seen)

    assert "it cannot be done any more: not applicable: the saga is completed" in approve(people[1])[0]
    assert Proposal.objects.get().state == "open"
    assert acts() == []


def test_harmless_verbs_from_the_command_line_are_done_at_once_under_a_name(shop: Shop, people):
    order = shop.up_to("create_shipment")
    assert run("cancel", order.pk, "--reason", "called us", "--as", "bob") == (0, "cancel: done.\n")
    assert acts() == [("cancel", "bob", None)]


@pytest.mark.parametrize("verb", ["skip", "cancel", "compensate"])
def test_a_dry_run_changes_nothing_and_tells_what_would_happen(shop: Shop, settings, verb):
    order = shop.up_to("create_shipment")
    before = saga_of(order).__dict__ | {"_state": None}
    assert run(verb, order.pk, "--reason", "x", "--dry-run") == (0, f"{verb}: would be done.\n")
    assert saga_of(order).__dict__ | {"_state": None} == before
    assert acts() == []
    drive()
    assert outcome(order)[0] == "confirmed"
    with pytest.raises(CommandError, match="not applicable"):
        run(verb, order.pk, "--reason", "x", "--dry-run")


def ended(cause: str) -> dict[str, float]:
    """What the metrics of sagas that end have counted so far."""
    return {
        "compensated": telemetry.COMPENSATED.labels("fulfil_order", cause)._value.get(),
        "ended": sum(
            sample.value
            for metric in telemetry.SAGA_DURATION.collect()
            for sample in metric.samples
            if sample.name == "saga_duration_seconds_count"
        ),
    }


def test_neither_a_dry_run_nor_a_proposal_counts_as_if_it_had_been_done(shop: Shop, people):
    """The skip of the last compensation ends a saga, and its approval counts that once."""
    order = shop.up_to("charge_payment")
    run("compensate", order.pk, "--reason", "called us")
    deliver(step("charge_payment"))
    assert saga_of(order).goes_backward
    before = ended("operator")

    run("skip", order.pk, "--reason", "x", "--dry-run")
    assert run("skip", order.pk, "--reason", "counted by hand", "--as", "amy")[0] == 3
    assert (ended("operator"), saga_of(order).status) == (before, "running")
    approve(people[1])

    assert saga_of(order).status == "compensated"
    assert ended("operator") == {name: count + 1 for name, count in before.items()}


def test_each_group_is_offered_what_it_may_do(shop: Shop, people):
    saga = saga_of(shop.up_to("create_shipment"))
    offered = {}
    for group in ("viewer", "operator", "supervisor"):
        page = staff.signed_in(member(group, group)).get(f"/admin/{SAGAS}/{saga.pk}/change/")
        offered[group] = [verb.name for verb in page.context["verbs"]]
    assert offered == {
        "viewer": [], "operator": ["compensate", "cancel"], "supervisor": ["skip", "compensate", "cancel"],
    }  # fmt: skip
