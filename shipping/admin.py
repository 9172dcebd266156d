"""Shipments and cancellations in the admin: read-only, linked to their order and to each other."""

from typing import ClassVar

from django.contrib import admin
from django.utils.safestring import SafeString

from outbox.read_only_admin import ReadOnlyAdmin, joined, list_link, page_link, short
from shipping.models import Cancellation, Shipment


class ParcelAdmin(ReadOnlyAdmin):
    list_filter = ("status",)
    # Each has an index of its own; a cancellation's reference has none.
    search_fields: ClassVar[tuple[str, ...]] = ("id", "order_id", "provider_key")
    search_help_text = "Ids, order ids or provider keys, in full."

    @admin.display(description="order")
    def order(self, row: Shipment | Cancellation) -> SafeString | str:
        return page_link("orders_order", row.order_id, short(row.order_id))


@admin.register(Shipment)
class ShipmentAdmin(ParcelAdmin):
    list_display = ("identity", "order", "status", "tracking_number", "reason", "created_at")
    search_fields = (*ParcelAdmin.search_fields, "provider_reference", "tracking_number")
    search_help_text = "Ids, order ids, provider keys, carrier's references or tracking numbers, in full."
    fields = (
        "order", "status", "reason", "tracking_number", "lines", "provider_key", "provider_reference",
        "created_at", "updated_at", "sequence", "related", "id",
    )  # fmt: skip

    @admin.display(description="related")
    def related(self, shipment: Shipment) -> SafeString:
        return joined(
            list_link("shipping_cancellation", "cancellations", q=shipment.order_id),
            list_link("sagas_saga", "saga", q=shipment.order_id),
            list_link("outbox_outboxmessage", "messages", q=shipment.id),
        )


@admin.register(Cancellation)
class CancellationAdmin(ParcelAdmin):
    list_display = ("identity", "order", "shipment_page", "status", "reason", "created_at")
    fields = (
        "order", "shipment_page", "status", "reason", "provider_key", "provider_reference", "created_at",
        "updated_at", "id",
    )  # fmt: skip

    @admin.display(description="shipment")
    def shipment_page(self, cancellation: Cancellation) -> SafeString | str:
        return page_link("shipping_shipment", cancellation.shipment_id, short(cancellation.shipment_id))
