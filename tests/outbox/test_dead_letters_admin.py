"""The pages of dead letters: what they show, who may do what there, and what a click does, once."""

import json
import re
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from outbox import consumer, inbox, requeue_orders
from outbox.choice import Choice
from outbox.error_text import fingerprint_of
from outbox.models import OperatorAct, OutboxMessage, RequeueOrder
from tests.support import dead, staff, told

pytestmark = pytest.mark.django_db

LETTERS = "/admin/outbox/deadletter/"
MESSAGES = "outbox/outboxmessage"
ORDERS = "outbox/requeueorder"
GROUP = f"{LETTERS}group/{fingerprint_of(dead.BROKEN)}/"
REQUEUE = f"{LETTERS}requeue/?error_fingerprint={fingerprint_of(dead.BROKEN)}"
ANSWERS = {"reason": "the cause is mended", "rate_per_second": "20"}


@pytest.fixture
def root(ledger):
    return staff.root()


def seen(client, address):
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def form_id_of(page):
    return re.search(r'name="form_id" value="([0-9a-f-]{36})"', page)[1]


def order_page(order):
    return f"/admin/{ORDERS}/{order.pk}/change/"


class TestPages:
    def test_nothing_dead_says_so(self, root):
        assert "No dead message." in seen(root, LETTERS)

    def test_the_list_names_each_error_once_with_its_count_and_links(self, root):
        for text in "ab":
            dead.bury(text)
        dead.bury("c", "KeyError: <script>alert(1)</script>")

        page = seen(root, LETTERS)

        assert "TimeoutError: no answer within &lt;number&gt; s" in page
        assert (page.count(GROUP), "<strong>3 dead messages</strong>" in page) == (1, True)
        assert "<script>alert" not in page
        assert told.CONSUMER in page

    def test_a_filter_shows_its_part_and_a_destination_that_is_none_is_an_error(self, root):
        dead.bury("a")
        assert "2 kinds" not in seen(root, f"{LETTERS}?destination={told.CONSUMER}")
        assert "No dead message of this choice" in seen(root, f"{LETTERS}?type=other.type.v1")
        assert "Select a valid choice" in seen(root, f"{LETTERS}?destination=nobody")

    def test_a_group_shows_its_example_its_messages_and_what_a_requeue_would_run(self, root):
        row = dead.bury("a")
        dead.bury("b", "KeyError: 'x'")
        with transaction.atomic():
            inbox.record(told.CONSUMER, [row.message_id])

        page = seen(root, GROUP)

        assert dead.BROKEN in page
        assert f"/admin/{MESSAGES}/{row.key}/change/" in page
        assert "in its inbox already" in page
        assert str(told.row("b").key) not in page

    def test_a_group_that_is_gone_says_so_and_one_that_cannot_be_is_not_there(self, root):
        assert "requeued, skipped or edited meanwhile" in seen(root, GROUP)
        assert root.get(f"{LETTERS}group/nonsense/").status_code == 404

    def test_who_waits_behind_whom_is_told_with_links(self, root):
        order = uuid4()
        row = dead.bury("head", aggregate_id=order)
        for number in (2, 3, 4):
            told.tell(str(number), aggregate_id=order, sequence=number)

        page = seen(root, f"{LETTERS}waiting/")

        assert "<strong>3 waiting</strong> behind" in page
        assert f"/admin/{MESSAGES}/{row.key}/change/" in page
        assert f"?q={order}" in page
        assert "3 waiting behind this message" in seen(root, f"/admin/{MESSAGES}/{row.key}/change/")
        behind = seen(root, f"/admin/{MESSAGES}/{told.row('3').key}/change/")
        assert re.search(rf"waits behind <a href=\"/admin/{MESSAGES}/{row.key}/change/\">.*</a>, which is dead", behind)

    def test_a_page_takes_as_many_queries_for_many_as_for_one(self, root):
        counts = []
        for number in range(2):
            for text in range(1 + 9 * number):
                dead.bury(f"{number} {text}")
            with CaptureQueriesContext(
                connection,
            ) as queries:
                for address in (LETTERS, GROUP, REQUEUE, f"{LETTERS}waiting/"):
                    seen(root, address)
            counts.append(len(queries))
        assert counts[1] == counts[0]
        assert counts[0] <= 32

    @pytest.mark.parametrize("address", [LETTERS, GROUP, REQUEUE, f"{LETTERS}waiting/", f"/admin/{ORDERS}/"])
    def test_without_the_permission_to_see_messages_there_is_no_page(self, ledger, address):
        dead.bury("a")
        client = staff.signed_in(staff.operator("outbox.view_destination", "outbox.requeue_outboxmessage"))
        assert client.get(address).status_code == 403
        assert client.post(address, ANSWERS).status_code in {403, 405}
        assert RequeueOrder.objects.count() == 0

    def test_whoever_sees_messages_sees_dead_letters_on_the_first_page(self, ledger):
        client = staff.signed_in(staff.operator("outbox.view_outboxmessage"))
        page = seen(client, "/admin/")
        assert LETTERS in page
        assert f"/admin/{ORDERS}/" in page

    def test_a_dead_letter_has_no_page_that_adds_changes_or_deletes(self, root):
        row = dead.bury("a")
        for page in ("add/", f"{row.key}/change/", f"{row.key}/delete/"):
            assert root.get(f"{LETTERS}{page}").status_code == 404


class TestRequeue:
    def test_it_is_shown_before_it_is_ordered_and_ordered_once(self, root):
        dead.bury("a")
        dead.bury("b", "KeyError: 'x'")

        page = seen(root, REQUEUE)
        assert "Requeue 1 message" in page
        assert RequeueOrder.objects.count() == 0
        for expected in ("Ordered: 1 messages, 20 a second.", "Nothing was ordered: a requeue of"):
            answer = root.post(REQUEUE, ANSWERS, follow=True)
            assert staff.said(answer)[0].startswith(expected)
            assert answer.redirect_chain[-1][0] == order_page(RequeueOrder.objects.get())

        order = RequeueOrder.objects.get()
        assert (order.who.username, order.reason, order.rate_per_second, order.found) == (
            "root", "the cause is mended", 20, 1,
        )  # fmt: skip
        assert OperatorAct.objects.count() == 1
        assert set(told.states().values()) == {"dead"}

    @pytest.mark.parametrize("ending", ["done", "cancelled"])
    def test_f14_a_form_that_is_sent_again_after_its_order_has_ended_orders_nothing_more(
        self, root, ending, monkeypatch
    ):
        dead.own_clock(monkeypatch)
        row = dead.bury("a")
        form = {**ANSWERS, "form_id": form_id_of(seen(root, REQUEUE))}
        root.post(REQUEUE, form, follow=True)
        order = RequeueOrder.objects.get()
        if ending == "done":
            dead.work(order)
            dead.bury_again("a")
        else:
            requeue_orders.cancel(order.pk, who=None, reason="x")

        again = root.post(REQUEUE, form, follow=True)

        assert staff.said(again) == [
            "Nothing was ordered: This very form was submitted before: what it asked for is done, and nothing changed."
        ]
        assert again.redirect_chain[-1][0] == order_page(order)
        assert (RequeueOrder.objects.get().status, told.states()) == (ending, {"a": "dead"})
        assert OperatorAct.objects.filter(verb="order requeue").count() == 1
        assert requeue_orders.work() == 0
        # A new form is a new wish.
        root.post(REQUEUE, {**ANSWERS, "form_id": form_id_of(seen(root, REQUEUE))})
        assert RequeueOrder.objects.count() == 2
        row.refresh_from_db()
        assert row.state == "dead"

    @pytest.mark.parametrize(
        ("answers", "sentence"),
        [
            ({"reason": " "}, "This field is required."),
            ({"rate_per_second": "0"}, "greater than or equal to 1"),
            ({"rate_per_second": "1001"}, "less than or equal to 1000"),
            ({"rate_per_second": "x"}, "Enter a whole number."),
        ],
    )
    def test_without_a_reason_and_a_rate_nothing_is_ordered(self, root, answers, sentence):
        dead.bury("a")
        assert sentence in root.post(REQUEUE, {**ANSWERS, **answers}).content.decode()
        assert RequeueOrder.objects.count() == 0

    def test_what_only_sagas_may_take_is_not_offered(self, root):
        dead.bury("a")
        OutboxMessage.objects.update(order_free=True)
        page = seen(root, REQUEUE)
        assert "belong to sagas" in page
        assert 'name="reason"' not in page
        assert "no such dead message" in staff.said(root.post(REQUEUE, ANSWERS, follow=True))[0]

    def test_without_the_permission_nothing_is_offered_and_nothing_ordered(self, ledger):
        dead.bury("a")
        client = staff.signed_in(staff.operator("outbox.view_outboxmessage"))
        assert "requeue/?" not in seen(client, GROUP)
        assert client.get(REQUEUE).status_code == client.post(REQUEUE, ANSWERS).status_code == 403
        assert RequeueOrder.objects.count() == 0

    def test_without_a_csrf_token_nothing_is_ordered(self, ledger):
        dead.bury("a")
        user = staff.operator("outbox.view_outboxmessage", "outbox.requeue_outboxmessage")
        assert staff.signed_in(user, enforce_csrf_checks=True).post(REQUEUE, ANSWERS).status_code == 403
        assert RequeueOrder.objects.count() == 0

    def test_one_messages_question_shows_what_it_would_run(self, root):
        row = dead.bury("a")
        with transaction.atomic():
            inbox.record("somebody.else", [row.message_id])
        page = staff.click(root, MESSAGES, "requeue", row.key).content.decode()
        assert "A requeue would run" in page
        assert "in the inbox of somebody.else" in page


class TestOrders:
    @pytest.fixture
    def order(self, root, monkeypatch):
        dead.own_clock(monkeypatch)
        for text in "abcd":
            dead.bury(text)
        return requeue_orders.place(Choice(), rate_per_second=1, who=None, reason="mended")

    def test_its_page_shows_how_far_it_is_and_what_became_of_its_messages(self, root, order, ledger):
        dead.work(order, seconds=1)
        consumer.deliver(told.CONSUMER)
        dead.work(order, seconds=2)

        page = seen(root, order_page(order))
        assert "3 of 4 messages made due again" in page
        assert "1 done" in page
        assert "2 not finished yet" in page
        assert f'data-refresh="/admin/{ORDERS}/{order.pk}/progress/"' in page
        assert "outbox/refresh.js" in page
        assert "3 of 4 messages made due again" in seen(root, f"/admin/{ORDERS}/{order.pk}/progress/")

    def test_one_that_died_again_is_pointed_out(self, root, order):
        dead.work(order)
        dead.bury_again("a")
        assert "Some died again" in seen(root, order_page(order))

    def test_it_is_paused_resumed_and_cancelled_once_each_with_a_reason(self, root, order):
        for verb, label, status in (
            ("pause", "Pause", "paused"), ("resume", "Go on", "open"), ("cancel", "Cancel", "cancelled"),
        ):  # fmt: skip
            for said in (f"{label}: requeue of every dead message.", f"{label}: already done"):
                assert staff.said(staff.click(root, ORDERS, verb, order.pk, reason="x"))[0].startswith(said)
            order.refresh_from_db()
            assert order.status == status
        verbs = OperatorAct.objects.filter(target_type="requeueorder").order_by("pk").values_list("verb", flat=True)
        assert list(verbs) == ["order requeue", "pause", "resume", "cancel"]
        page = seen(root, order_page(order))
        assert 'name="action"' not in page
        assert 'data-refresh=""' in page

    def test_its_page_offers_what_can_be_done_and_to_whom_it_may(self, root, order):
        assert re.findall(r'name="action" value="(\w+)"', seen(root, order_page(order))) == ["pause", "cancel"]
        client = staff.signed_in(staff.operator("outbox.view_outboxmessage"))
        assert 'name="action"' not in seen(client, order_page(order))
        staff.click(client, ORDERS, "cancel", order.pk, reason="let me")
        order.refresh_from_db()
        assert order.status == "open"
        assert staff.signed_in(staff.operator()).get(f"/admin/{ORDERS}/{order.pk}/progress/").status_code == 403
        assert root.get(f"/admin/{ORDERS}/{uuid4()}/progress/").status_code == 404

    def test_its_acts_lead_to_it_and_the_list_shows_it(self, root, order):
        assert f"/admin/{ORDERS}/{order.pk}/change/" in seen(root, "/admin/outbox/operatoract/")
        page = seen(root, f"/admin/{ORDERS}/")
        assert "0 of 4" in page
        assert "command line" in page


class TestEdit:
    def edit(self, client, row, **answers):
        return staff.click(client, MESSAGES, "edit", row.key, key=str(row.key), **answers)

    def test_the_difference_is_shown_then_the_copy_is_sent_once(self, root):
        row = dead.bury("wrong")
        question = staff.click(root, MESSAGES, "edit", row.key).content.decode()
        assert "&quot;text&quot;: &quot;wrong&quot;" in question
        assert "Show the difference" in question
        payload = json.dumps({"text": "right"})

        shown = self.edit(root, row, payload=payload, reason="a wrong text")
        page = shown.content.decode()
        assert "<del>&quot;wrong&quot;</del>" in page
        assert "<ins>&quot;right&quot;</ins>" in page
        assert told.states() == {"wrong": "dead"}
        digest = re.search(r'name="shown" value="(\w{64})"', page)[1]
        for said in ("Edit a copy: test.told", "Edit a copy: already done"):
            answer = self.edit(root, row, payload=payload, reason="a wrong text", shown=digest)
            assert staff.said(answer)[0].startswith(said)

        assert told.states() == {"wrong": "skipped", "right": "open"}
        copy = told.row("right")
        assert f"/admin/{MESSAGES}/{copy.key}/change/" in seen(root, f"/admin/{MESSAGES}/{row.key}/change/")

    def test_a_copy_that_was_changed_after_the_difference_is_shown_anew(self, root):
        row = dead.bury("wrong")
        page = self.edit(root, row, payload='{"text": "right"}', reason="x").content.decode()
        digest = re.search(r'name="shown" value="(\w{64})"', page)[1]

        page = self.edit(root, row, payload='{"text": "other"}', reason="x", shown=digest).content.decode()

        assert "<ins>&quot;other&quot;</ins>" in page
        assert "Nothing has been sent yet" in page
        assert told.states() == {"wrong": "dead"}

    @pytest.mark.parametrize(
        ("payload", "sentence"),
        [
            ('{"text": 7}', "text: a text is expected, not a number."),
            ("{", "This is no JSON: line 1"),
            ('{"text": "wrong"}', "Nothing was changed"),
        ],
    )
    def test_what_is_wrong_with_it_stands_beside_it_and_nothing_is_sent(self, root, payload, sentence):
        row = dead.bury("wrong")
        page = self.edit(root, row, payload=payload, reason="x").content.decode()
        assert sentence in page
        assert "The difference" not in page
        assert told.states() == {"wrong": "dead"}

    def test_without_a_reason_there_is_no_difference_to_confirm(self, root):
        row = dead.bury("wrong")
        page = self.edit(root, row, payload='{"text": "right"}', reason="").content.decode()
        assert "This field is required." in page
        assert told.states() == {"wrong": "dead"}

    def test_a_sagas_message_is_refused_with_a_sentence_and_not_offered(self, root):
        row = dead.bury("step")
        OutboxMessage.objects.update(order_free=True)
        assert 'value="edit"' not in seen(root, f"/admin/{MESSAGES}/{row.key}/change/")
        assert "use the saga&#x27;s own verbs" in staff.click(root, MESSAGES, "edit", row.key).content.decode()
        page = self.edit(root, row, payload='{"text": "right"}', reason="x").content.decode()
        digest = re.search(r'name="shown" value="(\w{64})"', page)[1]
        answer = self.edit(root, row, payload='{"text": "right"}', reason="x", shown=digest)
        assert "use the saga's own verbs" in staff.said(answer)[0]
        assert told.states() == {"step": "dead"}

    def test_it_takes_a_permission_of_its_own(self, ledger):
        row = dead.bury("wrong")
        others = ["outbox.view_outboxmessage", "outbox.requeue_outboxmessage", "outbox.skip_outboxmessage"]
        client = staff.signed_in(staff.operator(*others))
        assert 'value="edit"' not in seen(client, f"/admin/{MESSAGES}/{row.key}/change/")
        self.edit(client, row, payload='{"text": "right"}', reason="x", shown="x")
        assert told.states() == {"wrong": "dead"}
        editor = staff.signed_in(staff.operator("outbox.view_outboxmessage", "outbox.edit_outboxmessage"))
        assert 'value="edit"' in seen(editor, f"/admin/{MESSAGES}/{row.key}/change/")

    def test_one_whose_effect_has_happened_is_warned_of(self, root):
        row = dead.bury("wrong")
        with transaction.atomic():
            inbox.record(told.CONSUMER, [row.message_id])
        assert "its effect has happened" in staff.click(root, MESSAGES, "edit", row.key).content.decode()
