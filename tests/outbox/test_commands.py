"""The commands: what they print, what they change, and how they end."""

import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from outbox.models import Destination, InboxMessage, OperatorAct, OutboxMessage
from tests.support.told import row, states, tell

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ledger")]


def run(capsys, *arguments):
    call_command(*arguments)
    return capsys.readouterr().out


def dead(*texts):
    for text in texts:
        tell(text)
    OutboxMessage.objects.filter(payload__text__in=texts).update(state="dead", attempts=10)


class TestStatus:
    def test_nothing_waits(self, capsys):
        assert "Nothing waits" in run(capsys, "outbox_status")

    def test_counts_by_destination(self, capsys):
        tell("a")
        tell("later", scheduled_for=timezone.now() + timedelta(hours=1))
        dead("dead")
        Destination.objects.create(
            name="test.consumer", paused_until=timezone.now() + timedelta(minutes=1), pause_reason="breaker open"
        )

        [status] = json.loads(run(capsys, "outbox_status", "--json"))

        age = status.pop("oldest_age_seconds")
        assert age >= 0
        assert status == {
            "destination": "test.consumer",
            "open": 2,
            "due": 1,
            "running": 0,
            "dead": 1,
            "paused": "breaker open",
        }
        assert "breaker open" in run(capsys, "outbox_status")

    def test_a_pause_between_two_looks_at_its_breaker_is_still_shown(self, capsys):
        tell("a")
        row = Destination.objects.create(
            name="test.consumer", paused_until=timezone.now() - timedelta(seconds=1), pause_reason="breaker open"
        )
        assert "breaker open" in run(capsys, "outbox_status")
        Destination.objects.filter(pk=row.pk).update(paused_until=timezone.now() - timedelta(seconds=3))
        assert "breaker open" not in run(capsys, "outbox_status")

    def test_a_probe_fails_when_a_message_is_too_old(self, capsys):
        tell("a")
        run(capsys, "outbox_status", "--fail-if-older-than", "300")
        OutboxMessage.objects.update(created_at=timezone.now() - timedelta(minutes=6))

        with pytest.raises(CommandError, match=r"test\.consumer") as failed:
            run(capsys, "outbox_status", "--fail-if-older-than", "300")
        assert failed.value.returncode == 1

    def test_a_scheduled_message_does_not_age_before_its_time(self, capsys):
        tell("later", scheduled_for=timezone.now() + timedelta(hours=1))
        OutboxMessage.objects.update(created_at=timezone.now() - timedelta(days=1))

        run(capsys, "outbox_status", "--fail-if-older-than", "300")


class TestRequeue:
    def test_dead_ones_by_destination_with_a_reason(self, capsys):
        dead("a", "b")
        tell("open")

        options = ["--destination", "test.consumer", "--reason", "fixed"]
        assert "Would requeue 2" in run(capsys, "requeue_outbox", *options, "--dry-run")
        assert OperatorAct.objects.count() == 0
        assert "Requeued 2" in run(capsys, "requeue_outbox", *options, "--batch-size", "1")
        assert "Requeued 0" in run(capsys, "requeue_outbox", *options)

        assert states() == dict.fromkeys(["a", "b", "open"], "open")
        assert OperatorAct.objects.filter(reason="fixed").count() == 2

    def test_one_by_its_message_id(self, capsys):
        dead("a", "b")

        run(capsys, "requeue_outbox", str(row("a").message_id), "--reason", "x")

        assert states() == {"a": "open", "b": "dead"}

    def test_an_unknown_destination_is_an_error_that_names_the_known_ones(self, capsys):
        dead("a")

        with pytest.raises(CommandError, match=r"no destination 'nope'; there are .*test\.consumer"):
            run(capsys, "requeue_outbox", "--destination", "nope", "--reason", "x")
        assert states() == {"a": "dead"}

    def test_it_must_be_said_which(self, capsys):
        dead("a")

        with pytest.raises(CommandError, match="Say which"):
            run(capsys, "requeue_outbox", "--reason", "x")
        with pytest.raises(CommandError, match="reason"):
            run(capsys, "requeue_outbox", "--all")
        assert states() == {"a": "dead"}


class TestPurge:
    def test_dry_run_and_batches(self, capsys):
        for text in "ab":
            tell(text)
        OutboxMessage.objects.update(state="done", finished_at=timezone.now() - timedelta(days=1))

        assert "Would purge 2" in run(capsys, "purge_outbox", "--older-than", "12h", "--dry-run")
        assert "Purged 0" in run(capsys, "purge_outbox")
        assert OutboxMessage.objects.count() == 2

    def test_the_inbox_too(self, capsys):
        InboxMessage.objects.create(consumer="a", message_id=tell("a"))
        InboxMessage.objects.update(received_at=timezone.now() - timedelta(days=15))

        assert "Would purge 1" in run(capsys, "purge_inbox", "--dry-run")
        assert "Purged 1" in run(capsys, "purge_inbox", "--batch-size", "10")
        assert states() == {"a": "open"}

    @pytest.mark.parametrize("text", ["7", "d", "-1d", "1w", ""])
    def test_a_duration_nobody_can_read_is_refused(self, text):
        with pytest.raises(CommandError, match="duration"):
            call_command("purge_outbox", f"--older-than={text}")
