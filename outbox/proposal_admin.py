"""Proposals in the admin: what one person asks for, and the two verbs of the second one.

Guarantee: the page shows the answers that an approval would perform, secrets masked; whoever proposed is offered no
approval, and refused one (proposals.py).
"""

from collections.abc import Collection, Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from . import proposals
from .exceptions import VerbRefused
from .operator_admin import Advice, OperatorAdmin, Verb
from .proposal import Proposal
from .read_only_admin import acts_link, joined, list_link, page_link, pretty_json, short

PERMISSION = "outbox.decide_proposal"


@admin.register(Proposal)
class ProposalAdmin(OperatorAdmin):
    list_display = ("identity", "what", "target", "reason", "proposer", "proposed_at", "stands")
    list_filter = ("state", "verb", "target_type")
    list_select_related = ("proposed_by", "decided_by")
    search_fields = ("target_id", "proposed_by__username")
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
        return pretty_json(proposal.answers)

    @admin.display(description="related")
    def related(self, proposal: Proposal) -> SafeString:
        return joined(
            acts_link("proposal", proposal.pk),
            acts_link(proposal.target_type, proposal.target_id),
            list_link("outbox_proposal", "other proposals of it", q=proposal.target_id),
        )


def _is_over(proposal: Proposal) -> bool:
    """For showing; the decision asks the database's clock."""
    return proposal.expires_at <= timezone.now()
