"""Differences with the providers' books in the admin: read-only, with the operator's verb."""

from collections.abc import Collection, Mapping
from typing import Any

from django.contrib import admin
from django.utils.safestring import SafeString

from outbox.operator_admin import Advice, OperatorAdmin
from outbox.read_only_admin import acts_link, amount, joined, list_link, page_link, short
from outbox.verb import Verb

from . import operations
from .models import Difference
from .repairs import REPAIRS_MAX, is_left_alone

PAGES = {
    "charge": "payments_payment",
    "refund": "payments_refund",
    "shipment": "shipping_shipment",
    "cancellation": "shipping_cancellation",
}


@admin.register(Difference)
class DifferenceAdmin(OperatorAdmin):
    list_display = ("identity", "object", "kind", "order", "we_say", "they_say", "state", "stands", "first_seen_at")
    list_filter = ("state", "kind", "object")
    # Indexes: the primary key, difference_by_order, difference_by_provider_key.
    search_fields = ("id", "order_id", "provider_key")
    search_help_text = "Ids, order ids or provider keys, in full."
    fields = (
        "provider", "object", "kind", "state", "stands", "we_say", "they_say", "order", "row", "provider_key",
        "provider_reference", "first_seen_at", "last_seen_at", "ended_at", "resolution", "related", "id",
    )  # fmt: skip
    verbs = (
        Verb(
            name="resolve",
            label="Resolve",
            permission="audit.resolve_difference",
            explanation="You looked into it, and answer for it: it is not shown again unless the books differ anew.",
            perform=operations.resolve,
            dangerous=True,
            state_of=lambda row: f"{row.state} {row.kind}: {_said(row.ours)}, {_said(row.theirs)}",
        ),
    )

    def filters_by_index(self, chosen: Mapping[str, str]) -> bool:
        # Index difference_open.
        return not chosen or chosen.get("state__exact") == Difference.State.OPEN

    def offered(self, row: Difference) -> Collection[str]:
        return ["resolve"] if row.state == Difference.State.OPEN else []

    def advice(self, row: Difference) -> Advice:
        if row.state == Difference.State.OPEN and is_left_alone(row):
            return Advice(
                sentence="Seen a moment ago, and left alone until it is known whether it can be undone: wait."
            )
        if not _waits_for_person(row):
            return Advice()
        return Advice(sentence="Nothing here proves what is right: look it up at the provider.", helpful=("resolve",))

    @admin.display(description="repair")
    def stands(self, row: Difference) -> str:
        if row.state != Difference.State.OPEN:
            return row.repair or "none"
        asked = f"{row.repair}, asked for {row.repairs} times" if row.repairs else ""
        return f"{asked}; waits for a person".lstrip("; ") if _waits_for_person(row) else asked or "not yet"

    @admin.display(description="we say")
    def we_say(self, row: Difference) -> str:
        return _said(row.ours)

    @admin.display(description="they say")
    def they_say(self, row: Difference) -> str:
        return _said(row.theirs)

    @admin.display(description="order")
    def order(self, row: Difference) -> SafeString | str:
        return page_link("orders_order", row.order_id, short(row.order_id)) if row.order_id else "unknown"

    @admin.display(description="our row")
    def row(self, row: Difference) -> SafeString | str:
        return page_link(PAGES[row.object], row.row_id, short(row.row_id)) if row.row_id else "none"

    @admin.display(description="related")
    def related(self, row: Difference) -> SafeString:
        return joined(
            list_link("sagas_saga", "saga", q=row.order_id or ""),
            list_link("outbox_outboxmessage", "messages", q=row.row_id or ""),
            acts_link("difference", row.pk),
        )


def _waits_for_person(row: Difference) -> bool:
    """As the repairs decide: none was proved, or all were asked for."""
    if row.state != Difference.State.OPEN or is_left_alone(row):
        return False
    return row.repairs >= REPAIRS_MAX or not row.repairs


def _said(side: dict[str, Any] | None) -> str:
    if side is None:
        return "nothing"
    if side["amount_minor"] is None:
        return str(side["status"])
    undone = f", {amount(side['undone_minor'], side['currency'])} given back" if side["undone_minor"] else ""
    return f"{side['status']} {amount(side['amount_minor'], side['currency'])}{undone}"
