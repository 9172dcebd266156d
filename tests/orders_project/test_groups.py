"""The groups viewer, operator and supervisor: exactly what each needs, after every deploy."""

import json
from io import StringIO

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command
from django.test import Client

from orders_project import groups
from outbox.models import Destination, OutboxMessage
from tests.support import staff, told

pytestmark = pytest.mark.django_db

OPERATORS = {"outbox.requeue_outboxmessage", "outbox.resume_destination", "sagas.operate_saga"}
SUPERVISORS = {
    "audit.resolve_difference", "outbox.decide_proposal", "outbox.skip_outboxmessage", "sagas.overrule_saga",
}  # fmt: skip


def run(*options: str) -> str:
    out = StringIO()
    call_command("create_groups", *options, stdout=out)
    return out.getvalue()


def held(group: str) -> set[str]:
    permissions = Group.objects.get(name=group).permissions.select_related("content_type")
    return {f"{permission.content_type.app_label}.{permission.codename}" for permission in permissions}


def member(group: str) -> Client:
    user = User.objects.create_user(f"{group}-1", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    return staff.signed_in(user)


class TestPermissions:
    def test_a_viewer_sees_everything_and_may_do_nothing(self):
        run()
        names = {name.partition(".")[2].partition("_")[0] for name in held("viewer")}
        assert names == {"view"}
        for name in ("orders.view_order", "sagas.view_saga", "outbox.view_outboxmessage", "providers.view_breaker"):
            assert name in held("viewer")

    def test_an_operator_has_the_harmless_verbs_and_a_supervisor_the_dangerous_ones_too(self):
        run()
        assert held("operator") - held("viewer") >= OPERATORS
        assert not SUPERVISORS & held("operator")
        assert held("operator") | SUPERVISORS <= held("supervisor")

    def test_no_group_may_add_change_or_delete_rows(self):
        run()
        ways = {name.partition(".")[2].partition("_")[0] for name in held("supervisor")}
        assert not ways & {"add", "change", "delete"}

    def test_every_verb_is_in_the_group_where_it_belongs(self):
        run()
        for verb in groups._verbs():
            assert verb.permission in held("supervisor"), verb.name
            # Deciding on proposals is no dangerous verb itself: it takes two persons already.
            expected = not verb.dangerous and verb.permission not in groups.SUPERVISORS_TOO
            assert (verb.permission in held("operator")) == expected, verb.name

    def test_no_permission_serves_a_dangerous_and_a_harmless_verb(self):
        of = {danger: {verb.permission for verb in groups._verbs() if verb.dangerous == danger} for danger in (0, 1)}
        assert of[0] & of[1] == set()

    def test_every_permission_of_ours_has_been_given_a_group_by_a_verb_or_a_list(self):
        placed = {verb.permission for verb in groups._verbs()} | groups.OPERATORS_TOO | groups.SUPERVISORS_TOO
        assert {name for name in groups.wanted()["supervisor"] if "view_" not in name} - placed == set()


class TestPages:
    def test_a_viewer_sees_every_page_and_no_verb(self, monkeypatch):
        run()
        told.isolate(monkeypatch)
        told.consuming(told.Ledger())
        client = member("viewer")
        told.tell("a")
        OutboxMessage.objects.update(state="dead", last_error="x")
        Destination.objects.create(name="rabbit", pauses=1)

        for page, row in (("outbox/outboxmessage", told.row("a").pk), ("outbox/destination", "rabbit")):
            assert client.get(f"/admin/{page}/").status_code == 200
            answer = client.get(f"/admin/{page}/{row}/change/")
            assert answer.context["verbs"] == []
            assert "operator-verbs" not in answer.content.decode()
        staff.click(client, "outbox/outboxmessage", "requeue", told.row("a").pk, reason="let me")
        assert told.states() == {"a": "dead"}


class TestCommand:
    def test_it_is_safe_to_repeat(self):
        assert "viewer gains: " in run()
        assert run() == "The groups are as they should be.\n"
        assert json.loads(run("--json")) == []

    def test_a_permission_that_came_later_is_given_and_one_that_is_too_much_taken(self):
        run()
        operator = Group.objects.get(name="operator")
        operator.permissions.remove(Permission.objects.get(codename="operate_saga"))
        operator.permissions.add(Permission.objects.get(codename="overrule_saga"))

        [change] = json.loads(run("--dry-run", "--json"))
        assert change == {"group": "operator", "gains": ["sagas.operate_saga"], "loses": ["sagas.overrule_saga"]}
        assert "sagas.overrule_saga" in held("operator")
        run()
        assert "sagas.operate_saga" in held("operator")
        assert "sagas.overrule_saga" not in held("operator")

    def test_a_deploy_can_check_it(self):
        with pytest.raises(CommandError, match="3 groups are not as they should be"):
            run("--check")
        assert Group.objects.count() == 0
        run()
        run("--check")

    def test_members_and_other_groups_are_left_alone(self):
        run()
        own = Group.objects.create(name="ours")
        own.permissions.add(Permission.objects.get(codename="operate_saga"))
        member("viewer")
        run()
        assert held("ours") == {"sagas.operate_saga"}
        assert User.objects.filter(groups__name="viewer").count() == 1

    def test_before_migrate_it_says_so_and_makes_no_group(self):
        Permission.objects.filter(codename="overrule_saga").delete()
        with pytest.raises(CommandError, match=r"run `manage\.py migrate` first.*sagas\.overrule_saga"):
            run()
        assert Group.objects.count() == 0
