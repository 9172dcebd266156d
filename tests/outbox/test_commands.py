"""The commands: what they print, what they change, and how they end."""

import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from outbox import operations
from outbox.models import Destination, InboxMessage, OperatorAct, OutboxMessage
from outbox.querysets import first_key_of
from tests.support.told import row, states, tell

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ledger")]


def run(capsys, *arguments):
    call_command(*arguments)
    return capsys.readouterr().out


def dead(*texts):
    for text in texts:
        tell(text)
    OutboxMessage.objects.filter(payload__text__in=texts).update(state="dead", attempts=10)


def done_long_ago(*texts):
    """Eight days, by the key too: it bounds the purge's scan."""
    for days, text in enumerate(texts, start=8):
        tell(text)
        ended = timezone.now() - timedelta(days=days)
        OutboxMessage.objects.filter(payload__text=text).update(
            key=first_key_of(ended), state="done", finished_at=ended
        )


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

    def test_at_most_so_many_and_told_to_programs(self, capsys):
        dead("a", "b", "c")
        options = ["--all", "--reason", "fixed", "--limit", "2", "--json"]

        assert json.loads(run(capsys, "requeue_outbox", *options, "--dry-run")) == {"would_requeue": 2}
        assert json.loads(run(capsys, "requeue_outbox", *options)) == {"requeued": 2}
        assert states() == {"a": "open", "b": "open", "c": "dead"}

    def test_what_was_sent_goes_out_again_and_what_was_skipped_only_by_its_id(self, capsys):
        """An edited copy skips its original: a filter must not send what somebody decided must not go out."""
        dead("sent", "skipped", "dead")
        for name, state in (("sent", "done"), ("skipped", "skipped")):
            OutboxMessage.objects.filter(payload__text=name).update(state=state, finished_at=timezone.now())
        options = ["--sent", "--reason", "the broker was restored empty"]

        assert "Requeued 2" in run(capsys, "requeue_outbox", "--all", *options)
        assert states() == {"sent": "open", "skipped": "skipped", "dead": "open"}

        assert "Requeued 1" in run(capsys, "requeue_outbox", str(row("skipped").key), *options)
        assert states() == dict.fromkeys(["sent", "skipped", "dead"], "open")

    def test_a_sagas_message_is_neither_counted_nor_requeued(self, capsys):
        dead("a")
        OutboxMessage.objects.update(order_free=True)

        assert "Would requeue 0" in run(capsys, "requeue_outbox", "--all", "--reason", "x", "--dry-run")
        assert "Requeued 0" in run(capsys, "requeue_outbox", "--all", "--reason", "x")
        assert states() == {"a": "dead"}

    def test_an_interruption_keeps_and_tells_what_is_done(self, capsys, monkeypatch):
        dead("a", "b")
        requeue, calls = operations.requeue, []

        def once(keys, **options):
            calls.append(keys)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return requeue(keys, **options)

        monkeypatch.setattr(operations, "requeue", once)
        with pytest.raises(SystemExit) as ended:
            call_command("requeue_outbox", "--all", "--reason", "x", "--batch-size", "1")
        assert ended.value.code == 130
        assert "Requeued 1 messages." in capsys.readouterr().out
        assert states() == {"a": "open", "b": "dead"}

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

    def test_it_is_told_to_programs_what_was_purged(self, capsys):
        done_long_ago("a")

        told = [json.loads(run(capsys, "purge_outbox", "--json", *more)) for more in (["--dry-run"], [])]

        week = {"what": "messages", "older_than_seconds": 604_800.0}
        assert told == [{**week, "would_purge": 1}, {**week, "purged": 1}]

    def test_an_interruption_keeps_and_tells_what_is_purged(self, capsys, monkeypatch):
        done_long_ago("a", "b")

        def interrupted(seconds):
            raise KeyboardInterrupt

        monkeypatch.setattr(operations.time, "sleep", interrupted)
        with pytest.raises(SystemExit) as ended:
            call_command("purge_outbox", "--batch-size", "1")
        assert ended.value.code == 130
        assert "Purged 1 messages that ended more than 7 d ago." in capsys.readouterr().out
        assert OutboxMessage.objects.count() == 1

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

    @pytest.mark.parametrize(
        ("command", "young", "least"),
        [
            ("purge_outbox", "59m", "1 h"),
            ("purge_sagas", "59m", "1 h"),
            ("purge_inbox", "7d", "8 d"),
            ("purge_idempotency_keys", "0s", "1 s"),
        ],
    )
    @pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
    def test_what_is_that_young_is_still_needed_and_asking_for_it_is_misuse(self, command, young, least, dry_run):
        """I5, I14: an inbox without its newest rows would let an effect happen twice."""
        for age in ("0s", "0d", young):
            with pytest.raises(CommandError, match=rf"--older-than .*: at least {least}, ") as refused:
                call_command(command, "--older-than", age, *dry_run)
            assert refused.value.returncode == 2

        call_command(command, "--older-than", least.replace(" ", ""), *dry_run)

    def test_the_inbox_is_kept_beyond_whatever_may_be_sent_again(self, capsys, settings):
        settings.OUTBOX = {**settings.OUTBOX, "RETENTION_DAYS": 20, "INBOX_RETENTION_DAYS": 30}
        InboxMessage.objects.create(consumer="a", message_id=tell("a"))
        InboxMessage.objects.update(received_at=timezone.now() - timedelta(days=21, hours=1))

        with pytest.raises(CommandError, match="at least 21 d"):
            call_command("purge_inbox", "--older-than", "20d")
        assert InboxMessage.objects.count() == 1
        assert "Purged 1" in run(capsys, "purge_inbox", "--older-than", "21d")
