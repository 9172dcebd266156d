"""The two-person rule under pressure: approvals at the same moment, and a verb that fails in the middle of one."""

import pytest

from outbox import proposals
from outbox.exceptions import VerbRefused
from outbox.models import OperatorAct, OutboxMessage, Proposal
from tests.outbox.test_proposals import DECIDER
from tests.support import staff, told
from tests.support.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def proposal(settings, monkeypatch) -> Proposal:
    settings.OPERATOR_TWO_PERSON_RULE = True
    told.isolate(monkeypatch)
    told.consuming(told.Ledger())
    told.tell("a")
    OutboxMessage.objects.update(state="dead", attempts=10, last_error="broken")
    verb = proposals.verb_on("outboxmessage", "skip")
    proposals.perform(verb, told.row("a"), who=staff.operator(*DECIDER), answers={"reason": "obsolete"})
    return Proposal.objects.get()


def test_two_approvals_at_the_same_moment_act_once(proposal):
    people = [staff.operator(*DECIDER), staff.operator(*DECIDER)]

    done = at_once(*(lambda who=who: proposals.approve(proposal.pk, who=who, reason="seen") for who in people))

    assert sorted(done) == [False, True]
    assert told.states() == {"a": "skipped"}
    act = OperatorAct.objects.get()
    proposal.refresh_from_db()
    assert proposal.decided_by == act.approved_by == people[done.index(True)]


def test_of_an_approval_and_a_decline_at_the_same_moment_one_holds(proposal):
    approver, other = staff.operator(*DECIDER), staff.operator(*DECIDER)

    def tried(decide, who):
        try:
            return decide(proposal.pk, who=who, reason="seen")
        except VerbRefused as refusal:
            return str(refusal)

    answers = at_once(lambda: tried(proposals.approve, approver), lambda: tried(proposals.decline, other))

    proposal.refresh_from_db()
    was_approved = proposal.state == "approved"
    assert told.states() == {"a": "skipped" if was_approved else "dead"}
    assert answers.count(True) == 1
    assert answers[1 if was_approved else 0] == f"not applicable: the proposal is {proposal.state}."
    assert OperatorAct.objects.count() == 1


def test_two_proposals_of_one_thing_at_the_same_moment_are_one(proposal):
    told.tell("b")
    row = told.row("b")
    people = [staff.operator(*DECIDER), staff.operator(*DECIDER)]
    verb = proposals.verb_on("outboxmessage", "skip")

    def propose(who):
        try:
            return proposals.perform(verb, row, who=who, answers={"reason": "x"})
        except VerbRefused as refusal:
            return str(refusal)

    answers = at_once(*(lambda who=who: propose(who) for who in people))

    assert answers.count(proposals.Result.PROPOSED) == 1
    assert Proposal.objects.filter(target_id=str(row.key)).count() == 1
    assert told.states() == {"a": "dead", "b": "open"}


def test_a_verb_that_fails_in_the_middle_leaves_the_proposal_open_and_no_act(proposal, monkeypatch):
    def fails(*heads):
        raise RuntimeError("the database is gone")

    monkeypatch.setattr("outbox.operations.wakeup.after_commit", fails)
    with pytest.raises(RuntimeError, match="gone"):
        proposals.approve(proposal.pk, who=staff.operator(*DECIDER), reason="seen")

    proposal.refresh_from_db()
    assert (proposal.state, told.states(), OperatorAct.objects.count()) == ("open", {"a": "dead"}, 0)
