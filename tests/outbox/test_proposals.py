"""The two-person rule: one proposes, a second one approves, and only then it is done, once, by both their names."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from outbox import editing, operations, proposals
from outbox.exceptions import VerbRefused
from outbox.models import OperatorAct, OutboxMessage, Proposal
from tests.support import staff, told

pytestmark = pytest.mark.django_db

MESSAGES, PROPOSALS = "outbox/outboxmessage", "outbox/proposal"
SKIPPER = ("outbox.view_outboxmessage", "outbox.skip_outboxmessage", "outbox.requeue_outboxmessage")
DECIDER = (*SKIPPER, "outbox.view_proposal", "outbox.decide_proposal")


@pytest.fixture(autouse=True)
def _rule(settings):
    settings.OPERATOR_TWO_PERSON_RULE = True


@pytest.fixture
def ann() -> User:
    return staff.operator(*DECIDER)


@pytest.fixture
def bob() -> User:
    return staff.operator(*DECIDER)


def dead(text: str = "a") -> OutboxMessage:
    told.tell(text)
    OutboxMessage.objects.filter(payload__text=text).update(state="dead", attempts=10, last_error="broken")
    return told.row(text)


def propose(who: User, row: OutboxMessage, *, reason: str = "obsolete") -> Proposal:
    staff.click(staff.signed_in(who), MESSAGES, "skip", row.key, reason=reason)
    return Proposal.objects.get(target_id=str(row.key), state="open")


def decide(who: User, verb: str, proposal: Proposal) -> list[str]:
    """What the page said."""
    return staff.said(staff.click(staff.signed_in(who), PROPOSALS, verb, proposal.pk, reason="looked at it"))


def offered(client: Client, proposal: Proposal) -> list[str]:
    page = client.get(f"/admin/{PROPOSALS}/{proposal.pk}/change/")
    return [verb.name for verb in page.context["verbs"]]


class TestProposing:
    def test_a_dangerous_verb_is_only_proposed_and_says_so(self, ledger, ann):
        row = dead()
        client = staff.signed_in(ann)

        question = staff.click(client, MESSAGES, "skip", row.key).content.decode()
        assert "This takes two persons" in question
        assert 'value="Propose: Skip"' in question
        answer = staff.click(client, MESSAGES, "skip", row.key, reason="obsolete")

        assert staff.said(answer) == [
            "Skip: proposed; it is done when a second person approves it: test.told.v1 → test.consumer."
        ]
        assert told.states() == {"a": "dead"}
        assert OperatorAct.objects.count() == 0
        proposal = Proposal.objects.get()
        assert (proposal.verb, proposal.target_type, proposal.target_id, proposal.proposed_by, proposal.reason) == (
            "skip", "outboxmessage", str(row.key), ann, "obsolete",
        )  # fmt: skip
        assert timedelta(hours=23) < proposal.expires_at - timezone.now() < timedelta(hours=25)

    def test_a_harmless_verb_is_done_at_once(self, ledger, ann):
        row = dead()
        staff.click(staff.signed_in(ann), MESSAGES, "requeue", row.key, reason="fixed")
        assert told.states() == {"a": "open"}
        assert Proposal.objects.count() == 0

    def test_without_the_rule_a_dangerous_verb_is_done_at_once(self, ledger, ann, settings):
        settings.OPERATOR_TWO_PERSON_RULE = False
        row = dead()
        question = staff.click(staff.signed_in(ann), MESSAGES, "skip", row.key).content.decode()
        assert "two persons" not in question
        staff.click(staff.signed_in(ann), MESSAGES, "skip", row.key, reason="obsolete")
        assert told.states() == {"a": "skipped"}
        assert Proposal.objects.count() == 0

    def test_a_second_click_proposes_nothing_anew(self, ledger, ann):
        row = dead()
        propose(ann, row)
        said = staff.said(staff.click(staff.signed_in(ann), MESSAGES, "skip", row.key, reason="again"))
        assert said[0].startswith("Skip: already proposed, and waits for a second person")
        assert Proposal.objects.count() == 1

    def test_another_person_who_wants_the_same_is_led_to_the_proposal(self, ledger, ann, bob):
        row = dead()
        propose(ann, row)
        said = staff.said(staff.click(staff.signed_in(bob), MESSAGES, "skip", row.key, reason="me too"))
        assert said[0].endswith(f"{ann} has proposed this already: approve or decline that.")
        assert (Proposal.objects.count(), told.states()) == (1, {"a": "dead"})
        page = staff.signed_in(bob).get(f"/admin/{MESSAGES}/{row.key}/change/").content.decode()
        assert f"/admin/{PROPOSALS}/{Proposal.objects.get().pk}/change/" in page

    def test_what_the_verb_would_refuse_is_not_proposed(self, ledger, ann):
        row = dead()
        OutboxMessage.objects.update(state="done", finished_at=timezone.now())
        said = staff.said(staff.click(staff.signed_in(ann), MESSAGES, "skip", row.key, reason="x"))
        assert "not applicable: the message is done." in said[0]
        assert Proposal.objects.count() == 0


class TestDeciding:
    def test_a_second_person_has_it_done_and_the_act_names_both(self, ledger, ann, bob):
        row = dead()
        proposal = propose(ann, row)
        question = staff.click(staff.signed_in(bob), PROPOSALS, "approve", proposal.pk).content.decode()
        assert str(ann) in question
        assert "obsolete" in question
        assert told.states() == {"a": "dead"}

        assert decide(bob, "approve", proposal) == [f"Approve: skip outboxmessage {row.key}."]

        assert told.states() == {"a": "skipped"}
        act = OperatorAct.objects.get()
        assert (act.verb, act.target_id, act.who, act.approved_by, act.reason) == (
            "skip", str(row.key), ann, bob, "obsolete",
        )  # fmt: skip
        proposal.refresh_from_db()
        assert (proposal.state, proposal.decided_by, proposal.decision) == ("approved", bob, "looked at it")
        page = staff.root().get("/admin/outbox/operatoract/").content.decode()
        assert f"{ann}, approved by {bob}" in page

    def test_a_second_approval_changes_nothing(self, ledger, ann, bob):
        proposal = propose(ann, dead())
        decide(bob, "approve", proposal)
        assert "already done, nothing changed" in decide(bob, "approve", proposal)[0]
        assert OperatorAct.objects.count() == 1

    @pytest.mark.parametrize("is_superuser", [False, True])
    def test_nobody_approves_their_own_a_superuser_neither(self, ledger, is_superuser):
        person = User.objects.create_superuser("root") if is_superuser else staff.operator(*DECIDER)
        row = dead()
        proposal = propose(person, row)
        assert offered(staff.signed_in(person), proposal) == ["decline"]
        assert decide(person, "approve", proposal)[0].endswith("you proposed it yourself: a second person approves it.")
        assert told.states() == {"a": "dead"}
        assert Proposal.objects.get().state == "open"

    def test_postgres_refuses_an_approval_by_the_proposer(self, ledger, ann):
        proposal = propose(ann, dead())
        with pytest.raises(IntegrityError, match="a_proposal_is_approved_by_a_second_person"), transaction.atomic():
            Proposal.objects.filter(pk=proposal.pk).update(state="approved", decided_by=ann, decided_at=timezone.now())
        with pytest.raises(IntegrityError, match="a_proposal_is_decided_if_and_only_if"), transaction.atomic():
            Proposal.objects.filter(pk=proposal.pk).update(state="declined")
        assert Proposal.objects.get().state == "open"

    def test_a_declined_one_does_nothing_and_cannot_be_approved_any_more(self, ledger, ann, bob):
        proposal = propose(ann, dead())
        assert decide(bob, "decline", proposal)[0].startswith("Decline: skip outboxmessage")
        assert decide(bob, "approve", proposal)[0].endswith("not applicable: the proposal is declined.")
        assert told.states() == {"a": "dead"}
        assert list(OperatorAct.objects.values_list("verb", "target_type", "who")) == [("decline", "proposal", bob.pk)]

    def test_whoever_proposed_takes_it_back(self, ledger, ann):
        proposal = propose(ann, dead())
        decide(ann, "decline", proposal)
        assert Proposal.objects.get().state == "declined"

    def test_an_expired_one_is_refused_and_makes_room_for_another(self, ledger, ann, bob):
        row = dead()
        proposal = propose(ann, row)
        Proposal.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        assert offered(staff.signed_in(bob), proposal) == ["decline"]
        assert decide(bob, "approve", proposal)[0].endswith("it has expired: look again, and propose anew.")
        assert told.states() == {"a": "dead"}
        propose(bob, row)
        assert sorted(Proposal.objects.values_list("state", flat=True)) == ["expired", "open"]

    def test_one_whose_row_has_moved_on_is_refused(self, ledger, ann, bob):
        row = dead()
        proposal = propose(ann, row)
        operations.requeue([row.key], who=None, reason="fixed")
        OutboxMessage.objects.update(state="dead", attempts=10, last_error="broken otherwise")

        assert "it has moved on since it was proposed" in decide(bob, "approve", proposal)[0]

        assert told.states() == {"a": "dead"}
        assert OperatorAct.objects.filter(verb="skip").count() == 0
        assert Proposal.objects.get().state == "open"

    @pytest.mark.parametrize("lost", ["approver", "proposer"])
    def test_both_must_have_the_verbs_own_permission(self, ledger, ann, bob, lost):
        proposal = propose(ann, dead())
        person = bob if lost == "approver" else ann
        person.user_permissions.remove(*person.user_permissions.filter(codename="skip_outboxmessage"))
        assert decide(bob, "approve", proposal)[0].endswith(
            f"{person} has no permission for it (outbox.skip_outboxmessage)."
        )
        assert told.states() == {"a": "dead"}

    def test_without_the_permission_to_decide_there_is_no_button_and_no_act(self, ledger, ann):
        proposal = propose(ann, dead())
        looker = staff.operator(*SKIPPER, "outbox.view_proposal")
        assert offered(staff.signed_in(looker), proposal) == []
        decide(looker, "approve", proposal)
        decide(looker, "decline", proposal)
        assert told.states() == {"a": "dead"}
        assert Proposal.objects.get().state == "open"

    def test_the_pages_show_what_was_meant_with_secrets_masked(self, ledger, ann, bob):
        proposal = propose(ann, dead())
        Proposal.objects.update(answers={"payload": {"paymentMethod": "tok_visa_4242"}})
        for page in ("", f"{proposal.pk}/change/"):
            answer = staff.signed_in(bob).get(f"/admin/{PROPOSALS}/{page}")
            assert answer.status_code == 200
            assert "obsolete" in answer.content.decode()
            assert "4242" not in answer.content.decode()


class TestEditedCopies:
    """The second person sees what the first one saw: a difference."""

    EDITOR = (
        "outbox.view_outboxmessage",
        "outbox.edit_outboxmessage",
        "outbox.view_proposal",
        "outbox.decide_proposal",
    )

    @pytest.fixture
    def proposal(self, ledger) -> Proposal:
        row = dead("wrong")
        OutboxMessage.objects.update(
            type="nobody.knows.v1",
            payload={"text": "wrong", "token": "tok_visa_4242", "cards": [{"apiKey": "key_1234"}], "same": "stays"},
        )
        row.refresh_from_db()
        text = editing.text_of(row).replace("wrong", "<right>").replace("key_…", "key_new_9999")
        ann, verb = staff.operator(*self.EDITOR), proposals.verb_on("outboxmessage", "edit")
        answers = {"payload": text, "shown": editing.draft(row, text).digest, "reason": "a wrong text"}
        assert proposals.perform(verb, row, who=ann, answers=answers) == proposals.Result.PROPOSED
        return Proposal.objects.get()

    def test_the_proposals_page_and_the_question_show_the_difference_with_secrets_masked(self, proposal):
        bob = staff.signed_in(staff.operator(*self.EDITOR))
        page = bob.get(f"/admin/{PROPOSALS}/{proposal.pk}/change/").content.decode()
        question = staff.click(bob, PROPOSALS, "approve", proposal.pk).content.decode()
        for shown in (page, question):
            assert "<del>&quot;wrong&quot;</del>" in shown
            assert "<ins>&quot;&lt;right&gt;&quot;</ins>" in shown
            assert "cards[0].apiKey" in shown
            for hidden in ("4242", "1234", "9999", "stays", proposal.answers["shown"]):
                assert hidden not in shown

    def test_what_was_shown_is_what_an_approval_sends(self, proposal):
        decide(staff.operator(*self.EDITOR), "approve", proposal)
        assert told.row("<right>").payload == {
            "text": "<right>", "token": "tok_visa_4242", "cards": [{"apiKey": "key_new_9999"}], "same": "stays",
        }  # fmt: skip

    def test_a_copy_that_could_not_be_sent_any_more_says_why(self, proposal):
        OutboxMessage.objects.update(payload={"text": "wrong"})
        page = staff.signed_in(staff.operator(*self.EDITOR)).get(f"/admin/{PROPOSALS}/{proposal.pk}/change/")
        assert "Such a copy could not be sent: token: it is masked" in page.content.decode()

    def test_of_a_message_that_is_gone_the_answers_are_shown_with_secrets_masked(self, proposal):
        OutboxMessage.objects.all().delete()
        page = staff.signed_in(staff.operator(*self.EDITOR)).get(f"/admin/{PROPOSALS}/{proposal.pk}/change/")
        assert "&lt;right&gt;" in page.content.decode()
        assert "9999" not in page.content.decode()


class TestAnswers:
    def test_answers_are_performed_as_they_were_given(self, ledger, ann, bob, monkeypatch):
        row = dead()
        verb = proposals.verb_on("outboxmessage", "skip")
        performed: list[dict[str, Any]] = []

        def note(pk: Any, **given: Any) -> bool:
            performed.append({"pk": pk, **given})
            return True

        spied = type(verb)(**{**vars(verb), "perform": note})
        monkeypatch.setattr(proposals, "verb_on", lambda target_type, name: spied)
        answers = {"reason": " a typo ", "payload": {"lines": [1, None]}}
        assert proposals.perform(spied, row, who=ann, answers=answers) == proposals.Result.PROPOSED
        proposals.approve(Proposal.objects.get().pk, who=bob, reason="seen")

        assert performed[1:] == [
            {"pk": row.key, "who": ann, "reason": "a typo", "payload": {"lines": [1, None]}},
        ]  # fmt: skip
        proposals.perform(spied, dead("b"), who=ann, answers=answers)
        with pytest.raises(VerbRefused, match="with other answers"):
            proposals.perform(spied, told.row("b"), who=ann, answers={"reason": "x", "payload": {}})
        with pytest.raises(TypeError):
            proposals.perform(spied, dead("c"), who=ann, answers={"reason": "x", "when": timezone.now()})

    def test_a_nameless_person_cannot_propose(self, ledger):
        with pytest.raises(VerbRefused, match="say who you are, with --as"):
            proposals.perform(proposals.verb_on("outboxmessage", "skip"), dead(), who=None, answers={"reason": "x"})
        assert Proposal.objects.count() == 0
