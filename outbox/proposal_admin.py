"""Proposals in the admin: what one person asks for, and the two verbs of the second one.

Guarantee: the page shows what an approval would perform, an edited copy as its difference, secrets masked; whoever
proposed is offered no approval, and refused one (proposals.py).
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from . import proposals
from .exceptions import VerbRefused
from .operator_admin import Advice, OperatorAdmin
from .proposal import Proposal
from .read_only_admin import acts_link, joined, list_link, page_link, pretty_json, short
from .verb import Verb

PERMISSION = "outbox.decide_proposal"


@admin.register(Proposal)
class ProposalAdmin(OperatorAdmin):
    list_display = ("identity", "what", "target", "reason", "proposer", "proposed_at", "stands")
    list_filter = ("state",)
    list_select_related = ("proposed_by", "decided_by")
    # Index proposal_by_target, and that of the foreign key.
    search_fields = ("target_id",)
    search_help_text = "A target's id, or the name of who proposed, in full."
    fieldsets = (
        (None, {"fields": ("what", "target", "stands")}),
        ("Proposal", {"fields": ("proposer", "proposed_at", "expires_at", "reason", "meant", "seen")}),
        ("Decision", {"fields": ("decider", "decided_at", "decision")}),
        ("Related", {"fields": ("related", "id")}),
    )
    verbs = (
        Verb(
            name="approve",
            label="Approve",
            permission=PERMISSION,
            explanation="Has it done now, as it was proposed. The operator act names you both.",
            perform=proposals.approve,
            one_at_a_time=True,
        ),
        Verb(
            name="decline",
            label="Decline",
            permission=PERMISSION,
            explanation="Ends the proposal: nothing is done.",
            perform=proposals.decline,
            one_at_a_time=True,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Proposal]:
        return super().get_queryset(request).select_related("proposed_by", "decided_by")

    def filters_by_index(self, chosen: Mapping[str, str]) -> bool:
        # Index one_open_proposal_per_target_and_verb has the open ones.
        return not chosen or chosen.get("state__exact") == Proposal.State.OPEN

    def search(self, words: Sequence[str]) -> Q:
        """By targets, and by who proposed it: looked up first, for a search across the two tables has no index."""
        people = User.objects.filter(username__in=words).values_list("pk", flat=True)
        return super().search(words) | Q(proposed_by_id__in=list(people))

    def offered(self, row: Proposal) -> Collection[str]:
        if row.state != Proposal.State.OPEN:
            return []
        return ["decline"] if _is_over(row) else ["approve", "decline"]

    def offered_to(self, request: HttpRequest, row: Proposal) -> Collection[str]:
        """Whoever proposed may take it back, and no more."""
        is_own = row.proposed_by_id == request.user.pk
        return [name for name in self.offered(row) if name == "decline" or not is_own]

    def advice(self, row: Proposal) -> Advice:
        if row.state != Proposal.State.OPEN:
            return Advice()
        if _is_over(row):
            return Advice(sentence="It has expired: nothing was done. Look again, and propose anew.")
        return Advice(
            sentence="It waits for a second person. Look at the row first: what is approved is done at once.",
            helpful=("approve",),
        )

    def details(self, row: Proposal) -> Sequence[tuple[str, Any]]:
        return [
            ("what", self.what(row)),
            ("of", self.target(row)),
            ("proposed by", row.proposed_by),
            ("because", row.reason),
            *([("answers", self.meant(row))] if row.answers else []),
        ]

    @admin.display(description="verb")
    def what(self, proposal: Proposal) -> str:
        try:
            return proposals.verb_on(proposal.target_type, proposal.verb).label
        except VerbRefused:
            return proposal.verb

    @admin.display(description="of")
    def target(self, proposal: Proposal) -> SafeString | str:
        text = short(proposal.target_id)
        model = proposals.model_of(proposal.target_type)
        page = f"{model._meta.app_label}_{model._meta.model_name}" if model else ""
        return joined(
            str(model._meta.verbose_name) if model else proposal.target_type, page_link(page, proposal.target_id, text)
        )

    @admin.display(description="state")
    def stands(self, proposal: Proposal) -> str:
        if proposal.state == Proposal.State.OPEN:
            until = f"{proposal.expires_at:%Y-%m-%d %H:%M} UTC"
            return f"expired {until}" if _is_over(proposal) else f"open until {until}"
        return f"{proposal.state} by {proposal.decided_by}" if proposal.decided_by else proposal.state

    @admin.display(description="proposed by")
    def proposer(self, proposal: Proposal) -> str:
        return str(proposal.proposed_by)

    @admin.display(description="decided by")
    def decider(self, proposal: Proposal) -> str:
        return str(proposal.decided_by or "")

    @admin.display(description="answers")
    def meant(self, proposal: Proposal) -> SafeString:
        """As the verb shows it; of a verb or a row that is there no more, the answers themselves."""
        try:
            verb = proposals.verb_on(proposal.target_type, proposal.verb)
        except VerbRefused:
            return pretty_json(_told(proposal.answers))
        row = proposals.row_of(proposal) if verb.meant else None
        return verb.meant(row, proposal.answers) if verb.meant and row else pretty_json(_told(proposal.answers))

    @admin.display(description="related")
    def related(self, proposal: Proposal) -> SafeString:
        return joined(
            acts_link("proposal", proposal.pk),
            acts_link(proposal.target_type, proposal.target_id),
            list_link("outbox_proposal", "other proposals of it", q=proposal.target_id),
        )


def _told(answers: Mapping[str, Any]) -> dict[str, Any]:
    """The answers with what is JSON in a text laid open, so that secrets in it are masked too."""
    return {name: _laid_open(answer) for name, answer in answers.items()}


def _laid_open(answer: Any) -> Any:
    try:
        return json.loads(answer) if isinstance(answer, str) else answer
    except (ValueError, RecursionError):
        return answer


def _is_over(proposal: Proposal) -> bool:
    """For showing; the decision asks the database's clock."""
    return proposal.expires_at <= timezone.now()
