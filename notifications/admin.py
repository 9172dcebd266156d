"""What customers were told, in the admin: read-only, linked to the order."""

from collections.abc import Mapping

from django.contrib import admin
from django.utils.safestring import SafeString

from outbox.read_only_admin import ReadOnlyAdmin, joined, list_link, page_link, short

from .models import Notification


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    list_display = ("identity", "order", "kind", "status", "noted_at", "sent_at", "error")
    list_filter = ("status", "kind")
    # Indexes: the primary key, one_notification_per_order_and_kind.
    search_fields = ("id", "order_id")
    search_help_text = "Ids or order ids, in full."
    fields = (
        "order", "kind", "status", "recipient_id", "facts", "error", "noted_at", "sent_at", "related", "id",
    )  # fmt: skip

    def filters_by_index(self, chosen: Mapping[str, str]) -> bool:
        # An index on the status would make every notification cost more; those of an order have theirs.
        return not chosen

    @admin.display(description="order")
    def order(self, notification: Notification) -> SafeString | str:
        return page_link("orders_order", notification.order_id, short(notification.order_id))

    @admin.display(description="related")
    def related(self, notification: Notification) -> SafeString:
        return joined(
            list_link("sagas_saga", "saga", q=notification.order_id),
            list_link("outbox_outboxmessage", "messages", q=notification.order_id),
        )
