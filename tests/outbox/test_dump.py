"""`manage.py dump_outbox`: every message once, in the order of writing, in pages, and from where it was broken off."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from outbox import dump
from outbox.models import OutboxMessage
from tests.support import told

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ledger")]


def dumped(*options: object) -> tuple[list[dict[str, Any]], str]:
    """(the messages, what standard error said)"""
    out, err = StringIO(), StringIO()
    call_command("dump_outbox", *map(str, options), stdout=out, stderr=err)
    return [json.loads(line) for line in out.getvalue().splitlines()], err.getvalue()


def texts(*options: object) -> list[str]:
    return [message["payload"]["text"] for message in dumped(*options)[0]]


@pytest.fixture
def five() -> list[OutboxMessage]:
    for text in "abcde":
        told.tell(text)
    OutboxMessage.objects.filter(payload__text__in="ab").update(state="done", finished_at=timezone.now())
    OutboxMessage.objects.filter(payload__text="d").update(state="dead", last_error="broken")
    return [told.row(text) for text in "abcde"]


def test_every_message_is_a_line_with_all_its_columns(five):
    messages, said = dumped()
    assert [message["payload"]["text"] for message in messages] == list("abcde")
    assert set(messages[0]) == {field.name for field in OutboxMessage._meta.concrete_fields}
    assert messages[3]["last_error"] == "broken"
    assert said == f"5 messages; --after {five[4].key} goes on from here.\n"


def test_filters_are_by_state_destination_type_and_time(five):
    assert texts("--state", "dead") == ["d"]
    assert texts("--state", "done", "--state", "dead") == ["a", "b", "d"]
    assert texts("--destination", "test.consumer", "--limit", "2") == ["a", "b"]
    assert texts("--destination", "nobody") == []
    assert texts("--type", "test.told.v1", "--state", "open") == ["c", "e"]
    assert texts("--since", "1h") == list("abcde")
    assert texts("--since", "2999-01-01T00:00Z") == []


@pytest.mark.parametrize("options", [[], ["--state", "open", "--state", "dead"]])
def test_a_dump_that_was_broken_off_goes_on_after_its_last_key(five, options):
    whole = texts(*options)
    first, said = dumped(*options, "--limit", "2")
    key = said.split("--after ")[1].split()[0]
    assert key == first[-1]["key"]
    assert [message["payload"]["text"] for message in first] + texts(*options, "--after", key) == whole


def test_an_interruption_says_from_where_to_go_on(five, monkeypatch):
    lines = iter([dump.as_line(five[0]), KeyboardInterrupt()])

    def line(message, *, unmasked):
        one = next(lines)
        if isinstance(one, BaseException):
            raise one
        return one

    monkeypatch.setattr("outbox.management.commands.dump_outbox.as_line", line)
    out, err = StringIO(), StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("dump_outbox", stdout=out, stderr=err)
    assert ended.value.code == 130
    assert len(out.getvalue().splitlines()) == 1
    assert f"1 messages; --after {five[0].key} goes on" in err.getvalue()
    monkeypatch.undo()
    assert texts("--after", five[0].key) == list("bcde")


@pytest.mark.parametrize("options", [[], ["--state", "done"], ["--state", "open"]])
def test_no_statement_reads_more_than_a_page_however_few_match(five, monkeypatch, options):
    monkeypatch.setattr(dump, "WINDOW_ROWS", 2)
    monkeypatch.setattr(dump, "PAGE_ROWS", 1)
    whole = texts(*options)
    with CaptureQueriesContext(connection) as queries:
        assert texts(*options) == whole
    assert len(whole) == {"": 5, "done": 2, "open": 2}[options[-1] if options else ""]
    assert len(queries) >= 3
    assert all("LIMIT" in query["sql"] or '"key" <= ' in query["sql"] or n == len(queries.captured_queries) - 1
               for n, query in enumerate(queries.captured_queries))  # fmt: skip


def test_secrets_are_masked_unless_they_are_asked_for(five):
    OutboxMessage.objects.update(payload={"text": "x", "paymentMethod": "tok_4242"}, headers={"api_key": "k-4242"})
    assert "4242" not in json.dumps(dumped()[0])
    unmasked, _ = dumped("--unmasked", "--limit", "1")
    assert (unmasked[0]["payload"]["paymentMethod"], unmasked[0]["headers"]) == ("tok_4242", {"api_key": "k-4242"})


def test_a_file_is_written_and_never_overwritten(five, tmp_path):
    path = tmp_path / "all.jsonl"
    assert dumped("--output", path)[0] == []
    assert len(path.read_text().splitlines()) == 5
    with pytest.raises(CommandError, match="File exists") as failed:
        dumped("--output", path)
    assert failed.value.returncode == 2
