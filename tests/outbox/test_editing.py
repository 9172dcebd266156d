"""An edited copy goes in the place of a dead message: checked, shown, once; secrets stay hidden and unharmed."""

import json
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypedDict
from uuid import UUID, uuid4

import pytest
from django.db import transaction

from outbox import acts, consumer, editing, operations
from outbox.differences import differences
from outbox.exceptions import PayloadRefused, VerbRefused
from outbox.models import OperatorAct, OutboxMessage
from outbox.payload_check import objections
from outbox.registry import Event, event_class
from tests.support import dead, staff, told
from tests.support.crash import Crash, crash_before
from tests.support.threads import at_once

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ledger")]


class Line(TypedDict):
    productId: str
    qty: int


@dataclass(frozen=True, kw_only=True)
class Everything(Event):
    type: ClassVar[str] = "test.everything.v1"
    aggregate_type: ClassVar[str] = "test"

    order_id: UUID
    count: int
    lines: list[Line]
    note: str | None
    kind: Literal["new", "old"]


GOOD: dict[str, Any] = {
    "orderId": "01a1f95a-5af0-75b8-a609-0e58f86b53e2",
    "count": 3,
    "lines": [{"productId": "LAMP", "qty": 1}],
    "note": None,
    "kind": "new",
}


def edited(message, **changes):
    return json.dumps({**message.payload, **changes})


def send(message, text, *, who=None, shown=None):
    shown = editing.draft(message, text).digest if shown is None else shown
    return editing.send_copy(message.key, who=who, reason="a wrong text", payload=text, shown=shown)


class TestPayloads:
    def test_a_payload_of_the_events_class_has_nothing_wrong_with_it(self):
        assert objections(Everything, GOOD) == []
        assert objections(Everything, {**GOOD, "note": "a text"}) == []

    @pytest.mark.parametrize(
        ("changes", "objection"),
        [
            ({"count": "3"}, "count: a whole number is expected, not the text '3'."),
            ({"count": True}, "count: a whole number is expected, not true or false."),
            ({"count": None}, "count: a whole number is expected, not null."),
            ({"orderId": "x"}, "orderId: an id (UUID) is expected, not the text 'x'."),
            ({"orderId": 7}, "orderId: an id (UUID) is expected, not a number."),
            ({"lines": {}}, "lines: a list is expected, not an object."),
            ({"lines": [GOOD["lines"][0], {"productId": "LAMP"}]}, "lines[1].qty: the field is missing."),
            ({"lines": ["LAMP"]}, "lines[0]: an object is expected, not the text 'LAMP'."),
            ({"note": 7}, "note: a text or null is expected, not a number."),
            ({"kind": "other"}, "kind: one of new, old is expected, not the text 'other'."),
            ({"orderID": "x"}, "orderID: there is no such field; did you mean orderId?"),
            ({"zzz": 1}, "zzz: there is no such field; there are orderId, count, lines, note, kind."),
        ],
    )
    def test_each_objection_names_its_place_and_what_is_expected_there(self, changes, objection):
        assert objections(Everything, {**GOOD, **changes}) == [objection]

    def test_every_objection_is_told_at_once(self):
        assert objections(Everything, {"count": "3"}) == [
            "orderId: the field is missing.",
            "count: a whole number is expected, not the text '3'.",
            "lines: the field is missing.",
            "note: the field is missing.",
            "kind: the field is missing.",
        ]
        assert objections(Everything, []) == ["The payload: an object is expected, not a list."]

    def test_an_events_class_is_known_by_its_wire_name(self):
        assert event_class("test.everything.v1") is Everything
        assert event_class("nobody.knows.v1") is None

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ('{"text" "a"}', "This is no JSON: line 1, column 9:"),
            ("", "This is no JSON: line 1, column 1:"),
            ('{"text": NaN}', "NaN is no number of JSON."),
            ('{"text": "a", "text": "b"}', "text: a field may stand there only once."),
            (r'{"text": "\u0000"}', "A NUL character cannot be stored."),
            (r'{"text": "\ud800"}', "Half a surrogate pair is no character."),
            (json.dumps({"text": "x" * 140_000}), "at most 131,072"),
            ("[" * 100_000, "The JSON is nested too deeply."),
            ("[]", "The payload: an object is expected"),
            ('{"text": "a"}', "Nothing was changed"),
            ('{"text": 1}', "text: a text is expected, not a number."),
        ],
    )
    def test_what_cannot_be_sent_is_refused_with_a_sentence(self, text, sentence):
        with pytest.raises(PayloadRefused) as refused:
            editing.draft(dead.bury("a"), text)
        assert sentence in " ".join(refused.value.sentences)

    def test_a_type_that_this_code_does_not_know_is_only_checked_to_be_an_object(self):
        row = dead.bury("a")
        row.type = "nobody.knows.v1"
        assert editing.draft(row, '{"anything": [1]}').payload == {"anything": [1]}
        with pytest.raises(PayloadRefused, match="an object is expected"):
            editing.draft(row, "[1]")


class TestDifferences:
    def test_each_place_that_differs_is_named_and_no_other(self):
        was = {"a": 1, "same": [1, {"x": 2}], "list": [1, 2, 3], "gone": {"b": None}, "deep": {"c": "old"}}
        becomes = {"a": 1.5, "same": [1, {"x": 2}], "list": [1, 4], "deep": {"c": "new", "d": True}}

        found = [(one.place, one.was, one.becomes) for one in differences(was, becomes)]

        assert found == [
            ("a", "1", "1.5"),
            ("list[1]", "2", "4"),
            ("list[2]", "3", None),
            ("gone", '{"b": null}', None),
            ("deep.c", '"old"', '"new"'),
            ("deep.d", None, "true"),
        ]

    def test_true_is_not_one(self):
        assert [one.place for one in differences({"a": 1}, {"a": True})] == ["a"]

    def test_a_secret_that_changed_is_told_and_not_shown(self):
        [one] = differences({"card": {"token": "tok_visa_4242"}}, {"card": {"token": "tok_visa_9999"}})
        assert (one.place, one.was, one.becomes) == ("card.token", "tok_… (masked)", "tok_… (masked)")
        [one] = differences({}, {"card": {"token": "tok_visa_9999"}})
        assert (one.place, one.was, one.becomes) == ("card", None, '{"token": "tok_…"}')


class TestSendCopy:
    def test_the_dead_message_is_skipped_and_its_copy_takes_its_place(self, ledger):
        order = uuid4()
        row = dead.bury("wrong", aggregate_id=order)
        told.tell("behind", aggregate_id=order, sequence=2)
        person = staff.operator()

        assert send(row, edited(row, text="right"), who=person)

        copy = told.row("right")
        row.refresh_from_db()
        assert (row.state, row.payload, row.last_error) == ("skipped", {"text": "wrong"}, dead.BROKEN)
        assert (copy.state, copy.attempts, copy.sequence, copy.order_free) == ("open", 0, None, False)
        assert copy.message_id != row.message_id
        assert copy.headers == {**row.headers, "causationId": str(row.message_id)}
        same = ("destination", "type", "aggregate_type", "aggregate_id", "correlation_id", "created_at", "id")
        assert [getattr(copy, name) for name in same] == [getattr(row, name) for name in same]
        while consumer.deliver(told.CONSUMER):
            pass
        assert ledger.texts == ["right", "behind"]

    def test_the_acts_say_who_why_what_differs_and_which_copy(self):
        row = dead.bury("wrong")
        person = staff.operator()

        send(row, edited(row, text="right"), who=person)

        copy = told.row("right")
        acts = {act.verb: act for act in OperatorAct.objects.all()}
        assert {(verb, act.who, act.target_id) for verb, act in acts.items()} == {
            ("skip", person, str(row.key)),
            ("edit", person, str(row.key)),
        }
        assert acts["skip"].reason == f"replaced by its edited copy, message {copy.message_id}: a wrong text"
        assert acts["edit"].reason == "a wrong text"
        assert acts["edit"].detail == {
            "copy": str(copy.key),
            "copy_message_id": str(copy.message_id),
            "differences": [{"place": "text", "was": '"wrong"', "becomes": '"right"'}],
        }
        assert editing.copy_of(row.key) == str(copy.key)

    def test_a_second_click_sends_nothing_more(self):
        row = dead.bury("wrong")
        text = edited(row, text="right")
        assert send(row, text)
        assert not send(row, text)
        assert OutboxMessage.objects.count() == 2
        assert OperatorAct.objects.count() == 2

    def test_what_was_not_shown_is_not_sent(self):
        row = dead.bury("wrong")
        shown = editing.draft(row, edited(row, text="right")).digest

        for text, digest in ((edited(row, text="other"), shown), (edited(row, text="right"), "")):
            with pytest.raises(VerbRefused, match="look again"):
                send(row, text, shown=digest)

        assert told.states() == {"wrong": "dead"}
        assert OperatorAct.objects.count() == 0

    @pytest.mark.parametrize("state", ["open", "done", "skipped"])
    def test_only_a_dead_message_is_edited(self, state):
        row = dead.bury("wrong")
        if state == "skipped":
            operations.skip([row.key], who=None, reason="x")
        else:
            operations.requeue([row.key], who=None, reason="x")
        if state == "done":
            consumer.deliver(told.CONSUMER)

        with pytest.raises(VerbRefused, match=f"the message is {state}"):
            send(row, edited(row, text="right"))
        assert told.states() == {"wrong": state}

    def test_a_sagas_message_is_left_to_its_saga(self):
        row = dead.bury("step")
        OutboxMessage.objects.update(order_free=True)
        with pytest.raises(VerbRefused, match="use the saga's own verbs"):
            send(row, edited(row, text="right"))
        assert told.states() == {"step": "dead"}

    def test_a_secret_is_masked_for_the_person_and_whole_in_the_copy(self):
        row = dead.bury("wrong")
        row.payload = {
            "text": "wrong",
            "token": "tok_visa_4242",
            "cards": [{"apiKey": "key_1234"}, {"apiKey": "key_5678"}],
        }
        row.type = "nobody.knows.v1"
        row.save()
        shown = editing.text_of(row)
        assert "4242" not in shown
        assert "5678" not in shown

        send(row, shown.replace("wrong", "right"))

        assert told_payload(row) == {**row.payload, "text": "right"}
        [difference] = OperatorAct.objects.get(verb="edit").detail["differences"]
        assert difference["place"] == "text"

    @pytest.mark.parametrize(
        ("change", "places"),
        [
            (lambda p: {**p, "token": "…"}, ["token"]),
            (lambda p: {**p, "token": "key_…"}, ["token"]),
            (lambda p: {**p, "token": "***"}, ["token"]),
            (lambda p: {**p, "token": {"apiKey": ["a secret", "tok_…"]}}, ["token.apiKey[1]"]),
            (lambda p: {"text": "x", "moved": {"token": p["token"]}}, ["moved.token"]),
            (lambda p: {**p, "cards": [{**p["cards"][1], "of": "C"}]}, ["cards[0].apiKey"]),
            (lambda p: {**p, "cards": [*p["cards"], {"of": "C", "apiKey": "key_…"}]}, ["cards[2].apiKey"]),
            (lambda p: {**p, "cards": [p["cards"][1], {**p["cards"][1], "of": "C"}]}, ["cards[1].apiKey"]),
            (
                lambda p: {**p, "cards": [{**p["cards"][1], "of": "B, changed"}, {"of": "C", "apiKey": "key_…"}]},
                ["cards[0].apiKey", "cards[1].apiKey"],
            ),
            (lambda p: {**p, "cards": {"first": p["cards"][0]}}, ["cards.first.apiKey"]),
            (lambda p: {**p, "twins": p["twins"][1:]}, ["twins[0].apiKey"]),
            (lambda p: {**p, "twins": [*p["twins"], *p["twins"]]}, [f"twins[{n}].apiKey" for n in range(4)]),
        ],
    )
    def test_a_mask_of_which_nobody_knows_what_it_hides_is_refused_and_never_sent(self, change, places):
        row = with_secrets()

        with pytest.raises(PayloadRefused) as refused:
            editing.draft(row, json.dumps(change(json.loads(editing.text_of(row)))))

        assert [sentence.split(": ")[0] for sentence in refused.value.sentences] == places
        assert all("write it in full" in sentence for sentence in refused.value.sentences)
        with pytest.raises(PayloadRefused):
            send(row, json.dumps(change(json.loads(editing.text_of(row)))), shown="x")
        assert OutboxMessage.objects.count() == 1

    @pytest.mark.parametrize(
        ("change", "becomes"),
        [
            (lambda cards: cards[1:], [{"of": "B", "apiKey": "key_5678"}]),
            (lambda cards: cards[::-1], [{"of": "B", "apiKey": "key_5678"}, {"of": "A", "apiKey": "key_1234"}]),
            (
                lambda cards: [cards[1], {"of": "C", "apiKey": "key_new"}],
                [{"of": "B", "apiKey": "key_5678"}, {"of": "C", "apiKey": "key_new"}],
            ),
            (
                lambda cards: [cards[0], {**cards[1], "of": "C"}],
                [{"of": "A", "apiKey": "key_1234"}, {"of": "C", "apiKey": "key_5678"}],
            ),
        ],
    )
    def test_a_secret_stays_with_the_item_that_it_came_with(self, change, becomes):
        row = with_secrets()
        edited_payload = json.loads(editing.text_of(row))
        edited_payload["cards"] = change(edited_payload["cards"])

        send(row, json.dumps(edited_payload))

        assert told_payload(row) == {**row.payload, "cards": becomes}

    def test_a_crash_on_the_way_changes_nothing(self, monkeypatch):
        """I4: the skip and the copy commit together."""
        row = dead.bury("wrong")
        with monkeypatch.context() as once:
            once.setattr(acts, "act", crash_before(acts.act))
            with pytest.raises(Crash):
                send(row, edited(row, text="right"))

        assert told.states() == {"wrong": "dead"}
        assert OperatorAct.objects.count() == 0
        assert send(row, edited(row, text="right"))


def with_secrets():
    row = dead.bury("wrong")
    row.payload = {
        "text": "wrong",
        "token": "tok_visa_4242",
        "cards": [{"of": "A", "apiKey": "key_1234"}, {"of": "B", "apiKey": "key_5678"}],
        "twins": [{"apiKey": "key_1"}, {"apiKey": "key_2"}],
    }
    row.type = "nobody.knows.v1"
    row.save()
    return row


def told_payload(original):
    [copy] = OutboxMessage.objects.exclude(key=original.key)
    return copy.payload


@pytest.mark.django_db(transaction=True)
def test_two_people_who_send_a_copy_at_the_same_moment_send_one():
    row = dead.bury("wrong")

    answers = at_once(*[lambda: send(row, edited(row, text="right"))] * 3)

    assert sorted(answers) == [False, False, True]
    assert told.states() == {"wrong": "skipped", "right": "open"}
    with transaction.atomic():
        assert OperatorAct.objects.filter(verb="edit").count() == 1
