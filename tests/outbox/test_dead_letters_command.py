"""`manage.py dead_letters`: what it prints, what it changes, and how it ends."""

import json

import pytest
from django.core.management import CommandError, call_command

from outbox import requeue_orders
from outbox.choice import Choice
from outbox.error_text import fingerprint_of
from outbox.management.commands import dead_letters as command
from outbox.models import OperatorAct, OutboxMessage, RequeueOrder
from tests.support import dead, told

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ledger")]

GROUP = fingerprint_of(dead.BROKEN)
WHY = ["--reason", "the cause is mended"]


@pytest.fixture(autouse=True)
def _own_clock(monkeypatch):
    dead.own_clock(monkeypatch)


@pytest.fixture
def run(capsys):
    def run(*arguments):
        call_command("dead_letters", *map(str, arguments))
        return capsys.readouterr().out

    return run


@pytest.fixture
def seconds_pass(monkeypatch):
    """While the command waits, so much time passes for its order."""

    def sleep(_):
        order = RequeueOrder.objects.get()
        if order.status == "open":
            dead.let_pass(order, 2)

    monkeypatch.setattr(command.time, "sleep", sleep)


def fails(*arguments):
    """How a command fails: its sentence and its exit code."""
    with pytest.raises(CommandError) as failed:
        call_command("dead_letters", *map(str, arguments))
    return str(failed.value), failed.value.returncode


class TestList:
    def test_nothing_dead(self, run):
        assert run("list") == "No dead message matches.\n"
        assert json.loads(run("list", "--json")) == []

    def test_each_group_with_its_count_and_where(self, run):
        for text in "ab":
            dead.bury(text)
        row = dead.bury("c", "KeyError: 'x'")

        lines = run("list").splitlines()
        assert (lines[1].split()[:2], lines[2].strip()) == ([GROUP, "2"], f"at {told.CONSUMER}")
        assert "KeyError: <value>" in lines[3]
        groups = json.loads(run("list", "--json"))
        assert [group["count"] for group in groups] == [2, 1]
        assert (groups[1]["example_key"], groups[1]["pattern"]) == (str(row.key), "KeyError: <value>")

    def test_a_filter_shows_its_part_and_an_unknown_destination_is_an_error(self, run):
        dead.bury("a")
        assert GROUP in run("list", "--destination", told.CONSUMER, "--type", told.Told.type)
        assert "No dead message" in run("list", "--type", "other.type.v1")
        sentence, code = fails("list", "--destination", "nope")
        assert ("There is no destination 'nope'; there are" in sentence, code) == (True, 2)


class TestShow:
    def test_a_group_with_what_a_requeue_would_run(self, run):
        row = dead.bury("a")
        text = run("show", GROUP)
        assert f"such as {row.key}: {dead.BROKEN}" in text
        assert told.CONSUMER in text
        [effect] = json.loads(run("show", GROUP, "--json"))["effects"]
        assert (effect["count"], effect["runs"], effect["handled"]) == (1, 1, 0)

    def test_a_message_by_its_key_or_its_message_id_with_secrets_masked(self, run):
        row = dead.bury("a")
        OutboxMessage.objects.update(payload={"text": "a", "token": "tok_visa_4242"})
        told.tell("b", aggregate_id=row.aggregate_id, sequence=2)

        for identity in (row.key, row.message_id):
            text = run("show", identity)
            assert dead.BROKEN in text
            assert "4242" not in text
        [one] = json.loads(run("show", row.key, "--json"))
        assert (one["state"], one["group"], one["waiting_behind_it"], one["in_the_inbox_of"]) == ("dead", GROUP, 1, [])

    def test_a_requeue_order(self, run):
        dead.bury("a")
        order = requeue_orders.place(Choice(), rate_per_second=7, who=None, reason="x")
        assert f"Requeue order {order.pk}: every dead message\nopen: 0 of 1" in run("show", order.pk)
        assert json.loads(run("show", order.pk, "--json"))["rate_per_second"] == 7

    @pytest.mark.parametrize("name", ["0123456789ab", "nonsense", "01a1f95a-5af0-75b8-a609-0e58f86b53e2"])
    def test_what_is_not_there_is_an_error(self, name):
        assert fails("show", name)[1] == 1


class TestRequeue:
    def test_a_dry_run_says_what_it_would_run_and_changes_nothing(self, run):
        row = dead.bury("a")
        for which in (["--group", GROUP], ["--all"], [row.key]):
            assert told.CONSUMER in run("requeue", *which, "--dry-run")
            [effect] = json.loads(run("requeue", *which, "--dry-run", "--json"))
            assert effect["runs"] == 1
        assert told.states() == {"a": "dead"}
        assert (RequeueOrder.objects.count(), OperatorAct.objects.count()) == (0, 0)

    def test_a_message_is_requeued_at_once(self, run):
        rows = [dead.bury(text) for text in "abc"]

        assert run("requeue", rows[0].key, rows[1].message_id, *WHY) == "Requeued 2.\n"

        assert told.states() == {"a": "open", "b": "open", "c": "dead"}
        assert RequeueOrder.objects.count() == 0
        sentence, code = fails("requeue", rows[0].key, *WHY)
        assert ("nothing was requeued" in sentence, code) == (True, 1)

    def test_a_group_is_ordered_and_left_to_the_background(self, run):
        dead.bury("a")
        dead.bury("b", "KeyError: 'x'")

        order = json.loads(run("requeue", "--group", GROUP, "--rate", "7", *WHY, "--json"))

        assert (order["status"], order["found"], order["requeued"], order["rate_per_second"]) == ("open", 1, 0, 7)
        assert set(told.states().values()) == {"dead"}
        dead.work(RequeueOrder.objects.get())
        assert told.states() == {"a": "open", "b": "dead"}

    @pytest.mark.usefixtures("seconds_pass")
    def test_it_is_watched_to_its_end_where_no_beat_runs(self, capsys):
        for text in "abcde":
            dead.bury(text)

        call_command("dead_letters", "requeue", "--all", "--rate", "1", "--wait", *WHY)

        out, err = capsys.readouterr()
        assert "done: 5 of 5 made due again" in out
        for progress in ("2 of 5", "4 of 5", "5 of 5 done"):
            assert progress in err
        assert set(told.states().values()) == {"open"}

    def test_one_that_is_cancelled_while_it_is_watched_ends_with_one(self, monkeypatch):
        dead.bury("a")
        monkeypatch.setattr(
            command.time, "sleep", lambda _: requeue_orders.cancel(RequeueOrder.objects.get().pk, who=None, reason="x")
        )
        assert fails("requeue", "--all", "--wait", *WHY) == ("It was cancelled.", 1)
        assert told.states() == {"a": "dead"}

    def test_whoever_goes_away_leaves_it_to_the_background(self, capsys, monkeypatch):
        dead.bury("a")

        def interrupt(_):
            raise KeyboardInterrupt

        monkeypatch.setattr(command.time, "sleep", interrupt)
        call_command("dead_letters", "requeue", "--all", "--wait", *WHY)
        assert "it goes on in the background" in capsys.readouterr().err
        assert RequeueOrder.objects.get().status == "open"

    def test_nothing_to_do_and_the_same_again_end_with_one(self, run):
        assert fails("requeue", "--all", *WHY)[1] == 1
        dead.bury("a")
        run("requeue", "--all", *WHY)
        sentence, code = fails("requeue", "--all", *WHY)
        assert ("under way already" in sentence, code) == (True, 1)
        assert RequeueOrder.objects.count() == 1

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--all"],
            WHY,
            ["--all", "--group", GROUP, *WHY],
            ["01a1f95a-5af0-75b8-a609-0e58f86b53e2", "--all", *WHY],
        ],
    )
    def test_misuse_ends_with_two(self, arguments):
        dead.bury("a")
        assert fails("requeue", *arguments)[1] == 2
        assert told.states() == {"a": "dead"}
        assert RequeueOrder.objects.count() == 0

    def test_the_help_explains(self, capsys):
        with pytest.raises(SystemExit):
            call_command("dead_letters", "--help")
        told_of = capsys.readouterr().out
        assert "the groups of dead messages, the largest first" in told_of
        assert "exit codes:" in told_of

    def test_a_blank_reason_is_none(self):
        dead.bury("a")
        assert "it must not be blank" in fails("requeue", "--all", "--reason", " ")[0]
        assert RequeueOrder.objects.count() == 0
