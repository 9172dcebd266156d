"""The admin shows every message, and requeues, skips and resumes: once each, with a reason, by whoever may."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from outbox import consumer, inbox, operations, pause, selectors
from outbox.models import Destination, Heartbeat, InboxMessage, OperatorAct, OutboxMessage
from tests.support import staff, told

pytestmark = pytest.mark.django_db

MESSAGES = "outbox/outboxmessage"


@pytest.fixture
def root() -> Client:
    return staff.root()


def dead(text: str, **changes: Any) -> OutboxMessage:
    told.tell(text)
    OutboxMessage.objects.filter(payload__text=text).update(state="dead", attempts=10, last_error="broken", **changes)
    return told.row(text)


def listed(client: Client, page: str, query: str = "") -> list[Any]:
    return list(client.get(f"/admin/{page}/{query}").context["cl"].result_list)


class TestPages:
    def test_a_message_is_shown_with_its_reading_and_its_links(self, root, ledger):
        row = dead("a")
        told.tell("behind", aggregate_id=row.aggregate_id, sequence=2)

        assert [message.reading for message in listed(root, MESSAGES)] == ["parked", "dead"]
        page = root.get(f"/admin/{MESSAGES}/{row.key}/change/").content.decode()
        for link in (f"/admin/outbox/inboxentry/?q={row.message_id}", f"/admin/orders/order/{row.correlation_id}/"):
            assert link in page
        assert f"target_type=outboxmessage&amp;target_id={row.key}" in page

    def test_who_did_it_at_a_command_line_is_said(self, root):
        act = OperatorAct.objects.create(verb="requeue", target_type="saga", target_id="x", reason="x")
        for page in ("", f"{act.pk}/change/"):
            assert "command line" in root.get(f"/admin/outbox/operatoract/{page}").content.decode()

    def test_acts_stand_in_the_order_of_their_time_whenever_their_forms_were_made(self, root):
        now = timezone.now()
        for form_id, hours, verb in ((3, 3, "first"), (1, 2, "second"), (2, 1, "last")):
            OperatorAct.objects.create(
                id=UUID(int=form_id), verb=verb, target_type="saga", target_id="x", reason="x",
                acted_at=now - timedelta(hours=hours),
            )  # fmt: skip

        assert [act.verb for act in listed(root, "outbox/operatoract")] == ["last", "second", "first"]
        assert [act.verb for act in selectors.acts_on({"saga": ["x"]}, limit=9)] == ["first", "second", "last"]

    def test_an_act_is_found_by_its_target_its_person_its_verb_and_its_kind(self, root):
        ann = staff.operator()
        for who, verb, kind in (
            (ann, "skip", "outboxmessage"),
            (None, "retry", "saga"),
            (None, "restock", "stockitem"),
            (None, "close", "breaker"),
        ):
            OperatorAct.objects.create(who=who, verb=verb, target_type=kind, target_id=f"a-{kind}", reason="x")

        def found(query):
            return sorted(act.verb for act in listed(root, "outbox/operatoract", query))

        assert found(f"?q={ann.username}") == ["skip"]
        assert found("?q=a-saga") == ["retry"]
        assert found(f"?q=a-stockitem+{ann.username}") == ["restock", "skip"]
        assert found("?q=a-") == []
        assert found("?verb=retry") == ["retry"]
        assert found("?target_type=stockitem") == ["restock"]
        assert found("?target_type=saga&target_id=a-saga") == ["retry"]
        page = root.get("/admin/outbox/operatoract/").content.decode()
        assert found("?q=a-breaker") == ["close"]
        for link in ("?verb=order+requeue", "?verb=skip", "?verb=close", "?target_type=difference"):
            assert link in page

    def test_the_page_of_an_inbox_row_is_found_by_the_tables_own_key(self, root):
        row = InboxMessage.objects.create(consumer="a consumer", message_id=uuid4())
        assert root.get(f"/admin/outbox/inboxentry/{row.message_id} a consumer/change/").status_code == 200
        for other in (f"{row.message_id} other", f"{uuid4()} a consumer", "x"):
            assert root.get(f"/admin/outbox/inboxentry/{other}/change/").status_code == 302

    def test_a_pause_that_has_ended_is_not_shown_as_one(self, root):
        for name, minutes in (("over", -1), ("paused", 1)):
            pause.pause(name, until=timezone.now(), reason="breaker open")
            Destination.objects.filter(name=name).update(paused_until=timezone.now() + timedelta(minutes=minutes))

        assert root.get("/admin/outbox/destination/").content.decode().count("breaker open") == 1
        assert "breaker open" not in root.get("/admin/outbox/destination/over/change/").content.decode()

    def test_a_message_that_is_done_is_due_no_more_and_says_its_state_once(self, root, ledger):
        told.tell("a")
        address = f"/admin/{MESSAGES}/{told.row('a').key}/change/"
        assert "open: due" in root.get(address).content.decode()
        consumer.deliver(told.CONSUMER)
        page = root.get(address).content.decode()
        assert "not any more" in page
        assert "open: due" not in page

    def test_secrets_in_a_payload_are_masked(self, root, ledger):
        told.tell("a")
        OutboxMessage.objects.update(payload={"text": "a", "paymentMethod": "tok_visa_4242", "lines": [{"token": "x"}]})

        page = root.get(f"/admin/{MESSAGES}/{told.row('a').key}/change/").content.decode()

        assert "tok_…" in page
        assert "4242" not in page

    @pytest.mark.parametrize("page", ["destination", "heartbeat", "inboxentry", "operatoract", "outboxmessage"])
    def test_no_page_adds_changes_or_deletes(self, root, ledger, page):
        dead("a")
        assert root.get(f"/admin/outbox/{page}/").status_code == 200
        assert root.get(f"/admin/outbox/{page}/add/").status_code == 403
        row = told.row("a")
        assert root.post(f"/admin/{MESSAGES}/{row.key}/change/", {"state": "done"}).status_code == 403
        assert root.post(f"/admin/{MESSAGES}/{row.key}/delete/", {"post": "yes"}).status_code == 403
        assert told.row("a").state == "dead"

    def test_a_list_takes_as_many_queries_for_fifty_rows_as_for_one(self, root, ledger):
        for page in (MESSAGES, "outbox/operatoract", "outbox/inboxentry", "outbox/destination", "outbox/heartbeat"):
            counts = [_queries(root, page)]
            for number in range(20):
                _one_of_everything(f"{page}{number}")
            counts.append(_queries(root, page))
            assert counts[1] <= counts[0] + 1
            assert counts[1] <= 12

    def test_heartbeats_and_destinations_are_shown(self, root):
        Heartbeat.objects.create(process="relay@here", kind="relay", seen_at=timezone.now())
        pause.pause("rabbit", until=timezone.now() + timedelta(minutes=1), reason="gone")

        assert "relay@here" in root.get("/admin/outbox/heartbeat/").content.decode()
        assert "gone" in root.get("/admin/outbox/destination/rabbit/change/").content.decode()


class TestFilters:
    def test_stuck_shows_the_dead_and_the_failing_and_nothing_else(self, root, ledger):
        told.tell("fine")
        told.tell("failing")
        OutboxMessage.objects.filter(payload__text="failing").update(attempts=2, last_error="broken")
        dead("dead")

        assert [row.payload["text"] for row in listed(root, MESSAGES, "?stuck=true")] == ["dead", "failing"]

    def test_each_reading_shows_its_own(self, root, ledger):
        later = timezone.now() + timedelta(hours=1)
        told.tell("due")
        told.tell("scheduled", scheduled_for=later)
        told.tell("running")
        OutboxMessage.objects.filter(payload__text="running").update(claimed_at=timezone.now(), due_at=later)
        told.tell("backing_off")
        OutboxMessage.objects.filter(payload__text="backing_off").update(attempts=1, last_error="no", due_at=later)
        told.tell("parked", aggregate_id=told.row("backing_off").aggregate_id, sequence=2)

        shown = {name: [r.payload["text"] for r in listed(root, MESSAGES, f"?reading={name}")] for name in
                 selectors.Reading.values}  # fmt: skip

        assert shown == {name: [name] for name in selectors.Reading.values}

    def test_a_search_finds_whole_ids_and_never_parts_of_them(self, root, ledger):
        told.tell("a")
        told.tell("b")
        row = told.row("a")

        for identity in (row.key, row.message_id, row.aggregate_id):
            assert listed(root, MESSAGES, f"?q={identity}") == [row]
        assert listed(root, MESSAGES, f"?q={str(row.key)[:13]}") == []
        assert listed(root, MESSAGES, f"?q={row.key}+{told.row('b').key}") == [told.row("b"), row]
        assert listed(root, MESSAGES, "?destination=test.consumer&state__exact=done") == []

    def test_the_inbox_is_read_one_consumer_at_a_time_and_searched_in_all(self, root):
        ids = [uuid4(), uuid4()]
        for name in ("a.one", "b.two"):
            with consumer.transaction.atomic():
                inbox.record(name, ids)

        assert {row.consumer for row in listed(root, "outbox/inboxentry")} == {"a.one"}
        assert {row.consumer for row in listed(root, "outbox/inboxentry", "?consumer=b.two")} == {"b.two"}
        assert sorted(row.consumer for row in listed(root, "outbox/inboxentry", f"?q={ids[0]}")) == ["a.one", "b.two"]


class TestVerbs:
    def test_requeue_asks_why_then_makes_the_message_due_and_leaves_one_act(self, root, ledger):
        row = dead("a")

        question = staff.click(root, MESSAGES, "requeue", row.key)
        assert 'name="reason"' in question.content.decode()
        assert told.row("a").state == "dead"
        answer = staff.click(root, MESSAGES, "requeue", row.key, reason="fixed the consumer")

        assert staff.said(answer) == ["Requeue: test.told.v1 → test.consumer."]
        requeued = told.row("a")
        assert (requeued.state, requeued.attempts, requeued.epoch) == ("open", 0, row.epoch + 1)
        act = OperatorAct.objects.get()
        assert (act.who.username, act.verb, act.target_id, act.reason) == (
            "root", "requeue", str(row.key), "fixed the consumer",
        )  # fmt: skip

    def test_a_second_click_says_already_done_and_leaves_no_second_act(self, root, ledger):
        row = dead("a")
        for expected in ("Requeue: test.told", "Requeue: already done, nothing changed: test.told"):
            answer = staff.click(root, MESSAGES, "requeue", row.key, reason="again")
            assert staff.said(answer)[0].startswith(expected)
        assert OperatorAct.objects.count() == 1

    def test_what_nobody_did_is_not_called_done(self, root, ledger):
        told.tell("a")
        key = told.row("a").key
        [message] = staff.click(root, MESSAGES, "requeue", key, reason="x").context["messages"]
        assert (message.level_tag, str(message).split(": ")[-2:]) == (
            "error", ["not applicable", "the message is open."],
        )  # fmt: skip
        consumer.deliver(told.CONSUMER)
        for verb, expected in (("requeue", "the message is done; tick the box"), ("skip", "the message is done.")):
            assert f"not applicable: {expected}" in staff.said(staff.click(root, MESSAGES, verb, key, reason="x"))[0]
        Destination.objects.create(name="well")
        said = staff.said(staff.click(root, "outbox/destination", "resume", "well", reason="x"))
        assert said == ["End the pause: well: not applicable: the destination is not paused."]
        assert told.row("a").state == "done"
        assert OperatorAct.objects.count() == 0

    def test_a_second_click_is_told_though_the_lists_filter_hides_the_row(self, root, ledger):
        row = dead("a")
        for _ in range(2):
            answer = staff.click(root, MESSAGES, "requeue", row.key, query="?stuck=true", reason="x")
        assert "already done" in staff.said(answer)[0]

    @pytest.mark.parametrize("reason", ["", "   "])
    def test_without_a_reason_nothing_is_done(self, root, ledger, reason):
        row = dead("a")
        answer = staff.click(root, MESSAGES, "requeue", row.key, reason=reason)
        assert "This field is required." in answer.content.decode()
        assert told.row("a").state == "dead"
        assert OperatorAct.objects.count() == 0

    def test_without_the_permission_there_is_no_verb(self, ledger):
        row = dead("a")
        user = staff.operator("outbox.view_outboxmessage", "outbox.requeue_outboxmessage")
        client = staff.signed_in(user)

        staff.click(client, MESSAGES, "skip", row.key, reason="let me")
        assert told.row("a").state == "dead"
        staff.click(client, MESSAGES, "requeue", row.key, reason="mine to do")
        assert told.row("a").state == "open"
        assert list(OperatorAct.objects.values_list("verb", "who")) == [("requeue", user.pk)]

    def test_without_the_permission_to_see_there_is_no_page(self, ledger):
        row = dead("a")
        client = staff.signed_in(staff.operator("outbox.requeue_outboxmessage"))
        assert client.get(f"/admin/{MESSAGES}/").status_code == 403
        assert staff.click(client, MESSAGES, "requeue", row.key, reason="let me").status_code == 403
        assert told.row("a").state == "dead"

    def test_without_a_csrf_token_nothing_is_done(self, ledger):
        row = dead("a")
        user = staff.operator("outbox.view_outboxmessage", "outbox.requeue_outboxmessage")
        answer = staff.click(staff.signed_in(user, enforce_csrf_checks=True), MESSAGES, "requeue", row.key, reason="x")
        assert answer.status_code == 403
        assert told.row("a").state == "dead"

    def test_skip_ends_a_head_undone_and_lets_its_follower_go(self, root, ledger):
        row = dead("head")
        told.tell("behind", aggregate_id=row.aggregate_id, sequence=2)

        staff.click(root, MESSAGES, "skip", row.key, reason="obsolete")
        consumer.deliver(told.CONSUMER)

        assert told.states() == {"head": "skipped", "behind": "done"}
        assert ledger.texts == ["behind"]

    def test_a_done_message_is_requeued_only_when_asked_for(self, root, ledger):
        told.tell("a")
        consumer.deliver(told.CONSUMER)
        key = told.row("a").key

        staff.click(root, MESSAGES, "requeue", key, reason="see")
        assert told.row("a").state == "done"
        staff.click(root, MESSAGES, "requeue", key, reason="see", sent="on")
        assert told.row("a").state == "open"
        consumer.deliver(told.CONSUMER)
        assert ledger.texts == ["a"]
        assert InboxMessage.objects.count() == 1

    def test_a_verb_from_a_rows_page_leads_back_to_it(self, root, ledger):
        row = dead("a")
        page = root.get(f"/admin/{MESSAGES}/{row.key}/change/").content.decode()
        assert page.count('name="from_page"') == 3
        answer = staff.click(root, MESSAGES, "requeue", row.key, reason="x", from_page="yes")
        assert answer.redirect_chain[-1][0] == f"/admin/{MESSAGES}/{row.key}/change/"

    def test_no_more_than_a_hundred_at_once(self, root, ledger):
        for number in range(101):
            dead(str(number))
        answer = staff.click(root, MESSAGES, "requeue", "x", reason="all", select_across="1")
        assert "at most 100 at once" in staff.said(answer)[0]
        assert OperatorAct.objects.count() == 0

    def test_a_sagas_message_is_left_to_the_sagas_verbs(self, root, ledger):
        dead("a", order_free=True)
        told.tell("b")
        OutboxMessage.objects.filter(payload__text="b").update(order_free=True)

        for text, verb in (("a", "requeue"), ("b", "skip")):
            answer = staff.click(root, MESSAGES, verb, told.row(text).key, reason="x")
            assert "the saga's own verbs" in staff.said(answer)[0]
        assert told.states() == {"a": "dead", "b": "open"}
        staff.click(root, MESSAGES, "skip", told.row("a").key, reason="its saga has ended")
        assert told.states() == {"a": "skipped", "b": "open"}

    def test_the_verbs_themselves_leave_a_sagas_messages_alone_wherever_they_are_called_from(self, ledger):
        """I6, I11: the saga waits for one message, and only its own verbs replace it."""
        row = dead("died", order_free=True)
        told.tell("waited for", aggregate_id=row.aggregate_id, sequence=2)
        OutboxMessage.objects.filter(payload__text="waited for").update(order_free=True)
        keys = [row.key, told.row("waited for").key]

        assert operations.requeue(keys, who=None, reason="all of them", sent=True) == 0
        assert told.states() == {"died": "dead", "waited for": "open"}
        assert operations.skip(keys, who=None, reason="all of them") == 1
        assert told.states() == {"died": "skipped", "waited for": "open"}

    def test_a_destinations_pause_is_ended_once(self, root):
        pause.pause_after_failure("rabbit", reason="gone")
        for expected in ("End the pause: rabbit.", "End the pause: already done, nothing changed: rabbit."):
            assert staff.said(staff.click(root, "outbox/destination", "resume", "rabbit", reason="up")) == [expected]
        assert not pause.is_paused("rabbit")
        assert Destination.objects.get().pauses == 0
        assert list(OperatorAct.objects.values_list("target_type", "target_id")) == [("destination", "rabbit")]


def _queries(client: Client, page: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(f"/admin/{page}/").status_code == 200
    return len(queries)


def _one_of_everything(name: str) -> None:
    told.tell(name)
    OperatorAct.objects.create(verb="requeue", target_type="saga", target_id=name, reason="x")
    Heartbeat.objects.create(process=name, kind="worker", seen_at=timezone.now())
    Destination.objects.create(name=name)
    InboxMessage.objects.create(consumer="one", message_id=uuid4())
