"""Outbox, inbox, destinations and heartbeats in the admin: read-only, with the operator's verbs."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from . import acts_admin as _registers_acts  # noqa: F401 - files of their own, for their length
from . import editing, message_verbs, selectors
from . import proposal_admin as _registers_proposals  # noqa: F401
from .admin_filters import ConsumerFilter, DestinationFilter, ReadingFilter, StuckFilter
from .aggregates import aggregate_link
from .dead_letters_admin import DeadLetterAdmin
from .exceptions import PayloadRefused, VerbRefused
from .filters import RARE_STATES
from .models import DeadLetter, Destination, Heartbeat, InboxEntry, OutboxMessage, RequeueOrder
from .operator_admin import OperatorAdmin
from .read_only_admin import ReadOnlyAdmin, acts_link, joined, list_link, page_link, pretty_json
from .requeue_orders_admin import RequeueOrderAdmin
from .verb import Verb


@admin.register(OutboxMessage)
class OutboxMessageAdmin(OperatorAdmin):
    list_display = (
        "identity", "type", "destination", "standing", "attempts", "error_in_brief", "created", "aggregate",
    )  # fmt: skip
    list_filter = (StuckFilter, "state", ReadingFilter, DestinationFilter)
    # Indexes: the primary key, one_row_per_message_and_destination, one_message_per_aggregate_sequence_and_destination.
    search_fields = ("key", "message_id", "aggregate_id")
    search_help_text = "Keys, message ids or aggregate ids (order, saga, payment, shipment), in full."
    fieldsets = (
        (None, {"fields": ("type", "destination", "standing", "line", "aggregate", "correlation", "related")}),
        ("Times", {"fields": ("created_at", "scheduled_for", "due", "claimed_at", "finished_at")}),
        ("Attempts", {"fields": ("attempts", "epoch", "last_error", "died")}),
        ("Content", {"fields": ("content", "envelope")}),
        ("Identity", {"fields": ("key", "message_id", "id", "sequence", "in_order")}),
    )
    verbs = (
        Verb(
            name="requeue",
            label="Requeue",
            permission="outbox.requeue_outboxmessage",
            explanation="Makes dead messages due at once, with all their attempts; what waits behind them goes on.",
            perform=message_verbs.requeue,
            form=message_verbs.RequeueForm,
            preview=message_verbs.preview_requeue,
        ),
        Verb(
            name="edit",
            label="Edit a copy",
            permission="outbox.edit_outboxmessage",
            explanation="Sends a changed copy in the place of a dead message, which is skipped.",
            perform=editing.send_copy,
            form=message_verbs.EditForm,
            one_at_a_time=True,
            preview=message_verbs.preview_edit,
            meant=message_verbs.meant_by_edit,
            refusals=(VerbRefused, PayloadRefused),
            dangerous=True,
            state_of=message_verbs.stands_at,
        ),
        Verb(
            name="skip",
            label="Skip",
            permission="outbox.skip_outboxmessage",
            explanation="Ends open or dead messages undone: their effect never happens. What waits behind goes on.",
            perform=message_verbs.skip,
            dangerous=True,
            state_of=message_verbs.stands_at,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[OutboxMessage]:
        return selectors.with_readings(super().get_queryset(request))

    def filters_by_index(self, chosen: Mapping[str, str]) -> bool:
        unfinished = {"stuck", "reading"} & chosen.keys() or chosen.get("state__exact") in RARE_STATES
        return bool(unfinished) or "destination" not in chosen

    def offered(self, row: OutboxMessage) -> Collection[str]:
        requeue = row.state != OutboxMessage.State.OPEN and not row.order_free
        skip = row.state == OutboxMessage.State.DEAD or (row.state == OutboxMessage.State.OPEN and not row.order_free)
        edit = not editing.why_not(row)
        return [name for name, possible in (("requeue", requeue), ("edit", edit), ("skip", skip)) if possible]

    def seen(self, verb: Verb, rows: Sequence[OutboxMessage]) -> Mapping[str, Any]:
        return {"key": rows[0].key, "payload": editing.text_of(rows[0])} if verb.name == "edit" else {}

    @admin.display(description="state")
    def standing(self, message: OutboxMessage) -> str:
        """The state; of an open message, what it is doing too."""
        reading = str(getattr(message, "reading", "")).replace("_", " ")
        return message.state if reading in {"", message.state} else f"{message.state}: {reading}"

    @admin.display(description="created")
    def created(self, message: OutboxMessage) -> SafeString:
        """A list's: the year is on hover, and on the page."""
        moment = f"{message.created_at:%Y-%m-%d %H:%M:%S}"
        return format_html('<span title="{} UTC">{}</span>', moment, moment[5:])

    @admin.display(description="due at")
    def due(self, message: OutboxMessage) -> str:
        if message.state != OutboxMessage.State.OPEN:
            return "not any more"
        moment = f"{message.due_at:%Y-%m-%d %H:%M:%S}"
        return f"{moment}, when its claim ends" if message.claimed_at else moment

    @admin.display(description="in line")
    def line(self, message: OutboxMessage) -> SafeString | str:
        return message_verbs.in_line(message)

    @admin.display(description="died of")
    def died(self, message: OutboxMessage) -> SafeString | str:
        return message_verbs.died_of(message)

    @admin.display(description="order")
    def in_order(self, message: OutboxMessage) -> str:
        return "none: its saga has one at a time" if message.order_free else "after those before it of its aggregate"

    @admin.display(description="aggregate")
    def aggregate(self, message: OutboxMessage) -> SafeString | str:
        return aggregate_link(message.aggregate_type, message.aggregate_id)

    @admin.display(description="correlation (order)")
    def correlation(self, message: OutboxMessage) -> SafeString | str:
        return page_link("orders_order", message.correlation_id)

    @admin.display(description="related")
    def related(self, message: OutboxMessage) -> SafeString:
        return joined(
            list_link("outbox_outboxmessage", "other destinations", q=message.message_id),
            list_link("outbox_outboxmessage", "messages of the aggregate", q=message.aggregate_id),
            list_link("outbox_inboxentry", "inbox", q=message.message_id),
            acts_link("outboxmessage", message.key),
        )

    @admin.display(description="payload")
    def content(self, message: OutboxMessage) -> SafeString:
        return pretty_json(message.payload)

    @admin.display(description="headers")
    def envelope(self, message: OutboxMessage) -> SafeString:
        return pretty_json(message.headers)


@admin.register(InboxEntry)
class InboxEntryAdmin(ReadOnlyAdmin):
    """A list only: a row says no more than it shows there."""

    list_display = ("consumer", "message", "received_at")
    list_display_links = None
    list_filter = (ConsumerFilter,)
    search_fields = ("message_id",)
    search_help_text = (
        "Message ids, in full; of all consumers. Without one, the list shows one consumer at a time: the newest of all "
        "would take a sort of the whole table."
    )
    ordering = ("-message_id", "-id")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> InboxEntry | None:
        """By the table's own key: the view's text has no index."""
        word, _, consumer = object_id.partition(" ")
        try:
            message_id = UUID(word)
        except ValueError:
            return None
        return self.get_queryset(request).filter(consumer=consumer, message_id=message_id).first()

    @admin.display(description="message")
    def message(self, row: InboxEntry) -> SafeString | str:
        return list_link("outbox_outboxmessage", str(row.message_id), q=row.message_id)


@admin.register(Destination)
class DestinationAdmin(OperatorAdmin):
    list_display = ("name", "paused", "pauses", "reason", "slots", "rings", "messages")
    search_fields = ("name",)
    ordering = ("name",)
    fields = ("name", "paused", "reason", "pauses", "slots", "rings", "rings_moved_at", "messages")
    verbs = (
        Verb(
            name="resume",
            label="End the pause",
            permission="outbox.resume_destination",
            explanation="Ends the pause by hand: what is due is tried at once. It pauses again if it still fails.",
            perform=message_verbs.resume,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Destination]:
        return super().get_queryset(request).annotate(is_paused=Q(paused_until__gt=Now()))

    def offered(self, row: Destination) -> Collection[str]:
        return ["resume"] if row.paused_until is not None or row.pauses else []

    @admin.display(description="paused")
    def paused(self, destination: Destination) -> str:
        return f"until {destination.paused_until:%H:%M:%S} UTC" if getattr(destination, "is_paused", False) else "no"

    @admin.display(description="reason of the pause")
    def reason(self, destination: Destination) -> str:
        return destination.pause_reason if getattr(destination, "is_paused", False) else ""

    @admin.display(description="messages")
    def messages(self, destination: Destination) -> SafeString:
        return joined(
            list_link("outbox_outboxmessage", "open", destination=destination.name, state__exact="open"),
            list_link("outbox_outboxmessage", "dead", destination=destination.name, state__exact="dead"),
            acts_link("destination", destination.name),
        )


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    list_display = ("process", "kind", "seen_at", "age")
    list_filter = ("kind",)
    ordering = ("process",)

    @admin.display(description="seconds ago")
    def age(self, heartbeat: Heartbeat) -> int:
        return round((timezone.now() - heartbeat.seen_at).total_seconds())


admin.site.register(DeadLetter, DeadLetterAdmin)
admin.site.register(RequeueOrder, RequeueOrderAdmin)
