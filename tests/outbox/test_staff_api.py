"""The staff's read API: who gets in, what the lists show, page by page, and that nonsense is a 400."""

from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from outbox.models import InboxMessage, OutboxMessage
from tests.support import staff, told

pytestmark = pytest.mark.django_db

LISTS = ("/outbox-messages", "/inbox-messages", "/sagas")
# Of rows that do not exist. Always the same: test runners compare the tests' names.
ROWS = (f"/outbox-messages/{UUID(int=1)}", f"/sagas/{UUID(int=1)}")


@pytest.fixture
def api() -> APIClient:
    return staff.api(is_staff=True)


def pages(client: APIClient, path: str) -> list[list[dict[str, Any]]]:
    """Every page's rows, by the pages' own links."""
    found = []
    while path:
        body = client.get(path).json()
        found.append(body["results"])
        path = body["next"]
    return found


def texts(client: APIClient, query: str) -> list[str]:
    rows = client.get(f"/outbox-messages{query}").json()["results"]
    by_key = {str(row.key): row.payload["text"] for row in OutboxMessage.objects.all()}
    return [by_key[row["key"]] for row in rows]


class TestWhoGetsIn:
    @pytest.mark.parametrize("path", [*LISTS, *ROWS])
    def test_only_staff(self, path):
        anonymous, customer = APIClient().get(path), staff.api().get(path)
        assert (anonymous.status_code, customer.status_code) == (401, 403)
        assert customer.json()["type"].endswith("/permission-denied")

    @pytest.mark.parametrize("path", [*LISTS, *ROWS])
    def test_nothing_is_changed_here(self, api, path):
        for verb in (api.post, api.put, api.patch, api.delete):
            assert verb(path, {}, format="json").status_code == 405

    @pytest.mark.parametrize("path", LISTS)
    def test_people_may_browse(self, path, api):
        answer = api.get(path, headers={"Accept": "text/html"})
        assert answer.status_code == 200
        assert answer["Content-Type"].startswith("text/html")

    @pytest.mark.parametrize("path", ["/outbox-messages", "/sagas"])
    def test_what_is_not_there_is_a_404(self, api, path):
        assert api.get(f"{path}/{uuid4()}").status_code == 404
        assert api.get(f"{path}/no-uuid").status_code == 404


class TestPages:
    def test_messages_come_newest_first_fifty_a_page_and_a_page_stays_itself(self, api, ledger):
        for number in range(60):
            told.tell(str(number))
        first = api.get("/outbox-messages").json()
        told.tell("late")
        second = api.get(first["next"]).json()

        shown = [row["key"] for row in first["results"] + second["results"]]
        keys = OutboxMessage.objects.exclude(payload__text="late").order_by("-key").values_list("key", flat=True)
        assert shown == [str(key) for key in keys]
        assert (len(first["results"]), len(second["results"]), second["next"]) == (50, 10, None)

    def test_inbox_rows_come_newest_first_over_all_consumers_fifty_a_page(self, api):
        rows = [InboxMessage(consumer=f"consumer-{n % 3}", message_id=_uuid(n // 2)) for n in range(120)]
        InboxMessage.objects.bulk_create(rows)

        found = pages(api, "/inbox-messages")

        expected = sorted(((str(row.message_id), row.consumer) for row in rows), reverse=True)
        assert [len(page) for page in found] == [50, 50, 20]
        assert [(row["message_id"], row["consumer"]) for page in found for row in page] == expected
        own = [row for page in pages(api, "/inbox-messages?consumer=consumer-1") for row in page]
        assert {row["consumer"] for row in own} == {"consumer-1"}
        assert len(own) == 40
        [twice] = pages(api, f"/inbox-messages?message_id={_uuid(7)}")
        assert [row["consumer"] for row in twice] == ["consumer-2", "consumer-0"]

    @pytest.mark.parametrize("path", LISTS)
    @pytest.mark.parametrize("cursor", ["x", "%00", "cD14", quote("bm90IGEgdXVpZA=="), "cD1ub3RhZGF0ZQ=="])
    def test_a_cursor_that_we_did_not_write_is_a_400(self, api, path, cursor):
        answer = api.get(f"{path}?cursor={cursor}")
        assert (answer.status_code, [error["parameter"] for error in answer.json()["errors"]]) == (400, ["cursor"])

    @pytest.mark.parametrize("path", LISTS)
    def test_a_list_takes_as_many_queries_for_twenty_rows_as_for_none(self, api, path, ledger):
        def queries() -> int:
            with CaptureQueriesContext(connection) as captured:
                assert api.get(path).status_code == 200
            return len(captured)

        before = queries()
        for number in range(20):
            told.tell(str(number))
            InboxMessage.objects.create(consumer="one", message_id=uuid4())
        assert queries() <= before + 1


class TestFilters:
    def test_messages_by_state_destination_type_and_aggregate(self, api, ledger):
        told.tell("a")
        told.tell("b")
        OutboxMessage.objects.filter(payload__text="b").update(state="dead")
        aggregate = told.row("a").aggregate_id

        assert texts(api, "?state=dead") == ["b"]
        assert texts(api, "?state=open") == ["a"]
        assert texts(api, "?destination=test.consumer") == ["b", "a"]
        assert texts(api, "?type=test.told.v1") == ["b", "a"]
        assert texts(api, "?type=test.other.v1") == []
        assert texts(api, f"?aggregate_id={aggregate}") == ["a"]
        assert texts(api, f"?message_id={told.row('a').message_id}&state=dead") == []

    def test_stuck_messages_are_the_dead_and_the_failing(self, api, ledger):
        for text in ("fine", "failing", "dead"):
            told.tell(text)
        OutboxMessage.objects.filter(payload__text="failing").update(attempts=1, last_error="broken")
        OutboxMessage.objects.filter(payload__text="dead").update(state="dead")

        assert texts(api, "?stuck=true") == ["dead", "failing"]

    @pytest.mark.parametrize(
        ("query", "parameter"),
        [
            ("/outbox-messages?state=opne", "state"),
            ("/outbox-messages?stuck=yes", "stuck"),
            ("/outbox-messages?destination=nowhere", "destination"),
            ("/outbox-messages?aggregate_id=1", "aggregate_id"),
            ("/outbox-messages?type=%00", "type"),
            ("/outbox-messages?staet=dead", "staet"),
            ("/inbox-messages?consumer=nobody", "consumer"),
            ("/inbox-messages?message_id=x", "message_id"),
            ("/inbox-messages?state=open", "state"),
            ("/sagas?status=dead", "status"),
            ("/sagas?name=fulfil", "name"),
            ("/sagas?stuck=1", "stuck"),
            ("/sagas?direction=up", "direction"),
            ("/sagas?subject_id=1", "subject_id"),
        ],
    )
    def test_an_unknown_filter_or_value_is_a_400_that_names_it(self, api, query, parameter):
        answer = api.get(query)
        assert answer.status_code == 400
        assert answer["Content-Type"] == "application/problem+json"
        assert [fault["parameter"] for fault in answer.json()["errors"]] == [parameter]

    def test_a_misspelt_filter_is_told_the_nearest(self, api):
        assert "did you mean 'state'?" in api.get("/outbox-messages?staet=dead").json()["detail"]


class TestOneMessage:
    def test_shows_what_it_carries_with_secrets_masked(self, api, ledger):
        told.tell("a")
        OutboxMessage.objects.update(payload={"text": "a", "payment_method": "tok_visa"}, headers={"traceparent": "00"})

        body = api.get(f"/outbox-messages/{told.row('a').key}").json()

        assert body["payload"] == {"text": "a", "payment_method": "tok_…"}
        assert body["headers"] == {"traceparent": "00"}
        assert (body["state"], body["reading"]) == ("open", "due")

    def test_a_list_shows_no_payload(self, api, ledger):
        told.tell("a")
        [row] = api.get("/outbox-messages").json()["results"]
        assert not {"payload", "headers"} & set(row)


def _uuid(number: int) -> UUID:
    return UUID(int=number << 80 | 7 << 76)
