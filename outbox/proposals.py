"""The two-person rule: a dangerous verb of one person becomes a proposal, and a second one has it performed.

Guarantee: while the rule is on, nobody performs a dangerous verb alone, a superuser neither, from the admin or from a
command. An approval performs it once, in one transaction with the decision and an operator act that names both; two
approvals at the same moment are one. Not guaranteed: that a row which moves while the approval runs is noticed here;
the verb looks again, under its own locks. A shell does not prove who types: `--as` is a name that somebody gave.
"""

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any
from uuid import UUID

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import models, transaction
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.db.models.functions import Now

from . import acts, rehearsal
from .acts import Person
from .exceptions import VerbRefused
from .proposal import SEEN_MAX_CHARACTERS, Proposal
from .verb import Verb


class Result(Enum):
    """What became of a person's wish."""

    CHANGED = "changed"
    ALREADY_DONE = "already done"
    PROPOSED = "proposed"
    ALREADY_PROPOSED = "already proposed"


def perform(verb: Verb, row: models.Model, *, who: Person, answers: Mapping[str, Any]) -> Result:
    """Does the verb, or proposes it when it takes two persons. Raises VerbRefused, or one of the verb's refusals."""
    if verb.takes_two:
        return _propose(verb, row, who=who, answers=answers)
    return Result.CHANGED if verb.perform(row.pk, who=who, **answers) else Result.ALREADY_DONE


def rehearse(verb: Verb, row: models.Model, *, who: Person, answers: Mapping[str, Any]) -> bool:
    """Does the verb and takes it back: tells whether it would change anything. Counts nothing. Raises as it does."""
    with rehearsal.rehearsing():
        return verb.perform(row.pk, who=who, **answers)


def verb_on(target_type: str, name: str) -> Verb:
    """The verb of that name on rows of that kind ("saga", "outboxmessage"). Raises VerbRefused for an unknown one."""
    model = model_of(target_type)
    known = getattr(admin.site.get_model_admin(model), "verbs", ()) if model and admin.site.is_registered(model) else ()
    for verb in known:
        if verb.name == name:
            return verb
    raise VerbRefused(f"This code knows no verb {name!r} on {target_type!r}.")


def model_of(target_type: str) -> type[models.Model] | None:
    """The model whose rows are called so in acts and proposals."""
    return next((model for model in apps.get_models() if model._meta.model_name == target_type), None)


def row_of(proposal: Proposal) -> models.Model | None:
    """The row that a proposal is about; None when it is there no more."""
    model = model_of(proposal.target_type)
    if model is None:
        return None
    key = model._meta.pk.to_python(proposal.target_id)
    return model._default_manager.filter(pk=key).first()


def open_ones(row: models.Model) -> QuerySet[Proposal]:
    """What waits for a second person, of one row. Index one_open_proposal_per_target_and_verb."""
    return Proposal.objects.filter(state=Proposal.State.OPEN, expires_at__gt=Now(), **_target(row)).select_related(
        "proposed_by"
    )


@transaction.atomic
def approve(proposal_id: UUID, *, who: Person, reason: str) -> bool:
    """Has a second person perform what the first one proposed; False when that was done before.

    Raises VerbRefused for one's own proposal, one that is decided or expired, and when the row has moved on.
    """
    proposal = _locked(proposal_id)
    if proposal.state == Proposal.State.APPROVED:
        return False
    _refuse_unless_open(proposal)
    person = _somebody(who)
    if proposal.proposed_by_id == person.pk:
        raise VerbRefused("you proposed it yourself: a second person approves it.")
    verb = verb_on(proposal.target_type, proposal.verb)
    for each in (person, proposal.proposed_by):
        _refuse_without_permission(each, verb)
    _perform_approved(verb, proposal, person)
    _decide(proposal, Proposal.State.APPROVED, who=person, reason=reason)
    return True


@transaction.atomic
def decline(proposal_id: UUID, *, who: Person, reason: str) -> bool:
    """Ends a proposal undone, one's own too; False when that was done before. Raises VerbRefused."""
    proposal = _locked(proposal_id)
    if proposal.state == Proposal.State.DECLINED:
        return False
    _refuse_unless_open(proposal)
    _decide(proposal, Proposal.State.DECLINED, who=_somebody(who), reason=reason)
    acts.act(who=who, verb="decline", target=proposal, reason=reason, proposed=str(proposal))
    return True


def _propose(verb: Verb, row: models.Model, *, who: Person, answers: Mapping[str, Any]) -> Result:
    """Writes down what somebody wants, once the verb has shown that it could do it."""
    person = _somebody(who)
    _refuse_without_permission(person, verb)
    if not rehearse(verb, row, who=who, answers=answers):
        return Result.ALREADY_DONE
    # Round and back, so that what the second person has performed is what the first one meant.
    plain = json.loads(json.dumps({name: value for name, value in answers.items() if name != "reason"}))
    target = {"verb": verb.name, **_target(row)}
    with transaction.atomic():
        Proposal.objects.filter(state=Proposal.State.OPEN, expires_at__lte=Now(), **target).update(
            state=Proposal.State.EXPIRED
        )
        proposal, is_new = Proposal.objects.get_or_create(
            state=Proposal.State.OPEN,
            **target,
            defaults={
                "answers": plain, "seen": _seen(verb, row), "reason": answers["reason"].strip(),
                "proposed_by": person,
            },
        )  # fmt: skip
    if is_new:
        return Result.PROPOSED
    if proposal.proposed_by_id != person.pk:
        raise VerbRefused(f"{proposal.proposed_by} has proposed this already: approve or decline that.")
    if proposal.answers != plain:
        raise VerbRefused("you have proposed this already, with other answers: decline that first.")
    return Result.ALREADY_PROPOSED


def _perform_approved(verb: Verb, proposal: Proposal, approver: User) -> None:
    row = row_of(proposal)
    if row is None or _seen(verb, row) != proposal.seen:
        raise VerbRefused("it has moved on since it was proposed: decline it, look again, and propose anew.")
    answers = {**proposal.answers, "reason": proposal.reason}
    try:
        with acts.approved_by(approver):
            changed = verb.perform(row.pk, who=proposal.proposed_by, **answers)
    except verb.refusals as refusal:
        raise VerbRefused(f"it cannot be done any more: {refusal}") from refusal
    if not changed:
        raise VerbRefused("somebody has done it meanwhile: decline it.")


def _seen(verb: Verb, row: models.Model) -> str:
    return verb.state_of(row)[:SEEN_MAX_CHARACTERS]


def _locked(proposal_id: UUID) -> Proposal:
    """The proposal, its row locked until the transaction ends: of two decisions one is first."""
    is_over = ExpressionWrapper(Q(expires_at__lte=Now()), output_field=BooleanField())
    found = Proposal.objects.select_for_update(of=("self",)).select_related("proposed_by").annotate(is_over=is_over)
    proposal = found.filter(pk=proposal_id).first()
    if proposal is None:
        raise VerbRefused("there is no such proposal.")
    return proposal


def _refuse_unless_open(proposal: Proposal) -> None:
    if proposal.state != Proposal.State.OPEN:
        raise VerbRefused(f"not applicable: the proposal is {proposal.state}.")
    if getattr(proposal, "is_over", False):
        raise VerbRefused("it has expired: look again, and propose anew.")


def _refuse_without_permission(person: User, verb: Verb) -> None:
    if not person.has_perm(verb.permission):
        raise VerbRefused(f"{person} has no permission for it ({verb.permission}).")


def _somebody(who: Person) -> User:
    if not isinstance(who, User):
        raise VerbRefused("it takes two persons (OPERATOR_TWO_PERSON_RULE): say who you are, with --as.")
    return who


def _decide(proposal: Proposal, state: Proposal.State, *, who: User, reason: str) -> None:
    if not reason.strip():
        raise ValueError("A decision needs a reason.")
    Proposal.objects.filter(pk=proposal.pk, state=Proposal.State.OPEN).update(
        state=state, decided_by=who, decided_at=Now(), decision=reason.strip()[:500]
    )


def _target(row: models.Model) -> dict[str, str]:
    return {"target_type": row._meta.model_name or "", "target_id": str(row.pk)}
